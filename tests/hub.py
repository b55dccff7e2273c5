"""A hub of models on this machine: it serves folders as the real one serves repositories, and keeps what was asked."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub(ThreadingHTTPServer):
    """Serves folders under names such as "lab/model".

    Attributes:
        folders: By name.
        sent: Names of the files that were sent, each with its repository's: "lab/model/config.json".
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folders: dict[str, Path] = {}
        self.sent: list[str] = []

    def serve(self, folder: Path) -> str:
        """Serve a folder; the name under which it is found."""
        name = f"lab/{folder.name}-{len(self.folders)}"
        self.folders[name] = folder
        return name


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        path = unquote(self.path.split("?")[0])
        for name, folder in self.server.folders.items():
            if path.startswith(f"/api/models/{name}/tree/"):
                self._send(json.dumps([self._entry(file, folder) for file in self._files(folder)]).encode(), body=body)
                return
            if path.startswith(f"/api/models/{name}"):
                siblings = [{"rfilename": str(file.relative_to(folder))} for file in self._files(folder)]
                facts: dict[str, Any] = {"id": name, "sha": COMMIT, "siblings": siblings, "private": False}
                self._send(json.dumps({**facts, "disabled": False, "downloads": 0, "likes": 0, "tags": []}).encode())
                return
            file = path.removeprefix(f"/{name}/resolve/{COMMIT}/").removeprefix(f"/{name}/resolve/main/")
            if file != path and (folder / file).is_file():
                if body:
                    self.server.sent.append(f"{name}/{file}")
                self._send((folder / file).read_bytes(), body=body)
                return
        self._send(b"{}", status=404)

    @staticmethod
    def _files(folder: Path) -> list[Path]:
        return sorted(path for path in folder.rglob("*") if path.is_file())

    @staticmethod
    def _entry(file: Path, folder: Path) -> dict[str, Any]:
        content = file.read_bytes()
        oid = hashlib.sha1(content).hexdigest()
        return {"type": "file", "oid": oid, "size": len(content), "path": str(file.relative_to(folder))}

    def _send(self, content: bytes, *, status: int = 200, body: bool = True) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{hashlib.sha1(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def hub(cache: Path) -> Iterator[Hub]:
    """While open, names are looked up on a hub of this machine, and what is downloaded goes to `cache`."""
    from huggingface_hub import constants

    server = Hub()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_port}"
    with pytest.MonkeyPatch.context() as patch:
        # the client reads these when it is imported
        patch.setattr(constants, "ENDPOINT", address)
        patch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}")
        patch.setattr(constants, "HF_HUB_CACHE", str(cache))
        patch.setattr(constants, "HF_HUB_OFFLINE", False)
        patch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        yield server
    server.shutdown()
    server.server_close()
