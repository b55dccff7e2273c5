"""What is drawn together, and what a figure is made of: all that whoever gives intervals must know.

Every figure of a table is a ratio of sums over clusters (pairs right / pairs, IoU / images, intersection / union), or
is made of such figures. How sure it is, a plugin says (`pixcore.hookspecs.give_intervals`), or nobody does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from pixcore.errors import DataError
from pixcore.records import Sample

Floats = NDArray[np.float64]

FEW = 10
"""A figure that counts fewer is marked: it is a handful, whatever its interval says."""

FigureKind = Literal["proportion", "mean", "ratio", "made"]
"""A share of what is right or not; a mean of values from 0 to 1; a ratio of two sums; what is made of other figures."""


class Cluster(NamedTuple):
    """What is drawn together.

    Attributes:
        name: The pair's name, or what tells an image from others.
        pair: Whether it is a pair; a pair and an image may share a name.
    """

    name: str
    pair: bool


@dataclass(frozen=True)
class Sums:
    """A figure's terms, summed over each cluster.

    Attributes:
        kind: What kind of figure they make.
        numerators: (clusters,) float64.
        denominators: (clusters,) float64; 0 where a cluster does not count.
    """

    kind: FigureKind
    numerators: Floats
    denominators: Floats


def cluster_of(sample: Sample) -> Cluster:
    """Give the cluster of a sample: its pair, else its image, whichever name the file has.

    >>> from pixcore.records import Image
    >>> cluster_of(Sample("7", Image.from_path("7.png"), pair="a"))
    Cluster(name='a', pair=True)
    """
    if sample.pair is not None:
        return Cluster(sample.pair, pair=True)
    try:
        return Cluster(sample.image.digest, pair=False)
    except DataError:  # predictions can be scored where the images are not
        return Cluster(sample.image.name, pair=False)


def ratios(numerators: Floats, denominators: Floats) -> Floats:
    """Divide sums by counts, with NaN where nothing was measured."""
    undefined = denominators == 0
    return np.where(undefined, np.nan, numerators / np.where(undefined, 1.0, denominators))
