"""The options of the point selectors."""

from __future__ import annotations

from pydantic import Field

from pixcore.components import Config


class PeakConfig(Config):
    """Options of `peak`.

    Attributes:
        rank: 1 for the highest pixel, 2 for the second highest, and so on.
    """

    rank: int = Field(default=1, ge=1)


class PeaksConfig(Config):
    """Options of `peaks`.

    Attributes:
        k: Points at most; a map with fewer local maxima gives fewer.
        min_distance: The least distance between two points, as a share of the image's longer side.
    """

    k: int = Field(default=3, ge=1)
    min_distance: float = Field(default=0.1, ge=0, lt=1)


class RandomPointsConfig(Config):
    """Options of `random`.

    Attributes:
        k: Points in one prompt; a control's prompts are of the run's own kind, whatever it is.
    """

    k: int = Field(default=1, ge=1, le=10_000)

    def fingerprint(self) -> str:
        """Tell controls apart from those of one point a prompt, which records of an earlier pixcore may hold."""
        return "prompts of the run's own kind"


class CentreConfig(Config):
    """Options of `centre`.

    Attributes:
        spread: Standard deviation of the Gaussian, as a share of the image's width and height.
    """

    spread: float = Field(default=0.25, gt=0, le=10)


class PositiveNegativeConfig(Config):
    """Options of `positive-negative`.

    Attributes:
        negatives: Negative points at most.
        min_distance: The least distance between any two points, as a share of the image's longer side.
    """

    negatives: int = Field(default=2, ge=1)
    min_distance: float = Field(default=0.2, ge=0, lt=1)


class PeakRegionConfig(Config):
    """Options of the selectors that look at the region around the peak.

    Attributes:
        level: How high the region reaches down: it holds the pixels connected to the peak whose relevance is at
            least this share of the way from the map's lowest value to its highest.
    """

    level: float = Field(default=0.5, gt=0, le=1)


class BoxOfRegionConfig(PeakRegionConfig):
    """Options of `box-of-region`.

    Attributes:
        with_peak: Whether the prompt holds the peak as a positive point beside the box.
    """

    with_peak: bool = False
