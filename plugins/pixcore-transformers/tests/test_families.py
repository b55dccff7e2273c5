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
from pixcore_transformers.testing import RECIPES
from transformers import AutoModelForImageTextToText

from pixcore.components import AttentionExtractor, Context, Needs, NoConfig
from pixcore.plugins import Kind, registry
from pixcore.records import Image, Protocol, Request

SERVED = sorted(set(RECIPES) - {"mllama"})
NEW_TOKENS = 6


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
def adapter(request: pytest.FixtureRequest, checkpoint: Callable[..., Path]) -> TransformersAdapter:
    found = registry().get(Kind.MODEL, "transformers")
    config = {"checkpoint": str(checkpoint(request.param)), "max_new_tokens": NEW_TOKENS}
    made: TransformersAdapter = found.create(found.config_class.model_validate(config), Context())
    return made


@pytest.fixture(scope="module")
def requests() -> list[Request]:
    """Other image sizes and prompt lengths, so that the batch is padded."""
    rng = np.random.default_rng(1)
    asked = [
        ((120, 60), "Is there a snowman in the scene?"),
        ((64, 64), "Where?"),
        ((40, 100), "Identify the butterfly's wings, then answer with the option's letter. 日本語 🦋"),
    ]
    return [
        Request(
            f"sample {index}",
            Protocol.QUESTION,
            Image.from_pixels(rng.integers(0, 256, (height, width, 3), dtype=np.uint8)),
            prompt,
        )
        for index, ((width, height), prompt) in enumerate(asked)
    ]


def test_the_tap_changes_no_text(adapter: TransformersAdapter, requests: list[Request]) -> None:
    plain, tapped = adapter.answer(requests), adapter.answer(requests, Weighted(NoConfig()))
    assert [response.tokens for response in plain] == [response.tokens for response in tapped]
    assert all(response.maps is None for response in plain)


def test_a_batch_is_its_samples_one_by_one(adapter: TransformersAdapter, requests: list[Request]) -> None:
    together = adapter.answer(requests, Weighted(NoConfig()))
    for request, one in zip(requests, together, strict=True):
        (alone,) = adapter.answer([request], Weighted(NoConfig()))
        assert alone.tokens == one.tokens
        assert alone.layout is not None
        assert one.layout is not None
        assert alone.maps is not None
        assert one.maps is not None
        assert alone.layout.grids == one.layout.grids
        np.testing.assert_array_equal(alone.layout.cell_of, one.layout.cell_of)
        np.testing.assert_allclose(alone.maps, one.maps, atol=1e-5)


def test_maps_are_the_rows_of_eager_attention(adapter: TransformersAdapter, requests: list[Request]) -> None:
    """transformers' own `output_attentions` on a model of its own is the reference."""
    eager = AutoModelForImageTextToText.from_pretrained(adapter.config.checkpoint, attn_implementation="eager").eval()
    heads = eager.config.get_text_config().num_attention_heads
    layers = eager.config.get_text_config().num_hidden_layers
    weights = np.random.default_rng(5).random((layers, heads)).astype(np.float32)
    for request in requests:
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
