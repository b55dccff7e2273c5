"""Number what is drawn together, pairs and images: their names lie in a file, and cost no memory."""

from __future__ import annotations

from pixcore.figures.intervals import Cluster
from pixcore.shelf import Shelf


class Clusters:
    """Pairs and images, numbered from 0 in the order in which they come."""

    def __init__(self) -> None:
        self._names: Shelf[None] = Shelf()
        self._pairs = 0

    def __len__(self) -> int:
        return len(self._names)

    def number(self, cluster: Cluster) -> int:
        """Give a cluster's number; a pair and an image of one name are two."""
        name = f"{cluster.pair:d}{cluster.name}"
        self._pairs += self._names.add(name) and cluster.pair
        return self._names.number(name)

    def kinds(self) -> dict[str, int]:
        """Count pairs and images."""
        return {"pair": self._pairs, "image": len(self) - self._pairs}
