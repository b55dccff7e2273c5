"""Decoders of which some layers have no attention: maps come of the others, and the record says which."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from pixcore_attention.config import GradientConfig, LocalizationHeadsConfig, LogitLensConfig, MeanConfig
from pixcore_attention.gradient import Gradient
from pixcore_attention.localization_heads import LocalizationHeads
from pixcore_attention.logit_lens import LogitLens
from pixcore_attention.mean import Mean
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.testing import HYBRIDS, save_checkpoint
from transformers import AutoModelForImageTextToText

from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.records import Protocol, Request
from tests.adapters import AttentionAdapterSuite, MemorySuite, Subject, requests_of

QUESTIONS = ("Is there a snowman in the scene?", "Where?", "Identify the butterfly's wings.", "What colour?")
NEW_TOKENS = 5
ATTENDING = [1, 3]


@pytest.fixture(scope="module", params=sorted(HYBRIDS))
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """One tiny hybrid behind a LLaVA-NeXT."""
    folder = save_checkpoint("llava_next", tmp_path_factory.mktemp("hybrid"), hybrid=request.param)
    options = {"checkpoint": str(folder), "max_new_tokens": NEW_TOKENS}
    return Subject("transformers", options, requests_of(QUESTIONS, 1, Protocol.QUESTION))


class TestAdapter(AttentionAdapterSuite, MemorySuite):
    """What every adapter whose attention can be read must do."""


def adapter(subject: Subject) -> TransformersAdapter:
    return TransformersAdapter(TransformersConfig.model_validate(subject.options))


def mean(**options: object) -> Mean:
    return Mean(MeanConfig.model_validate(options), Context())


def test_maps_are_the_rows_of_the_layers_that_have_attention(subject: Subject) -> None:
    """transformers' own `output_attentions` on a model of its own is the reference."""
    one, request = adapter(subject), subject.requests[0]
    (response,) = one.answer([request], mean())
    assert response.extra["attention_layers"] == ATTENDING
    (plain,) = one.answer([request])
    assert "attention_layers" not in plain.extra
    eager = AutoModelForImageTextToText.from_pretrained(one.config.checkpoint, attn_implementation="eager").eval()
    inputs = one.encode([request.image.pil()], [request.prompt])
    with torch.no_grad():
        reference = eager(**inputs, output_attentions=True)
    attentions = [layer for layer in reference.attentions if layer is not None]
    assert len(attentions) == len(ATTENDING)
    places = one.prepare([request]).columns[0]
    expected = torch.stack([layer[0, :, -1, places] for layer in attentions]).mean((0, 1))
    assert response.maps is not None
    np.testing.assert_allclose(response.maps[0], expected.numpy(), atol=1e-6)


def test_a_replayed_text_has_the_rows_of_the_live_one(subject: Subject) -> None:
    one, request = adapter(subject), subject.requests[:1]
    (live,) = one.answer(request, mean())
    again = TransformersAdapter(TransformersConfig.model_validate({**subject.options, "attention": "replay"}))
    (replayed,) = again.answer(request, mean())
    assert live.maps is not None
    assert replayed.maps is not None
    np.testing.assert_allclose(live.maps, replayed.maps, atol=1e-6)


def test_gradients_are_refused(subject: Subject) -> None:
    with pytest.raises(ModelError, match="gradients of attention can't be read through"):
        adapter(subject).answer(subject.requests[:1], Gradient(GradientConfig.model_validate({}), Context()))


@pytest.mark.parametrize(("layer", "named"), [(0, "0"), (-2, "-2")])
def test_a_layer_without_attention_is_refused_by_config_json_alone(
    subject: Subject, tmp_path: Path, layer: int, named: str
) -> None:
    source = Path(str(subject.options["checkpoint"]), "config.json")
    (tmp_path / "config.json").write_bytes(source.read_bytes())
    one = TransformersAdapter(TransformersConfig(checkpoint=str(tmp_path)))
    with pytest.raises(ModelError, match=rf"decoder layer {named} has no attention .*layers that have: 1, 3"):
        one.answer(subject.requests[:1], mean(layers=[layer]))
    one = adapter(subject)
    one.answer(subject.requests[:1], mean(layers=[3]))  # loaded by now
    with pytest.raises(ModelError, match=rf"decoder layer {named} has no attention"):
        one.answer(subject.requests[:1], mean(layers=[layer]))


def test_the_record_says_which_layers_were_asked_for(subject: Subject) -> None:
    (response,) = adapter(subject).answer(subject.requests[:1], mean(layers=[-1]))
    assert response.extra["attention_layers"] == [3]


def test_a_decoder_without_any_attention_gives_text_alone(tmp_path: Path) -> None:
    folder = save_checkpoint("llava_next", tmp_path, hybrid="lfm2")
    config = (folder / "config.json").read_text(encoding="utf-8")
    (folder / "config.json").write_text(config.replace('"full_attention"', '"conv"'), encoding="utf-8")
    one = TransformersAdapter(TransformersConfig(checkpoint=str(folder)))
    request: Request = requests_of(QUESTIONS, 1, Protocol.QUESTION)[0]
    with pytest.raises(ModelError, match=r"no layer of the model's decoder has attention \(set extractor: null"):
        one.answer([request], mean())


def test_a_layer_that_is_not_there_is_refused_by_config_json_alone(
    checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_bytes((checkpoint("llava_next") / "config.json").read_bytes())
    one = TransformersAdapter(TransformersConfig(checkpoint=str(tmp_path)))
    request: Request = requests_of(QUESTIONS, 1, Protocol.QUESTION)[0]
    for asked, extractor in (
        ("attention layer 9", mean(layers=[9])),
        ("attention head -9", mean(heads=[-9])),
        ("layer 40", LogitLens(LogitLensConfig(layers=(40,)))),
        ("attention layer -3", LocalizationHeads(LocalizationHeadsConfig(chosen=((-3, 0),)))),
        ("attention head 8", LocalizationHeads(LocalizationHeadsConfig(chosen=((0, 8),)))),
    ):
        with pytest.raises(ModelError, match=rf"the model has no {asked} .*it has \d, counted from 0"):
            one.answer([request], extractor)
