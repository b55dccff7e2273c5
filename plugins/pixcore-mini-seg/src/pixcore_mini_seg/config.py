"""The adapter's options."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from pixcore_mini.config import MiniConfig
from pixcore_transformers.config import place
from pydantic import Field

from pixcore.records import Protocol

SEGMENT_PROMPT = "Can you segment {expression} in the scene?"

_WEIGHTS = Path(__file__).parent / "weights"
WHOLE = "config.json"
"""In a folder that holds a whole model, not what differs from mini."""


class MiniSegConfig(MiniConfig):
    """Which variant, and the options of every transformers model.

    Attributes:
        checkpoint: A shipped variant, a to d, or a folder that `python -m pixcore_mini_seg.train` wrote: OUT/model.
        max_new_tokens: Tokens of an answer, its end and marks included.
    """

    prompts: ClassVar[Mapping[Protocol, str]] = {Protocol.SEGMENT: SEGMENT_PROMPT}

    without_effect = MiniConfig.without_effect | {"lora_adapter", "quantization"}

    checkpoint: str = "a"
    max_new_tokens: int = Field(default=128, ge=1, le=512)

    @property
    def own_folder(self) -> Path:
        """Where the variant's own weights are."""
        shipped = _WEIGHTS / f"{self.checkpoint}-1"
        return shipped if shipped.is_dir() else Path(self.checkpoint)

    @property
    def folder(self) -> Path:
        """Where the model is that they change: the variant's own folder, or mini's."""
        return self.own_folder if (self.own_folder / WHOLE).exists() else MiniConfig().folder

    def fingerprint(self) -> str:
        """Hash all the weights, wherever they are."""
        return " ".join(place(str(folder)).fingerprint() for folder in dict.fromkeys((self.own_folder, self.folder)))
