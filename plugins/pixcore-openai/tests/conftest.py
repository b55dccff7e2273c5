"""A real server for the tests: it speaks the chat, files and batches API over TCP, looks at the images, and can fail.

It runs in a thread under uvicorn on a free port of 127.0.0.1; the official client talks to it as to any other.
"""

from __future__ import annotations

import asyncio
import base64
import email
import email.policy
import hashlib
import io
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import uvicorn
from numpy.typing import NDArray
from PIL import Image as PILImage
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from pixcore.components import Context

KEY = "sk-test-3f9d2c71b8a04e6595d1c0ffee"


@dataclass
class Asked:
    """One call as the server saw it."""

    texts: list[str]
    images: list[NDArray[np.uint8]]
    system: str
    body: dict[str, Any]
    digest: str
    authorization: str

    @property
    def text(self) -> str:
        """The first text: the question."""
        return self.texts[0]


@dataclass
class Script:
    """What the server does.

    Attributes:
        answer: From a call to the answer's text.
        faults: For a call and its count (from 0, by content), the name of a fault, or None.
        latency: Seconds.
        model: Under which name it serves.
        fingerprint: Its fingerprint.
        schemas: Whether it knows response_format.
        retry_after: What it says with a 429, if anything.
        torn: Says of which calls a batch's line is cut off.
        batched: From a call in a batch to its line, but for its id, where that is no answer.
        batch_fails: Why each batch fails; empty: none does.
        no_upload: Statuses with which files are refused, one a file, before one is taken.
        unlisted: The status with which it refuses to list its batches.
        choice: Further fields of what it answers.
        usage: The tokens that it counts.
    """

    answer: Callable[[Asked], str] = lambda asked: "yes"
    faults: Callable[[Asked, int], str | None] = lambda asked, count: None
    latency: float = 0.0
    model: str = "served-model-2026-11"
    fingerprint: str = "fp_1"
    schemas: bool = True
    retry_after: str | None = None
    torn: Callable[[Asked], bool] = lambda asked: False
    batched: Callable[[Asked], dict[str, Any] | None] = lambda asked: None
    batch_fails: str = ""
    no_upload: list[int] = field(default_factory=list)
    unlisted: int | None = None
    choice: dict[str, Any] = field(default_factory=dict)
    usage: dict[str, Any] = field(default_factory=lambda: {"prompt_tokens": 100, "completion_tokens": 5})


@dataclass
class LocalServer:
    """The server's address and what happened at it."""

    url: str
    script: Script
    calls: list[Asked] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    active: int = 0
    most_active: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, dict[str, Any]] = field(default_factory=dict)


def read_call(body: dict[str, Any], authorization: str) -> Asked:
    """Decode a request: its texts and its images, pixel by pixel."""
    texts, images, system = [], [], ""
    for message in body["messages"]:
        if message["role"] == "system":
            system = message["content"]
            continue
        content = message["content"]
        for part in [{"type": "text", "text": content}] if isinstance(content, str) else content:
            if part["type"] == "text":
                texts.append(part["text"])
            else:
                head, _, data = part["image_url"]["url"].partition(",")
                assert head == "data:image/png;base64"
                with PILImage.open(io.BytesIO(base64.b64decode(data))) as image:
                    images.append(np.asarray(image.convert("RGB")))
    digest = hashlib.sha256(json.dumps(body["messages"], sort_keys=True).encode()).hexdigest()
    return Asked(texts, images, system, body, digest, authorization)


