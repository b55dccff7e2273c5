"""Know the place of visual tokens for many architectures, by the `model_type` of a checkpoint's config."""

from __future__ import annotations

from importlib import import_module

from pixcore.errors import ModelError
from pixcore_transformers.families import VisualFamily

_HERE = "pixcore_transformers.layouts"

_GRID = f"{_HERE}.grid:MergedGrid"

FAMILIES: dict[str, str] = {
    "cohere_compass": _GRID,
    "cosmos3_omni": _GRID,
    "exaone4_5": _GRID,
    "qwen2_5_omni_thinker": _GRID,
    "qwen3_omni_moe_thinker": _GRID,
    "ernie4_5_vl_moe": _GRID,
    "paddleocr_vl": _GRID,
    "video_llama_3": _GRID,
    "cosmos3_edge": f"{_HERE}.grid:TypedGrid",
    "kimi_k25": f"{_HERE}.grid:PaddedGrid",
    "minimax_m3_vl": _GRID,
    "muse_glimmer": _GRID,
    "muse_spark": _GRID,
    "dots3_note": _GRID,
    "hunyuan_vl": f"{_HERE}.grid:FramedGrid",
    "aya_vision": f"{_HERE}.views:ByAspect",
    "cohere2_vision": f"{_HERE}.views:ByScale",
    "got_ocr2": f"{_HERE}.views:Pages",
    "qianfan_ocr": f"{_HERE}.views:ByAspect",
    "ovis2": f"{_HERE}.views:ByCover",
    "perception_lm": f"{_HERE}.views:ByCanvas",
    "granite_docling": f"{_HERE}.views:ByPage",
    "llama4": f"{_HERE}.views:PaddedCanvas",
    "lfm2_vl": f"{_HERE}.views:OwnSizes",
    "step3p7": f"{_HERE}.views:Windows",
    "molmo2": f"{_HERE}.views:PooledCrops",
    "unlimited_ocr": f"{_HERE}.views:RowsOfTiles",
    "lighton_ocr": f"{_HERE}.grid:SizedGrid",
    "minicpmv4_6": f"{_HERE}.views:Slices",
    "minicpmv4_7": f"{_HERE}.views:Slices",
    "minicpm_ocr": f"{_HERE}.views:Slices",
    "janus": f"{_HERE}.square:PaddedSquare",
    "deepseek_vl": f"{_HERE}.square:PaddedSquare",
    "deepseek_vl_hybrid": f"{_HERE}.square:PaddedSquare",
    "chameleon": f"{_HERE}.square:CroppedSquare",
    "emu3": f"{_HERE}.grid:CodedGrid",
    "fuyu": f"{_HERE}.grid:FittedCutGrid",
    "gemma4": f"{_HERE}.grid:PooledGrid",
    "gemma4_unified": f"{_HERE}.grid:PooledGrid",
    "gemma3n": f"{_HERE}.square:Square",
    "fast_vlm": f"{_HERE}.square:Square",
    "video_llava": f"{_HERE}.square:ClassedSquare",
    "vipllava": f"{_HERE}.llava:Llava",
    "llava_next_video": f"{_HERE}.anyres:LlavaNext",
    "granite4_vision": f"{_HERE}.anyres:Granite4",
    "mistral_large4": f"{_HERE}.pixtral:Pixtral",
    "pp_chart2table": f"{_HERE}.square:Square",
    "nemotron_h_omni": f"{_HERE}.grid:ShuffledGrid",
    "inkling2": f"{_HERE}.grid:CutGrid",
    "inkling_mm_model": f"{_HERE}.grid:CutGrid",
    "gemma3": f"{_HERE}.gemma3:Gemma3",
    "glm4v": _GRID,
    "glm4v_moe": _GRID,
    "glm46v": _GRID,
    "glm5_next": _GRID,
    "glm_ocr": _GRID,
    "glmga": _GRID,
    "hyperclovax_vision_v2": _GRID,
    "idefics3": f"{_HERE}.idefics3:Idefics3",
    "internvl": f"{_HERE}.internvl:InternVL",
    "lfm3_vl": _GRID,
    "llava": f"{_HERE}.llava:Llava",
    "llava_next": f"{_HERE}.anyres:LlavaNext",
    "llava_onevision": f"{_HERE}.anyres:LlavaOneVision",
    "mistral3": f"{_HERE}.pixtral:Pixtral",
    "paligemma": f"{_HERE}.paligemma:PaliGemma",
    "qwen2_5_vl": _GRID,
    "qwen2_vl": _GRID,
    "qwen3_5": _GRID,
    "qwen3_5_moe": _GRID,
    "qwen3_vl": _GRID,
    "qwen3_vl_moe": _GRID,
    "qwen4_exp": _GRID,
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
