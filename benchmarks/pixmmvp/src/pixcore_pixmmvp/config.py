"""Options of the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pixcore.components import Config


class PixMMVPConfig(Config):
    """Options of PixMMVP.

    Attributes:
        root: Folder with Segmentations.json, Objects.csv, visual_patterns.csv (or MMVP's Questions.csv) and, for
            running a model, MMVP's images.
        labels: `original` takes MMVP's answers as they are; `corrected` swaps them in the two disputed pairs (99/100
            and 279/280).
    """

    root: Path
    labels: Literal["original", "corrected"] = "original"
