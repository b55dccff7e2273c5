"""Run every config of this folder here, on tiny checkpoints with random weights: does each way work, end to end?

    python benchmarks/today/tiny.py runs/tiny [--pairs 2 | --photos]

Builds a small checkpoint of each architecture and of both SAMs, starts a server on this machine that answers as each
family writes, and calls `pixcore ways` on the configs with those in place of the real ones. The masks are noise, and so
is every figure: what is shown is that texts are read, prompts reach the generator, and rows stand side by side.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent

ARCHITECTURES = {
    "qwen2.5-vl": "qwen2_5_vl",
    "qwen3-vl": "qwen3_vl",
    "molmo2": "molmo2",
    "internvl3": "internvl",
    "gemma3": "gemma3",
    "paligemma2": "paligemma",
}
"""The tiny checkpoint of each config."""

SAYS = {
    "qwen2.5-vl": ('[{"point_2d": [32, 24], "label": "it"}]', '[{"bbox_2d": [16, 12, 48, 36], "label": "it"}]'),
    "qwen3-vl": ('[{"point_2d": [500, 500], "label": "it"}]', '[{"bbox_2d": [250, 250, 750, 750], "label": "it"}]'),
    "molmo2": ('<points coords="1 1 300 300 2 600 600">it</points>', "There are none."),
    "internvl3": ("There are none.", "<ref>it</ref><box>[[250, 250, 750, 750]]</box>"),
    "gemma3": ('[{"point": [500, 500], "label": "it"}]', '[{"box_2d": [250, 250, 750, 750], "label": "it"}]'),
    "paligemma2": ("There are none.", "<loc0256><loc0256><loc0768><loc0768> it"),
}
"""What the server answers as each model, asked for a point and for a box."""

SENTENCE = "a red ball is left of the box"


class Answers(BaseHTTPRequestHandler):
    """Answers chat completions: in a family's own way where a place is asked for, and with a sentence elsewhere."""

    def do_POST(self) -> None:
        """Answer one request."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = asked["messages"][-1]["content"]
        prompt = parts if isinstance(parts, str) else " ".join(part.get("text", "") for part in parts).strip()
        point, box = SAYS[asked["model"]]
        text = point if prompt.startswith("Point") else box if _asks_for_a_box(prompt) else SENTENCE
        choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
        told = {"id": "1", "object": "chat.completion", "created": 0, "model": asked["model"]}
        body = json.dumps({**told, "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Give an empty text to each request."""


def _asks_for_a_box(prompt: str) -> bool:
    return any(word in prompt.lower() for word in ("bbox", "bounding box", "box_2d", "detect "))


@contextmanager
def server() -> Iterator[str]:
    """Serve on this machine; gives the address."""
    serving = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=serving.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{serving.server_port}/v1"
    finally:
        serving.shutdown()
        serving.server_close()
        thread.join()


def prepared(folder: Path, address: str, benchmark: dict[str, Any], names: list[str]) -> list[Path]:
    """Write this folder's configs and ways with tiny checkpoints in place of the real ones.

    Args:
        folder: Where checkpoints and configs go.
        address: The server's.
        benchmark: The section in place of the real benchmark's.
        names: Which configs.
    """
    testing = importlib.import_module("pixcore_transformers.testing")
    configs = []
    for name in names:
        document: dict[str, Any] = yaml.safe_load((HERE / f"{name}.yaml").read_text(encoding="utf-8"))
        architecture = ARCHITECTURES[name]
        served = {"server": address, "model": name}
        # Molmo 2's processor needs torchvision: without it the model only answers, and is pointed from
        if architecture in testing.ARCHITECTURES and (architecture != "molmo2" or find_spec("torchvision")):
            checkpoint = folder / architecture
            if not checkpoint.exists():
                testing.save_checkpoint(architecture, checkpoint)
            document["model"] = {**document["model"], "checkpoint": str(checkpoint), "text": served}
        else:
            document["model"] = {"name": "served", **served}
        document["masks"]["checkpoint"] = str(folder / "sam")
        document["benchmark"] = benchmark
        document["store"] = str(folder / "store")
        configs.append(folder / f"{name}.yaml")
        configs[-1].write_text(yaml.safe_dump(document), encoding="utf-8")
    _write(folder, "ways")
    return configs


def segmenting(folder: Path, benchmark: dict[str, Any]) -> Path:
    """Write the config of the model that segments by itself with tiny checkpoints in place of the real ones."""
    path = _write(folder, "segmenting")
    document: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    document["model"] |= importlib.import_module("pixcore_lisa.testing").write_tiny(folder / "lisa")
    document["benchmark"] = benchmark
    document["store"], document["output"] = str(folder / "store"), str(folder / "runs" / "segmenting")
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def _write(folder: Path, name: str) -> Path:
    """Write a file of this folder with both SAMs' tiny checkpoints, and words in place of spaCy's phrases."""
    sams = importlib.import_module("pixcore_sam.testing")
    sam, concept = folder / "sam", folder / "sam3"
    if not concept.exists():
        sams.as_transformers(sams.small_sam()).save_pretrained(sam)
        sams.save_small_concept(concept)
    text = (HERE / f"{name}.yaml").read_text(encoding="utf-8").replace("noun-phrases", "words")
    text = text.replace("facebook/sam3", f"{concept}, threshold: 0.0").replace("facebook/sam-vit-huge", str(sam))
    (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder / f"{name}.yaml"


def main(arguments: list[str] | None = None) -> int:
    """Build, serve and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="where checkpoints, runs and the page go")
    parser.add_argument("--pairs", type=int, default=2, help="pairs of samples of mini-world (default 2)")
    parser.add_argument("--photos", action="store_true", help="the photographs of the benchmark photos in their place")
    parser.add_argument("--only", choices=ARCHITECTURES, action="append", help="this config alone; may be repeated")
    given = parser.parse_args(arguments)
    given.out.mkdir(parents=True, exist_ok=True)
    benchmark = {"name": "photos"} if given.photos else {"name": "mini-world", "pairs": given.pairs}
    command = importlib.import_module("pixcore_places.ways").ways
    with server() as address:
        configs = prepared(given.out, address, benchmark, given.only or list(ARCHITECTURES))
        told = [*map(str, configs), "--ways", str(given.out / "ways.yaml"), "--out", str(given.out / "runs")]
        status: int = command.main(told, standalone_mode=False)
    if not given.only:
        run = importlib.import_module("pixcore.commands.run").run
        status |= run.main([str(segmenting(given.out, benchmark))], standalone_mode=False)
    return status


if __name__ == "__main__":
    sys.exit(main())
