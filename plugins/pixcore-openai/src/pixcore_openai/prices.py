"""Work out what a call costs before it is made: tokens by rule of thumb, dollars by known prices."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

import yaml

from pixcore.components import Context
from pixcore.services import Expense, Price

_CHARACTERS_PER_TOKEN = 4
_MESSAGE_OVERHEAD = 10
EXPECTED_ANSWER = 8
"""Tokens of a yes, a number or a few names."""
_UNKNOWN_IMAGE = {"base": 85, "tile": 170}


@cache
def shipped() -> Mapping[str, Any]:
    """Read the table that this package brings: `dated`, `source`, `models`, `images`."""
    document: Mapping[str, Any] = yaml.safe_load(
        resources.files(__package__).joinpath("prices.yaml").read_text("utf-8")
    )
    return document


def _family(model: str) -> str:
    """The name without a date: gpt-4o-2024-11-20 costs what gpt-4o does, unless it has a line of its own."""
    return re.sub(r"-\d{4}-\d{2}-\d{2}$", "", model)


def price_of(model: str, context: Context) -> Price | None:
    """Find the price of a model: the config's, else the shipped one, else unknown."""
    own = context.allowance.prices if context.allowance is not None else {}
    if model in own:
        return own[model]
    found = shipped()["models"].get(model, shipped()["models"].get(_family(model)))
    return None if found is None else Price(**found)


def image_tokens(model: str, size: tuple[int, int], detail: str | None = None) -> int:
    """Count the tokens that an image of (width, height) costs; for a model not in the table, as for gpt-4o."""
    rule = shipped()["images"].get(_family(model), _UNKNOWN_IMAGE)
    width, height = size
    if "factor" in rule:
        patches = math.ceil(width / 32) * math.ceil(height / 32)
        return math.ceil(min(patches, 1536) * float(rule["factor"]))
    if detail == "low":
        return int(rule["base"])
    scale = min(1.0, 2048 / max(width, height))
    scale = min(scale, 768 / (min(width, height)))
    tiles = math.ceil(width * scale / 512) * math.ceil(height * scale / 512)
    return int(rule["base"] + rule["tile"] * tiles)


def expected(
    model: str,
    context: Context,
    *,
    text: str,
    images: Sequence[tuple[int, int]] = (),
    detail: str | None = None,
    answer: int = EXPECTED_ANSWER,
) -> Expense:
    """Say what one call will cost.

    Args:
        model: The model's name.
        context: Holds the config's prices.
        text: Everything that is said, system message included.
        images: (width, height) of every picture.
        detail: How finely pictures are looked at.
        answer: Tokens that the answer is expected to have.
    """
    tokens = _MESSAGE_OVERHEAD + math.ceil(len(text) / _CHARACTERS_PER_TOKEN)
    tokens += sum(image_tokens(model, size, detail) for size in images)
    return billed(model, context, tokens, answer, images=len(images))


def billed(model: str, context: Context, input_tokens: int, output_tokens: int, *, images: int) -> Expense:
    """Say what one call did cost, by the tokens that the server counted."""
    price = price_of(model, context)
    usd = None if price is None else (price.input * input_tokens + price.output * output_tokens) / 1e6
    return Expense(model, 1, images, input_tokens, output_tokens, usd)
