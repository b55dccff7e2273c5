"""Options of the benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pixcore.components import Config


class ReasonSegConfig(Config):
    """Options of reasonseg.

    Attributes:
        root: The folder ReasonSeg with its folders train, val and test.
        split: Which of them.
        texts: Which of an image's texts are asked: the first, as the released evaluation does, or all.
    """

    root: Path
    split: Literal["train", "val", "test"] = "val"
    texts: Literal["first", "all"] = "first"
