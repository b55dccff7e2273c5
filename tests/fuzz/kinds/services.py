"""What a paid service answers: a real server on this machine sends the broken bytes, and the connection ends there."""

from __future__ import annotations

import json
import random
import socketserver
import threading
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from pixcore_openai.config import JudgeConfig
from pixcore_openai.judge import OpenAIJudge

from pixcore.errors import DataError, SampleError
from tests.fuzz.forms import Form
from tests.fuzz.kinds import Act, Kind
from tests.fuzz.mutate import TEXTS, broken_json, damaged, dumps, mangled, spelt
from tests.fuzz.rule import Ending

REPLY = "reply.http"
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "served",
    "system_fingerprint": "fp_1",
    "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "yes", "refusal": None}}
    ],
    "usage": {"prompt_tokens": 100, "completion_tokens": 5, "total_tokens": 105},
}
_STATUSES = (100, 200, 200, 204, 301, 400, 401, 402, 403, 404, 408, 413, 422, 429, 500, 503, 999)
_HEADERS = (
    "Retry-After: nan",
    "Retry-After: -1e400",
    "Retry-After: Sat, 99 Nov 99999 10:00:00 GMT",
    "Content-Encoding: gzip",
    "Content-Type: text/html; charset=utf-7",
    "Transfer-Encoding: chunked",
    "Content-Length: 7",
    "Content-Length: 99999999",
    "Location: http://127.0.0.1:1/",
    f"X-Long: {'x' * 70_000}",
    "X-\x00: \xff",
)


class _Sends(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        asked = b""
        while b"\r\n\r\n" not in asked:
            asked += self.request.recv(65536) or b"\r\n\r\n"
        head, _, body = asked.partition(b"\r\n\r\n")
        fields = (line.partition(b":") for line in head.split(b"\r\n"))
        length = next((int(value) for name, _, value in fields if name.lower() == b"content-length"), 0)
        while len(body) < length and (more := self.request.recv(65536)):
            body += more
        with suppress(OSError):  # the client has heard enough
            self.request.sendall(Path(REPLY).read_bytes())


@cache
def _address() -> str:
    """Where the server listens, which is started once."""
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Sends)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_address[1]}/v1"


def _asked() -> tuple[bool | None, str]:
    """Ask the judge, as a run does; a sample's failure is told by the same rule as any error."""
    judge = OpenAIJudge(JudgeConfig(model="m", base_url=_address(), attempts=1, timeout=60))
    try:
        verdict = judge.grade("Is it open?", ("Open", "Closed"), 0, "It is.")
    except SampleError as error:
        raise DataError(error.message, hint=error.hint) from error
    finally:
        judge.close()
    return verdict.correct, verdict.reason


def _http(body: bytes, status: int = 200, *more: str, length: int | None = None) -> bytes:
    head = [f"HTTP/1.1 {status} said", "Content-Type: application/json", "Connection: close", *more]
    head.append(f"Content-Length: {len(body) if length is None else length}")
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def _broken(content: bytes, rng: random.Random) -> bytes:
    answer = json.loads(content.partition(b"\r\n\r\n")[2])
    way = rng.randrange(9)
    if way < 3:
        return _http(broken_json(answer, rng))
    if way == 3:
        return mangled(content, rng)
    if way == 4:
        return content[: rng.randrange(len(content))]  # half of it, and the connection is closed
    if way == 5:
        words = (*TEXTS, "You exceeded your current quota", "response_format is not supported")
        said: Any = rng.choice((*words, 7, None, []))
        error = {"message": said, "code": rng.choice((*_STATUSES, "insufficient_quota", None)), "type": "x"}
        body = {"error": rng.choice((error, said, damaged(error, rng)))}
        return _http(dumps(body).encode("utf-8", "surrogatepass"), rng.choice(_STATUSES))
    if way == 6:
        return _http(dumps(answer).encode(), rng.choice(_STATUSES), rng.choice(_HEADERS))
    if way == 7:
        return _http(rng.choice((b"[" * 200_000, b"9" * 6000, b" " * 3_000_000, b"<html>busy</html>", b"", b"null")))
    return _http(dumps(answer).encode(), length=rng.choice((0, 1, 5000)))


def _same(content: bytes, rng: random.Random) -> bytes:
    body = spelt(json.loads(content.partition(b"\r\n\r\n")[2]), rng).removeprefix(b"\xef\xbb\xbf")
    if rng.random() < 0.5:
        return _http(body, 200, "x-request-id: 1")
    cut = rng.randrange(1, len(body))
    pieces = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (body[:cut], body[cut:]) if piece)
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    )
    return head + pieces + b"0\r\n\r\n"


def _make(folder: Path) -> None:
    folder.joinpath(REPLY).write_bytes(_http(json.dumps(ANSWER).encode()))


def _verdict(ending: Ending) -> str | None:
    """A verdict is yes, no or that it could not be read."""
    correct, reason = ending.value
    return None if correct in (True, False, None) and isinstance(reason, str) else f"the verdict {ending.value}"


KINDS = (Kind("service", _make, {REPLY: Form(_broken, _same)}, (Act(_asked, _verdict),), names=("127.0.0.1",)),)
