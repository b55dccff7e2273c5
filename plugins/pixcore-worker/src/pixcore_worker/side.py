"""The worker's side: this one file runs in the other environment, on Python 3.8 or later and its standard library.

It loads a handler (a Python file of yours), then answers over a socket that only this machine sees:

    GET  /info     -> {"protocol", "python", "versions", "commit"}
    POST /predict  {"id", "image" (base64), "name", "width", "height", "prompt", "protocol", "expression", "seed"}
                   -> what the handler returns, masks as run lengths; {"error", "traceback"} and status 500 if it
                      raises. Once the handler tells how far it is, JSON lines: {"written": [tokens, most]} each
                      time, and {"status", "content"} at the end

The handler:

    def load(options):              # once; `options` are the manifest's. May be left out.
        return model
    def predict(model, request):    # `request` has image_path, prompt, protocol, expression, seed, id, width, height
        return {"text": "Sure, it is [SEG].", "masks": [mask]}

A `predict` that has a parameter `written` is given a function: `written(tokens, most)` tells how many tokens of the
answer are there, of at most how many; call it at each one.

A mask is (height, width): a NumPy array or a list of rows, or COCO RLE. Also understood: "mask" (the final one; left
out, all are united), "token_ids", "mask_spans" ([start, end] in the text for each mask), "extra" (any JSON).
"""

# Annotations are text on Python 3.8, so that they may be newer than it.
from __future__ import annotations

import argparse
import base64
import contextlib
import hmac
import http.server
import importlib.util
import inspect
import json
import os
import platform
import re
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any

PROTOCOL = 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Load the handler, listen, tell where, serve until the other side goes away."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--room", required=True, help="a private folder for the socket and the ready file")
    parser.add_argument("--handler", required=True)
    parser.add_argument("--transport", choices=("unix", "tcp"), required=True)
    given = parser.parse_args(arguments)
    threading.Thread(target=leave_with_parent, args=(own_input(),), daemon=True).start()
    with open(os.path.join(given.room, "start.json"), encoding="utf-8") as file:
        start = json.load(file)
    handler = import_file(given.handler)
    if not callable(getattr(handler, "predict", None)):
        sys.exit(given.handler + " has no function predict(model, request)")
    model = handler.load(start["options"]) if hasattr(handler, "load") else None
    server, address = listen(given.transport, given.room)
    server.token = os.environ.pop("PIXCORE_WORKER_TOKEN", "")
    server.information = information(start["packages"])
    server.predict = lambda request, written: answer(handler, model, request, written)
    ready = os.path.join(given.room, "ready.json")
    with open(ready + ".partial", "w", encoding="utf-8") as file:
        json.dump({"address": address}, file)
    os.replace(ready + ".partial", ready)
    server.serve_forever()


def own_input() -> int:
    """Move standard input to another descriptor, for us alone: a handler that asks there hears that nobody answers."""
    kept, empty = os.dup(0), os.open(os.devnull, os.O_RDONLY)
    os.dup2(empty, 0)
    os.close(empty)
    return kept


def leave_with_parent(kept: int) -> None:
    """End this process when the one that started it is gone: its end of our standard input is then closed.

    It is read as a descriptor: Python can't end while a thread waits for `sys.stdin`, and would be aborted.
    """
    while os.read(kept, 1 << 16):
        pass
    os._exit(0)


