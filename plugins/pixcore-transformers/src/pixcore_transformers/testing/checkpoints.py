"""Tiny randomly initialised checkpoints with their processors, in the folder layout of published ones.

Two decoder layers, a vision tower of two layers and a tokenizer of a few hundred tokens make a folder of under a
megabyte that `AutoModelForImageTextToText` and pixcore's adapters load as they would the real thing. What such a model
writes is noise; what it is for is everything else: prompts, sequences, geometry, attention.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from transformers import AutoModelForImageTextToText

from pixcore_transformers.testing.grids import GRIDS
from pixcore_transformers.testing.recipes import RECIPES, Recipe, hybrid_decoder
from pixcore_transformers.testing.squares import SQUARES
from pixcore_transformers.testing.tokenizer import tiny_tokenizer
from pixcore_transformers.testing.views import VIEWS

ARCHITECTURES: Mapping[str, Recipe] = {**RECIPES, **GRIDS, **VIEWS, **SQUARES}
"""How to make a tiny checkpoint of every architecture that is served, and of `mllama`, which is refused."""

_TEMPLATE = (
    "{{% for message in messages %}}{{{{ message['role'] | upper }}}}: "
    "{{% for part in message['content'] %}}"
    "{{% if part['type'] == 'image' %}}{placeholder}\n{{% else %}}{{{{ part['text'] }}}}{{% endif %}}"
    "{{% endfor %}}\n{{% endfor %}}"
    "{{% if add_generation_prompt %}}ASSISTANT:{{% endif %}}"
)


def save_checkpoint(
    family: str, folder: Path, *, seed: int = 0, hybrid: str | None = None, **image_settings: object
) -> Path:
    """Build a family's tiny checkpoint and processor and save them.

    Args:
        family: One of `ARCHITECTURES`.
        folder: Where to; it is made.
        seed: Of the weights.
        hybrid: One of `HYBRIDS` in place of the family's own decoder.
        image_settings: Changes to preprocessor_config.json.

    Returns:
        The folder.
    """
    recipe = {**ARCHITECTURES, **RECIPES}[family]  # RECIPES again: a test may put one of its own there
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = tiny_tokenizer(recipe.special, recipe.roles, recipe.spaced)
    if recipe.placeholder is not None:
        tokenizer.chat_template = _TEMPLATE.format(placeholder=recipe.placeholder)
    if family == "paligemma":  # its processor adds location tokens on construction, and the embedding has to hold them
        tokenizer.add_tokens([f"<loc{i:0>4}>" for i in range(1024)] + [f"<seg{i:0>3}>" for i in range(128)])
    tokenizer.save_pretrained(folder)
    _write(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": recipe.image_processor,
            "processor_class": recipe.processor,
            "image_mean": [0.5] * 3,
            "image_std": [0.5] * 3,
            **recipe.image_settings,
            **image_settings,
        },
    )
    _write(folder / "processor_config.json", {"processor_class": recipe.processor, **recipe.processor_settings})
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        config = recipe.config(tokenizer)
        if hybrid is not None:
            config.text_config = hybrid_decoder(hybrid, tokenizer)
        model = AutoModelForImageTextToText.from_config(config)
        spread_weights(model)
        if recipe.finish is not None:
            recipe.finish(model)
    model.save_pretrained(folder)
    return folder


@torch.no_grad()
def spread_weights(model: torch.nn.Module) -> None:
    """Draw all matrices anew with the scale of their fan-in.

    The usual initialisation (0.02, or zero) leaves two layers of 32 channels nearly silent: attention would be uniform
    and no picture would show in the language model's input.
    """
    for parameter in model.parameters():
        if parameter.ndim >= 2:
            parameter.normal_(0.0, parameter[0].numel() ** -0.5)


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
