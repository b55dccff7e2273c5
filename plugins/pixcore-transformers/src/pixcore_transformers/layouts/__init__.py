"""Know the place of visual tokens for many architectures, by the `model_type` of a checkpoint's config."""

from __future__ import annotations

from importlib import import_module

from pixcore.errors import ModelError
from pixcore_transformers.families import VisualFamily

_HERE = "pixcore_transformers.layouts"

FAMILIES: dict[str, str] = {
    "gemma3": f"{_HERE}.gemma3:Gemma3",
    "idefics3": f"{_HERE}.idefics3:Idefics3",
    "internvl": f"{_HERE}.internvl:InternVL",
    "llava": f"{_HERE}.llava:Llava",
    "llava_next": f"{_HERE}.anyres:LlavaNext",
    "llava_onevision": f"{_HERE}.anyres:LlavaOneVision",
    "mistral3": f"{_HERE}.pixtral:Pixtral",
    "paligemma": f"{_HERE}.paligemma:PaliGemma",
    "qwen2_5_vl": f"{_HERE}.qwen:QwenVL",
    "qwen2_vl": f"{_HERE}.qwen:QwenVL",
    "qwen3_vl": f"{_HERE}.qwen:QwenVL",
    "qwen3_vl_moe": f"{_HERE}.qwen:QwenVL",
    "smolvlm": f"{_HERE}.idefics3:Idefics3",
}
"""`model_type` to "module:Class", imported when first needed."""

_CROSS_ATTENTION = (
    "it has no visual tokens in its sequence: text looks at the image through cross-attention layers. Needed: a tap "
    "on those layers' rows over the vision states, and a layout of the states"
)
_RESAMPLER = (
    "its visual tokens are learned queries of a resampler that look at the whole image, so none has a place. Needed: "
    "a tap on the resampler too, to carry the language model's rows on to the patches"
)

REFUSED: dict[str, str] = {
    "blip-2": _RESAMPLER,
    "idefics": _CROSS_ATTENTION,
    "idefics2": _RESAMPLER,
    "instructblip": _RESAMPLER,
    "mllama": _CROSS_ATTENTION + " (tiles with their class tokens, then padding)",
}
"""`model_type`s that can't be served, each with the reason and what would be needed."""


def family_for(model_type: str) -> VisualFamily:
    """Find the family of a checkpoint.

    Raises:
        ModelError: The architecture is not known, or refused on purpose; pixcore does not guess where tokens lie.
    """
    if model_type in REFUSED:
        raise ModelError(f"models of type {model_type!r} are not supported", hint=REFUSED[model_type])
    if model_type not in FAMILIES:
        raise ModelError(
            f"where the visual tokens of a {model_type!r} model lie is not known",
            hint="implement pixcore_transformers.families.VisualFamily (layout, and visual if the placeholder is not "
            f"config.image_token_id) and name it in an adapter of your own; known: {', '.join(sorted(FAMILIES))}",
        )
    module, _, name = FAMILIES[model_type].partition(":")
    family: VisualFamily = getattr(import_module(module), name)()
    return family
