"""Read a decoder's states as the model itself does: the norm, the head, and what some models do to logits after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import PreTrainedModel

from pixcore.errors import ModelError

Tensor = torch.Tensor

_SCALED: Mapping[str, tuple[str, int]] = {
    "cohere_compass": ("logit_scale", 1),
    "granite4_vision": ("logits_scaling", -1),
    "granite_docling": ("logits_scaling", -1),
    "hyperclovax_vision_v2": ("logits_scaling", 1),
    "inkling_mm_model": ("logits_mup_width_multiplier", -1),
    "muse_glimmer": ("output_multiplier", 1),
    "muse_spark": ("output_multiplier", 1),
}
"""By `model_type` what logits are multiplied with (1) or divided by (-1), by its name in the text's config."""

_CAPPED = frozenset({"gemma3n", "gemma4", "gemma4_unified", "muse_glimmer", "muse_spark", "paligemma"})
"""`model_type`s that bound logits by a text config's `final_logit_softcapping`.

Others have entries of these names too and do not follow them (Aya Vision, Gemma 3)."""

_CLOSE = 0.02  # of the largest logit: several roundings of bfloat16
_NEVER = -1e4  # a model that rules tokens out gives them its dtype's lowest number


def unembedding(model: PreTrainedModel) -> Callable[[Tensor], Tensor]:
    """Find what turns states after a layer (..., width) into logits (..., vocabulary).

    Raises:
        ModelError: The decoder has no layers or norm that are known, or the model no head.
    """
    decoder, head = model.get_decoder(), model.get_output_embeddings()
    norm = getattr(decoder, "norm", None)
    if not hasattr(decoder, "layers") or norm is None or head is None:
        raise ModelError(
            f"the layers of {type(model).__name__} were not found",
            hint="hidden states are read from a decoder with .layers and .norm, and an output embedding",
        )
    kind, text = model.config.model_type, model.config.get_text_config()
    name, power = _SCALED.get(kind, ("", 1))
    scale = float(getattr(text, name, None) or 1) ** power
    cap = getattr(text, "final_logit_softcapping", None) if kind in _CAPPED else None
    words = getattr(text, "unpadded_vocab_size", None)
    # Chameleon's pictures are words of its vocabulary, which it may not say
    never = model.model.vocabulary_mapping.image_tokens if kind == "chameleon" else []

    def unembed(states: Tensor) -> Tensor:
        logits: Tensor = head(norm(states))[..., :words] * scale
        if cap is not None:
            logits = torch.tanh(logits / cap) * cap
        if never:
            logits[..., never] = torch.finfo(logits.dtype).min
        return logits

    return unembed


def states_of(model: PreTrainedModel, output: Any) -> Tensor:
    """Take the states (batch, tokens, width) from what a decoder's layer gave.

    Raises:
        ModelError: They are of another kind, such as several streams.
    """
    states: Tensor = output[0] if isinstance(output, tuple) else output
    if states.ndim != 3:
        raise ModelError(
            f"a layer of {type(model).__name__} gives states of shape {tuple(states.shape)}",
            hint="extractor `logit-lens` reads one state a token",
        )
    return states


def check_logits(model: PreTrainedModel, made: Tensor, given: Tensor) -> None:
    """See that logits made of a state are those that the model gave there, (batch, vocabulary) both.

    Raises:
        ModelError: They are not.
    """
    if made.shape == given.shape:
        said = given > _NEVER
        apart = (made.to(given) - given).abs()[said].max()
        if bool(apart <= _CLOSE * given[said].abs().max()):
            return
    raise ModelError(
        f"what {type(model).__name__} makes of its last layer's states is not what its norm and head make of them",
        hint="extractor `logit-lens` can't be read on this model: its numbers would be wrong",
    )
