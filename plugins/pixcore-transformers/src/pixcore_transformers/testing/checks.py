"""Hold one architecture to what every one must do, on a tiny checkpoint: its geometry, its rows, its batches, replay.

Each check returns what does not hold, in words; nothing if it does. `python -m tools.architectures` runs all of them
for every architecture.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_testing import check_geometry
from transformers import AutoModelForImageTextToText

from pixcore.components import AttentionExtractor, Context, Needs, NoConfig
from pixcore.records import Image, Protocol, Request, Response
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.testing.checkpoints import ARCHITECTURES

SIZES = ((187, 71), (96, 192), (128, 128), (37, 29), (420, 310))
"""(width, height) of the images: wide, tall, square, tiny and large; nothing divides the first."""

NEW_TOKENS = 5
CLOSE = 1e-5
_QUESTIONS = ("Is there a snowman in the scene?", "Where?")


class EveryRow(AttentionExtractor[NoConfig]):
    """Keeps all rows as they are: for each step and layer (batch, heads, cells)."""

    needs = Needs()

    def __init__(self) -> None:
        super().__init__(NoConfig(), Context())

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Forget the batch before."""
        self.steps: list[list[NDArray[np.float32]]] = [[]]

    def observe(self, layer: int, rows: Any) -> None:
        """Keep one layer's rows."""
        self.steps[-1].append(np.asarray(rows.float().cpu(), dtype=np.float32))

    def end_step(self) -> None:
        """Begin the next step."""
        self.steps.append([])

    def maps(self) -> Sequence[NDArray[np.float32]]:
        """Give the mean over layers and heads: a sample's (steps, cells)."""
        means = [np.mean([layer.mean(axis=1) for layer in step], axis=0) for step in self.steps if step]
        return list(np.stack(means, axis=1))


def adapter_of(folder: Path, **options: Any) -> TransformersAdapter:
    """Make the adapter `transformers` on a checkpoint, as a config would."""
    given = {"checkpoint": str(folder), "max_new_tokens": NEW_TOKENS, **options}
    return TransformersAdapter(TransformersConfig.model_validate(given), Context())


def requests() -> list[Request]:
    """Ask two questions of other lengths about two images of other sizes."""
    rng = np.random.default_rng(0)
    images = [Image.from_pixels(rng.integers(0, 256, (high, wide, 3), np.uint8)) for wide, high in ((90, 60), (48, 80))]
    asked = zip(images, _QUESTIONS, strict=True)
    return [Request(str(index), Protocol.QUESTION, *each) for index, each in enumerate(asked)]


def geometry(folder: Path, sizes: Sequence[tuple[int, int]] = SIZES) -> list[str]:
    """Check each token's place by covering the image there; the folder has its recipe's name."""
    recipe = ARCHITECTURES[folder.name]
    findings = check_geometry(adapter_of(folder), sizes, draws=recipe.draws, slack=recipe.slack)
    return [str(finding) for finding in findings]


def rows(folder: Path) -> list[str]:
    """Check each row, of each layer and head that has attention, against eager attention of a model of its own."""
    adapter = adapter_of(folder)
    eager = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation="eager").eval()
    wrong = []
    for request in requests():
        extractor = EveryRow()
        (response,) = adapter.answer([request], extractor)
        batch = adapter.prepare([request])
        places, length = batch.columns[0].numpy(), batch.length
        with torch.no_grad():
            reference = eager.generate(
                **dict(batch.inputs),
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                output_attentions=True,
                return_dict_in_generate=True,
            )
        new = reference.sequences[0, length:].tolist()
        written = [token.id for token in response.tokens]
        if written != new[: len(written)]:
            wrong.append(f"eager attention writes {new}, and the adapter {written}")
            continue
        furthest = 0.0
        for step, layers in enumerate(reference.attentions[: len(written)]):
            expected = [_at(layer, places, length + step) for layer in layers if layer is not None]
            seen = extractor.steps[step]
            if len(expected) != len(seen):
                return [f"{len(seen)} layers are read, and eager attention gives {len(expected)}"]
            for own, theirs in zip(seen, expected, strict=True):
                furthest = max(furthest, float(np.abs(own[0] - theirs).max()))
        if not furthest <= CLOSE:
            wrong.append(f"rows differ from eager attention's by {furthest:.1e}")
    return wrong


def text(folder: Path) -> list[str]:
    """Check that the same is written with the tap and without."""
    adapter, asked = adapter_of(folder), requests()
    off, on = adapter.answer(asked), adapter.answer(asked, EveryRow())
    pairs = zip(off, on, strict=True)
    return [f"{one.text!r} without the tap, {other.text!r} with it" for one, other in pairs if one.text != other.text]


def batches(folder: Path) -> list[str]:
    """Check a batch against its samples one by one."""
    adapter, asked = adapter_of(folder), requests()
    singles = [adapter.answer([request], EveryRow())[0] for request in asked]
    return _same(adapter.answer(asked, EveryRow()), singles, "in a batch", "alone")


def replay(folder: Path) -> list[str]:
    """Check maps of one pass over prompt and text against those that were read while it was written."""
    live = adapter_of(folder).answer(requests(), EveryRow())
    again = adapter_of(folder, attention="replay").answer(requests(), EveryRow())
    return _same(again, live, "replayed", "live")


def probe(folder: Path) -> list[str]:
    """Check the layout that is found by covering parts of images against the architecture's own."""
    own, found = adapter_of(folder), adapter_of(folder, layout="probe")
    wrong = []
    for width, height in SIZES:
        image = Image.from_pixels(np.zeros((height, width, 3), np.uint8))
        one, other = own.layout(image), found.layout(image)
        same = (
            np.array_equal(one.grid_of, other.grid_of)
            and np.array_equal(one.cell_of, other.cell_of)
            and [(grid.rows, grid.cols) for grid in one.grids] == [(grid.rows, grid.cols) for grid in other.grids]
            and np.allclose([grid.box for grid in one.grids], [grid.box for grid in other.grids])
        )
        if not same:
            wrong.append(f"{width}x{height}: {other.grids} was found, and {one.grids} is right")
    return wrong


CHECKS: Mapping[str, Callable[[Path], list[str]]] = {
    "geometry": geometry,
    "rows": rows,
    "text": text,
    "batches": batches,
    "replay": replay,
    "probe": probe,
}
"""What an architecture is held to, by name."""


def _same(ones: Sequence[Response], others: Sequence[Response], one: str, other: str) -> list[str]:
    wrong = []
    for index, (left, right) in enumerate(zip(ones, others, strict=True)):
        if left.text != right.text:
            wrong.append(f"sample {index}: {left.text!r} {one}, {right.text!r} {other}")
        elif left.maps is None or right.maps is None:
            wrong.append(f"sample {index} has no maps")
        elif not (furthest := float(np.abs(left.maps - right.maps).max())) <= CLOSE:
            wrong.append(f"sample {index}: maps {one} differ from those {other} by {furthest:.1e}")
    return wrong


def _at(attention: torch.Tensor, places: NDArray[np.int64], keys: int) -> NDArray[np.float32]:
    """(heads, cells): the last row at the visual tokens; a sliding layer has dropped the oldest keys by now."""
    last = attention[0, :, -1].float().numpy()
    padded = np.concatenate([np.zeros((len(last), keys - last.shape[1]), np.float32), last], axis=1)
    return np.asarray(padded[:, places], dtype=np.float32)
