"""The generator's options."""

from __future__ import annotations

from pathlib import Path

from pixcore_sam.config import SamTransformersConfig
from pydantic import Field

SHIPPED = "shipped"
WEIGHTS = Path(__file__).parent / "weights"


class MiniSamConfig(SamTransformersConfig):
    """Which weights, and the options of `sam-transformers`.

    Attributes:
        checkpoint: `shipped`, or a folder that `python -m pixcore_mini_sam.train` wrote: OUT/model.
    """

    checkpoint: str = Field(default=SHIPPED, min_length=1)

    @property
    def source(self) -> str:
        """The folder of the weights."""
        return str(WEIGHTS) if self.checkpoint == SHIPPED else self.checkpoint
