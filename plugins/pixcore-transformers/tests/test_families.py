"""Every family answers through the adapter `transformers`, its attention read while the fast kernel runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.testing import RECIPES
from transformers import AutoModelForImageTextToText

from pixcore.components import AttentionExtractor, Context, Needs, NoConfig
from pixcore.records import Fidelity, Protocol
from tests.adapters import AttentionAdapterSuite, PlacesSuite, Subject, requests_of

SERVED = sorted(set(RECIPES) - {"mllama"})
NEW_TOKENS = 6
QUESTIONS = (
    "Is there a snowman in the scene?",
    "Where?",
    "Identify the butterfly's wings, then answer with the option's letter. 日本語 🦋",
    "What colour is the door? a.Red b.Blue",
)


class Weighted(AttentionExtractor[NoConfig]):
    """Another weight for each layer and head, so that none can stand in for another."""

    needs = Needs()

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        self.weights = torch.from_numpy(np.random.default_rng(5).random((layers, heads)).astype(np.float32))
        self.total: Any = 0.0
        self.steps: list[NDArray[np.float32]] = []

    def observe(self, layer: int, rows: Any) -> None:
        self.total = self.total + torch.einsum("bhc,h->bc", rows, self.weights[layer])

    def end_step(self) -> None:
        self.steps.append(np.asarray(self.total))
        self.total = 0.0

    def maps(self) -> Sequence[NDArray[np.float32]]:
        return list(np.stack(self.steps, axis=1))


@pytest.fixture(scope="module", params=SERVED)
def subject(request: pytest.FixtureRequest, checkpoint: Callable[..., Path]) -> Subject:
    """Other image sizes and prompt lengths, so that a batch is padded."""
    options = {"checkpoint": str(checkpoint(request.param)), "max_new_tokens": NEW_TOKENS}
    return Subject("transformers", options, requests_of(QUESTIONS, 1, Protocol.QUESTION))


class TestAdapter(AttentionAdapterSuite):
    """What every adapter whose attention can be read must do; the geometry of every family has tests of its own."""

    def extractor(self, fidelity: Fidelity) -> Weighted:
        return Weighted(NoConfig())


@pytest.mark.long
class TestPlaces(PlacesSuite):
    """Where weights come from and lie."""


def test_maps_are_the_rows_of_eager_attention(subject: Subject) -> None:
    """transformers' own `output_attentions` on a model of its own is the reference."""
    adapter = TransformersAdapter(TransformersConfig.model_validate(subject.options), Context())
    eager = AutoModelForImageTextToText.from_pretrained(adapter.config.checkpoint, attn_implementation="eager").eval()
    heads = eager.config.get_text_config().num_attention_heads
    layers = eager.config.get_text_config().num_hidden_layers
    weights = np.random.default_rng(5).random((layers, heads)).astype(np.float32)
    for request in subject.requests:
        (response,) = adapter.answer([request], Weighted(NoConfig()))
        inputs = adapter.encode([request.image.pil()], [request.prompt])
        inputs.pop("labels", None)
        length = inputs["input_ids"].shape[1]
        with torch.no_grad():
            reference = eager.generate(
                **inputs,
                max_new_tokens=NEW_TOKENS,
                do_sample=False,
                output_attentions=True,
                return_dict_in_generate=True,
            )
        places = adapter.prepare([request]).columns[0].numpy()
        expected = [
            np.einsum(
                "lhc,lh->c", np.stack([columns_of(layer, places, length + step) for layer in attentions]), weights
            )
            for step, attentions in enumerate(reference.attentions)
        ]
        new = reference.sequences[0, length:].tolist()
        count = len(response.tokens)
        assert [token.id for token in response.tokens] == new[:count]
        assert response.maps is not None
        np.testing.assert_allclose(response.maps, np.stack(expected)[:count], atol=1e-5)


def columns_of(attention: torch.Tensor, places: NDArray[np.int64], keys: int) -> NDArray[np.float32]:
    """(heads, cells): the last row at the visual tokens; a sliding layer has dropped the oldest keys by now."""
    rows = attention[0, :, -1].numpy()
    dropped = keys - rows.shape[1]
    padded = np.concatenate([np.zeros((len(rows), dropped), np.float32), rows], axis=1)
    return padded[:, places]
