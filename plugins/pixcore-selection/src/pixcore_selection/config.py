"""What the strategies can be told."""

from __future__ import annotations

from pydantic import Field

from pixcore.candidates import MaskRule
from pixcore.components import Config


class PhraseOverlapConfig(Config):
    """Options of `phrase-overlap`.

    Attributes:
        threshold: Where the best overlap (0 to 1) is below it, the object is taken for absent; null: never.
        mask: Which of the chosen candidate's masks is the answer.
    """

    threshold: float | None = Field(default=None, ge=0, le=1)
    mask: MaskRule = "best-score"
