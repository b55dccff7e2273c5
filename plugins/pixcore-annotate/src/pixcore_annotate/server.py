"""The page for the manual pass: a small application that listens on loopback alone, under an address with a token."""

from __future__ import annotations

import io
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pixcore_loopback as loopback
from PIL import Image as PILImage
from pixcore_loopback import answer, application, body_of
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.routing import Route

from pixcore.errors import DataError
from pixcore.files import can_be_read
from pixcore.masks import area, decode
from pixcore.records import Image
from pixcore_annotate.desks import Desk, seal_of
from pixcore_annotate.project import Item

_STATIC = Path(__file__).parent / "page"
_SHOWN = {".avif", ".bmp", ".gif", ".jpeg", ".jpg", ".png"}
"""What every browser shows, turned as its EXIF data says: a TIFF it does not show, a WebP it does not turn."""
_KINDS = {"page.css": "text/css", **dict.fromkeys(("page.js", "canvas.js", "tools.js"), "text/javascript")}


def pages(folder: Path, desk: Desk, token: str, roots: Sequence[Path]) -> Starlette:
    """Make the page and what it talks to, everything below `/TOKEN/`.

    Args:
        folder: Where image paths begin.
        desk: What is worked on.
        token: The address's secret; without it nothing is served.
        roots: The folders that images may lie in.
    """
    places = {item.id: place for place, item in enumerate(desk.items)}

    def item_of(request: Request) -> Item:
        place: int = request.path_params["place"]
        if not 0 <= place < len(desk.items):
            raise HTTPException(404, f"there is no item {place}")
        return desk.items[place]

    def overview(_: Request) -> Response:
        about = desk.about()
        states = [{"id": item.id, "status": desk.status(item)} for item in desk.items]
        return answer({**about, "items": states, **undoing()})

    def undoing() -> dict[str, Any]:
        return {"undoable": desk.undoable, "decisions": desk.log.length}

    def shown(item: Item) -> dict[str, Any]:
        found = desk.shown(item)
        return {**found, "status": desk.status(item), "seen": seal_of(found), **undoing()}

    def show(request: Request) -> Response:
        item = item_of(request)
        instances = [
            {"id": instance.id, "label": instance.label, "area": area(instance.mask)} for instance in item.instances
        ]
        facts = {"id": item.id, "image": item.image, "size": item.size, "question": item.question}
        facts["parsed"] = item.expression
        return answer({**facts, "instances": instances, **shown(item)})

    async def decision_about(item: Item, request: Request) -> dict[str, Any]:
        decision = await body_of(request)
        if not isinstance(decision, dict) or decision.get("item") != item.id:
            raise HTTPException(409, f"this decision is not about item {item.id}: reload the page")
        return decision

    async def decide(request: Request) -> Response:
        item = item_of(request)
        decision = await decision_about(item, request)
        if decision.get("seen") != seal_of(desk.shown(item)):
            raise HTTPException(409, f"item {item.id} was changed in another tab: reload the page")
        desk.decide(item, decision)
        return answer(shown(item))

    async def segment(request: Request) -> Response:
        item = item_of(request)
        clicks = (await decision_about(item, request)).get("clicks")
        return answer({"masks": await run_in_threadpool(desk.segment, item, file_of(item), clicks)})

    async def undo(request: Request) -> Response:
        known = await body_of(request)
        if not isinstance(known, dict) or known.get("decisions") != desk.log.length:
            raise HTTPException(409, "something was decided in another tab: reload the page")
        name = desk.undo()
        return answer({"place": None if name is None else places.get(name), **undoing()})

    def file_of(item: Item) -> Path:
        path = folder / item.image
        _check_inside(path, roots)  # a link may have been put there since
        if not path.is_file():
            raise HTTPException(404, f"the image {path} is not there")
        return path

    def image(request: Request) -> Response:
        path = file_of(item_of(request))
        if path.suffix.lower() in _SHOWN:
            return FileResponse(path)
        return Response(_as_png(Image.from_path(path).pil()), media_type="image/png")

    @lru_cache(maxsize=256)
    def tinted(place: int, instance: int) -> bytes:
        mask = decode(desk.items[place].instances[instance].mask)
        # white where the mask is: the page tints it, so that kept and dropped ones differ
        pixels = np.zeros((*mask.shape, 4), np.uint8)
        pixels[mask] = 255
        return _as_png(PILImage.fromarray(pixels))

    def mask_picture(request: Request) -> Response:
        item, instance = item_of(request), request.path_params["instance"]
        if not 0 <= instance < len(item.instances):
            raise HTTPException(404, f"there is no instance {instance}")
        return Response(tinted(places[item.id], instance), media_type="image/png")

    def page(_: Request) -> Response:
        return HTMLResponse((_STATIC / "page.html").read_text(encoding="utf-8"))

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in _KINDS:
            raise HTTPException(404)
        return Response((_STATIC / name).read_text(encoding="utf-8"), media_type=_KINDS[name])

    inside = [
        Route("/", page),
        Route("/items", overview),
        Route("/items/{place:int}", show),
        Route("/items/{place:int}", decide, methods=["POST"]),
        Route("/items/{place:int}/image", image),
        Route("/items/{place:int}/masks/{instance:int}", mask_picture),
        Route("/items/{place:int}/segment", segment, methods=["POST"]),
        Route("/undo", undo, methods=["POST"]),
        Route("/{name}", static),
    ]
    return application(token, inside)


class Server(loopback.Server):
    """The application, listening on this machine alone.

    Args:
        folder: Where image paths begin.
        desk: What is worked on; its log is held until the server ends.
        port: 0 takes a free one.
        images: The folder of images, where they lie outside `folder`. No file outside the two is served.

    Raises:
        DataError: An image lies elsewhere, another server holds the log, or the port is taken.
    """

    def __init__(self, folder: Path, desk: Desk, *, port: int = 0, images: Path | None = None) -> None:
        roots = [path.resolve() for path in (folder, images) if path is not None]
        for item in desk.items:
            _check_inside(folder / item.image, roots)
        desk.log.hold()
        self._log = desk.log
        super().__init__(lambda token: pages(folder, desk, token, roots), port=port)

    def run(self) -> None:
        """Serve until Ctrl-C."""
        try:
            super().run()
        finally:
            self._log.release()


def _as_png(picture: PILImage.Image) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return buffer.getvalue()


def _check_inside(path: Path, roots: Sequence[Path]) -> None:
    with can_be_read(path, "image"):  # a name may be no path at all
        resolved = path.resolve()
    if not any(resolved.is_relative_to(root) for root in roots):
        raise DataError(f"the image {path} lies outside the folder of work", hint="name its folder: --images FOLDER")
