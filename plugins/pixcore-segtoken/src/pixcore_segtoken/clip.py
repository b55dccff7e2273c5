"""Run the CLIP image tower as LLaVA and its descendants use it: patches of the last layer but one."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from pixcore_transformers.layouts.tiles import part_read, reach
from torch import Tensor, nn
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel
from transformers.image_utils import OPENAI_CLIP_MEAN, OPENAI_CLIP_STD

from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_segtoken.keymap import Ignore, Rename, Rule


class ClipPatches(nn.Module):
    """Gives CLIP's patch features at one hidden layer, the class token dropped.

    Args:
        config: Size of the tower; CLIP ViT-L/14 is `openai/clip-vit-large-patch14[-336]`.
        select_layer: Index into the hidden states (embeddings first); -2 in every published system.
    """

    def __init__(self, config: CLIPVisionConfig, select_layer: int = -2) -> None:
        super().__init__()
        self.model = CLIPVisionModel(config)
        self.select_layer = select_layer

    @property
    def side(self) -> int:
        """Patches along one side of the square input."""
        config = self.model.config
        return int(config.image_size) // int(config.patch_size)

    def layout(self, size: tuple[int, int]) -> VisualLayout:
        """Lay the patches over what the centre crop keeps of an image (width, height), and a whole patch reads."""
        config = self.model.config
        box = part_read(centre_crop_box(*size, int(config.image_size)), reach(config))
        return VisualLayout.single(VisualGrid(self.side, self.side, box))

    @torch.no_grad()
    def forward(self, pixel_values: Tensor) -> Tensor:
        """Turn normalised pixels (B, 3, S, S) into patch features (B, side * side, C), row by row."""
        dtype = self.model.embeddings.patch_embedding.weight.dtype
        hidden = self.model(pixel_values.to(dtype), output_hidden_states=True).hidden_states
        selected: Tensor = hidden[self.select_layer]
        return selected[:, 1:]


def clip_rules(official: str, ours: str) -> Sequence[Rule]:
    """Give the key map of a CLIP image tower.

    Args:
        official: Prefix before `embeddings`, `encoder`, ...; with its dot, e.g. `"vision_model."`.
        ours: Prefix of the `ClipPatches` in our module, with its dot.
    """
    prefix = re.escape(official)
    return (
        Ignore(rf"{prefix}embeddings\.position_ids", "a constant of the constructor"),
        Rename(
            rf"{prefix}((?:embeddings|pre_layrnorm|encoder\.layers|post_layernorm)\..+|embeddings\.class_embedding)",
            rf"{ours}model.\1",
        ),
    )


def tower_rules(source: str, ours: str) -> Sequence[Rule]:
    """Give the key map of CLIP alone (`openai/clip-vit-large-patch14`), whose text side is not used.

    Args:
        source: Prefix of its `Source`.
        ours: Prefix of the `ClipPatches` in our module, with its dot.
    """
    return (
        Ignore(
            rf"{re.escape(source)}(?:text_model\..+|text_projection\..+|visual_projection\..+|logit_scale)",
            "only the image tower is used",
        ),
        *clip_rules(f"{source}vision_model.", ours),
    )


def centre_crop(image: Image.Image, size: int) -> Tensor:
    """Prepare an image as CLIP does: shortest edge to `size` (bicubic), centre crop, normalise.

    What lies outside the crop is not seen by the model.

    Returns:
        (3, size, size) float32.
    """
    processor = CLIPImageProcessorPil(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
    pixels: Tensor = processor(image.convert("RGB"), return_tensors="pt")["pixel_values"][0]
    return pixels


def denormalise(pixels: Tensor) -> NDArray[np.uint8]:
    """Give the 8-bit image (S, S, 3) behind normalised pixels (3, S, S)."""
    mean, std = torch.tensor(OPENAI_CLIP_MEAN)[:, None, None], torch.tensor(OPENAI_CLIP_STD)[:, None, None]
    image: NDArray[np.uint8] = ((pixels * std + mean) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    return image


def centre_crop_box(width: int, height: int, size: int) -> tuple[float, float, float, float]:
    """Find the part of an image that `centre_crop` keeps: (x0, y0, x1, y1) in the image's pixels.

    The long side is resized to `int(size * long / short)` and the crop starts at `(n - size) // 2`, so the
    box is exact, not the ideal centred square.
    """
    short, long = min(width, height), max(width, height)
    resized = int(size * long / short)
    start = (resized - size) // 2 * long / resized
    end = ((resized - size) // 2 + size) * long / resized
    return (start, 0.0, end, float(height)) if width >= height else (0.0, start, float(width), end)
