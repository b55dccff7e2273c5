"""The adapter's options."""

from __future__ import annotations

from pathlib import Path

from pixcore_transformers.config import TransformersConfig, place
from pydantic import Field

SHIPPED, FURTHER = "shipped", "further"
_INSIDE = {SHIPPED: Path(__file__).parent / "weights", FURTHER: Path(__file__).parent / "weights_further"}


class MiniConfig(TransformersConfig):
    """Which weights, and the options of every transformers model.

    Attributes:
        checkpoint: `shipped`; `further`, the same trained on in what it is weak at; or a folder that `python -m
            pixcore_mini.train` or `.further` wrote: OUT/model.
        max_new_tokens: Tokens of an answer, its end included.
    """

    without_effect = frozenset({"image_options", "layout", "prompt_template", "revision", "trust_remote_code"})

    checkpoint: str = SHIPPED
    max_new_tokens: int = Field(default=96, ge=1, le=512)

    @property
    def folder(self) -> Path:
        """Where the weights are."""
        return _INSIDE.get(self.checkpoint) or Path(self.checkpoint)

    def fingerprint(self) -> str:
        """Hash the weights, wherever they are."""
        return place(str(self.folder)).fingerprint()
