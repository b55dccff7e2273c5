"""For tests: segment-anything on any machine, and small SAMs with random weights in its layout."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from PIL import Image as PILImage
from torch import nn

from pixcore_sam.official import modeling

WIDTH, DEPTH, HEADS, CHANNELS, WINDOW = 32, 3, 2, 32, 3
"""Sizes of the small models: the encoder's width, blocks and heads, the decoder's width, the window of attention."""

WORDS = "<pad> <unk> <start> <end> a the on in cat dog sky car box ball red blue"
"""What the small detector's tokenizer knows."""

_schemas: list[Any] = []


def segment_anything() -> ModuleType:
    """Import segment-anything where torchvision is missing or made for another torch.

    The package takes two functions for images and two for boxes from torchvision; pixcore uses none of the latter. A
    torchvision for another torch stops at schemas of operators that its own library would have brought.

    Raises:
        ModuleNotFoundError: segment-anything itself is not installed.
    """
    if "segment_anything" in sys.modules:
        return sys.modules["segment_anything"]
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return _without_torchvision()
    except RuntimeError:
        _forget("torchvision")
        library: Any = torch.library.Library("torchvision", "FRAGMENT")  # type: ignore[no-untyped-call]
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _schemas.append(library)  # they live as long as it does
    return importlib.import_module("segment_anything")


def _without_torchvision() -> ModuleType:
    functional, boxes = ModuleType("functional"), ModuleType("boxes")
    functional.to_pil_image = PILImage.fromarray  # type: ignore[attr-defined]
    functional.resize = lambda image, size: image.resize((size[1], size[0]), PILImage.Resampling.BILINEAR)  # type: ignore[attr-defined]
    boxes.batched_nms = boxes.box_area = None  # type: ignore[attr-defined]
    names = {"torchvision.transforms.functional": functional, "torchvision.ops.boxes": boxes}
    for name in ("torchvision", "torchvision.transforms", "torchvision.ops"):
        names[name] = ModuleType(name)
    sys.modules.update(names)
    try:
        return importlib.import_module("segment_anything")
    finally:
        _forget("torchvision")  # others ask whether it is there


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == package]:
        del sys.modules[name]


def small_sam(side: int = 256, patch: int = 32, seed: int = 0, channels: int = CHANNELS, inner: int = 64) -> Any:
    """Build a small model of the package's own classes, whose random masks are neither empty nor full.

    Args:
        side: Of the padded square that it sees, in pixels.
        patch: Of a token, in pixels.
        seed: Of the weights.
        channels: The decoder's width.
        inner: The width of its feed-forward layers.
    """
    classes = modeling()
    torch.manual_seed(seed)  # the frequencies of the positions are a buffer, no parameter
    grid = side // patch
    model = classes.Sam(
        image_encoder=classes.ImageEncoderViT(
            depth=DEPTH,
            embed_dim=WIDTH,
            img_size=side,
            mlp_ratio=4,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            num_heads=HEADS,
            patch_size=patch,
            qkv_bias=True,
            use_rel_pos=True,
            global_attn_indexes=(1,),
            window_size=WINDOW,
            out_chans=channels,
        ),
        prompt_encoder=classes.PromptEncoder(
            embed_dim=channels, image_embedding_size=(grid, grid), input_image_size=(side, side), mask_in_chans=16
        ),
        mask_decoder=classes.MaskDecoder(
            num_multimask_outputs=3,
            transformer=classes.TwoWayTransformer(depth=2, embedding_dim=channels, mlp_dim=inner, num_heads=8),
            transformer_dim=channels,
            iou_head_depth=3,
            iou_head_hidden_dim=channels,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    return _randomised(model, seed)


def save_small_sam(path: Path, **sizes: int) -> Path:
    """Write a small model's checkpoint in the official layout."""
    torch.save(small_sam(**sizes).state_dict(), path)
    return path


_NAMES = [
    (r"^image_encoder\.", "vision_encoder."),
    (r"^(vision_encoder)\.blocks\.", r"\1.layers."),
    (r"patch_embed\.proj\.", "patch_embed.projection."),
    (r"(vision_encoder\.layers\.\d+|transformer\.layers\.\d+)\.norm(\d)", r"\1.layer_norm\2"),
    (r"neck\.0\.", "neck.conv1."),
    (r"neck\.1\.", "neck.layer_norm1."),
    (r"neck\.2\.", "neck.conv2."),
    (r"neck\.3\.", "neck.layer_norm2."),
    (r"point_embeddings\.", "point_embed."),
    (r"mask_downscaling\.0\.", "mask_embed.conv1."),
    (r"mask_downscaling\.1\.", "mask_embed.layer_norm1."),
    (r"mask_downscaling\.3\.", "mask_embed.conv2."),
    (r"mask_downscaling\.4\.", "mask_embed.layer_norm2."),
    (r"mask_downscaling\.6\.", "mask_embed.conv3."),
    (r"output_upscaling\.0\.", "upscale_conv1."),
    (r"output_upscaling\.1\.", "upscale_layer_norm."),
    (r"output_upscaling\.3\.", "upscale_conv2."),
    (r"norm_final_attn", "layer_norm_final_attn"),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d)\.layers\.0\.", r"\1.proj_in."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d)\.layers\.1\.", r"\1.layers.0."),
    (r"(iou_prediction_head|output_hypernetworks_mlps\.\d)\.layers\.2\.", r"\1.proj_out."),
]


