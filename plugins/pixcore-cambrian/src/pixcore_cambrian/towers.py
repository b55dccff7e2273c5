"""Cambrian's vision towers: SigLIP, CLIP, DINOv2 and CLIP's ConvNeXt, each with its own preprocessing.

The first three are transformers' own; ConvNeXt-XXL exists on the hub in open_clip's layout only and is read from there
into transformers' ConvNeXt. Which tower a published name means, and at which resolution, is in the name itself
(`facebook/dinov2-giant-res378`).
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from PIL import Image
from pixcore_segtoken.checkpoint import shapes_of
from pixcore_segtoken.clip import ClipPatches, tower_rules
from pixcore_segtoken.keymap import Ignore, Rename, Rule, Split
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pixcore_segtoken.sizes import tower_config
from torch import Tensor, nn
from transformers import (
    CLIPVisionConfig,
    ConvNextConfig,
    ConvNextModel,
    Dinov2Config,
    Dinov2Model,
    SiglipVisionConfig,
    SiglipVisionModel,
)
from transformers.image_utils import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    IMAGENET_STANDARD_MEAN,
    IMAGENET_STANDARD_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
)

from pixcore.errors import ModelError
from pixcore_cambrian.preprocess import interpolate_tokens, pad_to_square, stack_stages


class Tower(nn.Module, ABC):
    """One tower: an image in, `tokens` features out. It is built without weights, which `fill` reads.

    Args:
        size: Side of its square input, in pixels.
        tokens: How many features it gives, a square number; its own grid is resized to that.

    Attributes:
        pad: Colour of the border that makes an image square. SigLIP and ConvNeXt have CLIP's, not their own: the
            published processors never override a default.
        mean: Of the normalisation.
        std: Of the normalisation.
    """

    pad: ClassVar[Sequence[float]] = OPENAI_CLIP_MEAN
    mean: ClassVar[Sequence[float]] = OPENAI_CLIP_MEAN
    std: ClassVar[Sequence[float]] = OPENAI_CLIP_STD

    def __init__(self, size: int, tokens: int) -> None:
        super().__init__()
        self.size = size
        self.tokens = tokens

    @abstractmethod
    def fill(self, folder: Path) -> None:
        """Read the weights."""

    @property
    @abstractmethod
    def width(self) -> int:
        """Channels of its features."""

    @abstractmethod
    def forward(self, pixels: Tensor) -> Tensor:
        """Turn normalised pixels (B, 3, size, size) into features (B, tokens, width)."""

    @property
    @abstractmethod
    def stride(self) -> int:
        """Pixels along a side that one of its finest cells reads; what is left after the last one is never read."""

    @property
    def read(self) -> float:
        """What share of its input's side it reads."""
        return self.size // self.stride * self.stride / self.size

    def prepare(self, image: Image.Image) -> Tensor:
        """Prepare an image: padded to a square, resized, normalised: (3, size, size)."""
        square = np.asarray(pad_to_square(image.convert("RGB"), self.pad, self.size), np.float32) / 255
        mean, std = np.asarray(self.mean, np.float32), np.asarray(self.std, np.float32)
        return torch.from_numpy((square - mean) / std).permute(2, 0, 1)


