"""An answer word by word: what the token view shows, the script that shows it, and its widget for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pixcore_report.payload import Display, ShownMaps, image_uri, sample_payload

from pixcore.errors import DataError, PluginError
from pixcore.files import printable
from pixcore.records import Image, Response, SampleResult

if TYPE_CHECKING:
    import anywidget

_GRID = 48


def token_data(
    result: SampleResult, probing: str, maps: NDArray[np.float32] | None = None, names: Sequence[str] = ()
) -> dict[str, Any]:
    """Collect what the token view shows of a sample under one probing.

    Args:
        result: The sample.
        probing: The probing's name.
        maps: (tokens, cells), where the model looked at each token; left out: as the response has them.
        names: The rows that are shown, in this order; left out: all.

    Returns:
        JSON data: "image" (a `data:` address), "width", "height"; "tokens", the text of each; "grid" [rows, cols, x0,
        y0, x1, y1] in the image; "maps", of each token its least and largest value and its cells between them, a byte
        each, in base64; "choices", of each row its "name", what is "told" of it, its "point" and the place of its
        "mask" among "masks", which are COCO run lengths at "mask_size".

    Raises:
        DataError: The sample has no answer under this probing.
    """
    response = result.by_probing[probing].response if probing in result.by_probing else None
    if response is None:
        answered = [str(name) for name, one in result.by_probing.items() if one.response is not None]
        under = f" under {probing!r}" if probing else ""
        hint = f"it has one under {', '.join(answered)}" if answered else "it failed, or is asked nothing"
        raise DataError(f"sample {result.sample.id} has no answer{under}", hint=hint)
    payload = sample_payload(result, display=Display(candidates=False, particulars=True))
    picks = payload["protocols"][probing]["picks"]
    shown = {name: payload[name] for name in ("image", "width", "height", "mask_size", "masks")}
    choices = [_choice(name, picks[name]) for name in names or picks if name in picks]
    return shown | said_data(response, (payload["width"], payload["height"]), maps) | {"choices": choices}


def said_data(response: Response, size: tuple[int, int], maps: NDArray[np.float32] | None = None) -> dict[str, Any]:
    """Collect what the token view shows of an answer alone, whole or in the making: "tokens", "grid" and "maps".

    Args:
        response: The answer; one without tokens is shown as a single one.
        size: (width, height) of the image.
        maps: As `token_data` takes them.
    """
    pieces = [response.text[one.start : one.end] for one in response.tokens]
    texts = pieces or ([response.text] if response.text else [])
    shown = ShownMaps.of_response(response, size, _GRID)
    own = response.maps if maps is None else maps
    return {
        "tokens": [printable(text) for text in texts],
        "grid": None if shown is None else [shown.grid.rows, shown.grid.cols, *shown.grid.box],
        "maps": [] if shown is None or own is None else [shown.packed(one) for one in own[: len(response.tokens)]],
    }


def blank_data(image: Image) -> dict[str, Any]:
    """Collect what the token view shows of an image of which nothing is said yet."""
    width, height = image.size
    nothing: dict[str, Any] = {"tokens": [], "grid": None, "maps": [], "choices": [], "masks": []}
    shown = {"image": image_uri(image, Display().image), "width": width, "height": height, "mask_size": [width, height]}
    return nothing | shown | {"going": True}


def _choice(name: str, pick: dict[str, Any]) -> dict[str, Any]:
    if pick["mask"] is None:
        outcome = {"absent": "not in the image", "nothing": "nothing chosen"}.get(pick["outcome"], pick["outcome"])
        told = outcome
    else:
        score = "" if pick["score"] is None else f", score {pick['score']:.2f}"
        told = f"“{pick['phrase'].strip()}”{score}"
    reason = f" ({pick['reason']})" if pick["reason"] else ""
    shown = {"name": printable(name), "told": printable(f"{name}: {told}{reason}")}
    return shown | {"mask": pick["mask"], "point": pick.get("point")}


@lru_cache(maxsize=1)
def view_script() -> str:
    """Give the script that defines `pixcore.tokenView`: the report's own for maps and masks, and the view's."""
    pixels = files("pixcore_report").joinpath("templates/pixels.js").read_text(encoding="utf-8")
    return f"const pixcore = {{}};\n{pixels}\n{_part('tokens.js')}"


@lru_cache(maxsize=1)
def view_style() -> str:
    """Give the style sheet of the view, whose rules reach nothing else."""
    return _part("tokens.css")


def widget_script() -> str:
    """Give the module that shows the view in a cell, by anywidget's contract."""
    return f"{view_script()}\n{_part('notebook.js')}"


def _part(name: str) -> str:
    return files("pixcore_notebook").joinpath("widget", name).read_text(encoding="utf-8")


def token_widget(data: dict[str, Any]) -> anywidget.AnyWidget:
    """Make a cell's widget of an answer; its `tokens` are those whose map is pinned, there and from Python.

    Args:
        data: What `token_data` gives.

    Raises:
        PluginError: anywidget is not installed.
    """
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise PluginError("anywidget is not installed", hint='pip install "pixcore-notebook[widget]"') from None

    class TokenView(anywidget.AnyWidget):  # type: ignore[misc]
        """The token view in a notebook."""

        _esm = widget_script()
        _css = view_style()
        data = traitlets.Dict().tag(sync=True)
        tokens = traitlets.List(traitlets.Int()).tag(sync=True)

    return TokenView(data=data, tokens=[])
