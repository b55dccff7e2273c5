"""Which architectures are served, and what is said about those that are not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.families import VisualFamily
from pixcore_transformers.layouts import FAMILIES, REFUSED, family_for
from pixcore_transformers.testing import ARCHITECTURES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES

from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.plugins import Kind, registry
from pixcore.records import Image


def test_every_architecture_of_transformers_is_served_or_refused() -> None:
    """A new release's are told here, not by a user's checkpoint."""
    known = set(FAMILIES) | set(REFUSED)
    assert set(MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES) == known
    assert not set(FAMILIES) & set(REFUSED)
    assert len(FAMILIES) >= 70


@pytest.mark.parametrize("model_type", sorted(FAMILIES))
def test_a_layout_is_there(model_type: str) -> None:
    assert isinstance(family_for(model_type), VisualFamily)


def test_every_family_has_a_tiny_checkpoint() -> None:
    assert set(FAMILIES) | {"mllama", "pixtral"} == set(ARCHITECTURES), "pixtral is a llava with another tower"


@pytest.mark.parametrize("model_type", sorted(REFUSED))
def test_a_refusal_is_said_from_config_json_alone(model_type: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": model_type}))
    adapter = TransformersAdapter(TransformersConfig(checkpoint=str(tmp_path)))
    with pytest.raises(ModelError, match="Needed:"):
        adapter.layout(Image.from_pixels(np.zeros((40, 40, 3), np.uint8)))


@pytest.mark.parametrize(
    ("model_type", "reason"),
    [("mllama", "cross-attention"), ("idefics2", "resampler"), ("instructblip", "resampler")],
)
def test_a_refusal_says_why_and_what_is_needed(model_type: str, reason: str) -> None:
    with pytest.raises(ModelError) as refused:
        family_for(model_type)
    assert model_type in refused.value.message
    assert reason in refused.value.hint
    assert "Needed:" in refused.value.hint
    assert model_type in REFUSED


def test_mllama_is_refused_through_the_adapter(checkpoint: Callable[..., Path]) -> None:
    found = registry().get(Kind.MODEL, "transformers")
    adapter = found.create(found.config_class.model_validate({"checkpoint": str(checkpoint("mllama"))}), Context())
    with pytest.raises(ModelError, match="cross-attention"):
        adapter.layout(Image.from_pixels(np.zeros((40, 40, 3), np.uint8)))


def test_an_unknown_architecture_is_not_guessed() -> None:
    with pytest.raises(ModelError) as unknown:
        family_for("kosmos-3")
    assert "VisualFamily" in unknown.value.hint
    assert "llava_next" in unknown.value.hint
