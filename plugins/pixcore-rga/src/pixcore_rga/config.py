"""RGA's options. Light: imports neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pixcore_segtoken.config import SegmentingConfig
from pixcore_transformers.config import CHECKPOINT, place
from pydantic import Field

from pixcore.components import Config
from pixcore.records import Protocol


class Sam2Sizes(Config):
    """The sizes of a SAM 2; the defaults are Hiera-L, which the release has."""

    image_size: int = Field(default=1024, ge=32, multiple_of=32)
    embed_dim: int = 144
    num_heads: int = 2
    stages: tuple[int, int, int, int] = (2, 6, 36, 4)
    global_blocks: tuple[int, ...] = (23, 33, 43)
    windows: tuple[int, int, int, int] = (8, 4, 16, 8)
    background: tuple[int, int] = (7, 7)
    prompt_dim: int = 256
    mask_in_chans: int = 16
    decoder_mlp_dim: int = 2048
    iou_head_hidden: int = 256


class RgaConfig(SegmentingConfig):
    """Options of `rga`: what to load, how an image is shown and how to generate.

    Attributes:
        checkpoint: A folder in the published layout, or a name on the hub.
        revision: Branch, tag or commit on the hub.
        offline: Never ask the hub; what is there in the cache has to do.
        dtype: auto: bfloat16 on a GPU, as the published script runs, float32 on a CPU.
        max_new_tokens: The published run allows 128.
        max_pixels: The most that an image is shown with; left out, what PixFoundation's script has of a frame under
            `published` (384 squares of 28 pixels), and else what the release was trained with (1280).
        cache: A folder for a converted copy of the weights, which loads faster.
        sam: Sizes of SAM 2; Hiera-L unless given.
    """

    prompts: ClassVar[Mapping[Protocol, str]] = {
        Protocol.QUESTION: "{question} {options} Answer the question. Please answer in one sentence.",
        Protocol.SEGMENT: "Can you identify {expression} in this image? (with grounding)",
    }

    checkpoint: str = Field(default="SurplusDeficit/UniGR-7B", validation_alias=CHECKPOINT)
    revision: str | None = None
    offline: bool = False
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    max_new_tokens: int = Field(default=128, ge=1)
    max_pixels: int | None = Field(default=None, ge=1)
    cache: Path | None = None
    sam: Sam2Sizes = Field(default_factory=Sam2Sizes)

    def fingerprint(self) -> str:
        """Hash the checkpoint."""
        return place(self.checkpoint, self.revision).fingerprint()
