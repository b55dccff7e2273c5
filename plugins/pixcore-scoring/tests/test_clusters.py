"""A pair and an image of one name are two clusters, each with one number."""

from __future__ import annotations

from pixcore_scoring.clusters import Clusters

from pixcore.figures.intervals import Cluster


def test_clusters_are_numbered_in_the_order_in_which_they_come() -> None:
    clusters = Clusters()
    given = [Cluster("a", pair=True), Cluster("a", pair=False), Cluster("a", pair=True), Cluster("1a", pair=False)]
    assert [clusters.number(one) for one in given] == [0, 1, 0, 2]
    assert len(clusters) == 3
    assert clusters.kinds() == {"pair": 1, "image": 2}
