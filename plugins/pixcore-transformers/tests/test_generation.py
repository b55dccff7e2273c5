"""What is generated token by token is what transformers itself would, by the settings and by nothing besides."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import Llava15Config, TransformersConfig
from pixcore_transformers.generation import Settings, generate
from pixcore_transformers.llava import Llava15
from pixcore_transformers.testing import save_checkpoint
from pixcore_transformers.testing.llava import TinyLlava
from transformers import AutoModelForImageTextToText

from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.records import Image, Protocol, Request

PENALTY = 1.3


def ask(number: int = 0) -> Request:
    pixels = np.random.default_rng(number).integers(0, 256, (30, 50, 3), np.uint8)
    return Request(str(number), Protocol.QUESTION, Image.from_pixels(pixels), "Where?", seed=number)


def adapter(folder: Path, **options: Any) -> TransformersAdapter:
    given = {"checkpoint": str(folder), "max_new_tokens": 6, **options}
    return TransformersAdapter(TransformersConfig.model_validate(given), Context())


@pytest.fixture(scope="module")
def penalised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Qwen2.5-VL, whose published checkpoints ask for a penalty."""
    folder = save_checkpoint("qwen2_5_vl", tmp_path_factory.mktemp("penalised") / "qwen2_5_vl")
    settings = {"eos_token_id": 2, "repetition_penalty": PENALTY}
    (folder / "generation_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def test_a_penalty_on_repetition_counts_once(penalised: Path) -> None:
    model = adapter(penalised)
    batch, scores = model.prepare([ask()]), list[torch.Tensor]()
    generate(model.loaded.model, batch.inputs, model.settings(), [0], scores=scores)
    plain = AutoModelForImageTextToText.from_pretrained(penalised).eval()
    theirs = plain.generate(
        **batch.inputs, max_new_tokens=6, do_sample=False, repetition_penalty=PENALTY, output_scores=True,
        return_dict_in_generate=True, eos_token_id=None, pad_token_id=0,
    )  # fmt: skip
    for ours, reference in zip(scores, theirs.scores, strict=False):
        torch.testing.assert_close(ours, reference, atol=1e-5, rtol=1e-5)
    written = [token.id for token in model.answer([ask()])[0].tokens]
    assert written == theirs.sequences[0, batch.length :].tolist()[: len(written)]


def test_a_probability_is_the_models_own_whatever_is_penalised(penalised: Path) -> None:
    model, texts = adapter(penalised), ["Where", "No", "a"]
    found = model.probability(ask().image, "Where?", texts)
    model.loaded.model.generation_config.repetition_penalty = None
    np.testing.assert_allclose(found, model.probability(ask().image, "Where?", texts), rtol=1e-6)


def test_a_penalty_passes_over_a_placeholder_that_is_no_word(tmp_path: Path) -> None:
    """An original LLaVA's lies one behind the vocabulary; both layouts hold the same weights."""
    tiny = TinyLlava(tmp_path)
    said = []
    for folder in (tiny.save_hugging_face(), tiny.save_original()):
        (folder / "generation_config.json").write_text(json.dumps({"repetition_penalty": PENALTY}), encoding="utf-8")
        model = Llava15(Llava15Config(checkpoint=str(folder), max_new_tokens=6), Context())
        for _ in ("shared", "as transformers generates"):
            said.append([[token.id for token in one.tokens] for one in model.answer([ask(0), ask(1)])])
            model.__dict__["seen"] = None
    assert said[1:] == said[:-1]


def test_an_architectures_own_generate_does_not_lose_the_settings(tmp_path: Path) -> None:
    """Janus's leaves processors out."""
    model = adapter(save_checkpoint("janus", tmp_path / "janus"))
    inputs = model.prepare([ask()]).inputs
    drawn = [generate(model.loaded.model, inputs, Settings(6, (), temperature=50.0), [seed]) for seed in (0, 1)]
    assert drawn[0] != drawn[1]
    forced = torch.tensor([[7, 8, 9]])
    assert generate(model.loaded.model, inputs, Settings(3, ()), [0], forced=forced) == [[7, 8, 9]]
    assert 0 < model.probability(ask().image, "Where?", ["a"])[0] < 1


def test_a_foreign_generate_that_loses_them_is_refused(
    checkpoint: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = adapter(checkpoint("llava"))
    inputs, kind = model.prepare([ask()]).inputs, type(model.loaded.model)
    whole = kind.generate
    foreign = type("Foreign", (kind,), {"generate": lambda self, logits_processor=None, **rest: whole(self, **rest)})
    monkeypatch.setattr(model.loaded.model, "__class__", foreign)
    with pytest.raises(ModelError, match="Foreign writes in a way of its own"):
        generate(model.loaded.model, inputs, Settings(2, ()), [0])
