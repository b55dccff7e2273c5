"""LLaVA-Grounding's options. Light: imports neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pixcore_segtoken.config import SegmentingConfig, fingerprint_with_tower
from pixcore_transformers.config import CHECKPOINT
from pydantic import Field

from pixcore.records import Protocol


class LlavaGroundingConfig(SegmentingConfig):
    """Options of `llava-grounding`: what to load and how to generate.

    Attributes:
        checkpoint: A folder in the published layout, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        vision_tower: Where the CLIP tower is; left out, the one that the checkpoint's config names.
        offline: Never ask the hub; what is there in the cache has to do.
        dtype: Of CLIP and the language model; auto: float16 on a GPU, float32 on a CPU. OpenSeeD is float32.
        max_new_tokens: The published loop allows 1000.
        image_size: Side of the square OpenSeeD sees.
        queries: Regions that OpenSeeD's second stage refines.
        threshold: On a region's share of one <seg>'s attention.
        cache: A folder for a converted copy of the weights, which loads faster.
    """

    prompts: ClassVar[Mapping[Protocol, str]] = {
        Protocol.SEGMENT: "Can you identify {expression} in this image? (with grounding)"
    }

    checkpoint: str = Field(default="Haozhangcx/llava_grounding_gd_vp", validation_alias=CHECKPOINT)
    revision: str | None = None
    vision_tower: str | None = None
    offline: bool = False
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    max_new_tokens: int = Field(default=1000, ge=1)
    image_size: int = Field(default=1024, ge=64, multiple_of=32)
    queries: int = Field(default=300, ge=1)
    threshold: float = Field(default=0.05, gt=0, lt=1)
    cache: Path | None = None

    def fingerprint(self) -> str:
        """Hash the checkpoint and its tower; see `fingerprint_with_tower`."""
        return fingerprint_with_tower(self.checkpoint, self.revision, self.vision_tower)
