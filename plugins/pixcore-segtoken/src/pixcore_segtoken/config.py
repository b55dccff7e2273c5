"""The options of a [SEG]-token plugin. Light: it imports neither torch nor transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pixcore_transformers.config import CHECKPOINT, PlacingConfig, place, tower_folder
from pydantic import Field

from pixcore.components import Config


class SamSizes(Config):
    """The sizes of a SAM; the defaults are ViT-H, which LISA and GLaMM have."""

    image_size: int = 1024
    patch_size: int = 16
    embed_dim: int = 1280
    depth: int = 32
    num_heads: int = 16
    mlp_ratio: float = 4.0
    global_attn_indexes: tuple[int, ...] = (7, 15, 23, 31)
    window_size: int = 14
    prompt_dim: int = 256
    mask_in_chans: int = 16
    decoder_depth: int = 2
    decoder_heads: int = 8
    decoder_mlp_dim: int = 2048
    attention_downsample_rate: int = 2
    num_multimask_outputs: int = 3
    iou_head_depth: int = 3
    iou_head_hidden: int = 256


class SegmentingConfig(PlacingConfig):
    """What every system that segments by itself has.

    Attributes:
        attention: Show the language model's attention, so that masks are mined from it as from any other model's: true,
            in place of its own masks; "with-masks", beside them, both of one answer; false: its own masks alone.
        max_new_tokens: The longest answer.
    """

    attention: bool | Literal["with-masks"] = False
    max_new_tokens: int = Field(default=512, ge=1)


class GroundedConfig(SegmentingConfig):
    """Options of LISA and GLaMM: what to load and how to generate.

    Attributes:
        checkpoint: A folder in the published layout, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        vision_tower: Where the CLIP tower is; left out, the one that the checkpoint's config names.
        offline: Never ask the hub; what is there in the cache has to do.
        dtype: auto: what the published script runs in on a GPU, float32 on a CPU.
        max_new_tokens: The published runs allow 512.
        recompute: Recompute the whole sequence for every token, as published; slow, and equal but for rounding.
        cache: A folder for a converted copy of the weights, which loads faster.
        sam: Sizes of the mask decoder; ViT-H unless given.
    """

    checkpoint: str = Field(validation_alias=CHECKPOINT)
    revision: str | None = None
    vision_tower: str | None = None
    offline: bool = False
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    max_new_tokens: int = Field(default=512, ge=1)
    recompute: bool = False
    cache: Path | None = None
    sam: SamSizes = Field(default_factory=SamSizes)

    def fingerprint(self) -> str:
        """Hash the checkpoint and its tower; see `fingerprint_with_tower`."""
        return fingerprint_with_tower(self.checkpoint, self.revision, self.vision_tower)


def fingerprint_with_tower(checkpoint: str, revision: str | None, tower: str | None) -> str:
    """Hash a LLaVA's descendant and its CLIP tower.

    Args:
        checkpoint: A folder, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        tower: Where the run's config says that the tower is; None: where the checkpoint's config.json says, if both are
            folders. What it names on the hub stays out.
    """
    tower = tower or tower_folder(checkpoint)
    named = () if tower is None else ((tower, None),)
    return " ".join(place(*source).fingerprint() for source in ((checkpoint, revision), *named))
