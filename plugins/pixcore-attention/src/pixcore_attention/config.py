"""The options of every extractor and transform."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from pixcore.components import Config

Query = Literal["predicting", "emitted"]


class MeanConfig(Config):
    """Options of `mean`: the average over layers and heads."""

    layers: tuple[int, ...] | None = Field(None, min_length=1, description="Decoder layers, negative from the end.")
    heads: tuple[int, ...] | None = Field(None, min_length=1, description="Heads, negative from the end.")
    query: Query = Field(
        "predicting",
        description="Which row belongs to a token: that of the token before it, which predicts it, or its own.",
    )
    prefill_row: Literal[-1, -2] | None = Field(
        None,
        description="The prompt row read for the first token: -1 is the row that predicts it; -2 is what the released "
        "code reads. Left out: -2 under `published`, -1 under `corrected`.",
    )


class RawConfig(Config):
    """Options of `raw`: every layer and head, kept for research."""

    layers: tuple[int, ...] | None = Field(None, min_length=1, description="Decoder layers, negative from the end.")
    heads: tuple[int, ...] | None = Field(None, min_length=1, description="Heads, negative from the end.")
    query: Query = Field("predicting", description="Which row belongs to a token.")
    folder: Path | None = Field(
        None, description="Where each response's (steps, layers, heads, cells) float16 array goes, as .npy."
    )
    warn_above: float = Field(1.0, ge=0, description="GiB that 256 tokens of a batch may take without a warning.")


class LocalizationHeadsConfig(Config):
    """Options of `localization-heads`: the few heads whose attention is compact."""

    chosen: tuple[tuple[int, int], ...] | None = Field(
        None,
        min_length=1,
        description="(layer, head) pairs found beforehand; left out: chosen anew for each response, by its first row.",
    )
    count: int = Field(3, ge=1, description="Heads to use; the paper's.")
    sigma: float = Field(1.0, ge=0, description="Smoothing of each head's map, in cells.")
    threshold: float = Field(
        0.001, ge=0, description="Attention above the map's mean that makes a cell part of a blob."
    )


class RelativeConfig(Config):
    """Options of `relative`: one layer, and a second prompt as reference."""

    layers: tuple[int, ...] = Field(
        (14,), min_length=1, description="The method's: 14 for LLaVA-1.5-7B, 22 for Qwen2.5-VL-7B."
    )
    reference_prompt: str = Field(
        "Write a general description of the image.", description="What is asked for the reference map."
    )


class GradientConfig(Config):
    """Options of `gradient`: attention weighted by what it does for the token's probability."""

    layers: tuple[int, ...] | None = Field(
        None, min_length=1, description="Decoder layers, negative from the end; the method uses 14 of LLaVA-1.5-7B."
    )


class LogitLensConfig(Config):
    """Options of `logit-lens`: where the visual tokens' states already read as the token."""

    layers: tuple[int, ...] | None = Field(None, min_length=1, description="Decoder layers; left out: all.")
    cells_at_once: int = Field(256, ge=1, description="Visual tokens whose logits are held at the same time.")


class DivideConfig(Config):
    """Options of `divide-by-reference`."""

    epsilon: float = Field(1e-6, gt=0, description="Added to the reference, against cells without attention.")


class SinkFilterConfig(Config):
    """Options of `sink-filter`."""

    ratio: float = Field(10.0, gt=1, description="A sink's mean over tokens, in medians of all visual tokens.")
    keep: float = Field(
        0.0, ge=0, le=1, description="Share of a sink's mass that it keeps; the rest is spread over the others."
    )


class SmoothConfig(Config):
    """Options of `smooth`."""

    sigma: float = Field(1.0, gt=0, description="Standard deviation of the Gaussian, in cells.")


class BorderMaskConfig(Config):
    """Options of `border-mask`."""

    width: int = Field(1, ge=1, description="Cells along each edge of each grid.")
