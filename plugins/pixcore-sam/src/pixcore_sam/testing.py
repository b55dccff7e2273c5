"""For tests: segment-anything on any machine, and small SAMs with random weights in its layout."""

from __future__ import annotations

import importlib
import importlib.util
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


def small_sam(side: int = 256, patch: int = 32, seed: int = 0) -> Any:
    """A small model of the package's own classes, whose random masks are neither empty nor full.

    Args:
        side: Of the padded square that it sees, in pixels.
        patch: Of a token, in pixels.
        seed: Of the weights.
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
            out_chans=CHANNELS,
        ),
        prompt_encoder=classes.PromptEncoder(
            embed_dim=CHANNELS, image_embedding_size=(grid, grid), input_image_size=(side, side), mask_in_chans=16
        ),
        mask_decoder=classes.MaskDecoder(
            num_multimask_outputs=3,
            transformer=classes.TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=64, num_heads=8),
            transformer_dim=CHANNELS,
            iou_head_depth=3,
            iou_head_hidden_dim=CHANNELS,
        ),
        pixel_mean=[123.675, 116.28, 103.53],
        pixel_std=[58.395, 57.12, 57.375],
    )
    return _randomised(model, seed)


def save_small_sam(path: Path, **sizes: int) -> Path:
    """Write a small model's checkpoint in the official layout."""
    torch.save(small_sam(**sizes).state_dict(), path)
    return path


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
