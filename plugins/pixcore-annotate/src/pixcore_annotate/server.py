"""The page for the manual pass: a small application that listens on loopback alone, under an address with a token."""

from __future__ import annotations

import io
import json
import logging
import secrets
import socket
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image as PILImage
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pixcore.errors import DataError
from pixcore.files import can_be_read
from pixcore.masks import area, decode
from pixcore_annotate.project import Item, Journal, state_from_json

HOST = "127.0.0.1"

_LONGEST_BODY = 4 << 20
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; script-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",  # the token is in the address
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_STATIC = Path(__file__).parent / "page"
_KINDS = {"page.js": "text/javascript", "page.css": "text/css"}


def application(
    folder: Path, items: Mapping[str, Item], journal: Journal, token: str, roots: Sequence[Path]
) -> Starlette:
    """Make the page and what it talks to, everything below `/TOKEN/`.

    Args:
        folder: Where image paths begin.
        items: What is to be decided.
        journal: Whose decisions.
        token: The address's secret; without it nothing is served.
        roots: The folders that images may lie in.
    """
    order = list(items)

    def item_of(request: Request) -> Item:
        place = request.path_params["place"]
        if not 0 <= place < len(order):
            raise HTTPException(404, f"there is no item {place}")
        return items[order[place]]

    def overview(_: Request) -> Response:
        states = [{"id": name, "status": journal[name].status} for name in order]
        return _json({"items": states, "undoable": journal.undoable, "annotator": journal.path.stem})

    def show(request: Request) -> Response:
        item = item_of(request)
        instances = [
            {"id": instance.id, "label": instance.label, "area": area(instance.mask)} for instance in item.instances
        ]
        facts = {"id": item.id, "size": item.size, "question": item.question, "parsed": item.expression}
        return _json({**facts, "instances": instances, "state": _state(journal, item), "undoable": journal.undoable})

    async def decide(request: Request) -> Response:
        item = item_of(request)
        try:
            decision = json.loads(await _body(request))
        except (ValueError, RecursionError) as error:
            raise HTTPException(400, f"no JSON: {error}") from error
        if not isinstance(decision, dict) or decision.get("item") != item.id:
            raise HTTPException(409, f"this decision is not about item {item.id}: reload the page")
        journal.decide(item.id, state_from_json(decision, item))
        return _json({"state": _state(journal, item), "undoable": journal.undoable})

    def undo(_: Request) -> Response:
        name = journal.undo()
        return _json({"place": None if name is None else order.index(name), "undoable": journal.undoable})

    def image(request: Request) -> Response:
        path = folder / item_of(request).image
        _check_inside(path, roots)  # a link may have been put there since
        if not path.is_file():
            raise HTTPException(404, f"the image {path} is not there")
        return FileResponse(path, headers=_HEADERS)

    @lru_cache(maxsize=256)
    def tinted(name: str, instance: int) -> bytes:
        mask = decode(items[name].instances[instance].mask)
        # white where the mask is: the page tints it, so that kept and dropped ones differ
        pixels = np.zeros((*mask.shape, 4), np.uint8)
        pixels[mask] = 255
        buffer = io.BytesIO()
        PILImage.fromarray(pixels).save(buffer, "PNG")
        return buffer.getvalue()

    def mask_picture(request: Request) -> Response:
        item, instance = item_of(request), request.path_params["instance"]
        if not 0 <= instance < len(item.instances):
            raise HTTPException(404, f"there is no instance {instance}")
        return Response(tinted(item.id, instance), media_type="image/png", headers=_HEADERS)

    def page(_: Request) -> Response:
        return HTMLResponse((_STATIC / "page.html").read_text(encoding="utf-8"), headers=_HEADERS)

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _KINDS:
            raise HTTPException(404)
        return Response((_STATIC / name).read_text(encoding="utf-8"), media_type=_KINDS[name], headers=_HEADERS)

    def refuse(_: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return _json({"error": error.detail}, error.status_code)
        return _json({"error": getattr(error, "message", "failed")}, 400)

    def broken_off(request: Request, _: Exception) -> Response:
        inside = request.url.path.removeprefix(f"/{token}")  # the token is nobody's business
        logging.getLogger("uvicorn.error").warning("a request was broken off: %s %s", request.method, inside)
        return Response(status_code=400)

    inside = [
        Route("/", page),
        Route("/items", overview),
        Route("/items/{place:int}", show),
        Route("/items/{place:int}", decide, methods=["POST"]),
        Route("/items/{place:int}/image", image),
        Route("/items/{place:int}/masks/{instance:int}", mask_picture),
        Route("/undo", undo, methods=["POST"]),
        Route("/{name}", static),
    ]
    return Starlette(
        routes=[Mount(f"/{token}", routes=inside)],
        # a page elsewhere that has its name resolved to this machine is turned away
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]), Middleware(_OwnOrigin)],
        exception_handlers={HTTPException: refuse, DataError: refuse, ClientDisconnect: broken_off},
    )


class _OwnOrigin:
    """Turns away what a page of another origin sends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{headers.get('host')}":
            await _json({"error": "sent by another page"}, 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)


class Server:
    """The application, listening on this machine alone.

    Args:
        folder: Where image paths begin.
        items: What is to be decided.
        journal: Whose decisions; held until the server ends.
        port: 0 takes a free one.
        images: The folder of images, where they lie outside `folder`. No file outside the two is served.

    Raises:
        DataError: An image lies elsewhere, another server holds the journal, or the port is taken.
    """

    def __init__(
        self,
        folder: Path,
        items: Mapping[str, Item],
        journal: Journal,
        *,
        port: int = 0,
        images: Path | None = None,
    ) -> None:
        roots = [path.resolve() for path in (folder, images) if path is not None]
        for item in items.values():
            _check_inside(folder / item.image, roots)
        journal.hold()
        self._journal = journal
        token = secrets.token_urlsafe(24)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError as error:
            raise DataError(f"can't listen on port {port}: {error.strerror}", hint="choose another --port") from error
        self.address = f"http://{HOST}:{self._socket.getsockname()[1]}/{token}/"
        config = uvicorn.Config(
            application(folder, items, journal, token, roots),
            log_level="warning",
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until Ctrl-C."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._journal.release()

    def stop(self) -> None:
        """Ask the server to end."""
        self._server.should_exit = True


async def _body(request: Request) -> bytes:
    """A request's body, of which no more is read than is allowed."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise HTTPException(413, "too much")
    return body


def _check_inside(path: Path, roots: Sequence[Path]) -> None:
    with can_be_read(path, "image"):  # a name may be no path at all
        resolved = path.resolve()
    if not any(resolved.is_relative_to(root) for root in roots):
        raise DataError(f"the image {path} lies outside the folder of work", hint="name its folder: --images FOLDER")


def _state(journal: Journal, item: Item) -> dict[str, Any]:
    state = journal[item.id]
    return {
        "keep": list(state.keep),
        "polygons": [list(ring) for ring in state.polygons],
        "expression": state.expression,
        "status": state.status,
    }


def _json(data: Any, status: int = 200) -> Response:
    """An answer in ASCII: a text may hold half a surrogate pair, which has no UTF-8."""
    return Response(json.dumps(data), status, media_type="application/json", headers=_HEADERS)
