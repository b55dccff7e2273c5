"""Small SAMs with random weights, in the official layout and in transformers'."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from torch import nn

from pixcore.records import Image

WIDTH, DEPTH, HEADS, CHANNELS, WINDOW = 32, 3, 2, 32, 3


@pytest.fixture(scope="session")
def official() -> ModuleType:
    """The segment-anything package, whatever the state of torchvision."""
    return _segment_anything()


def _segment_anything() -> ModuleType:
    """Import segment-anything where torchvision is missing or made for another torch.

    The package takes two functions for images and two for boxes from torchvision; pixcore uses none of the latter. A
    torchvision for another torch stops at schemas of operators that its own library would have brought.
    """
    if importlib.util.find_spec("segment_anything") is None:
        pytest.skip("segment-anything absent")
    if "segment_anything" in sys.modules:
        return sys.modules["segment_anything"]
    try:
        importlib.import_module("torchvision")
    except ModuleNotFoundError:
        return _without_torchvision()
    except RuntimeError:
        _forget("torchvision")
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _segment_anything.library = library  # type: ignore[attr-defined]  # the schemas live as long as it does
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


@pytest.fixture(scope="session")
def make_official(official: ModuleType) -> Callable[..., Any]:
    """A small model made by the package's own classes."""

    def make(side: int = 256, patch: int = 32, seed: int = 0) -> Any:
        modeling = importlib.import_module("segment_anything.modeling")
        torch.manual_seed(seed)  # the frequencies of the positions are a buffer, no parameter
        grid = side // patch
        model = modeling.Sam(
            image_encoder=modeling.ImageEncoderViT(
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
            prompt_encoder=modeling.PromptEncoder(
                embed_dim=CHANNELS, image_embedding_size=(grid, grid), input_image_size=(side, side), mask_in_chans=16
            ),
            mask_decoder=modeling.MaskDecoder(
                num_multimask_outputs=3,
                transformer=modeling.TwoWayTransformer(depth=2, embedding_dim=CHANNELS, mlp_dim=64, num_heads=8),
                transformer_dim=CHANNELS,
                iou_head_depth=3,
                iou_head_hidden_dim=CHANNELS,
            ),
            pixel_mean=[123.675, 116.28, 103.53],
            pixel_std=[58.395, 57.12, 57.375],
        )
        return randomised(model, seed)

    return make


def randomised(model: Any, seed: int) -> Any:
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


@pytest.fixture(scope="session")
def checkpoint(make_official: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official checkpoint file."""
    path = tmp_path_factory.mktemp("official") / "sam_vit_tiny.pth"
    torch.save(make_official().state_dict(), path)
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


@pytest.fixture(scope="session")
def converted(make_official: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as `checkpoint`, as a folder of transformers."""
    transformers = pytest.importorskip("transformers")
    official = make_official()
    config = transformers.SamConfig(
        vision_config={
            "image_size": 256,
            "patch_size": 32,
            "hidden_size": WIDTH,
            "num_hidden_layers": DEPTH,
            "num_attention_heads": HEADS,
            "mlp_dim": 4 * WIDTH,
            "global_attn_indexes": [1],
            "window_size": WINDOW,
            "output_channels": CHANNELS,
            "num_pos_feats": CHANNELS // 2,
        },
        prompt_encoder_config={
            "hidden_size": CHANNELS,
            "image_size": 256,
            "patch_size": 32,
            "image_embedding_size": 8,
        },
        mask_decoder_config={
            "hidden_size": CHANNELS,
            "mlp_dim": 64,
            "iou_head_hidden_dim": CHANNELS,
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
    folder = tmp_path_factory.mktemp("converted")
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def picture() -> Callable[[int, int], Image]:
    """An image of soft colours, of a given width and height."""

    def make(width: int, height: int, seed: int = 0) -> Image:
        small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        pixels = np.asarray(PILImage.fromarray(small).resize((width, height), PILImage.Resampling.BICUBIC))
        return Image.from_pixels(pixels)

    return make
