"""Benchmarks' files: fetched from a hub (a local one that speaks its protocol), noted, and checked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pixcore_datasets.data_files import LOCK, DataFile, check, fetch, require

from pixcore.errors import DataError

hub = pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {"Objects.csv": b"Index, Object\n1, dog\n", "Images/1.jpg": b"one", "Images/2.jpg": b"two", "README.md": b"#"}

BROKEN: set[str] = set()
"""What the hub lists and does not give."""

TABLE = DataFile("Objects.csv", "the hub", "lab/data", "Objects.csv")
PICTURES = DataFile("pictures/", "the hub", "lab/data", "Images/", optional=True)
BY_HAND = DataFile("secret.bin", "ask the authors")


class _Hub(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = self.path.split("?")[0]
        if path.startswith("/api/datasets/lab/data"):
            siblings = [{"rfilename": name} for name in FILES]
            facts: dict[str, Any] = {"id": "lab/data", "sha": COMMIT, "siblings": siblings, "private": False}
            self._send(200, json.dumps({**facts, "disabled": False, "downloads": 0, "likes": 0, "tags": []}).encode())
            return
        name = path.partition(f"/resolve/{COMMIT}/")[2]
        if name not in FILES or name in BROKEN:
            self._send(404, b"{}")
            return
        content = FILES[name]
        self._send(200, content if body else b"", size=len(content), etag=hashlib.sha1(content).hexdigest())

    def _send(self, status: int, content: bytes, *, size: int | None = None, etag: str = "x") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content) if size is None else size))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    from huggingface_hub import constants, hf_api

    # the client reads these when it is imported
    monkeypatch.setattr(constants, "ENDPOINT", address)
    monkeypatch.setattr(hf_api.constants, "ENDPOINT", address)
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}", raising=False
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)
    yield address
    server.shutdown()


def test_missing_pieces_are_fetched_noted_and_checked(endpoint: str, tmp_path: Path) -> None:
    root, told = tmp_path / "root", []
    failed = fetch(root, [TABLE, PICTURES, BY_HAND], report=told.append)
    assert [(one.path, one.problem) for one in failed] == [("secret.bin", "ask the authors")]
    assert (root / "Objects.csv").read_bytes() == FILES["Objects.csv"]
    assert (root / "pictures/2.jpg").read_bytes() == b"two"
    assert len(told) == 3
    locked = json.loads((root / LOCK).read_text())
    assert locked["Objects.csv"]["revision"] == COMMIT
    assert locked["Objects.csv"]["sha256"] == hashlib.sha256(FILES["Objects.csv"]).hexdigest()

    assert not [one for one in check(root, [TABLE, PICTURES]) if one.problem]
    assert fetch(root, [TABLE, PICTURES], report=told.append) == []
    assert len(told) == 3  # nothing is fetched twice
    (root / "pictures/1.jpg").write_bytes(b"changed")
    (root / "pictures/2.jpg").unlink()
    problems = {one.path: one.problem for one in check(root, [TABLE, PICTURES]) if one.problem}
    assert problems["pictures/1.jpg"].startswith("differs from what was fetched")
    assert problems["pictures/2.jpg"] == "was fetched and is gone"


def test_a_folder_that_was_fetched_in_part_is_fetched_to_the_end(endpoint: str, tmp_path: Path) -> None:
    root = tmp_path / "root"
    BROKEN.add("Images/2.jpg")
    try:
        (failed,) = fetch(root, [PICTURES])
    finally:
        BROKEN.clear()
    assert failed.path == "pictures/"
    assert (root / "pictures/1.jpg").is_file()
    problems = {one.path: one.problem for one in check(root, [PICTURES]) if one.problem}
    assert problems == {"pictures/2.jpg": "was not fetched yet: fetch again"}
    assert fetch(root, [PICTURES]) == []
    assert (root / "pictures/2.jpg").read_bytes() == b"two"
    assert not [one for one in check(root, [PICTURES]) if one.problem]


def test_a_hub_that_does_not_answer_is_told_of_each_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    one, other = fetch(tmp_path / "root", [TABLE, PICTURES])
    assert "refused" in one.problem
    assert one.problem.endswith("; the hub")
    assert other.optional


@pytest.mark.parametrize("content", ["[1]", '{"a": 1}', "{"])
def test_a_damaged_note_of_what_was_fetched_is_told_in_a_line(content: str, tmp_path: Path) -> None:
    (tmp_path / LOCK).write_text(content)
    with pytest.raises(DataError, match=LOCK) as caught:
        check(tmp_path, [TABLE])
    assert caught.value.hint == "delete it and fetch again"


def test_what_the_hub_does_not_have(endpoint: str, tmp_path: Path) -> None:
    (one,) = fetch(tmp_path / "root", [DataFile("a.csv", "elsewhere", "lab/data", "a.csv")])
    assert one.problem == "lab/data holds no a.csv; elsewhere"


def test_all_that_is_missing_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        require(tmp_path, [TABLE, BY_HAND, PICTURES], benchmark="mine")
    assert "lacks Objects.csv, secret.bin" in str(caught.value)
    assert "ask the authors" in caught.value.hint
    assert "pixcore benchmarks fetch mine" in caught.value.hint
    with pytest.raises(DataError) as caught:
        require(tmp_path, [BY_HAND], benchmark="mine")
    assert caught.value.hint == "secret.bin: ask the authors"
    with pytest.raises(DataError, match="there is no folder"):
        require(tmp_path / "nowhere", [TABLE], benchmark="mine")


def test_other_places_count(tmp_path: Path) -> None:
    piece = DataFile("a/x.csv", "the hub", alternatives=("x.csv",))
    assert piece.find(tmp_path) is None
    (tmp_path / "x.csv").touch()
    assert piece.find(tmp_path) == tmp_path / "x.csv"
