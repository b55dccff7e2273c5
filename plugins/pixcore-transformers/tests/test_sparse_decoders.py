"""Decoders whose layers choose keys, or drop the oldest that were written, of a text longer than what they keep."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from pixcore_transformers.reading import Reader
from pixcore_transformers.tap import Tap, Watch, install
from pixcore_transformers.testing import checks, save_checkpoint
from pixcore_transformers.testing.checkpoints import ARCHITECTURES, RECIPES, spread_weights
from pixcore_transformers.testing.tokenizer import tiny_tokenizer
from transformers import AutoModelForImageTextToText, GenerationConfig, PreTrainedConfig, PreTrainedModel

FEW: dict[str, dict[str, Any]] = {
    "mistral_large4": {"index_topk": 8, "index_n_heads": 16},
    "glm5_next": {"index_topk": 16, "index_kpool": 4, "index_n_heads": 16},
}
"""What leaves fewer keys than the prompts of the checks have; with few heads, many keys would score alike: nothing."""

DECODERS: dict[str, dict[str, Any]] = {
    "unlimited_ocr": {"sliding_window": 4},
    "minimax_m3_vl": {
        "layer_types": ["full_attention", "minimax_m3_sparse"],
        "index_block_size": 4,
        "index_topk_blocks": 2,
    },
    "mistral_large4": FEW["mistral_large4"],
    "muse_glimmer": {"sliding_window": 8},
}
PROMPT, STEPS = 20, 9


def config_of(family: str, changes: dict[str, Any], tokenizer: Any) -> PreTrainedConfig:
    config: PreTrainedConfig = ARCHITECTURES[family].config(tokenizer)
    text = config.get_text_config(decoder=True)
    for name, value in changes.items():
        setattr(text, name, value)
    return config


@pytest.mark.parametrize("check", ["rows", "text", "batches", "replay"])
@pytest.mark.parametrize("family", FEW)
def test_keys_that_were_not_chosen_have_no_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, family: str, check: str
) -> None:
    """Eager attention is the reference, and what it writes."""

    def few(tokenizer: Any) -> PreTrainedConfig:
        return config_of(family, FEW[family], tokenizer)

    monkeypatch.setitem(RECIPES, family, replace(ARCHITECTURES[family], config=few))
    assert checks.CHECKS[check](save_checkpoint(family, tmp_path / family)) == []


class Recorder:
    """Keeps all rows: [step][layer] is (batch, heads, cells)."""

    def __init__(self) -> None:
        self.steps: list[list[torch.Tensor]] = [[]]

    def observe(self, layer: int, rows: torch.Tensor) -> None:
        self.steps[-1].append(rows.clone())

    def end_step(self) -> None:
        self.steps.append([])


def built(config: PreTrainedConfig, kernel: str) -> PreTrainedModel:
    torch.manual_seed(0)
    model = AutoModelForImageTextToText.from_config(deepcopy(config), attn_implementation=kernel).eval()
    spread_weights(model)
    return model


@pytest.mark.parametrize("family", DECODERS)
def test_the_tap_reads_what_eager_attention_shows(family: str) -> None:
    """Text alone: the first tokens stand for the visual ones."""
    recipe = ARCHITECTURES[family]
    config = config_of(family, DECODERS[family], tiny_tokenizer(recipe.special, recipe.roles, recipe.spaced))
    inputs = {"input_ids": torch.arange(200, 200 + PROMPT)[None], "attention_mask": torch.ones(1, PROMPT).long()}
    settings = GenerationConfig(max_new_tokens=STEPS, eos_token_id=10**6, pad_token_id=0, disable_compile=True)
    columns = torch.arange(1, 7)[None]
    reference = built(config, "eager").generate(
        **inputs, generation_config=settings, output_attentions=True, return_dict_in_generate=True
    )
    model, seen = built(config, "sdpa"), Recorder()
    install(model, "sdpa")
    layers = tuple(range(config.get_text_config(decoder=True).num_hidden_layers))
    watched = Watch(columns, torch.ones_like(columns).bool(), PROMPT - 1, PROMPT, layers)
    with Tap(model, watched, seen):
        text = model.generate(**inputs, generation_config=settings)
    assert torch.equal(text, reference.sequences)
    assert len(seen.steps) == STEPS + 1
    # a replay: as far as it may be one pass, that shows the same
    whole, longest = Recorder(), Reader(model, checks.EveryRow(), own_row=False).longest
    with torch.no_grad(), Tap(model, watched, whole):
        model(input_ids=text[:, : PROMPT + (STEPS if longest is None else longest) - 1], use_cache=False)
    assert len(whole.steps) == (STEPS if longest is None else DECODERS[family]["sliding_window"]) + 1
    for one, other in zip(whole.steps[:-1], seen.steps, strict=False):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)
    for step, (own, theirs) in enumerate(zip(seen.steps[:-1], reference.attentions, strict=True)):
        for rows, attention in zip(own, theirs, strict=True):
            # a sliding window shows its newest keys alone; Unlimited-OCR's keeps the prompt's
            lost = 0 if family == "unlimited_ocr" else PROMPT + step - attention.shape[-1]
            last = torch.nn.functional.pad(attention[:, :, -1], (lost, 0))
            torch.testing.assert_close(rows, last[..., columns[0]], atol=1e-5, rtol=0)
