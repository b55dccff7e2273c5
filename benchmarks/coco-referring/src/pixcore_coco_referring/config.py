"""Options of the benchmark."""

from __future__ import annotations

from pathlib import Path

from pixcore.components import Config


class CocoReferringConfig(Config):
    """Options of coco-referring.

    Attributes:
        root: The folder.
        annotations: COCO's file below it; RefCOCO's `instances.json`.
        expressions: CSV below it with `image` or `annotation_id`, and `expression`; without it, expressions stand in
            the annotation file, as `expression` or `expressions` of an annotation or an image.
        refs: RefCOCO's references below it, released (`refs(unc).p`) or as JSON, which then name the samples.
        split: RefCOCO's split, such as val or testA; None for all.
        images: The folder of images, from root.
    """

    root: Path
    annotations: str = "annotations.json"
    expressions: str | None = None
    refs: str | None = None
    split: str | None = None
    images: str = "."
