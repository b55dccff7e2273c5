"""Build one tree of all regions of an image, from patches over parts to things."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixcore_regions.ground import figure
from pixcore_regions.superpixels import Superpixels, describe, superpixels

_PLAIN_CONTRAST, _PLAIN_AREA = 10.0, 0.01  # CIELAB, and share of the image: below both a region hardly stands out


@dataclass(frozen=True, eq=False)
class RegionTree:
    """A hierarchy of regions; each node is one connected region, its parent the next larger one.

    Attributes:
        order: (height, width) int32: the leaves are numbered so that every node holds a run of them.
        first: (nodes,) the first leaf of each node.
        last: (nodes,) one past its last leaf.
        parent: (nodes,) the node that a node is merged into; -1 for a thing, or a connected piece of ground.
        area: (nodes,) pixels.
        height: (nodes,) how much a region's colours differ: the square root of the largest Ward distance merged
            inside it.
        limit: (nodes,) the same for the merge that ends it: the parent's height.
        box: (nodes, 4) x0, y0, x1, y1 in edges.
    """

    order: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    parent: NDArray[np.int64]
    area: NDArray[np.float64]
    height: NDArray[np.float64]
    limit: NDArray[np.float64]
    box: NDArray[np.int64]

    def chain(self, x: int, y: int) -> list[int]:
        """List the nodes that hold a pixel, from its leaf up; each holds all before it."""
        node = int(self.order[y, x])
        found = [node]
        while self.parent[node] >= 0:
            node = int(self.parent[node])
            found.append(node)
        return found

    def contains(self, node: int, x: int, y: int) -> bool:
        """Say whether a node holds a pixel."""
        return bool(self.first[node] <= self.order[y, x] < self.last[node])

    def mask(self, node: int) -> NDArray[np.bool_]:
        """Mark the pixels of a node, (height, width)."""
        return np.asarray((self.order >= self.first[node]) & (self.order < self.last[node]), dtype=bool)

    def prominence(self, node: int) -> float:
        """Say how well a region stands out, 0 to 1.

        The share of the merge that ends it which its own inside does not explain: near 1 for an even region among very
        different ones, 0 for a piece that is cut out of its like. Specks are even whatever they are, so a plain
        contrast over a small area is added to both sides. Regions as large as the image are no answer to a point, so
        it falls to 0 towards them.
        """
        plain = _PLAIN_CONTRAST * float(np.sqrt(_PLAIN_AREA * self.order.size))
        share = (self.height[node] + plain) / (self.limit[node] + plain)
        return float(max(0.0, 1 - share) * (1 - self.area[node] / self.order.size))


def grow(pixels: NDArray[np.uint8], fineness: float) -> RegionTree:
    """Build the tree of a (height, width, 3) RGB image.

    Patches are merged two by two, the pair of neighbours first whose union adds least to the sum of squared colour
    differences (Ward's criterion). Figure and ground are kept apart to the end: a thing of many colours would
    otherwise lose those of its parts that resemble the ground.
    """
    patches, lab = superpixels(pixels)
    noise = fineness * patches.noise()
    stands_out = figure(patches, noise)
    # patches that differ by noise alone would only make the tree taller
    alike = (patches.contrast < noise) & _same(stands_out, patches)
    group = patches.components(alike)
    merged = np.zeros(int(group.max()) + 1, bool)
    merged[group] = stands_out
    patches = describe(group[patches.labels], lab)
    return _ward(patches, patches.components(_same(merged, patches)))


def _same(values: NDArray[np.generic], patches: Superpixels) -> NDArray[np.bool_]:
    return np.asarray(values[patches.edges[:, 0]] == values[patches.edges[:, 1]], dtype=bool)


def _ward(patches: Superpixels, piece: NDArray[np.int32]) -> RegionTree:
    """Merge neighbours of one piece until each piece is one node.

    Plain Python: there are a few hundred patches, and a heap of floats is quicker than NumPy on pairs.
    """
    count = patches.count
    area = patches.area.tolist()
    colour = [tuple(row) for row in patches.colour.tolist()]
    of_piece = piece.tolist()
    parent = [-1] * count
    height = [0.0] * count
    children: list[tuple[int, int]] = [(-1, -1)] * count
    neighbours: list[set[int]] = [set() for _ in range(count)]
    for one, other in patches.edges.tolist():
        neighbours[one].add(other)
        neighbours[other].add(one)

    def distance(one: int, other: int) -> float:
        (a, b, c), (d, e, f) = colour[one], colour[other]
        weight = area[one] * area[other] / (area[one] + area[other])
        return float(((a - d) ** 2 + (b - e) ** 2 + (c - f) ** 2) * weight)

    heap = [(distance(i, j), i, j) for i, j in patches.edges.tolist() if of_piece[i] == of_piece[j]]
    heapq.heapify(heap)
    while heap:
        energy, one, other = heapq.heappop(heap)
        if parent[one] >= 0 or parent[other] >= 0:
            continue  # one of them has been merged with another since
        node = len(area)
        parent[one] = parent[other] = node
        parent.append(-1)
        children.append((one, other))
        total = area[one] + area[other]
        area.append(total)
        mine, theirs, (a, b, c), (d, e, f) = area[one], area[other], colour[one], colour[other]
        mean = (mine * a + theirs * d) / total, (mine * b + theirs * e) / total, (mine * c + theirs * f) / total
        colour.append(mean)
        of_piece.append(of_piece[one])
        height.append(max(energy**0.5, height[one], height[other]))
        merged = {one, other}
        around = (neighbours[one] | neighbours[other]) - merged
        neighbours.append(around)
        for near in around:
            beside = neighbours[near]
            beside -= merged
            beside.add(node)
            if of_piece[near] == of_piece[node]:
                heapq.heappush(heap, (distance(near, node), near, node))

    limit = [height[up] if up >= 0 else 0.0 for up in parent]
    for node, up in enumerate(parent):
        if up < 0 and neighbours[node]:  # a whole piece ends where it would merge with what lies around it
            limit[node] = max(min(distance(node, near) for near in neighbours[node]) ** 0.5, height[node])
    return _numbered(patches, parent, children, area, height, limit)


def _numbered(
    patches: Superpixels,
    parent: list[int],
    children: list[tuple[int, int]],
    area: list[float],
    height: list[float],
    limit: list[float],
) -> RegionTree:
    """Number the leaves depth first, so that a node's pixels are found by two comparisons."""
    count, nodes = patches.count, len(parent)
    first, last = np.zeros(nodes, np.int64), np.zeros(nodes, np.int64)
    rank = np.zeros(count, np.int32)
    following = 0
    stack = [node for node in range(nodes) if parent[node] < 0]
    while stack:
        node = stack.pop()
        first[node] = following
        if node < count:
            rank[node] = following
            following += 1
        else:
            stack.extend(children[node])
    last[:count] = first[:count] + 1
    for node in range(count, nodes):  # children come before their parents
        first[node] = min(first[child] for child in children[node])
        last[node] = max(last[child] for child in children[node])

    order = rank[patches.labels]
    rows, columns = np.indices(order.shape)
    flat = patches.labels.reshape(-1)
    box = np.zeros((nodes, 4), np.int64)
    box[:count, :2] = np.iinfo(np.int64).max
    for axis, place in ((0, columns.reshape(-1)), (1, rows.reshape(-1))):
        np.minimum.at(box[:, axis], flat, place)
        np.maximum.at(box[:, axis + 2], flat, place + 1)
    for node in range(count, nodes):
        one, other = children[node]
        box[node, :2] = np.minimum(box[one, :2], box[other, :2])
        box[node, 2:] = np.maximum(box[one, 2:], box[other, 2:])

    # leaves by their rank, so that `order` holds node numbers
    renumber = np.concatenate([np.argsort(rank), np.arange(count, nodes)])
    where = np.asarray(parent, np.int64)[renumber]
    return RegionTree(
        order=order,
        first=first[renumber],
        last=last[renumber],
        parent=where,
        area=np.asarray(area)[renumber],
        height=np.asarray(height)[renumber],
        limit=np.asarray(limit)[renumber],
        box=box[renumber],
    )
