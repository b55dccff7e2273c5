"""Build RGA: Qwen2.5-VL, the projection of its states, SAM 2."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from pixcore_segtoken.keymap import Rename, Rule
from pixcore_transformers.placing import working_device
from torch import Tensor, nn
from transformers import Qwen2_5_VLConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import (
    Qwen2_5_VisionTransformerPretrainedModel,
    Qwen2_5_VLPreTrainedModel,
    Qwen2_5_VLTextModel,
)

from pixcore_rga.config import Sam2Sizes
from pixcore_rga.sam2 import PromptableSam2, sam2_rules

TOWERS = ("visual", "sam.model.vision_encoder")
"""The parts of `Unigr` that look at the image."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of every part of a model.

    Args:
        qwen: Qwen2.5-VL's config.
        sam: The mask decoder's sizes.
    """

    qwen: Qwen2_5_VLConfig
    sam: Sam2Sizes


class Speaker(Qwen2_5_VLPreTrainedModel):  # type: ignore[misc]  # transformers is untyped here
    """Qwen2.5-VL's language model and its head, driven from embeddings."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = Qwen2_5_VLTextModel(config)
        self.lm_head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        self.post_init()

    def forward(self, **inputs: Any) -> Any:
        """Give the last states, and what else is asked for."""
        return self.model(**inputs)


class Unigr(nn.Module):
    """Speaks and segments."""

    def __init__(self, sizes: Sizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.visual = Qwen2_5_VisionTransformerPretrainedModel(sizes.qwen.vision_config)
        self.language = Speaker(sizes.qwen.text_config)
        width = int(sizes.qwen.text_config.hidden_size)
        self.seg_projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, sizes.sam.prompt_dim))
        self.sam = PromptableSam2(sizes.sam)

    @property
    def device(self) -> torch.device:
        """Where inputs go; towers come to it when they work."""
        return working_device(self.seg_projection)

    @torch.no_grad()
    def look(self, patches: Tensor, grid: Tensor) -> Tensor:
        """Turn an image's patches into the language model's tokens for it, (cells, D).

        Args:
            patches: (rows * columns, values) as Qwen's image processor cuts them.
            grid: (1, 3) int: 1, rows, columns.
        """
        seen = self.visual(patches.to(self.device, self.visual.dtype), grid_thw=grid.to(self.device))
        tokens: Tensor = seen.pooler_output
        return tokens


def positions(before: int, grid: tuple[int, int, int], step: int, after: int) -> Tensor:
    """Say where each token of a prompt stands in time, row and column: (3, tokens).

    Text stands on the diagonal. After an image it goes on behind the largest position in it, as transformers 4 has it;
    transformers 5 counts no time there, which differs where the frames last longer than the image is wide and high.

    Args:
        before: Tokens of text before the visual ones.
        grid: Frames, rows and columns of these.
        step: From a frame to the next.
        after: Tokens of text behind them.
    """
    frames, rows, cols = (torch.arange(count) for count in grid)
    seen = before + torch.cartesian_prod(frames * step, rows, cols).T
    behind = int(seen.max()) + 1
    return torch.cat(
        [torch.arange(before).expand(3, -1), seen, torch.arange(behind, behind + after).expand(3, -1)], dim=1
    )


def rules() -> Sequence[Rule]:
    """Give the key map of UniGR-7B, saved by transformers 4.49."""
    layer = r"layers\.\d+\.(?:self_attn\.[qkvo]_proj|mlp\.(?:gate|up|down)_proj|\w+_layernorm)"
    return (
        Rename(r"visual\.(.+)", r"visual.\1"),
        Rename(r"model\.(embed_tokens\.weight|norm\.weight)", r"language.model.\1"),
        Rename(rf"model\.({layer})\.(weight|bias)", r"language.model.\1.\2"),
        Rename(r"lm_head\.weight", "language.lm_head.weight"),
        Rename(r"text_hidden_fcs\.0\.([02])\.(weight|bias)", r"seg_projection.\1.\2"),
        *sam2_rules(official="grounding_encoder.sam2_model.", ours="sam."),
    )
