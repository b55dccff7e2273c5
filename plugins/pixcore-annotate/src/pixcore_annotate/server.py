"""The page for the manual pass: a small application that listens on loopback alone, under an address with a token."""

from __future__ import annotations

import io
import json
import secrets
import socket
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from PIL import Image as PILImage
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route

from pixcore.errors import DataError
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


def application(folder: Path, items: Mapping[str, Item], journal: Journal, token: str) -> Starlette:
    """The page and what it talks to, everything below `/TOKEN/`.

    Args:
        folder: Where image paths begin.
        items: What is to be decided.
        journal: Whose decisions.
        token: The address's secret; without it nothing is served.
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
        body = await request.body()
        if len(body) > _LONGEST_BODY:
            raise HTTPException(413, "too much")
        try:
            state = state_from_json(json.loads(body), item)
            journal.decide(item.id, state)
        except ValueError as error:
            raise HTTPException(400, f"no JSON: {error}") from error
        except DataError as error:
            raise HTTPException(400, error.message) from error
        return _json({"state": _state(journal, item), "undoable": journal.undoable})

    def undo(_: Request) -> Response:
        name = journal.undo()
        return _json({"place": None if name is None else order.index(name), "undoable": journal.undoable})

    def image(request: Request) -> Response:
        path = folder / item_of(request).image
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
        status, detail = (error.status_code, error.detail) if isinstance(error, HTTPException) else (500, "failed")
        return JSONResponse({"error": detail}, status, headers=_HEADERS)

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
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])],
        exception_handlers={HTTPException: refuse},
    )


class Server:
    """The application, listening.

    Args:
        folder: Where image paths begin.
        items: What is to be decided.
        journal: Whose decisions.
        port: 0 takes a free one.
    """

    def __init__(self, folder: Path, items: Mapping[str, Item], journal: Journal, *, port: int = 0) -> None:
        token = secrets.token_urlsafe(24)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((HOST, port))
        except OSError as error:
            raise DataError(f"can't listen on port {port}: {error.strerror}", hint="choose another --port") from error
        self.address = f"http://{HOST}:{self._socket.getsockname()[1]}/{token}/"
        config = uvicorn.Config(
            application(folder, items, journal, token), log_level="warning", access_log=False, server_header=False
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until Ctrl-C."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ask it to end."""
        self._server.should_exit = True


def _state(journal: Journal, item: Item) -> dict[str, Any]:
    state = journal[item.id]
    return {
        "keep": list(state.keep),
        "polygons": [list(ring) for ring in state.polygons],
        "expression": state.expression,
        "status": state.status,
    }


def _json(data: Any) -> JSONResponse:
    return JSONResponse(data, headers=_HEADERS)
