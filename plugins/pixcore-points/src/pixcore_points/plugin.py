"""Registers the point selectors."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_point_selectors(register: Register) -> None:
    """Offer the point selectors."""
    config = "pixcore_points.config"
    register(
        "peak",
        "pixcore_points.peaks:Peak",
        config=f"{config}:PeakConfig",
        summary="the map's highest pixel (attend-and-segment)",
        default=True,
    )
    register(
        "peaks",
        "pixcore_points.peaks:Peaks",
        config=f"{config}:PeaksConfig",
        summary="the k highest local maxima, a minimum distance apart",
    )
    register(
        "random",
        "pixcore_points.random_points:RandomPoints",
        config=f"{config}:RandomPointsConfig",
        summary="anywhere in the image: the control",
        default_for=["control.points"],
    )
    register(
        "other-images",
        "pixcore_points.nulls:OtherImages",
        summary="where other images' prompts lie: a control that knows what all images share",
    )
    register(
        "centre",
        "pixcore_points.nulls:Centre",
        config=f"{config}:CentreConfig",
        summary="about the image's middle: a control",
    )
    register(
        "weighted-centre",
        "pixcore_points.regions:WeightedCentre",
        config=f"{config}:PeakRegionConfig",
        summary="the centre of mass of the region around the peak",
    )
    register(
        "positive-negative",
        "pixcore_points.peaks:PositiveNegative",
        config=f"{config}:PositiveNegativeConfig",
        summary="the peak, and the least relevant places as negative points",
    )
    register(
        "box-of-region",
        "pixcore_points.regions:BoxOfRegion",
        config=f"{config}:BoxOfRegionConfig",
        summary="the bounding box of the region around the peak",
    )
