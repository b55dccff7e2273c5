"""Asking a server: wall time of N calls at latency L with C at once, as a multiple of N * L / C.

    python benchmarks/speed/judge.py [--calls N] [--latency L] [--concurrency C]

A local server that takes L seconds for every answer; the selection `automatic` with four candidates a sample on images
of 336 x 336, so that overlays are drawn and encoded while earlier calls are under way; and the judge, whose calls hold
text alone. Writes `judge.json` beside itself.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import socket
import time
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from pixcore_openai.automatic import Automatic
from pixcore_openai.config import AutomaticConfig, JudgeConfig
from pixcore_openai.judge import OpenAIJudge
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from pixcore import masks
from pixcore.components import Context
from pixcore.records import Candidate, Image, Response, Sample

SIDE, CANDIDATES = 336, 4


def serve(listening: socket.socket, latency: float) -> None:
    async def chat(request: Request) -> JSONResponse:
        await request.body()
        await asyncio.sleep(latency)
        message = {"role": "assistant", "content": '{"number": 1, "answer": "yes"}'}
        return JSONResponse({"model": "sleeper", "choices": [{"index": 0, "message": message}]})

    app = Starlette(routes=[Route("/v1/chat/completions", chat, methods=["POST"])])
    uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="off")).run([listening])


def samples(count: int) -> Any:
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (SIDE // 8, SIDE // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    for index in range(count):
        pixels = photo.copy()
        pixels[0, 0] = index % 256, index // 256, 0  # no two images are one question
        candidates = []
        for place in range(CANDIDATES):
            mask = np.zeros((SIDE, SIDE), bool)
            mask[40 * place : 40 * place + 60, 50:200] = True
            candidates.append(Candidate(None, None, (masks.encode(mask),), (1.0,)))
        yield Sample(str(index), Image.from_pixels(pixels), expression="the block"), Response(""), candidates


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--calls", type=int, default=200)
    parser.add_argument("--latency", type=float, default=1.0)
    parser.add_argument("--concurrency", type=int, default=8)
    options = parser.parse_args()
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    listening.listen(1024)
    process = multiprocessing.get_context("fork").Process(target=serve, args=(listening, options.latency), daemon=True)
    process.start()
    server = {"base_url": f"http://127.0.0.1:{listening.getsockname()[1]}/v1", "concurrency": options.concurrency}
    least = options.calls * options.latency / options.concurrency
    result: dict[str, Any] = {**vars(options), "N*L/C, s": least}

    chooser = Automatic(AutomaticConfig(presence=False, **server), Context())
    items = list(samples(options.calls))
    started = time.perf_counter()
    failed = sum(isinstance(one, Exception) for one in chooser.select_many(items))
    result["automatic, s"] = time.perf_counter() - started

    judge = OpenAIJudge(JudgeConfig(**server), Context())
    texts = [("Is it open?", ("yes", "no"), 0, f"answer {index}") for index in range(options.calls)]
    started = time.perf_counter()
    failed += sum(isinstance(one, Exception) for one in judge.grade_many(texts))
    result["judge, s"] = time.perf_counter() - started
    process.terminate()

    result["failed"] = failed
    (Path(__file__).with_suffix(".json")).write_text(json.dumps(result, indent=1) + "\n")
    for kind in ("automatic", "judge"):
        print(f"{kind}: {result[f'{kind}, s']:.2f} s, {result[f'{kind}, s'] / least:.2f} x N*L/C; {failed} failed")


if __name__ == "__main__":
    main()
