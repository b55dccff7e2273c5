"""The generator's options."""

from __future__ import annotations

from pathlib import Path

from pixcore_sam.config import SamTransformersConfig

SHIPPED = "shipped"
WEIGHTS = Path(__file__).parent / "weights"


class MiniSamConfig(SamTransformersConfig):
    """Which weights, and the options of `sam-transformers`.

    Attributes:
        checkpoint: `shipped`, or a folder that `python -m pixcore_mini_sam.train` wrote: OUT/model.
    """

    checkpoint: str = SHIPPED

    @property
    def source(self) -> str:
        """The folder of the weights."""
        return str(WEIGHTS) if self.checkpoint == SHIPPED else self.checkpoint
