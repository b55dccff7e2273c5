"""Options of the benchmark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from pixcore.components import Config

Source = Literal["ADE20K", "COCO"]


class PixCVBenchConfig(Config):
    """Options of PixCV-Bench.

    Attributes:
        root: Folder with Objects.csv, ADE20K/FinalSegmentations.json, COCO/FinalSegmentations.json and, for questions,
            CV-Bench's parquet file.
        sources: Which of the two image sources; a source whose annotations are not in the folder is left out with a
            note, unless it is named here.
        images: `questions` shows the picture in CV-Bench's parquet file, with the boxes that a question may speak of;
            `sources` the data sets' own files.
    """

    root: Path
    sources: Annotated[tuple[Source, ...], Field(min_length=1)] | None = None
    images: Literal["questions", "sources"] = "questions"
