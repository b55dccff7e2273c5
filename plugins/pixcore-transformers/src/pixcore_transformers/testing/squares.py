"""Tiny checkpoints of the families that lay a square grid over the image, or cells of a fixed size, and of Gemma's."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import nn

from pixcore_transformers.testing.recipes import Recipe
from pixcore_transformers.testing.shrunk import PATCH, TILE, shrunk

_SQUARE = {"height": TILE, "width": TILE}
_CELLS = (TILE // PATCH) ** 2
_CLIP = {"size": {"shortest_edge": TILE}, "crop_size": _SQUARE}
_TOWER = {"model_type": "clip_vision_model", "num_attention_heads": 2, "projection_dim": 16}
_LLAVA = {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1}
_PINPOINTS = [[32, 64], [64, 32], [64, 64], [96, 32], [32, 96]]
_WIDE = {"height": 2 * TILE, "width": 2 * TILE}
_WIDE_PINPOINTS = [[2 * side for side in each] for each in _PINPOINTS]
_IMAGE = {"image_token": "<image>"}
_FRAMED = {**_IMAGE, "boi_token": "<boi>", "eoi_token": "<eoi>"}
_SAM = {"output_channels": 8, "window_size": 4, "global_attn_indexes": [1], "mlp_dim": 48, "num_pos_feats": 16}
_HEARD = {"audio_token": "<audio>", "boa_token": "<boa>", "eoa_token": "<eoa>"}
_GEMMA_IDS = {
    "boi_token_id": "<boi>",
    "eoi_token_id": "<eoi>",
    "image_token_id": "<image>",
    "video_token_id": "<|video|>",
}
_CONVOLVES = {"architecture": "test_convnext", "model_args": {}, "hidden_size": 64}  # timm's tiny one: stride 32
_SLIDES = {"layer_types": ["sliding_attention", "full_attention"], "sliding_window": 64}


_CODES, _FAINT = 1024, 0.02
_LETTERS = {str(digit): letter for digit, letter in enumerate("ABCDEFGHIJ")}
_CHAMELEON = tuple(f"IMGIMG{''.join(map(_LETTERS.get, str(code)))}Z" for code in range(_CODES))  # type: ignore[arg-type]
_EMU = tuple(f"<|visual token {code:06}|>" for code in range(_CODES))


@torch.no_grad()
def _local(tower: nn.Module, quiet: tuple[str, ...]) -> None:
    """Let a convolutional tower look at each place more than around it, as a trained one does.

    Drawn at random, every tap of a kernel counts alike, so that after a few layers a cell has seen half of the image.

    Args:
        tower: Its weights are changed.
        quiet: How the names of layers end that say little beside what they are added to.
    """
    for name, module in tower.named_modules():
        if name.endswith(quiet) and hasattr(module, "weight"):
            module.weight.mul_(_FAINT)
        if isinstance(module, (nn.Conv2d, nn.Conv3d)) and module.kernel_size[-1] > 1:
            step = module.stride[-1]
            own = slice(1, 2) if step == 1 else slice(0, step)  # the taps over what becomes this place
            kept = module.weight[..., own, own].clone()
            module.weight.mul_(_FAINT)
            module.weight[..., own, own] = kept


@torch.no_grad()
def _ordered_codes(model: Any, quiet: tuple[str, ...]) -> None:
    """Draw the codes among what the tower makes of noise, and let those that lie close mean close things.

    Drawn at random, all that is seen is one code, or one code is as far from its neighbour as from any other.
    """
    vq, tokens = model.model.vqmodel.eval(), model.model.vocabulary_mapping
    _local(vq.encoder, quiet)
    seen: list[torch.Tensor] = []
    handle = vq.quantize.register_forward_pre_hook(
        lambda _, given: seen.append(given[0].movedim(-3, -1).flatten(0, -2))
    )
    side = 16 * PATCH
    sizes = [torch.tensor([[side, side]] * 16)] if "image_sizes" in signature(vq.encode).parameters else []
    vq.encode(torch.rand(16, 3, side, side) * 2 - 1, *sizes)
    handle.remove()
    drawn = seen[0].flatten(0, -2)
    middle, scale = drawn.mean(0), drawn.std(0)
    for parameter in vq.quant_conv.parameters():
        if parameter.ndim == 1:
            parameter.sub_(middle)  # far from zero, what distances are told apart by is lost in float32
        parameter.div_(scale.reshape(-1, *[1] * (parameter.ndim - 1)))  # no axis of the codebook counts less
    codebook = vq.quantize.embedding.weight
    codebook.copy_(((drawn - middle) / scale)[torch.randperm(len(drawn))[: len(codebook)]])
    words = model.get_input_embeddings().weight
    ids = [tokens.img2bpe[code] for code in range(len(codebook))]
    words[ids] = codebook @ torch.randn(codebook.shape[1], words.shape[1])


@torch.no_grad()
def _long_steps(model: Any) -> None:
    """Let a scan take no step shorter than the shortest that its config allows.

    Transformers lengthens such a step where it scans a whole text, and not where it takes one alone (5.23's
    NemotronHMamba2Mixer): what is written and what is replayed then differ, by 3e-5 with this recipe's weights.
    """
    for name, parameter in model.named_parameters():
        if name.endswith("dt_bias"):
            parameter.fill_(1.0)


def _of(kind: str, **changes: Any) -> partial[Any]:
    return partial(shrunk, kind, changes=changes)


def _deepseek(kind: str, image: str, processor: str, **changes: Any) -> Recipe:
    return Recipe(
        _of(kind, image_token_id="<image>", vision_config={"vision_use_head": False}, **changes),
        image,
        {"size": _SQUARE, "min_size": 2, **({"high_res_size": {"height": 64, "width": 64}} if changes else {})},
        processor,
        {"num_image_tokens": _CELLS},
    )


SQUARES: Mapping[str, Recipe] = {
    "deepseek_vl": _deepseek("deepseek_vl", "DeepseekVLImageProcessor", "DeepseekVLProcessor"),
    "deepseek_vl_hybrid": _deepseek(
        "deepseek_vl_hybrid",
        "DeepseekVLHybridImageProcessor",
        "DeepseekVLHybridProcessor",
        high_res_vision_config={**_SAM, "image_size": 64, "scale": 8},
    ),
    "janus": Recipe(
        _of(
            "janus",
            image_token_id="<image>",
            vision_config={"projection_dim": 32, "num_image_tokens": _CELLS, "mlp_ratio": 2.0},
            vq_config={
                "base_channels": 32,
                "channel_multiplier": [1, 1],
                "latent_channels": 32,
                "num_res_blocks": 1,
                "num_embeddings": 32,
                "num_patches": 8,
                "image_token_embed_dim": 32,
            },
        ),
        "JanusImageProcessor",
        {"size": _SQUARE, "min_size": 2},
        "JanusProcessor",
        {"num_image_tokens": _CELLS},
        roles=_FRAMED,
        slack=0.05,  # a place on the corner of four cells is louder in some that attend to all of them
    ),
    "chameleon": Recipe(
        _of(
            "chameleon",
            num_key_value_heads=4,
            vocabulary_map=("<image>", *_CHAMELEON),
            vq_config={
                "embed_dim": 3,
                "latent_channels": 16,
                "resolution": TILE,
                "base_channels": 32,
                "channel_multiplier": [1, 1, 1],
                "num_res_blocks": 1,
                "num_embeddings": _CODES,
            },
        ),
        "ChameleonImageProcessor",
        {"size": {"shortest_edge": TILE}, "crop_size": _SQUARE},
        "ChameleonProcessor",
        {"image_seq_length": 64},
        roles={"image_token": "<image>", "boi_token": "<boi>", "eoi_token": "<eoi>", "sep_token": "<sep>"},
        special=_CHAMELEON,
        placeholder=None,
        finish=partial(_ordered_codes, quiet=("proj_out",)),
    ),
    "fuyu": Recipe(
        _of("fuyu", image_token_id="|SPEAKER|", patch_size=PATCH * 2),
        "FuyuImageProcessor",
        {"size": {"height": 96, "width": 96}, "patch_size": {"height": 2 * PATCH, "width": 2 * PATCH}},
        "FuyuProcessor",
        roles={},
        placeholder=None,
        spaced=("|SPEAKER|", "|NEWLINE|", "<0x04>"),
    ),
    "video_llava": Recipe(
        _of(
            "video_llava",
            image_token_index="<image>",
            video_token_index="<video>",
            image_seq_length=_CELLS,
            vision_config=_TOWER,
        ),
        "VideoLlavaImageProcessor",
        _CLIP,
        "VideoLlavaProcessor",
        {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
        special=("<video>",),
    ),
    "vipllava": Recipe(
        _of(
            "vipllava",
            image_token_index="<image>",
            image_seq_length=_CELLS,
            vision_feature_layer=[-2, -1],
            vision_config=_TOWER,
        ),
        "CLIPImageProcessor",
        _CLIP,
        "LlavaProcessor",
        _LLAVA,
    ),
    "llava_next_video": Recipe(
        _of(
            "llava_next_video",
            image_token_index="<image>",
            video_token_index="<video>",
            image_seq_length=_CELLS,
            image_grid_pinpoints=_PINPOINTS,
            vision_config=_TOWER,
        ),
        "LlavaNextImageProcessor",
        {**_CLIP, "image_grid_pinpoints": _PINPOINTS},
        "LlavaNextVideoProcessor",
        {"patch_size": PATCH, "vision_feature_select_strategy": "default", "num_additional_image_tokens": 1},
        special=("<video>",),
    ),
    "granite4_vision": Recipe(
        _of(
            "granite4_vision",
            image_token_index="<image>",
            image_seq_length=64,
            image_grid_pinpoints=_WIDE_PINPOINTS,
            downsample_rate="2/4",
            vision_feature_select_strategy="full",
            deepstack_layer_map=[[-1, 0]],
            use_spatial_sampling=False,
            spatial_target_layers=[],
            projector_dropout=0.0,
            vision_config={
                "model_type": "siglip_vision_model",
                "vision_use_head": False,
                "hidden_size": 64,
                "image_size": 64,
            },
            qformer_config={"encoder_hidden_size": 64, "hidden_size": 64},
        ),
        "LlavaNextImageProcessor",
        {"size": _WIDE, "crop_size": _WIDE, "do_center_crop": False, "image_grid_pinpoints": _WIDE_PINPOINTS},
        "Granite4VisionProcessor",
        {
            "patch_size": PATCH,
            "vision_feature_select_strategy": "full",
            "num_additional_image_tokens": 0,
            "downsample_rate": "2/4",
        },
        slack=0.05,  # four queries of a window look at all of it
    ),
    "gemma4": Recipe(
        _of(
            "gemma4",
            **_GEMMA_IDS,
            audio_config=None,
            text_config={
                "num_hidden_layers": 4,
                "layer_types": ["sliding_attention", "full_attention"] * 2,
                "sliding_window": 64,
                "num_kv_shared_layers": 2,  # the last two look at the keys of the first two
                "vocab_size_per_layer_input": 400,
                "hidden_size_per_layer_input": 8,
                "per_layer_config": {},
            },
            vision_config={
                "model_type": "gemma4_vision",
                "hidden_size": 32,
                "intermediate_size": 48,
                "num_hidden_layers": 2,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
                "head_dim": 16,
                "patch_size": PATCH,
                "pooling_kernel_size": 3,
                "position_embedding_size": 256,
            },
        ),
        "Gemma4ImageProcessor",
        {
            "patch_size": PATCH,
            "max_soft_tokens": 70,
            "pooling_kernel_size": 3,
            "feature_extractor_type": "Gemma4AudioFeatureExtractor",
        },
        "Gemma4Processor",
        {"image_seq_length": 70},
        roles={**_FRAMED, **_HEARD},
        special=("<|video|>",),
    ),
    "gemma4_unified": Recipe(
        _of(
            "gemma4_unified",
            **_GEMMA_IDS,
            audio_config=None,
            text_config={**_SLIDES, "per_layer_config": {}},
            vision_config={
                "model_type": "gemma4_unified_vision",
                "hidden_size": 32,
                "patch_size": PATCH,
                "pooling_kernel_size": 3,
            },
        ),
        "Gemma4UnifiedImageProcessor",
        {
            "patch_size": PATCH,
            "max_soft_tokens": 70,
            "pooling_kernel_size": 3,
            "feature_extractor_type": "Gemma4UnifiedAudioFeatureExtractor",
        },
        "Gemma4UnifiedProcessor",
        {"image_seq_length": 70},
        roles={**_FRAMED, **_HEARD},
        special=("<|video|>",),
    ),
    "emu3": Recipe(
        _of(
            "emu3",
            vocabulary_map=("<image>", "<|extra_200|>", *_EMU),
            vq_config={
                "codebook_size": _CODES,
                "embed_dim": 3,
                "base_channels": 32,
                "channel_multiplier": [1, 1, 1, 1],
                "num_res_blocks": 1,
                "attn_resolutions": [3],
                "num_attention_heads": 1,
            },
        ),
        "Emu3ImageProcessor",
        {"min_pixels": 64 * 64, "max_pixels": 96 * 96},
        "Emu3Processor",
        roles={**_FRAMED, "image_wrapper_token": "<wrapper>", "eof_token": "<eof>"},
        special=("<|extra_200|>", *_EMU),
        draws=6,
        finish=partial(_ordered_codes, quiet=("out_proj", "conv2", "conv2.conv")),
    ),
    "pp_chart2table": Recipe(
        _of(
            "pp_chart2table",
            image_token_index="<imgpad>",
            image_seq_length=256,
            vision_config={**_SAM, "image_size": 256, "patch_size": 4, "global_attn_indexes": []},
        ),
        "PPChart2TableImageProcessor",
        {"size": {"height": 256, "width": 256}},
        "PPChart2TableProcessor",
        roles={"image_token": "<imgpad>"},
        placeholder="<imgpad>" * 256,
    ),
    "gemma3n": Recipe(
        _of(
            "gemma3n",
            image_token_id="<image>",
            boi_token_id="<boi>",
            eoi_token_id="<eoi>",
            audio_token_id="<audio>",
            boa_token_id="<boa>",
            eoa_token_id="<eoa>",
            vision_soft_tokens_per_image=256,
            text_config={
                **_SLIDES,
                "vocab_size_per_layer_input": 400,
                "hidden_size_per_layer_input": 8,
                "intermediate_size": 48,
                "activation_sparsity_pattern": None,
                "num_kv_shared_layers": 0,
                "laurel_rank": 4,
                "altup_num_inputs": 2,
            },
            vision_config={**_CONVOLVES, "vocab_offset": 400, "vocab_size": 8},
            audio_config={
                "vocab_offset": 408,
                "vocab_size": 8,
                "hidden_size": 32,
                "conf_num_attention_heads": 4,
                "conf_num_hidden_layers": 1,
            },
        ),
        "SiglipImageProcessor",
        {"size": {"height": 512, "width": 512}, "feature_extractor_type": "Gemma3nAudioFeatureExtractor"},
        "Gemma3nProcessor",
        {"image_seq_length": 256},
        roles={**_FRAMED, **_HEARD},
    ),
    "fast_vlm": Recipe(
        _of(
            "fast_vlm",
            image_token_index="<image>",
            image_seq_length=64,
            vision_config=_CONVOLVES,
        ),
        "CLIPImageProcessor",
        {"size": {"shortest_edge": 256}, "crop_size": {"height": 256, "width": 256}},
        "LlavaProcessor",
        {"patch_size": 32, "vision_feature_select_strategy": "full", "num_additional_image_tokens": 0},
    ),
    "mistral_large4": Recipe(
        _of(
            "mistral_large4",
            image_token_index="[IMG]",
            text_config={
                "num_key_value_heads": 4,
                "index_head_dim": 16,
                "index_n_heads": 2,
                "kv_source_layers": [0, 0],  # the second looks at the keys of the first
                "no_rope_layers": [1, 1],
                "indexer_types": None,
            },
            vision_config={"image_size": 64, "head_dim": 8},
        ),
        "PixtralImageProcessor",
        {"size": {"longest_edge": 64}, "patch_size": {"height": 2 * PATCH, "width": 2 * PATCH}},
        "PixtralProcessor",
        {"patch_size": PATCH, "spatial_merge_size": 2},
        roles={},
        special=("[IMG]", "[IMG_BREAK]", "[IMG_END]"),
        placeholder="[IMG]",
    ),
    "nemotron_h_omni": Recipe(
        _of(
            "nemotron_h_omni",
            image_token_id="<image>",
            video_token_id="<video>",
            audio_token_id="<so_embedding>",
            vision_hidden_size=32,
            force_image_size=32,
            text_config={
                "layers_block_type": ["linear_attention", "full_attention"],
                "ssm_state_size": 8,
                "mamba_num_heads": 4,
                "mamba_head_dim": 8,
                "n_groups": 1,
                "moe_shared_expert_intermediate_size": 16,
            },
            vision_config={"mlp_ratio": 1.5, "max_img_size": 128, "num_cls_tokens": 1, "num_registers": 1},
            audio_config={"intermediate_size": 32, "projection_hidden_size": 32, "projection_bias": False},
        ),
        "NemotronH_Omni_Reasoning_V3ImageProcessor",
        {
            "patch_size": PATCH,
            "min_num_patches": 16,
            "max_num_patches": 400,
            "feature_extractor_type": "ParakeetFeatureExtractor",
        },
        "NemotronH_Omni_Reasoning_V3Processor",
        roles={**_IMAGE, "video_token": "<video>", "audio_token": "<so_embedding>"},
        special=("<img>", "</img>", "<so_start>", "<so_end>"),
        finish=_long_steps,
    ),
    "inkling2": Recipe(
        _of(
            "inkling2",
            image_token_id="<image>",
            text_config={
                "unpadded_vocab_size": 300,
                "swa_num_attention_heads": 4,
                "swa_num_key_value_heads": 2,
                "swa_head_dim": 8,
                "d_rel": 4,
                "rel_extent": 64,
                "n_layers_per_attn_res_block": 1,
            },
            vision_config={
                "projection_hidden_dim": 32,
                "text_hidden_size": 32,
                "posemb_grid_size": 8,
                "patch_size": 10,
            },
        ),
        "Inkling2ImageProcessor",
        {"size": {"height": 20, "width": 20}},  # its images are never made smaller
        "Inkling2Processor",
    ),
    "inkling_mm_model": Recipe(
        _of(
            "inkling_mm_model",
            image_token_id="<image>",
            audio_token_id="<audio>",
            image_bos_token_id="<boi>",
            audio_bos_token_id="<boa>",
            text_config={
                "swa_num_attention_heads": 4,
                "swa_num_key_value_heads": 2,
                "swa_head_dim": 8,
                "d_rel": 4,
                "rel_extent": 64,
            },
            vision_config={"text_hidden_size": 32, "n_layers": 2, "patch_size": 16},
        ),
        "InklingImageProcessor",
        {"size": {"height": 16, "width": 16}, "feature_extractor_type": "InklingFeatureExtractor"},
        "InklingProcessor",
        roles={**_FRAMED, **_HEARD},
    ),
}
