"""Find the layout of an architecture that has none by covering parts of images: `layout: probe`.

Every layout that is known is tried on a few images, wide, tall, square and large. Those that the checkpoint's processor
has nothing to say to, or that count other visual tokens than its prompt has, fall away; of the rest the geometry check
keeps those whose tokens change where they say they see. Where two are left, places are covered of which they name other
tokens. The one that is left is the layout; it is kept by what the checkpoint is, so that this is done once. Where none
is left, or two that no place decides between, the checkpoint is refused.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import transformers
from numpy.typing import NDArray

from pixcore.entries import cached_at
from pixcore.errors import ModelError
from pixcore.files import read_object, write_json
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.notices import notice
from pixcore.records import Image
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.layouts import FAMILIES, layout_named

SIZES = ((640, 320), (320, 640), (448, 448), (187, 71), (900, 610))
"""(width, height) of the images that are covered: no two layouts of those that are known agree on all by chance."""

ODD = 0.05
"""So many of the covered places may speak against a layout: a small image may be read at some of its pixels alone."""

SURE = 0.75
"""A layout that names the token that changes so often, where another layout names another, is the right one."""

_PLACES = 13  # that the geometry check covers in an image
_TRIED, _ASKED = 400, 12  # places in an image where two layouts may differ, and covered ones
SLACK = 0.02  # of a trained tower's tokens some collect what is everywhere, and change with everything


class FittingGrid(VisualFamily):
    """Lays out one grid over the whole image: of all that have so many tokens, the one whose cells are most square."""

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image, in row-major order."""
        tokens = int(self.visual(processed).sum())
        width, height = processed.size
        pairs = [(rows, tokens // rows) for rows in range(1, tokens + 1) if tokens % rows == 0]
        rows, cols = min(pairs, key=lambda pair: abs(math.log(width * pair[0] / (height * pair[1]))))
        return VisualLayout.single(VisualGrid.stretched(rows, cols, processed.size))


class Found(VisualFamily):
    """A layout that was found: the found one, but nothing is taken for granted of what is not about places.

    Args:
        name: What it is called: the module and class of a layout that is known.
        family: That layout.
    """

    one_pass = False

    def __init__(self, name: str, family: VisualFamily) -> None:
        self.name, self.family = name, family
        for trait in ("options", "nested", "injected", "apart"):
            setattr(self, trait, getattr(family, trait))

    def layout(self, processed: Processed) -> VisualLayout:
        """Lay out as the found layout does."""
        return self.family.layout(processed)

    def visual(self, processed: Processed) -> NDArray[np.bool_]:
        """Mark as the found layout does."""
        return self.family.visual(processed)

    def prompt(self, text: str) -> str | None:
        """Leave the prompt to the chat template, where there is one."""
        return self.family.prompt(text)


def candidates() -> Iterator[tuple[str, VisualFamily]]:
    """List all layouts that are known, each once, and one that fits any grid."""
    for name in dict.fromkeys(FAMILIES.values()):
        yield name, layout_named(name)
    fitting = f"{__name__}:{FittingGrid.__name__}"
    yield fitting, layout_named(fitting)


def find(adapter: Any, sizes: Sequence[tuple[int, int]] = SIZES) -> Found:
    """Find the layout of an adapter's checkpoint, or read which one was found before.

    Args:
        adapter: One of transformers' models; its family is put in while it is looked at.
        sizes: (width, height) of the images to cover.

    Raises:
        ModelError: No layout fits what changes, or several do that differ.
    """
    kept = _kept(adapter.config)
    name = str(read_object(kept, "remove it, and it is found again").get("layout")) if kept.is_file() else ""
    if name not in dict(candidates()):  # or by another version, which had a layout of that name
        name = _search(adapter, sizes)
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_json(kept, {"layout": name, "sizes": [list(size) for size in sizes]})
    notice(f"the layout of {adapter.config.checkpoint} was found by covering parts of images: {_short(name)}")
    return Found(name, layout_named(name))


def _search(adapter: Any, sizes: Sequence[tuple[int, int]]) -> str:
    rng = np.random.default_rng(0)
    images = [Image.from_pixels(rng.integers(0, 256, (high, wide, 3), dtype=np.uint8)) for wide, high in sizes]
    alike: dict[str, list[str]] = {}
    for name, family in candidates():
        adapter.family = family
        try:
            layouts = [adapter.layout(image) for image in images]
        except Exception:  # a layout asks a processor that is not its own for anything
            continue
        alike.setdefault(_written(layouts), []).append(name)
    wrong: list[str] = []
    good: list[str] = []
    for names in alike.values():
        ways: dict[Any, str] = {}
        for name in names:
            ways.setdefault(_way(layout_named(name)), name)
        for name in ways.values():  # the same places, but what is seen is embedded in one way or another
            adapter.family = layout_named(name)
            problem = _problem(adapter, sizes)
            if problem is None:
                good.append(name)
                break
            wrong.append(f"{_short(name)}: {problem}")
    fitting = f"{__name__}:{FittingGrid.__name__}"
    if len(good) > 1 and fitting in good:
        good.remove(fitting)  # it is all grids of so many tokens
    while len(good) > 1:
        first, second, *rest = good
        better = _duel(adapter, first, second, images, rng)
        if better is None:
            listing = ", ".join(map(_short, good))
            message = f"where the visual tokens of {adapter.config.checkpoint} lie is not sure: {listing} all fit"
            raise ModelError(message, hint="write a VisualFamily for it (pixcore_transformers.families)")
        good = [better, *rest]
    if not good:
        raise ModelError(
            f"where the visual tokens of {adapter.config.checkpoint} lie is not sure: no known layout fits what "
            "changes where images are covered",
            hint="; ".join(wrong[:2]) or "none counts as many visual tokens as its prompt has",
        )
    return good[0]


def _problem(adapter: Any, sizes: Sequence[tuple[int, int]]) -> str | None:
    """Say what speaks against an adapter's layout; None if too little does. A wrong one is given up at once."""
    try:
        from pixcore_testing import check_geometry
    except ImportError as error:
        hint = "pip install 'pixcore-transformers[probe]'"
        raise ModelError("layout: probe needs the geometry check of pixcore-testing", hint=hint) from error
    findings: list[str] = []
    for size in sizes:
        try:
            findings += map(str, check_geometry(adapter, [size], slack=SLACK))
        except Exception as error:
            return str(error)
        if len(findings) > ODD * _PLACES * len(sizes):
            return findings[0]
    return None


def _duel(adapter: Any, one: str, other: str, images: Sequence[Image], rng: np.random.Generator) -> str | None:
    """Say which of two layouts names the tokens that change, where they name others; None if neither does."""
    from pixcore_testing.geometry import tokens_at

    won = [0, 0]
    for image in images:
        layouts = []
        for name in (one, other):
            adapter.family = layout_named(name)
            layouts.append(adapter.layout(image))
        if layouts[0].tokens != layouts[1].tokens:
            return None
        pixels = np.asarray(image.pil())
        height, width = pixels.shape[:2]
        side = max(2, int(min(height, width) / 40))
        before = adapter.visual_embeddings(image)
        left = _ASKED
        for x, y in rng.uniform((0, 0), (width - side, height - side), (_TRIED, 2)).astype(int).tolist():
            named = [set(tokens_at(layout, x + side / 2, y + side / 2)) for layout in layouts]
            alone = (sorted(named[0] - named[1]), sorted(named[1] - named[0]))
            if not left or not (alone[0] and alone[1]):
                continue
            left -= 1
            covered = pixels.copy()
            covered[y : y + side, x : x + side] += 128  # uint8 wraps around
            after = adapter.visual_embeddings(Image.from_pixels(covered))
            change = np.linalg.norm(after.astype(np.float64) - before, axis=1)
            won[int(change[alone[1]].max() > change[alone[0]].max())] += 1
    if sum(won) < _ASKED or max(won) < SURE * sum(won):
        return None
    return (one, other)[int(won[1] > won[0])]


def _way(family: VisualFamily) -> tuple[Any, ...]:
    """How a family has an image embedded: two that do it in one way see the same."""
    ways = (family.options, family.nested, family.injected, family.apart)
    return (type(family).visual, type(family).prompt, *map(repr, ways))


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _written(layouts: Sequence[VisualLayout]) -> str:
    """What a family says about all images, to tell two apart: boxes to a thousandth of a pixel."""
    boxes = [[tuple(round(side, 3) for side in grid.box) for grid in layout.grids] for layout in layouts]
    cells = [(layout.grid_of.tobytes(), layout.cell_of.tobytes()) for layout in layouts]
    shapes = [[(grid.rows, grid.cols) for grid in layout.grids] for layout in layouts]
    return sha256(repr((boxes, cells, shapes)).encode()).hexdigest()


def _kept(config: TransformersConfig) -> Path:
    """Where it is written which layout a checkpoint has, its images prepared with a config's options.

    Beside no checkpoint, as that would change what it is.
    """
    of = f"{config.fingerprint()} {transformers.__version__}"
    if config.image_options:
        of += f" {json.dumps(config.image_options, sort_keys=True, default=str)}"
    return Path(cached_at("layouts"), f"{sha256(of.encode()).hexdigest()[:32]}.json")
