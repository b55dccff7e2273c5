"""Small SAMs with random weights, in the official layout and in transformers'."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_sam.testing import CHANNELS, DEPTH, HEADS, WIDTH, WINDOW, save_small_sam, segment_anything, small_sam

from pixcore.records import Image


@pytest.fixture(scope="session")
def official() -> ModuleType:
    """The segment-anything package, whatever the state of torchvision."""
    if importlib.util.find_spec("segment_anything") is None:
        pytest.skip("segment-anything absent")
    return segment_anything()


@pytest.fixture(scope="session")
def make_official(official: ModuleType) -> Callable[..., Any]:
    """A small model made by the package's own classes."""
    return small_sam


@pytest.fixture(scope="session")
def checkpoint(official: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official checkpoint file."""
    return save_small_sam(tmp_path_factory.mktemp("official") / "sam_vit_tiny.pth")


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
