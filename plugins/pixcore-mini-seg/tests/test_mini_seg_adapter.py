"""The adapter: masks where the model says [SEG], attention under an extractor, and neither depends on the batch."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_mini_seg.adapter import MiniSeg
from pixcore_mini_seg.config import MiniSegConfig
from pixcore_mini_seg.decoder import at_size
from pixcore_mini_seg.dialogue import SEGMENT_PROMPT
from pixcore_mini_seg.words import SEG
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig

from pixcore import masks
from pixcore.components import Context
from pixcore.errors import SampleError
from pixcore.protocols import build_prompt
from pixcore.records import Fidelity, Protocol, Request, Response
from tests.adapters import AttentionAdapterSuite, MemorySuite, Subject


def requests(config: MiniSegConfig, count: int = 6) -> list[Request]:
    """All three probings in turn."""
    made = []
    for index, sample in enumerate(MiniWorld(MiniWorldConfig(pairs=(count + 1) // 2)).samples()):
        probing = (Protocol.SEGMENT, Protocol.QUESTION, Protocol.LETTER)[index % 3]
        prompt = build_prompt(sample, probing, Fidelity.CORRECTED, config.prompts)
        assert prompt is not None
        made.append(Request(sample.id, probing, sample.image, prompt))
    return made[:count]


@pytest.fixture(scope="module")
def subject(begun: Path) -> Subject:
    options = {"checkpoint": str(begun / "model"), "max_new_tokens": 12}
    return Subject("mini-seg", options, requests(MiniSegConfig()), tolerance=2e-6, folder="none")


class TestAdapter(AttentionAdapterSuite, MemorySuite):
    """What every adapter whose attention can be read must do."""


def test_the_prompt_is_that_of_the_training() -> None:
    assert MiniSegConfig.prompts[Protocol.SEGMENT] == SEGMENT_PROMPT


@pytest.fixture(scope="module", params=["a", "d"])
def model(request: pytest.FixtureRequest) -> MiniSeg:
    """One that differs from mini and one that was trained from scratch."""
    return MiniSeg(MiniSegConfig(checkpoint=request.param))


@pytest.fixture(scope="module")
def answers(model: MiniSeg) -> list[Response]:
    return model.answer(requests(model.config))


def test_the_shipped_model_segments_when_asked(model: MiniSeg, answers: list[Response]) -> None:
    asked = requests(model.config)
    for request, response in zip(asked, answers, strict=True):
        said = sum(model.loaded.tokenizer.convert_ids_to_tokens(token.id) == SEG for token in response.tokens)
        assert response.mask is not None
        assert masks.size_of(response.mask) == request.image.size
        assert len(response.masks) == len(response.mask_spans) == said
        assert response.mask == masks.union(response.masks, request.image.size)
        assert SEG not in response.text
    assert all(response.masks for request, response in zip(asked, answers, strict=True) if "segment" in request.prompt)


def test_masks_alone_are_masks_in_a_batch(model: MiniSeg, answers: list[Response]) -> None:
    for request, together in zip(requests(model.config), answers, strict=True):
        (alone,) = model.answer([request])
        assert (alone.text, alone.mask_spans) == (together.text, together.mask_spans)
        for mask, other in zip(alone.masks, together.masks, strict=True):
            assert (masks.decode(mask) != masks.decode(other)).sum() <= 2


def test_a_mask_is_what_one_pass_over_prompt_and_answer_prompts(model: MiniSeg, answers: list[Response]) -> None:
    """Against transformers' own hidden states: the one before each [SEG] prompts its mask."""
    request, response = requests(model.config)[0], answers[0]
    inputs = model.encode([request.image.pil()], [request.prompt])
    ids = [token.id for token in response.tokens]
    whole = torch.cat([inputs["input_ids"], torch.tensor([ids])], dim=1)
    llava = model.loaded.model
    with torch.no_grad():
        states = llava(input_ids=whole, pixel_values=inputs["pixel_values"], output_hidden_states=True).hidden_states[
            -1
        ][0]
        patches = llava.model.vision_tower(pixel_values=inputs["pixel_values"]).last_hidden_state[:, 1:]
        place = ids.index(model.loaded.tokenizer.convert_tokens_to_ids(SEG))
        row = inputs["input_ids"].shape[1] + place - 1
        logits = model._decoder(
            states[row : row + 1], torch.zeros(1, dtype=torch.long), patches, inputs["pixel_values"]
        )
    expected = (at_size(logits, request.image.size[::-1])[0] > 0).numpy()
    assert (expected != masks.decode(response.masks[0])).sum() <= 2


def test_an_extractor_reads_attention_and_no_mask_is_made(model: MiniSeg) -> None:
    asked = requests(model.config, 2)
    for response in model.answer(asked, Mean(MeanConfig.model_validate({}))):
        assert response.maps is not None
        assert response.maps.shape == (len(response.tokens), 196)
        assert response.mask is None
        assert response.masks == ()


def test_under_published_the_first_mask_is_the_response_s() -> None:
    model = MiniSeg(MiniSegConfig(), Context(fidelity=Fidelity.PUBLISHED))
    (response,) = model.answer(requests(model.config, 1))
    assert response.mask == response.masks[0]


def test_a_mark_in_a_question_is_refused(model: MiniSeg) -> None:
    (asked,) = requests(model.config, 1)
    with pytest.raises(SampleError, match="its text holds"):
        model.answer([Request(asked.sample_id, asked.protocol, asked.image, "Is [SEG] there?")])