class Siglip(Tower):
    """Runs all layers and the final norm of SigLIP."""

    mean = IMAGENET_STANDARD_MEAN
    std = IMAGENET_STANDARD_STD

    def __init__(self, folder: Path, resolution: int | None, tokens: int) -> None:
        config = tower_config(SiglipVisionConfig, folder)
        # The published code reads it through timm, whose GELU is exact; and nothing uses the pooling head.
        config.hidden_act, config.vision_use_head = "gelu", False
        super().__init__(resolution or config.image_size, tokens)
        with parameters_on_meta():
            self.model = SiglipVisionModel(config)

    def fill(self, folder: Path) -> None:
        """Read the weights."""
        load_weights(self, folder, SIGLIP_RULES)

    @property
    def width(self) -> int:
        """Channels of its features."""
        return int(self.model.config.hidden_size)

    @property
    def stride(self) -> int:
        """Pixels along a patch's side."""
        return int(self.model.config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn pixels into features; see `Tower.forward`."""
        return interpolate_tokens(self.model(pixels).last_hidden_state, self.tokens)


class Clip(Tower):
    """Takes the patches of CLIP's last layer but one."""

    def __init__(self, folder: Path, resolution: int | None, tokens: int) -> None:
        config = tower_config(CLIPVisionConfig, folder)
        super().__init__(resolution or config.image_size, tokens)
        with parameters_on_meta():
            self.patches = ClipPatches(config, select_layer=-2)

    def fill(self, folder: Path) -> None:
        """Read the weights."""
        load_weights(self, folder, tower_rules("", "patches."))

    @property
    def width(self) -> int:
        """Channels of its features."""
        return int(self.patches.model.config.hidden_size)

    @property
    def stride(self) -> int:
        """Pixels along a patch's side."""
        return int(self.patches.model.config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn pixels into features; see `Tower.forward`."""
        return interpolate_tokens(self.patches(pixels), self.tokens)


class Dinov2(Tower):
    """Runs all layers and the final norm of DINOv2, at another resolution than it was trained at."""

    pad = mean = IMAGENET_DEFAULT_MEAN
    std = IMAGENET_DEFAULT_STD

    def __init__(self, folder: Path, resolution: int | None, tokens: int) -> None:
        config = tower_config(Dinov2Config, folder)
        super().__init__(resolution or int(config.image_size), tokens)
        with parameters_on_meta():
            self.model = Dinov2Model(config)

    def fill(self, folder: Path) -> None:
        """Read the weights, and resize the position embeddings."""
        load_weights(self, folder, DINOV2_RULES)
        embeddings = self.model.embeddings
        side = self.size // int(self.model.config.patch_size)
        resized = resize_positions(embeddings.position_embeddings.detach(), side)
        embeddings.position_embeddings = nn.Parameter(resized, requires_grad=False)

    @property
    def width(self) -> int:
        """Channels of its features."""
        return int(self.model.config.hidden_size)

    @property
    def stride(self) -> int:
        """Pixels along a patch's side."""
        return int(self.model.config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn pixels into features; see `Tower.forward`."""
        return interpolate_tokens(self.model(pixels).last_hidden_state[:, 1:], self.tokens)


class ConvNext(Tower):
    """Resizes all four stages of CLIP's ConvNeXt to one fine grid."""

    def __init__(self, folder: Path, resolution: int | None, tokens: int) -> None:
        super().__init__(resolution or 1024, tokens)
        depths, widths = convnext_sizes(folder)
        config = ConvNextConfig(depths=depths, hidden_sizes=widths, num_stages=len(depths))
        with parameters_on_meta():
            self.model = ConvNextModel(config)
            # The stages are used, not the pooled output.
            self.model.layernorm = nn.Identity()
        for module in self.model.modules():
            if isinstance(module, nn.LayerNorm):
                # timm's convnext_xxlarge; transformers' own checkpoints have 1e-6.
                module.eps = 1e-5

    def fill(self, folder: Path) -> None:
        """Read the weights."""
        load_weights(self, folder, CONVNEXT_RULES)

    @property
    def width(self) -> int:
        """Channels of its features."""
        return sum(self.model.config.hidden_sizes)

    @property
    def stride(self) -> int:
        """Pixels along a side of a cell of the first stage; the later ones read no farther."""
        return int(self.model.config.patch_size)

    def forward(self, pixels: Tensor) -> Tensor:
        """Turn pixels into features; see `Tower.forward`."""
        features = self.model.embeddings(pixels)
        stages = []
        for stage in self.model.encoder.stages:
            features = stage(features)
            stages.append(features)
        return stack_stages(stages, isqrt(self.tokens))


def _split_gate(match: re.Match[str], tensor: Tensor) -> list[tuple[str, Tensor]]:
    """DINOv2's first MLP layer is stored as one: the gate's rows, then those that it gates."""
    gate, up = tensor.chunk(2)
    mlp = f"model.encoder.layer.{match[1]}.mlp."
    return [(f"{mlp}gate_proj.{match[2]}", gate), (f"{mlp}up_proj.{match[2]}", up)]


SIGLIP_RULES: Sequence[Rule] = (
    Ignore(r"vision_model\.head\..+", "the patches are used, not the pooled output"),
    Ignore(r"text_model\..+|logit_scale|logit_bias", "only the image tower is used"),
    Rename(r"vision_model\.((?:embeddings|encoder\.layers|post_layernorm)\..+)", r"model.\1"),
)
_DINOV2_BLOCK = r"encoder\.layer\.(\d+)\."
DINOV2_RULES: Sequence[Rule] = (
    Rename(r"((?:embeddings|layernorm)\..+)", r"model.\1"),
    Rename(rf"{_DINOV2_BLOCK}(norm[12]\..+|layer_scale[12]\.lambda1|mlp\.fc[12]\..+)", r"model.encoder.layer.\1.\2"),
    *(
        Rename(
            rf"{_DINOV2_BLOCK}attention\.attention\.{name}\.(weight|bias)",
            rf"model.encoder.layer.\1.attention.{name[0]}_proj.\2",
        )
        for name in ("query", "key", "value")
    ),
    Rename(rf"{_DINOV2_BLOCK}attention\.output\.dense\.(weight|bias)", r"model.encoder.layer.\1.attention.o_proj.\2"),
    Split(rf"{_DINOV2_BLOCK}mlp\.weights_in\.(weight|bias)", _split_gate),
    Rename(rf"{_DINOV2_BLOCK}mlp\.weights_out\.(weight|bias)", r"model.encoder.layer.\1.mlp.down_proj.\2"),
)
CONVNEXT_RULES: Sequence[Rule] = (
    Rename(r"visual\.trunk\.stem\.0\.(weight|bias)", r"model.embeddings.patch_embeddings.\1"),
    Rename(r"visual\.trunk\.stem\.1\.(weight|bias)", r"model.embeddings.layernorm.\1"),
    Rename(
        r"visual\.trunk\.stages\.(\d+)\.downsample\.([01])\.(weight|bias)",
        r"model.encoder.stages.\1.downsampling_layer.\2.\3",
    ),
    Rename(
        r"visual\.trunk\.stages\.(\d+)\.blocks\.(\d+)\.conv_dw\.(weight|bias)",
        r"model.encoder.stages.\1.layers.\2.dwconv.\3",
    ),
    Rename(
        r"visual\.trunk\.stages\.(\d+)\.blocks\.(\d+)\.norm\.(weight|bias)",
        r"model.encoder.stages.\1.layers.\2.layernorm.\3",
    ),
    Rename(
        r"visual\.trunk\.stages\.(\d+)\.blocks\.(\d+)\.mlp\.fc([12])\.(weight|bias)",
        r"model.encoder.stages.\1.layers.\2.pwconv\3.\4",
    ),
    Rename(
        r"visual\.trunk\.stages\.(\d+)\.blocks\.(\d+)\.gamma",
        r"model.encoder.stages.\1.layers.\2.layer_scale_parameter",
    ),
    Ignore(r"visual\.(?:trunk\.)?head\..+", "the stages are used, not the pooled output"),
    Ignore(r"(?!visual\.).+", "only the image tower is used"),
)


def convnext_sizes(folder: Path) -> tuple[list[int], list[int]]:
    """Read the blocks and channels of each stage from the tensors of an open_clip checkpoint."""
    widths: dict[tuple[int, int], int] = {}
    for name, shape in shapes_of(folder).items():
        if match := re.fullmatch(r"visual\.trunk\.stages\.(\d+)\.blocks\.(\d+)\.gamma", name):
            widths[int(match[1]), int(match[2])] = shape[0]
    if not widths:
        raise ModelError(f"{folder} holds no ConvNeXt in open_clip's layout", hint="expected visual.trunk.stages.*")
    stages = range(max(stage for stage, _ in widths) + 1)
    return [sum(of == stage for of, _ in widths) for stage in stages], [widths[stage, 0] for stage in stages]


def resize_positions(positions: Tensor, side: int) -> Tensor:
    """Resize position embeddings (1, 1 + n, C) to another grid, as transformers 4.37's Dinov2 does.

    It asks for a scale with a little added, so that rounding cannot lose a row, and the bicubic kernel samples at that
    scale's places; later versions ask for the size, whose places are others.
    """
    own = isqrt(positions.shape[1] - 1)
    if own == side:
        return positions
    grid = positions[:, 1:].transpose(1, 2).reshape(1, -1, own, own).float()
    scale = (side + 0.1) / own
    resized = nn.functional.interpolate(grid, scale_factor=(scale, scale), mode="bicubic", align_corners=False)
    return torch.cat([positions[:, :1], resized.flatten(2).transpose(1, 2).to(positions.dtype)], dim=1)


# What marks a published name, the class, and where its weights are on the hub.
_KINDS: Mapping[str, tuple[Callable[[Path, int | None, int], Tower], str | None]] = {
    "siglip": (Siglip, "google/siglip-so400m-patch14-384"),
    "openai/clip": (Clip, None),
    "dinov2": (Dinov2, None),
    "clip-convnext-xxl": (ConvNext, "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup"),
}


def hub_name(published: str) -> str:
    """Find where the weights of a tower are that a checkpoint's config names.

    Raises:
        ModelError: The name is not one of Cambrian-1's towers.
    """
    _, name = _kind(published)
    return name or re.sub(r"-(?:res|interp)\d+", "", published)


def build_tower(published: str, folder: Path, tokens: int) -> Tower:
    """Build the tower that a checkpoint's config names, without its weights.

    Args:
        published: Its name there, which may hold a resolution.
        folder: Where its weights are.
        tokens: How many features the checkpoint expects of it.
    """
    make, _ = _kind(published)
    resolution = re.search(r"-res(\d+)", published)
    return make(folder, int(resolution[1]) if resolution else None, tokens)


def _kind(published: str) -> tuple[Callable[[Path, int | None, int], Tower], str | None]:
    for mark, kind in _KINDS.items():
        if mark in published.lower():
            return kind
    raise ModelError(
        f"the vision tower {published!r} is not one of Cambrian-1's", hint=f"known by: {', '.join(_KINDS)}"
    )
