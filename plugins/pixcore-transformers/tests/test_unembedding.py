"""What is read off a layer's states is what the model itself would say there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_attention.config import LogitLensConfig
from pixcore_attention.logit_lens import LogitLens
from pixcore_transformers import unembedding as module
from pixcore_transformers.testing import save_checkpoint
from pixcore_transformers.testing.checks import adapter_of, requests
from pixcore_transformers.unembedding import unembedding
from transformers import AutoModelForImageTextToText

from pixcore.errors import ModelError

CHANGED: dict[str, dict[str, Any]] = {
    "llava": {},
    "aya_vision": {"logit_scale": 0.25},
    "cohere_compass": {"logit_scale": 0.25},
    "granite_docling": {"logits_scaling": 4.0},
    "granite4_vision": {"logits_scaling": 4.0},
    "hyperclovax_vision_v2": {"logits_scaling": 0.25},
    "inkling_mm_model": {"logits_mup_width_multiplier": 4.0, "unpadded_vocab_size": 90},
    "muse_glimmer": {"output_multiplier": 0.25, "final_logit_softcapping": 2.0},
    "muse_spark": {"output_multiplier": 0.25, "final_logit_softcapping": 2.0},
    "gemma3": {"final_logit_softcapping": 2.0},
    "gemma4": {"final_logit_softcapping": 2.0},
    "paligemma": {"final_logit_softcapping": 2.0},
    "chameleon": {},
}
"""What is done to logits behind the head, by the text's config."""


@pytest.mark.parametrize("family", CHANGED)
def test_the_last_layers_states_give_the_models_logits(family: str, tmp_path: Path) -> None:
    folder = save_checkpoint(family, tmp_path / family)
    config = AutoModelForImageTextToText.from_pretrained(folder).config
    for name, value in CHANGED[family].items():
        setattr(config.get_text_config(), name, value)
    model = AutoModelForImageTextToText.from_pretrained(folder, config=config).eval()
    states: list[torch.Tensor] = []
    model.get_decoder().layers[-1].register_forward_hook(
        lambda layer, given, output: states.append(output[0] if isinstance(output, tuple) else output)
    )
    with torch.no_grad():
        expected = model(input_ids=torch.tensor([[30, 41, 52, 63, 74]])).logits
        torch.testing.assert_close(unembedding(model)(states[0]), expected, atol=1e-5, rtol=1e-5)


def test_the_logit_lens_of_a_model_that_scales_its_logits(tmp_path: Path) -> None:
    folder = save_checkpoint("granite_docling", tmp_path / "granite_docling")
    model, request = adapter_of(folder), requests()[0]
    (response,) = model.answer([request], LogitLens(LogitLensConfig(layers=(-1,))))
    batch = model.prepare([request])
    with torch.no_grad():
        logits = AutoModelForImageTextToText.from_pretrained(folder)(**batch.inputs).logits
    read = logits[0, batch.columns[0]].softmax(-1)[:, [token.id for token in response.tokens]]
    np.testing.assert_allclose(response.maps, read.T.numpy(), atol=1e-5)


def test_a_model_whose_logits_are_made_in_another_way_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_SCALED", {})
    model = adapter_of(save_checkpoint("granite_docling", tmp_path / "granite_docling"))
    with pytest.raises(ModelError, match="its numbers would be wrong"):
        model.answer(requests()[:1], LogitLens(LogitLensConfig()))


def test_states_of_several_streams_are_refused_in_one_line(tmp_path: Path) -> None:
    model = adapter_of(save_checkpoint("glm5_next", tmp_path / "glm5_next"))
    with pytest.raises(ModelError, match=r"gives states of shape .* \(extractor `logit-lens` reads one state a token"):
        model.answer(requests()[:1], LogitLens(LogitLensConfig()))
