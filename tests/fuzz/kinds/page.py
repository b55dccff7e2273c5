"""The annotators' page: broken requests to its server over TCP, and a broken journal under it."""

from __future__ import annotations

import json
import random
import re
import socket
from contextlib import suppress
from pathlib import Path

from pixcore_annotate.desks import Drawing
from pixcore_annotate.journal import Journal
from pixcore_annotate.project import read_tasks
from pixcore_annotate.server import Server
from pixcore_loopback.application import HOST

from tests.fuzz.forms import JOURNAL, Form, json_form
from tests.fuzz.kinds import Act, Kind
from tests.fuzz.kinds.annotations import _make_work
from tests.fuzz.mutate import TEXTS, broken_json, mangled
from tests.served import answering

REQUEST = "request.http"
TOKEN = b"TOKEN"
DECISION = {"item": "item-0", "keep": ["7"], "polygons": [[1, 1, 6, 1, 6, 6]], "expression": "a lamp", "status": "done"}
_PATHS = (
    "items", "items/0", "items/2/image", "items/0/masks/0", "undo", "", "page.js", "items/-1", "items/99", "nowhere",
    "items/0/masks/9", "items/" + "9" * 400, "../tasks.json", "%2e%2e/tasks.json", "items/%00", "%ff%fe", "page.css/..",
)  # fmt: skip
_METHODS = ("GET", "POST", "PUT", "HEAD", "OPTIONS", "DELETE", "BREW", "G\x00T", "")
_HEADERS = (
    "Origin: http://elsewhere.example",
    "Host: elsewhere.example",
    "Content-Length: -1",
    "Content-Length: 99999999999",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "Upgrade: websocket",
    "Range: bytes=5-2",
    "Range: bytes=0-,0-,0-",
    "If-None-Match: \xff",
    f"Cookie: {'x' * 100_000}",
    ": nothing",
)


def _http(path: str, body: bytes = b"", method: str = "GET", *more: str) -> bytes:
    head = [f"{method} /TOKEN/{path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, *more, "", ""]).encode("latin-1") + body


def _make(folder: Path) -> None:
    _make_work(folder)
    folder.joinpath(REQUEST).write_bytes(_http("items/0", json.dumps(DECISION).encode(), "POST"))


def _broken(content: bytes, rng: random.Random) -> bytes:
    way = rng.randrange(6)
    if way == 0:
        return mangled(content, rng)
    if way == 1:
        return content[: rng.randrange(len(content))]
    if way == 2:
        return _http(rng.choice(_PATHS), b"", rng.choice(_METHODS), *rng.sample(_HEADERS, rng.randrange(3)))
    if way == 3:
        body = rng.choice((b"[" * 100_000, b"9" * 6000, b" " * (5 << 20), b"null", b"\xff", json.dumps(TEXTS).encode()))
        return _http("items/0", body, "POST")
    return _http("items/0", broken_json(DECISION, rng), "POST", *rng.sample(_HEADERS, rng.randrange(2)))


def _sent(port: int, request: bytes, patience: float = 120) -> bytes:
    """What comes back until the server closes."""
    answer = b""
    connection = socket.create_connection((HOST, port), timeout=120)
    with connection, suppress(OSError):  # it may be turned away before all of it was sent
        connection.sendall(request)
        connection.settimeout(patience)
        try:
            while piece := connection.recv(65536):
                answer += piece
        except TimeoutError:  # the server waits for more
            connection.shutdown(socket.SHUT_WR)
            connection.settimeout(120)
            while piece := connection.recv(65536):
                answer += piece
    return answer


def _served() -> list[str]:
    """Send the request; the server then still answers a sound one, and what it has written is a journal."""
    items = read_tasks(Path("."))
    server = Server(Path("."), Drawing(Journal(Path("."), "ann", items)))
    port, token = re.fullmatch(r"http://[0-9.]+:([0-9]+)/([^/]+)/", server.address).groups()  # type: ignore[union-attr]
    with answering(server):
        answer = _sent(int(port), Path(REQUEST).read_bytes().replace(TOKEN, token.encode()), patience=1)
        after = _sent(int(port), _http("items").replace(TOKEN, token.encode()))
    for one in (answer, after):
        if re.match(rb"HTTP/1.[01] 5", one):
            raise AssertionError(f"the page's server says {one[:60]!r}")
    if not after.startswith(b"HTTP/1.1 200") or token.encode() in answer.partition(b"\r\n\r\n")[2]:
        raise AssertionError(f"the page's server says {after[:60]!r} to a sound request")
    states = json.loads(after.partition(b"\r\n\r\n")[2])["items"]
    Journal(Path("."), "ann", items)
    return [state["id"] for state in states]


KINDS = (
    Kind(
        "annotate-page",
        _make,
        {REQUEST: Form(_broken), "tasks.json": json_form(None), "decisions-ann.jsonl": JOURNAL},
        (Act(_served, loud=True),),
        names=("image", "item"),
    ),
)
