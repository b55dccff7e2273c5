"""Know the place of visual tokens for many architectures, by the `model_type` of a checkpoint's config."""

from __future__ import annotations

from importlib import import_module

from pixcore.errors import ModelError
from pixcore_transformers.families import VisualFamily

_HERE = "pixcore_transformers.layouts"

_GRID = f"{_HERE}.grid:MergedGrid"

FAMILIES: dict[str, str] = {
    "aya_vision": f"{_HERE}.views:ByAspect",
    "chameleon": f"{_HERE}.square:PromptedSquare",
    "cohere2_vision": f"{_HERE}.views:ByScale",
    "cohere_compass": _GRID,
    "cosmos3_edge": f"{_HERE}.grid:TypedGrid",
    "cosmos3_omni": _GRID,
    "deepseek_vl": f"{_HERE}.square:PaddedSquare",
    "deepseek_vl_hybrid": f"{_HERE}.square:PaddedSquare",
    "dots3_note": _GRID,
    "emu3": f"{_HERE}.grid:CodedGrid",
    "ernie4_5_vl_moe": _GRID,
    "exaone4_5": _GRID,
    "fast_vlm": f"{_HERE}.square:Square",
    "fuyu": f"{_HERE}.grid:FittedCutGrid",
    "gemma3": f"{_HERE}.gemma3:Gemma3",
    "gemma3n": f"{_HERE}.square:Square",
    "gemma4": f"{_HERE}.grid:PooledGrid",
    "gemma4_unified": f"{_HERE}.grid:PooledGrid",
    "glm46v": _GRID,
    "glm4v": _GRID,
    "glm4v_moe": _GRID,
    "glm5_next": f"{_HERE}.grid:ContentGrid",
    "glm_ocr": _GRID,
    "glmga": _GRID,
    "got_ocr2": f"{_HERE}.views:Pages",
    "granite4_vision": f"{_HERE}.anyres:Granite4",
    "granite_docling": f"{_HERE}.views:ByPage",
    "hunyuan_vl": f"{_HERE}.grid:FramedGrid",
    "hyperclovax_vision_v2": _GRID,
    "idefics3": f"{_HERE}.idefics3:Idefics3",
    "inkling2": f"{_HERE}.grid:CutGrid",
    "inkling_mm_model": f"{_HERE}.grid:CutGrid",
    "internvl": f"{_HERE}.internvl:InternVL",
    "janus": f"{_HERE}.square:PaddedSquare",
    "kimi_k25": f"{_HERE}.grid:PaddedGrid",
    "lfm2_vl": f"{_HERE}.views:OwnSizes",
    "lfm3_vl": _GRID,
    "lighton_ocr": f"{_HERE}.grid:SizedGrid",
    "llama4": f"{_HERE}.views:PaddedCanvas",
    "llava": f"{_HERE}.llava:Llava",
    "llava_next": f"{_HERE}.anyres:LlavaNext",
    "llava_next_video": f"{_HERE}.anyres:LlavaNext",
    "llava_onevision": f"{_HERE}.anyres:LlavaOneVision",
    "minicpm_ocr": f"{_HERE}.views:Slices",
    "minicpmv4_6": f"{_HERE}.views:Slices",
    "minicpmv4_7": f"{_HERE}.views:Slices",
    "minimax_m3_vl": _GRID,
    "mistral3": f"{_HERE}.pixtral:Pixtral",
    "mistral_large4": f"{_HERE}.pixtral:Pixtral",
    "molmo2": f"{_HERE}.views:PooledCrops",
    "muse_glimmer": _GRID,
    "muse_spark": _GRID,
    "nemotron_h_omni": f"{_HERE}.grid:ShuffledGrid",
    "ovis2": f"{_HERE}.views:ByCover",
    "paddleocr_vl": _GRID,
    "paligemma": f"{_HERE}.paligemma:PaliGemma",
    "perception_lm": f"{_HERE}.views:ByCanvas",
    "pp_chart2table": f"{_HERE}.square:Square",
    "qianfan_ocr": f"{_HERE}.views:ByAspect",
    "qwen2_5_omni_thinker": _GRID,
    "qwen2_5_vl": _GRID,
    "qwen2_vl": _GRID,
    "qwen3_5": _GRID,
    "qwen3_5_moe": _GRID,
    "qwen3_omni_moe_thinker": _GRID,
    "qwen3_vl": _GRID,
    "qwen3_vl_moe": _GRID,
    "qwen4_exp": _GRID,
    "smolvlm": f"{_HERE}.idefics3:Idefics3",
    "step3p7": f"{_HERE}.views:Windows",
    "unlimited_ocr": f"{_HERE}.views:RowsOfTiles",
    "video_llama_3": _GRID,
    "video_llava": f"{_HERE}.square:ClassedSquare",
    "vipllava": f"{_HERE}.llava:Llava",
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

_ENCODER_DECODER = (
    "it is an encoder-decoder: what writes looks at the image through cross-attention, and none of its own tokens is "
    "visual. Needed: a tap on cross-attention rows over the encoder's states, and a layout of the states"
)

REFUSED: dict[str, str] = {
    "aria": _RESAMPLER,
    "blip": _CROSS_ATTENTION,
    "blip-2": _RESAMPLER,
    "deepseek_ocr2": _RESAMPLER,
    "diffusion_gemma": "it writes blocks of text by diffusion, so no token has a row that predicts it. Needed: a "
    "definition of a token's attention over the steps of denoising",
    "evolla": "it looks at proteins, not at images. Needed: nothing that pixcore has a use for",
    "florence2": _ENCODER_DECODER,
    "git": "it puts what it sees before the prompt by itself, where no token of the prompt stands for it. Needed: an "
    "adapter of its own that counts them",
    "idefics": _CROSS_ATTENTION,
    "idefics2": _RESAMPLER,
    "instructblip": _RESAMPLER,
    "instructblipvideo": _RESAMPLER,
    "kosmos-2": _RESAMPLER,
    "kosmos-2.5": _RESAMPLER,
    "mistral4": "it is a text model, which transformers lists among those that see. Needed: mistral3 or mistral_large4",
    "mllama": _CROSS_ATTENTION + " (tiles with their class tokens, then padding)",
    "pi0": "it answers with a robot's movements, not with text. Needed: nothing that pixcore has a use for",
    "pix2struct": _ENCODER_DECODER,
    "pp_formulanet": _ENCODER_DECODER,
    "shieldgemma2": "it classifies images by three policies and writes nothing. Needed: gemma3, which it is made of",
    "t5gemma2": _ENCODER_DECODER,
    "udop": _ENCODER_DECODER,
    "vision-encoder-decoder": _ENCODER_DECODER,
}
"""`model_type`s that can't be served, each with the reason and what would be needed."""


def family_for(model_type: str) -> VisualFamily:
    """Find the family of a checkpoint.

    Raises:
        ModelError: The architecture is not known, or refused on purpose; pixcore does not guess where tokens lie.
    """
    check_served(model_type)
    return layout_named(FAMILIES[model_type])


def check_served(model_type: str, *, probed: bool = False) -> None:
    """Refuse an architecture whose visual tokens have no place, or, unless it is `probed`, no known one.

    Raises:
        ModelError: It is not served.
    """
    if model_type in REFUSED:
        raise ModelError(f"models of type {model_type!r} are not supported", hint=REFUSED[model_type])
    if model_type not in FAMILIES and not probed:
        raise ModelError(
            f"where the visual tokens of a {model_type!r} model lie is not known",
            hint="set layout: probe to find it by covering parts of images, or implement "
            "pixcore_transformers.families.VisualFamily (layout, and visual if the placeholder is not "
            f"config.image_token_id) and name it in an adapter of your own; known: {', '.join(sorted(FAMILIES))}",
        )


def layout_named(name: str) -> VisualFamily:
    """Make a layout by its "module:Class"."""
    module, _, kind = name.partition(":")
    family: VisualFamily = getattr(import_module(module), kind)()
    return family