def completion(script: Script, text: str | None, refusal: str | None = None) -> dict[str, Any]:
    """A chat completion as OpenAI sends it."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": script.model,
        "system_fingerprint": script.fingerprint,
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": text, "refusal": refusal},
                **script.choice,
            }
        ],
        "usage": script.usage,
    }


def error(status: int, message: str, headers: dict[str, str] | None = None, code: str | None = None) -> Response:
    """An error as OpenAI sends it."""
    return JSONResponse({"error": {"message": message, "type": "test", "code": code}}, status, headers)


async def _faulty(server: LocalServer, fault: str, asked: Asked) -> Response:
    script = server.script
    if fault == "429":
        headers = {"retry-after": script.retry_after} if script.retry_after is not None else None
        return error(429, "too many requests", headers)
    if fault == "quota":
        return error(429, "no credit left", code="insufficient_quota")
    if fault in ("500", "503"):
        return error(int(fault), "out of order")
    if fault in ("400", "401", "403", "404"):
        return error(int(fault), f"no: your key is {asked.authorization.removeprefix('Bearer ')}")
    if fault == "hang":
        await asyncio.sleep(60)
    body = json.dumps(completion(script, script.answer(asked))).encode()
    if fault == "drop":

        async def half() -> Any:
            yield body[: len(body) // 2]
            raise ConnectionResetError("dropped on command")

        return StreamingResponse(half(), headers={"content-length": str(len(body))}, media_type="application/json")
    if fault == "truncated":
        return Response(body[: len(body) // 2], media_type="application/json")
    if fault == "wrong":
        return JSONResponse({"hello": ["world"]})
    if fault == "html":
        return Response("<html>gateway</html>", media_type="text/html")
    if fault == "refusal":
        return JSONResponse(completion(script, None, "I can't help with that."))
    if fault == "trickle":

        async def slowly() -> Any:
            for byte in body:
                yield bytes([byte])
                await asyncio.sleep(0.2)

        return StreamingResponse(slowly(), media_type="application/json")
    if fault == "huge":
        return JSONResponse(completion(script, "1" * 10_000_000))
    raise AssertionError(fault)


def application(server: LocalServer) -> Starlette:
    """The API."""

    async def chat(request: Request) -> Response:
        server.active += 1
        server.most_active = max(server.most_active, server.active)
        server.times.append(time.monotonic())
        try:
            asked = read_call(await request.json(), request.headers.get("authorization", ""))
            count = server.seen[asked.digest]
            server.seen[asked.digest] += 1
            server.calls.append(asked)
            await asyncio.sleep(server.script.latency)
            fault = server.script.faults(asked, count)
            if fault is not None:
                return await _faulty(server, fault, asked)
            if "response_format" in asked.body and not server.script.schemas:
                return error(400, "response_format is not supported")
            server.answered[asked.digest] += 1
            return JSONResponse(completion(server.script, server.script.answer(asked)))
        finally:
            server.active -= 1

    async def upload(request: Request) -> Response:
        if server.script.no_upload:
            return error(server.script.no_upload.pop(0), "not now")
        head = b"Content-Type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
        parts = email.message_from_bytes(head + await request.body(), policy=email.policy.HTTP).iter_parts()
        content = next(part.get_content() for part in parts if part.get_filename())
        content = content.encode() if isinstance(content, str) else content
        name = f"file-{len(server.files)}"
        server.files[name] = content
        return JSONResponse({"id": name, "object": "file", "purpose": "batch", "bytes": len(content), "created_at": 1})

    async def create_batch(request: Request) -> Response:
        wanted = await request.json()
        name = f"batch-{len(server.batches)}"
        server.batches[name] = {"input": wanted["input_file_id"], "asked": 0, "endpoint": wanted["endpoint"]}
        return JSONResponse(_batch(name, "in_progress"))

    def _batch(name: str, status: str, output: str | None = None) -> dict[str, Any]:
        return {
            "id": name,
            "object": "batch",
            "endpoint": "/v1/chat/completions",
            "completion_window": "24h",
            "created_at": 1,
            "input_file_id": server.batches[name]["input"],
            "status": status,
            "output_file_id": output,
        }

    async def list_batches(request: Request) -> Response:
        """Newest first, two a page."""
        if server.script.unlisted is not None:
            return error(server.script.unlisted, "not here")
        names = list(server.batches)[::-1]
        names = names[names.index(request.query_params["after"]) + 1 :] if "after" in request.query_params else names
        listed = [_batch(name, "in_progress") for name in names[:2]]
        return JSONResponse({"object": "list", "data": listed, "has_more": len(names) > 2})

    async def read_batch(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in server.batches:
            return error(404, f"No batch found with id {name!r}.")
        batch = server.batches[name]
        batch["asked"] += 1
        if server.script.batch_fails:
            reasons = [{"code": "token_limit_exceeded", "message": server.script.batch_fails}]
            return JSONResponse({**_batch(name, "failed"), "errors": {"object": "list", "data": reasons}})
        if batch["asked"] < 2:
            return JSONResponse(_batch(name, "in_progress"))
        lines, output = [], f"{name}-output"
        if output in server.files:
            return JSONResponse(_batch(name, "completed", output))
        for line in server.files[batch["input"]].splitlines():
            call = json.loads(line)
            asked = read_call(call["body"], "")
            server.calls.append(asked)
            reply = completion(server.script, server.script.answer(asked))
            said = server.script.batched(asked) or {"response": {"status_code": 200, "body": reply}}
            result = {"custom_id": call["custom_id"], **said}
            written = json.dumps(result, ensure_ascii=False)
            lines.append((written[:-9] if server.script.torn(asked) else written) + "\n")
        server.files[output] = "".join(reversed(lines)).encode()  # a batch's answers come in any order
        return JSONResponse(_batch(name, "completed", output))

    async def read_file(request: Request) -> Response:
        return Response(server.files[request.path_params["name"]], media_type="application/jsonl")

    return Starlette(
        routes=[
            Route("/v1/chat/completions", chat, methods=["POST"]),
            Route("/openai/deployments/{name}/chat/completions", chat, methods=["POST"]),
            Route("/v1/files", upload, methods=["POST"]),
            Route("/v1/batches", create_batch, methods=["POST"]),
            Route("/v1/batches", list_batches),
            Route("/v1/batches/{name}", read_batch),
            Route("/v1/files/{name}/content", read_file),
        ]
    )


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalServer]:
    """A running server; its `script` may be changed at any time."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    local = LocalServer(f"http://127.0.0.1:{listening.getsockname()[1]}/v1", Script())
    config = uvicorn.Config(application(local), log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    while not running.started:
        time.sleep(0.01)
    yield local
    running.should_exit = True
    running.force_exit = True
    thread.join(timeout=10)


def number_in(text: str) -> int:
    """How many pictures a selecting question announces."""
    match = re.search(r"from 1 to (\d+)", text)
    assert match, text
    return int(match.group(1))


class Memory(dict):
    """What a context remembers."""

    def context(self, **fields: Any) -> Context:
        """A context with this memory."""
        return Context(recall=self.get, remember=self.__setitem__, **fields)


@pytest.fixture
def memory() -> Memory:
    """An empty memory."""
    return Memory()
