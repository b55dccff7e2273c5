"""The options of every extractor and transform."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, Field, field_validator

from pixcore.components import Config
from pixcore.files import prepare

Query = Literal["predicting", "emitted"]

Named = TypeVar("Named", bound=tuple[object, ...] | None)


def _once(named: Named) -> Named:
    """Refuse a layer or a head that is named twice: a mean would count it twice."""
    if named is not None and len(set(named)) < len(named):
        raise ValueError("one of them is there twice: name each once")
    return named


def _from_one_end(named: tuple[int, ...] | None, *, what: str = "heads") -> tuple[int, ...] | None:
    """Refuse numbers from both ends, of which two may mean one: how many a model has is not known here."""
    if len({number < 0 for number in named or ()}) > 1:
        raise ValueError(f"count all {what} from the start (0, 1, ...) or all from the end (-1, -2, ...)")
    return named


NamedOnce = Annotated[tuple[int, ...] | None, Field(min_length=1), AfterValidator(_once)]
"""Layers, each named once; None for all. A reader counts one that is named from both ends once."""
Heads = Annotated[NamedOnce, AfterValidator(_from_one_end)]
"""Heads, each named once, all from the start or all from the end; None for all."""


class MeanConfig(Config):
    """Options of `mean`: the average over layers and heads.

    Attributes:
        layers: Decoder layers, negative from the end.
        heads: Heads; all negative, they count from the end.
        query: Which row belongs to a token: that of the token before it, which predicts it, or its own.
        prefill_row: The prompt row read for the first token: -1 is the row that predicts it; -2 is what the released
            code reads. Left out: -2 under `published`, -1 under `corrected`.
    """

    layers: NamedOnce = None
    heads: Heads = None
    query: Query = "predicting"
    prefill_row: Literal[-1, -2] | None = None


class RawConfig(Config):
    """Options of `raw`: every layer and head, kept for research.

    Attributes:
        layers: Decoder layers, negative from the end.
        heads: Heads; all negative, they count from the end.
        query: Which row belongs to a token.
        reduce: `heads`: each layer's rows are averaged over its heads while they are seen, so that one map a layer is
            kept, as if it were a layer's only head. Left out: all heads are.
        folder: Where each response's (steps, layers, heads, cells) float16 array goes, as .npy.
        warn_above: GiB that 256 tokens of a batch may take without a warning.
    """

    layers: NamedOnce = None
    heads: Heads = None
    query: Query = "predicting"
    reduce: Literal["heads"] | None = None
    folder: Path | None = None
    warn_above: float = Field(default=1.0, ge=0)

    def check_ready(self) -> None:
        """Make the folder.

        Raises:
            StoreError: It can't be written.
        """
        if self.folder is not None:
            prepare(self.folder, "folder:")


class LocalizationHeadsConfig(Config):
    """Options of `localization-heads`: the few heads whose attention is compact.

    Attributes:
        chosen: (layer, head) pairs found beforehand, negative from the end (the layers all or none); left out: chosen
            anew for each response, by its first row.
        count: Heads to use; the paper's.
        sigma: Smoothing of each head's map, in cells.
        threshold: Attention above the map's mean that makes a cell part of a blob.
    """

    chosen: Annotated[tuple[tuple[int, int], ...] | None, Field(min_length=1), AfterValidator(_once)] = None
    count: int = Field(default=3, ge=1)
    sigma: float = Field(default=1.0, ge=0, le=1000)
    threshold: float = Field(default=0.001, ge=0)

    @field_validator("chosen")
    @classmethod
    def _in_order(cls, chosen: tuple[tuple[int, int], ...] | None) -> tuple[tuple[int, int], ...] | None:
        """Take layers that are in order whatever the model's depth, and heads that are several in their layer."""
        pairs = chosen or ()
        _from_one_end(tuple(layer for layer, _ in pairs), what="layers")
        for layer in {layer for layer, _ in pairs}:
            _from_one_end(tuple(head for its, head in pairs if its == layer), what=f"heads of layer {layer}")
        return chosen


class RelativeConfig(Config):
    """Options of `relative`: one layer, and a second prompt as reference.

    Attributes:
        layers: The method's: 14 for LLaVA-1.5-7B, 22 for Qwen2.5-VL-7B.
        reference_prompt: What is asked for the reference map.
    """

    layers: Annotated[tuple[int, ...], Field(min_length=1), AfterValidator(_once)] = (14,)
    reference_prompt: str = "Write a general description of the image."


class GradientConfig(Config):
    """Options of `gradient`: attention weighted by what it does for the token's probability.

    Attributes:
        layers: Decoder layers, negative from the end; the method uses 14 of LLaVA-1.5-7B.
    """

    layers: NamedOnce = None


class LogitLensConfig(Config):
    """Options of `logit-lens`: where the visual tokens' states already read as the token.

    Attributes:
        layers: Decoder layers, negative from the end; left out: all.
        cells_at_once: Visual tokens whose logits are held at the same time.
    """

    layers: NamedOnce = None
    cells_at_once: int = Field(default=256, ge=1)


class DivideConfig(Config):
    """Options of `divide-by-reference`.

    Attributes:
        epsilon: Added to the reference, against cells without attention.
    """

    epsilon: float = Field(default=1e-6, gt=0)


class SinkFilterConfig(Config):
    """Options of `sink-filter`.

    Attributes:
        ratio: A sink's mean over tokens, in medians of all visual tokens.
        keep: Share of a sink's mass that it keeps; the rest is spread over the others.
    """

    ratio: float = Field(default=10.0, gt=1)
    keep: float = Field(default=0.0, ge=0, le=1)


class SmoothConfig(Config):
    """Options of `smooth`.

    Attributes:
        sigma: Standard deviation of the Gaussian, in cells.
    """

    sigma: float = Field(default=1.0, gt=0, le=1000)


class BorderMaskConfig(Config):
    """Options of `border-mask`.

    Attributes:
        width: Cells along each edge of each grid.
    """

    width: int = Field(default=1, ge=1)