def as_transformers(official: Any) -> Any:
    """Turn a model of the package's into transformers' `SamModel`, with the same weights."""
    transformers = importlib.import_module("transformers")
    encoder, decoder = official.image_encoder, official.mask_decoder
    windows = [block.window_size for block in encoder.blocks]
    side, patch, channels = encoder.img_size, encoder.patch_embed.proj.stride[0], decoder.transformer_dim
    config = transformers.SamConfig(
        vision_config={
            "image_size": side,
            "patch_size": patch,
            "hidden_size": encoder.patch_embed.proj.out_channels,
            "num_hidden_layers": len(windows),
            "num_attention_heads": encoder.blocks[0].attn.num_heads,
            "mlp_dim": encoder.blocks[0].mlp.lin1.out_features,
            "global_attn_indexes": [index for index, window in enumerate(windows) if window == 0],
            "window_size": max(windows),
            "output_channels": channels,
            "num_pos_feats": channels // 2,
        },
        prompt_encoder_config={
            "hidden_size": channels,
            "image_size": side,
            "patch_size": patch,
            "image_embedding_size": side // patch,
        },
        mask_decoder_config={
            "hidden_size": channels,
            "mlp_dim": decoder.transformer.layers[0].mlp.lin1.out_features,
            "iou_head_hidden_dim": channels,
            "layer_norm_eps": 1e-5,  # what the official decoder has; transformers' own default is 1e-6
        },
    )
    state = {}
    for name, tensor in official.state_dict().items():
        if "gaussian_matrix" in name:
            state["shared_image_embedding.positional_embedding"] = tensor
            state["prompt_encoder.shared_embedding.positional_embedding"] = tensor
            continue
        for pattern, replacement in _NAMES:
            name = re.sub(pattern, replacement, name)
        state[name] = tensor
    model = transformers.SamModel(config)
    model.load_state_dict(state)
    return model.eval()


def small_vision() -> dict[str, Any]:
    """Configure a small vision tower of SAM 3's, for images of 112 pixels."""
    backbone = {
        "model_type": "sam3_vit_model",
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "image_size": 112,
        "pretrain_image_size": 56,
        "patch_size": 14,
        "window_size": 4,
        "global_attn_indexes": [1],
    }
    return {
        "model_type": "sam3_vision_model",
        "backbone_config": backbone,
        "fpn_hidden_size": 32,
        "backbone_feature_sizes": [[32, 32], [16, 16], [8, 8]],
    }


def small_detector() -> Any:
    """Build a small detector of SAM 3's, with random weights."""
    transformers = importlib.import_module("transformers")
    layers = {"hidden_size": 32, "num_attention_heads": 2}
    detr = {**layers, "num_layers": 1, "intermediate_size": 32}
    text = {**layers, "num_hidden_layers": 1, "intermediate_size": 64, "vocab_size": 100, "projection_dim": 32}
    config = transformers.Sam3Config(
        vision_config=small_vision(),
        text_config={**text, "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3},
        geometry_encoder_config=detr,
        detr_encoder_config=detr,
        detr_decoder_config={**detr, "num_queries": 5},
        mask_decoder_config=layers,
    )
    return transformers.Sam3Model(config)


def save_small_concept(folder: Path) -> Path:
    """Write a small detector's checkpoint, with a tokenizer that knows a few words and each letter."""
    tokenizers, transformers = importlib.import_module("tokenizers"), importlib.import_module("transformers")
    torch.manual_seed(0)
    small_detector().save_pretrained(folder)
    words = WORDS.split()
    own = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>")
    )
    own.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    own.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 2), ("<end>", 3)]
    )
    fast = transformers.PreTrainedTokenizerFast(
        tokenizer_object=own, pad_token="<pad>", unk_token="<unk>", bos_token="<start>", eos_token="<end>"
    )
    fast.save_pretrained(folder)
    return folder


def _randomised(model: Any, seed: int) -> Any:
    """Give a model random weights under which its masks differ from prompt to prompt and are neither empty nor full."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            values = torch.randn(parameter.shape, generator=generator)
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            if parameter.ndim > 1:
                gain = 40.0 if "hypernetworks" in name and "layers.2" in name else 1.5
                parameter.copy_(values * gain / fan_in**0.5 if "embed" not in name else values)
            elif "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * values)
            else:
                parameter.copy_(0.1 * values)
    return model.eval()
