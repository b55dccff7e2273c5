"""Turn an image into a graph of small patches of one colour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb

_SCALE = 4  # felzenszwalb's preference for large patches; low, because merging comes later and can't undo
_SMALLEST_SHARE = 3 / 112  # a patch of 3 pixels in an image of 112x112, growing with the side of the image


@dataclass(frozen=True, eq=False)
class Superpixels:
    """A partition of an image and which of its patches touch.

    Attributes:
        labels: (height, width) int32, each pixel's patch from 0 to n-1.
        area: (n,) float64 pixels.
        colour: (n, 3) float64 mean CIELAB.
        edges: (e, 2) int64, the pairs of patches that touch, the lower number first.
    """

    labels: NDArray[np.int32]
    area: NDArray[np.float64]
    colour: NDArray[np.float64]
    edges: NDArray[np.int64]

    @property
    def count(self) -> int:
        """Number of patches."""
        return len(self.area)

    @property
    def contrast(self) -> NDArray[np.float64]:
        """CIELAB distance of the two patches of each edge (e,)."""
        step = self.colour[self.edges[:, 0]] - self.colour[self.edges[:, 1]]
        return np.asarray(np.linalg.norm(step, axis=1), np.float64)

    def noise(self) -> float:
        """Mean difference of patches from their most similar neighbour, by area, in CIELAB."""
        if not len(self.edges):
            return 0.0
        nearest = np.full(self.count, np.inf)
        for side in (0, 1):
            np.minimum.at(nearest, self.edges[:, side], self.contrast)
        return float(np.average(nearest, weights=self.area))

    def components(self, kept: NDArray[np.bool_]) -> NDArray[np.int32]:
        """Find the connected component of each patch (n,) when only the edges `kept` (e,) connect."""
        first, second = self.edges[kept].T
        graph = coo_matrix((np.ones(len(first)), (first, second)), shape=(self.count, self.count))
        return np.asarray(connected_components(graph, directed=False)[1], np.int32)


def superpixels(pixels: NDArray[np.uint8]) -> tuple[Superpixels, NDArray[np.float32]]:
    """Cut a (height, width, 3) RGB image into patches that cross no visible edge.

    Felzenszwalb and Huttenlocher's graph-based segmentation, because it keeps lines of one pixel that gradient
    watersheds and SLIC lose.

    Returns:
        The patches, and the (height, width, 3) CIELAB image.
    """
    lab = rgb2lab(pixels).astype(np.float32)
    smallest = max(1, round(_SMALLEST_SHARE * float(np.sqrt(lab.shape[0] * lab.shape[1]))))
    if min(lab.shape[:2]) == 1:  # scikit-image wants two dimensions
        padded = np.repeat(np.repeat(lab, 2 if lab.shape[0] == 1 else 1, 0), 2 if lab.shape[1] == 1 else 1, 1)
    else:
        padded = lab
    labels = felzenszwalb(padded / 100, scale=_SCALE, sigma=0, min_size=smallest, channel_axis=-1)  # 0 to n-1
    if padded is not lab:
        labels = np.unique(labels[: lab.shape[0], : lab.shape[1]], return_inverse=True)[1].reshape(lab.shape[:2])
    return describe(labels.astype(np.int32), lab), lab


def describe(labels: NDArray[np.int32], lab: NDArray[np.float32]) -> Superpixels:
    """Measure a partition of a CIELAB image."""
    count = int(labels.max()) + 1
    flat = labels.reshape(-1)
    area = np.bincount(flat, minlength=count).astype(np.float64)
    sums = [np.bincount(flat, lab[..., channel].reshape(-1), count) for channel in range(3)]
    steps = [(labels[:, :-1], labels[:, 1:]), (labels[:-1], labels[1:])]
    between = [np.stack([one[one != other], other[one != other]]) for one, other in steps]
    first, second = np.concatenate(between, axis=1).astype(np.int64)
    low, high = np.minimum(first, second), np.maximum(first, second)
    pairs = np.unique(low * count + high)
    edges = np.stack([pairs // count, pairs % count], axis=1)
    return Superpixels(labels, area, np.stack(sums, axis=1) / area[:, None], edges)
