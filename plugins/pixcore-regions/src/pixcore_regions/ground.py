"""Tell figure from ground."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components, dijkstra
from skimage.filters import threshold_otsu

from pixcore_regions.superpixels import Superpixels

_SIMILAR = 15.0  # CIELAB distance up to which patches on the border are one stretch of ground
_BORDER_SHARE = 0.12  # a smaller stretch is a thing that the picture's edge cuts
_MOST_BORDER_PATCHES = 400  # the longest ones; a busy border must not cost quadratic time
_BARELY = 1e-3  # the cost of a step that crosses no edge


def figure(patches: Superpixels, noise: float) -> NDArray[np.bool_]:
    """Say which patches stand out from the ground.

    Each patch's distance from the border of the image, along the path that crosses the weakest edges (the geodesic
    saliency of Wei et al., ECCV 2012, with its clipping of weak edges), is large inside things and small on the
    ground, however textured and manifold the ground is. Otsu's threshold divides the two.

    Args:
        patches: The image.
        noise: Colour difference that is no edge, in CIELAB.

    Returns:
        (n,) bool.
    """
    if not len(patches.edges):
        return np.zeros(patches.count, bool)
    cost = np.maximum(patches.contrast - noise, _BARELY)
    graph = coo_matrix((cost, (patches.edges[:, 0], patches.edges[:, 1])), shape=(patches.count,) * 2).tocsr()
    distance = dijkstra(graph, directed=False, indices=_ground_on_border(patches), min_only=True)
    # the square root keeps a few glaring things from raising the threshold above the pale ones
    per_pixel = np.sqrt(distance)[patches.labels]
    if np.ptp(per_pixel) < 1e-6:
        return np.zeros(patches.count, bool)
    return np.asarray(np.sqrt(distance) > threshold_otsu(per_pixel), dtype=bool)


def _ground_on_border(patches: Superpixels) -> NDArray[np.int64]:
    """The patches on the border that are ground: those of colours that take up enough of it."""
    labels = patches.labels
    border = np.concatenate([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]])
    length = np.bincount(border, minlength=patches.count)
    found = np.argsort(-length, kind="stable")[: min(_MOST_BORDER_PATCHES, int((length > 0).sum()))]
    colour = patches.colour[found]
    apart = np.linalg.norm(colour[:, None] - colour[None], axis=-1)
    stretch = connected_components(apart < _SIMILAR, directed=False)[1]
    share = np.bincount(stretch, weights=length[found]) / len(border)
    ground = share >= min(_BORDER_SHARE, float(share.max()))
    return np.asarray(found[ground[stretch]], np.int64)
