"""Generate masks without weights: a point in, three nested regions out."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage

from pixcore.components import Context, MaskGenerator
from pixcore.geometry import Box
from pixcore.records import Image, MaskProposal, PointPrompt
from pixcore_regions.config import RegionsConfig
from pixcore_regions.tree import RegionTree, grow

MASKS = 3
_KEPT_IMAGES = 8  # a run visits an image under three protocols and with random points, one soon after the other
_SMALLEST = 4  # working pixels; less is no region to look at


@dataclass(frozen=True, eq=False)
class Segmented:
    """An image cut into regions, at its working size.

    Attributes:
        tree: Its regions at working size.
        size: (width, height) of the image itself.
    """

    tree: RegionTree
    size: tuple[int, int]

    def working(self, x: float, y: float) -> tuple[int, int]:
        """Find the working pixel that an image point, named by pixel centres, lies in."""
        height, width = self.tree.order.shape
        column = int((x + 0.5) * width / self.size[0])
        row = int((y + 0.5) * height / self.size[1])
        return min(max(column, 0), width - 1), min(max(row, 0), height - 1)


class Regions(MaskGenerator[RegionsConfig]):
    """Finds three nested regions of colour around a point, small to large, without weights.

    An image is segmented once into a tree of regions (`pixcore_regions.tree`); a prompt only looks up which nodes
    hold its point. Of these the last is the whole thing (or piece of ground), and the other two are those that stand
    out most. A region's score is its prominence, 0 to 1.

    Several positive points ask for regions that hold them all; where no region does, the regions of each are united.
    A region that holds a negative point is left out while there is another. A box asks for the region whose own
    bounding box is most like it, with the next smaller and the next larger one.
    """

    def __init__(self, config: RegionsConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._segmented: OrderedDict[str, Segmented] = OrderedDict()

    def segmented(self, image: Image) -> Segmented:
        """Cut an image into regions; the same content only once."""
        key = image.digest
        if key not in self._segmented:
            picture = image.pil()
            self._segmented[key] = Segmented(
                grow(_reduced(picture, self.config.working_side), self.config.fineness), picture.size
            )
            while len(self._segmented) > _KEPT_IMAGES:
                self._segmented.popitem(last=False)
        self._segmented.move_to_end(key)
        return self._segmented[key]

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        """Look up three nested regions for each prompt; where there are fewer, the largest is repeated."""
        if not prompts:
            return []
        segmented = self.segmented(image)
        return [_proposal(segmented, prompt) for prompt in prompts]


def _proposal(segmented: Segmented, prompt: PointPrompt) -> MaskProposal:
    tree = segmented.tree
    places = [segmented.working(float(x), float(y)) for x, y in prompt.points]
    positive = [place for place, label in zip(places, prompt.labels, strict=True) if label == 1]
    negative = [place for place, label in zip(places, prompt.labels, strict=True) if label == 0]
    if prompt.box is not None:
        chains = [_around_box(segmented, prompt.box, positive)]
    elif positive:
        chains = _around_points(tree, positive)
    else:
        raise ValueError("a point prompt needs a positive point or a box")
    chosen = [_choose(tree, _without(tree, chain, negative)) for chain in chains]
    masks = [np.logical_or.reduce([tree.mask(nodes[level]) for nodes in chosen]) for level in range(MASKS)]
    scores = [min(tree.prominence(nodes[level]) for nodes in chosen) for level in range(MASKS)]
    return MaskProposal(np.stack(masks), np.asarray(scores, np.float32), size=segmented.size)


def _around_points(tree: RegionTree, places: Sequence[tuple[int, int]]) -> list[list[int]]:
    """The nodes that hold all points, smallest first, as one chain; or a chain for each point."""
    chains = [tree.chain(*place) for place in places]
    common = [node for node in chains[0] if all(tree.contains(node, *place) for place in places)]
    return [common] if common else chains


def _around_box(segmented: Segmented, box: Box, positive: Sequence[tuple[int, int]]) -> list[int]:
    """The node whose extent is most like a box, with its largest child and its parent; smallest first.

    Of all nodes those are looked at that hold most of the positive points.
    """
    tree = segmented.tree
    height, width = tree.order.shape
    scale = np.array([width / segmented.size[0], height / segmented.size[1]] * 2)
    wanted = np.asarray(box, np.float64) * scale
    low, high = np.maximum(tree.box[:, :2], wanted[:2]), np.minimum(tree.box[:, 2:], wanted[2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    extent = np.prod(tree.box[:, 2:] - tree.box[:, :2], axis=1)
    likeness = shared / (extent + np.prod(np.clip(wanted[2:] - wanted[:2], 0, None)) - shared)
    leaves = np.array([tree.order[row, column] for column, row in positive], np.int64)
    held = ((tree.first[:, None] <= leaves) & (leaves < tree.last[:, None])).sum(axis=1)
    best = int(np.argmax(np.where(held == held.max(), likeness, -1)))
    inner = np.flatnonzero(tree.parent == best)
    chain = [int(inner[np.argmax(tree.area[inner])])] if len(inner) else []
    chain.append(best)
    if tree.parent[best] >= 0:
        chain.append(int(tree.parent[best]))
    return chain


def _without(tree: RegionTree, chain: list[int], negative: Sequence[tuple[int, int]]) -> list[int]:
    left = [node for node in chain if not any(tree.contains(node, *place) for place in negative)]
    return left or chain[:1]


def _choose(tree: RegionTree, chain: Sequence[int]) -> list[int]:
    """Three nodes of a chain, smallest first: the last, and of the others those that stand out most."""
    whole = chain[-1]
    inside = [node for node in chain[:-1] if tree.area[node] >= _SMALLEST] or list(chain[:-1][-1:])
    span = tree.limit - tree.height
    best = sorted(inside, key=lambda node: -float(span[node]))[: MASKS - 1]
    chosen = sorted([*best, whole], key=lambda node: float(tree.area[node]))
    return chosen + [chosen[-1]] * (MASKS - len(chosen))


def _reduced(picture: PILImage.Image, side: int) -> NDArray[np.uint8]:
    """The picture's pixels, its longer side reduced to `side` if it exceeds it."""
    longer = max(picture.size)
    if longer > side:
        width, height = (max(1, round(length * side / longer)) for length in picture.size)
        picture = picture.resize((width, height), PILImage.Resampling.BOX)
    return np.asarray(picture, np.uint8)
