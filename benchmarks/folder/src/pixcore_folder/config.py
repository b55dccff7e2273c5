"""Options of both benchmarks."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from pixcore.components import Config
from pixcore.errors import nearest
from pixcore_folder.columns import ALIASES


class TableConfig(Config):
    """Options of whatever has rows.

    Attributes:
        columns: Where a column has a name of its own: which it is, such as {expression: caption, image: photo}.
        categories: Columns to break tables down by, besides `category`.
        threshold: What counts as inside a mask file for which no value is asked: this and everything above. Null: a
            file has one value beside its background, and another one is refused.
    """

    columns: dict[str, str] = Field(default_factory=dict)
    categories: tuple[str, ...] = ()
    threshold: int | None = Field(None, ge=1)

    @field_validator("columns")
    @classmethod
    def _known(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if name not in ALIASES:
                raise ValueError(f"a sample has no {name!r}; {nearest(name, ALIASES)}")
        return value


class FolderConfig(TableConfig):
    """Options of folder.

    Attributes:
        root: The folder.
        table: CSV, JSON or JSON Lines below it. Null: samples.csv, .json or .jsonl, or metadata.csv or .jsonl.
        images: The folder of pictures, from root.
        masks: The folder of mask files, from root; `masks` may be missing.
    """

    root: Path
    table: str | None = None
    images: str = "images"
    masks: str = "masks"


class HfDatasetConfig(TableConfig):
    """Options of hf-dataset.

    Attributes:
        dataset: A dataset of the hub, "owner/name"; or a parquet or arrow file, a folder that `save_to_disk` wrote, or
            any folder that `load_dataset` reads, such as an image folder.
        subset: The dataset's configuration, where it has several; a file or a saved dataset has none.
        split: Its split; null where it has one alone.
        revision: A branch, tag or commit on the hub; what is on this machine has none.
    """

    dataset: str
    subset: str | None = None
    split: str | None = None
    revision: str | None = None