def import_file(path: str) -> ModuleType:
    """Import the handler as a module; what lies beside it, and in the working folder, can be imported by it."""
    sys.path[:0] = [os.path.dirname(os.path.abspath(path)), os.getcwd()]
    spec = importlib.util.spec_from_file_location("pixcore_worker_handler", path)
    if spec is None or spec.loader is None:
        raise ImportError(path + " is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def listen(transport: str, room: str) -> tuple[Server, str | int]:
    """Start a server on a socket file, or on a free port of the loopback interface, and give its address."""
    if transport == "unix":
        path = os.path.join(room, "socket")
        return UnixServer(path, Handler), path  # type: ignore[arg-type]
    server = Server(("127.0.0.1", 0), Handler)
    return server, server.server_port


def information(packages: Sequence[str]) -> dict[str, Any]:
    """Describe this environment."""
    return {
        "protocol": PROTOCOL,
        "python": platform.python_version(),
        "versions": {name: version_of(name) for name in packages},
        "commit": commit(),
    }


def version_of(name: str) -> str | None:
    """Give the version of an installed distribution, None where there is none."""
    from importlib import metadata

    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def commit() -> str | None:
    """Give the working folder's git commit, None where it is no repository."""
    try:
        found = subprocess.run(["git", "rev-parse", "HEAD"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except OSError:
        return None
    return found.stdout.decode("ascii", "replace").strip() if found.returncode == 0 else None


def answer(
    handler: ModuleType, model: Any, request: dict[str, Any], written: Callable[[int, int], None]
) -> dict[str, Any]:
    """Let the handler answer one request, its image in a file; what it returns, as JSON data."""
    more = {"written": written} if "written" in inspect.signature(handler.predict).parameters else {}
    suffix = os.path.splitext(request.get("name", ""))[1]
    if not re.match(r"^\.[A-Za-z0-9]{1,5}$", suffix):
        suffix = ".png"
    handle, path = tempfile.mkstemp(suffix=suffix)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64decode(request.pop("image")))
        reply = handler.predict(model, dict(request, image_path=path), **more)
    finally:
        with contextlib.suppress(FileNotFoundError):  # the handler may have moved it
            os.unlink(path)
    if not isinstance(reply, Mapping):
        raise TypeError("predict must return a dict with text, not " + type(reply).__name__)
    masks = reply.get("masks")
    reply = dict(reply, masks=[] if masks is None else [encode(mask) for mask in masks])
    if reply.get("mask") is not None:
        reply["mask"] = encode(reply["mask"])
    return reply


def encode(mask: Any) -> dict[str, Any]:
    """Encode a mask to COCO's uncompressed run lengths: column by column, zeros first.

    Raises:
        ValueError: It is not (height, width), or holds more than 0 and one other value, as logits and probabilities do.
    """
    if isinstance(mask, dict):
        counts = mask["counts"]
        return {"size": list(mask["size"]), "counts": counts.decode("ascii") if isinstance(counts, bytes) else counts}
    if hasattr(mask, "detach"):
        mask = mask.detach().cpu().numpy()
    shape = tuple(mask.shape) if hasattr(mask, "shape") else (len(mask), *(len(row) for row in mask[:1]))
    if len(shape) != 2:
        raise ValueError(f"a mask must be (height, width), not {shape}")
    height, width = shape
    if hasattr(mask, "astype"):
        plain = not mask.size or not ((mask < 0) | ((mask != 0) & (mask != mask.max()))).any()
        data = (mask != 0).astype("uint8").tobytes(order="F")
    else:
        if any(len(row) != width for row in mask):
            raise ValueError("a mask's rows must be equally long")
        held = {float(value) for row in mask for value in row} - {0.0}
        plain = len(held) < 2 and all(value > 0 for value in held)
        data = bytes(1 if row[column] else 0 for column in range(width) for row in mask)
    if not plain:
        raise ValueError("a mask must be boolean, or hold 0 and one other value: cut it off first, as in mask > 0")
    runs = [len(run.group()) for run in re.finditer(b"\x00+|\x01+", data)]
    return {"size": [int(height), int(width)], "counts": ([0] if data[:1] == b"\x01" else []) + runs}


class Server(http.server.HTTPServer):
    """Serves one request at a time: the model answers one anyway."""

    token: str
    information: dict[str, Any]
    predict: Callable[[dict[str, Any], Callable[[int, int], None]], dict[str, Any]]


class UnixServer(Server):
    """Serves on a socket file."""

    address_family = getattr(socket, "AF_UNIX", socket.AF_INET)

    def server_bind(self) -> None:
        """Bind to the file; HTTPServer asks for a host name here, and a socket file has none."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = "localhost", 0


class Handler(http.server.BaseHTTPRequestHandler):
    """Reads a request, writes JSON."""

    protocol_version = "HTTP/1.1"
    server: Server

    def address_string(self) -> str:
        """Give no address, as a socket file's peer has none."""
        return "local"

    def log_message(self, *_: Any) -> None:
        """Log nothing: the log is the handler's own."""

    def do_GET(self) -> None:
        """Say what runs here: `/info`."""
        if self.allowed() and self.path == "/info":
            self.reply(200, self.server.information)
        else:
            self.reply(404, {"error": "no such page"})

    def do_POST(self) -> None:
        """Answer a request: `/predict`."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if not self.allowed() or self.path != "/predict":
            self.reply(404, {"error": "no such page"})
            return
        lines = Lines(self)
        try:
            status, reply = 200, json.dumps(self.server.predict(json.loads(body.decode("utf-8")), lines.written))
        except Exception as error:
            text = f"{type(error).__name__}: {error}"
            status, reply = 500, json.dumps({"error": text, "traceback": traceback.format_exc()})
        if not lines.end(status, reply):
            self.write(status, reply.encode("utf-8"))

    def allowed(self) -> bool:
        """Say whether the caller is the one that started us; other users of the machine reach a port too."""
        return hmac.compare_digest(self.headers.get("X-Pixcore-Token", ""), self.server.token)

    def reply(self, status: int, content: dict[str, Any]) -> None:
        """Send JSON data back."""
        self.write(status, json.dumps(content).encode("utf-8"))

    def write(self, status: int, body: bytes) -> None:
        """Send bytes back."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Lines:
    """A reply of several lines, which begins when there is something to tell before the end.

    A handler may generate in a thread of its own, so one line at a time is written, and none after the last.
    """

    def __init__(self, handler: Handler) -> None:
        self.handler = handler
        self.lock = threading.Lock()
        self.begun = self.over = False

    def written(self, tokens: int, most: int) -> None:
        """Tell how many tokens are there, of at most how many."""
        line = json.dumps({"written": [int(tokens), int(most)]})
        with self.lock:
            if self.over:
                return
            if not self.begun:
                self.begun = True
                self.handler.send_response(200)
                self.handler.send_header("Content-Type", "application/x-ndjson")
                self.handler.send_header("Transfer-Encoding", "chunked")
                self.handler.end_headers()
            self.chunk(line.encode("ascii") + b"\n")

    def end(self, status: int, reply: str) -> bool:
        """Write the last line, if lines were begun; else the reply is still to be sent."""
        with self.lock:
            self.over = True
            if self.begun:
                self.chunk((f'{{"status": {status}, "content": {reply}}}\n').encode())
                self.chunk(b"")
            return self.begun

    def chunk(self, content: bytes) -> None:
        """Send a part of known length; an empty one ends the reply."""
        self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(content), content))


if __name__ == "__main__":
    main()
