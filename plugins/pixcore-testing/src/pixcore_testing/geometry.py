"""Check that visual tokens lie where an adapter says: a test that needs no trained weights.

Cover one region of an image with noise and look which visual tokens' embeddings change. The cell that `VisualLayout`
names for the region must be among the most changed, at every corner, edge and centre, for wide, tall and square
images. A transposed grid, a forgotten newline column or padding taken for a crop shows as a token that changed where
another one was named. The same token may have seen everything through the vision tower's attention, so no token need
stay as it was; the region's own tokens only have to stand out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import ModelAdapter
from pixcore.geometry import Box, VisualLayout
from pixcore.records import Image
from pixcore_testing.findings import Finding

SIZES = ((640, 320), (320, 640), (448, 448))
"""(width, height): wide, tall and square."""

_EMBEDDINGS = "visual_embeddings(image) is a finite (visual tokens, width) array, the same for the same image"
_PLACES = "a visual token sees the cell that layout(image) gives it"
_STANDS_OUT = 0.5  # of the largest change in the image: a token misplaced by a cell has far less
_OTHERS = 0.05  # of a grid's tokens may change more than the named one by looking at what changed
_FAINT = 0.1  # of a grid's largest change: less is no sign of having seen the region
_COLUMNS, _ROWS = ("left", "centre", "right"), ("top", "middle", "bottom")


@dataclass(frozen=True)
class _Probe:
    """One covered region and what it changed.

    Attributes:
        name: Where it is, for the finding.
        region: The covered rectangle, in whole pixels.
        change: (tokens,) float64, by how much each visual token's embedding moved.
    """

    name: str
    region: Box
    change: NDArray[np.float64]

    @property
    def centre(self) -> tuple[float, float]:
        x0, y0, x1, y1 = self.region
        return (x0 + x1) / 2, (y0 + y1) / 2


def check_geometry(
    adapter: ModelAdapter[Any],
    sizes: Sequence[tuple[int, int]] = SIZES,
    *,
    seed: int = 0,
    draws: int = 2,
    slack: float = 0.0,
) -> list[Finding]:
    """Hold an adapter's `layout` to its `visual_embeddings`.

    Args:
        adapter: Any adapter that has both. Random weights will do.
        sizes: (width, height) of the images to try.
        seed: Of the images and the noise.
        draws: How often each region is covered with other noise; the changes are averaged.
        slack: This fraction of the most changed tokens is passed over. For trained towers, some of whose tokens
            collect global information and change with everything.

    Returns:
        What does not hold; empty if the tokens lie where the layout says.
    """
    findings: list[Finding] = []
    for size in sizes:
        rng = np.random.default_rng([seed, *size])
        try:
            findings += _check_size(adapter, size, rng, draws, slack)
        except NotImplementedError as error:
            return [Finding("geometry", "layout() and visual_embeddings() are there", str(error))]
    return findings


def _check_size(
    adapter: ModelAdapter[Any], size: tuple[int, int], rng: np.random.Generator, draws: int, slack: float
) -> list[Finding]:
    where = f"{size[0]}x{size[1]}"
    patch = _finest_cell(adapter.layout(Image.from_pixels(_noise(size, (4, 4), rng))), size)
    pixels = _noise(size, patch, rng)
    image = Image.from_pixels(pixels)
    layout, before = adapter.layout(image), adapter.visual_embeddings(image)
    problem = _embeddings_problem(before, layout, adapter.visual_embeddings(image))
    if problem:
        return [Finding(where, _EMBEDDINGS, problem)]

    probes = []
    for name, region in _regions(size, patch):
        x0, y0, x1, y1 = (int(edge) for edge in region)
        change = np.zeros(layout.tokens)
        for _ in range(draws):
            covered = pixels.copy()
            covered[y0:y1, x0:x1] = _unlike(covered[y0:y1, x0:x1], patch, rng)
            after = adapter.visual_embeddings(Image.from_pixels(covered))
            change += np.linalg.norm(after.astype(np.float64) - before, axis=1) / draws
        probes.append(_Probe(name, region, change))
    return [Finding(f"{where}, {probe.name}", _PLACES, seen) for probe, seen in _judge(probes, layout, slack)]


def _embeddings_problem(
    embeddings: NDArray[np.float32], layout: VisualLayout, again: NDArray[np.float32]
) -> str | None:
    if embeddings.ndim != 2 or len(embeddings) != layout.tokens:
        shape = tuple(embeddings.shape)
        return f"the layout has {layout.tokens} visual tokens, and visual_embeddings gives an array of shape {shape}"
    if not np.all(np.isfinite(embeddings)):
        return "visual_embeddings holds values that are not finite"
    if not np.allclose(embeddings, again, rtol=1e-3, atol=1e-5):
        return "the same image gives other embeddings the second time; is the model in evaluation mode?"
    return None


def _judge(probes: Sequence[_Probe], layout: VisualLayout, slack: float) -> Iterator[tuple[_Probe, str]]:
    boxes = [layout.cell_box(token) for token in range(layout.tokens)]
    touched = [_touching(boxes, probe.region) for probe in probes]
    if not any(probe.change.any() for probe in probes):
        yield probes[0], "covering a region changes no visual token anywhere"
        return
    # how much the tokens of a grid change where the layout says that they see the region: the measure of "hardly"
    loudest = [
        max(
            probe.change[own & (layout.grid_of == grid)].max(initial=0.0)
            for probe, own in zip(probes, touched, strict=True)
        )
        for grid in range(len(layout.grids))
    ]
    for probe, own in zip(probes, touched, strict=True):
        near = _touching(boxes, _grown(probe.region))
        for message in _complaints(probe, own, near, layout, loudest, slack):
            yield probe, message


def _complaints(
    probe: _Probe,
    own: NDArray[np.bool_],
    near: NDArray[np.bool_],
    layout: VisualLayout,
    loudest: Sequence[float],
    slack: float,
) -> Iterator[str]:
    """What speaks against the layout in one probe.

    Args:
        probe: The covered region and the changes.
        own: (tokens,) whose cell touches the region.
        near: (tokens,) whose cell touches the region grown by half its size on each side.
        layout: The adapter's.
        loudest: For each grid, how much its tokens change where the layout says that they see the region.
        slack: See `check_geometry`.
    """
    named = tokens_at(layout, *probe.centre)
    if not named and probe.change.max() <= _FAINT * max(loudest):
        return  # cropped away, or nearly
    grids = [layout.grid_of == layout.grid_of[token] for token in named]
    for among in (np.ones(layout.tokens, bool), *grids):
        places = np.flatnonzero(among)
        order = places[np.argsort(-probe.change[places], kind="stable")]
        most = int(order[math.floor(slack * len(order))])
        if probe.change[own & among].max(initial=0.0) < _STANDS_OUT * probe.change[most]:
            names = ", ".join(f"{token} ({_place(layout, token)})" for token in named) or "none"
            yield f"visual token {most} changes most ({_place(layout, most)}); the layout names {names}"
            return
    for token, among in zip(named, grids, strict=True):
        ahead = int((probe.change[among] > probe.change[token]).sum())
        claim = f"the layout names visual token {token} ({_place(layout, token)})"
        if ahead >= int((near & among).sum()) + math.ceil((_OTHERS + slack) * among.sum()):
            yield f"{claim}, but {ahead} others of its grid change more"
        elif probe.change[token] <= _FAINT * loudest[int(layout.grid_of[token])]:
            yield f"{claim}, which hardly changes"


def _place(layout: VisualLayout, token: int) -> str:
    grid, cell = int(layout.grid_of[token]), int(layout.cell_of[token])
    if grid < 0:
        return "a separator"
    row, col = divmod(cell, layout.grids[grid].cols)
    return f"grid {grid}, row {row}, column {col}"


def _touching(boxes: Sequence[Box | None], region: Box) -> NDArray[np.bool_]:
    """(tokens,) whose cell shares an area with a region; a separator has none."""
    x0, y0, x1, y1 = region
    return np.array([box is not None and box[0] < x1 and x0 < box[2] and box[1] < y1 and y0 < box[3] for box in boxes])


def _grown(region: Box) -> Box:
    """The region and half its size around it: resampling carries what it holds into the next cells."""
    x0, y0, x1, y1 = region
    across, down = (x1 - x0) / 2, (y1 - y0) / 2
    return (x0 - across, y0 - down, x1 + across, y1 + down)


def _finest_cell(layout: VisualLayout, size: tuple[int, int]) -> tuple[int, int]:
    """(width, height) of the smallest cell in whole pixels, or an eighth of the image: it touches few cells."""
    cells = [grid.cell_box(0, 0) for grid in layout.grids]
    width = min(x1 - x0 for x0, _, x1, _ in cells)
    height = min(y1 - y0 for _, y0, _, y1 in cells)
    return (
        int(min(max(round(width), 2), max(size[0] // 8, 1))),
        int(min(max(round(height), 2), max(size[1] // 8, 1))),
    )


def _regions(size: tuple[int, int], patch: tuple[int, int]) -> Iterator[tuple[str, Box]]:
    """The corners, the middles of the edges and the centre, and four places between."""
    xs = (0, (size[0] - patch[0]) // 2, size[0] - patch[0])
    ys = (0, (size[1] - patch[1]) // 2, size[1] - patch[1])
    for y, row in zip(ys, _ROWS, strict=True):
        for x, column in zip(xs, _COLUMNS, strict=True):
            yield f"{row} {column}", _rectangle(x, y, patch)
    for x in ((xs[0] + xs[1]) // 2, (xs[1] + xs[2]) // 2):
        for y in ((ys[0] + ys[1]) // 2, (ys[1] + ys[2]) // 2):
            yield f"({x}, {y})", _rectangle(x, y, patch)


def _rectangle(x: int, y: int, patch: tuple[int, int]) -> Box:
    return (float(x), float(y), float(x + patch[0]), float(y + patch[1]))


def _unlike(pixels: NDArray[np.uint8], patch: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Noise in which no pixel is by chance what it was: each channel moves by a quarter of its range or more."""
    shift = 64 + _noise((pixels.shape[1], pixels.shape[0]), patch, rng) // 2
    return pixels + shift  # uint8 wraps around


def _noise(size: tuple[int, int], patch: tuple[int, int], rng: np.random.Generator) -> NDArray[np.uint8]:
    """(height, width, 3): blocks of random colour, half a region wide, so that shrinking the image keeps them."""
    width, height = max(patch[0] // 2, 1), max(patch[1] // 2, 1)
    rows, cols = -(-size[1] // height), -(-size[0] // width)
    blocks = rng.integers(0, 256, (rows, cols, 3), dtype=np.uint8)
    return blocks.repeat(height, axis=0).repeat(width, axis=1)[: size[1], : size[0]]


def tokens_at(layout: VisualLayout, x: float, y: float) -> list[int]:
    """Find the visual tokens whose cells cover an image point: one for each grid that has such a token."""
    found: list[int] = []
    for index, grid in enumerate(layout.grids):
        if (cell := grid.cell_at(x, y)) is not None:
            at = np.flatnonzero((layout.grid_of == index) & (layout.cell_of == cell[0] * grid.cols + cell[1]))
            found.extend(int(token) for token in at)
    return found
