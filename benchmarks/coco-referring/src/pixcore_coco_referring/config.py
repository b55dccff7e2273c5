"""Options of the benchmark."""

from __future__ import annotations

from pathlib import Path

from pydantic import model_validator

from pixcore.components import Config


class CocoReferringConfig(Config):
    """Options of coco-referring.

    Attributes:
        root: The folder.
        annotations: COCO's file below it; RefCOCO's `instances.json`.
        expressions: CSV below it with `image` or `annotation_id`, and `expression`; without it, expressions stand in
            the annotation file, as `expression` or `expressions` of an annotation or an image.
        refs: RefCOCO's references below it, released (`refs(unc).p`) or as JSON, which then name the samples.
        split: The references' split, such as val or testA; null for all.
        images: The folder of images, from root.
    """

    root: Path
    annotations: str = "annotations.json"
    expressions: str | None = None
    refs: str | None = None
    split: str | None = None
    images: str = "."

    @model_validator(mode="after")
    def _of_one_source(self) -> CocoReferringConfig:
        if self.split is not None and self.refs is None:
            raise ValueError("split is of the references: name them under refs")
        if self.refs is not None and self.expressions is not None:
            raise ValueError("the references have the expressions: name refs or expressions, not both")
        return self
