"""The options of every extractor and transform."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pixcore.components import Config

Query = Literal["predicting", "emitted"]


class MeanConfig(Config):
    """`mean`: the average over layers and heads."""

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
