"""Read ReasonSeg: an image, and beside it a JSON file with outlines and texts that take reasoning to understand."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_datasets.coco import are_shares, shortened
from pixcore_datasets.data_files import DataFile, require
from pixcore_datasets.pictures import measured_of

from pixcore import masks
from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.files import read_file
from pixcore.records import Image, Sample
from pixcore_referring.config import ReasonSegConfig
from pixcore_referring.outlines import corners_of, drawn

IGNORED = "ignored_region"
"""Where a sample keeps the run lengths of what its evaluation ignores; None where that is nothing."""

_SOURCE = "links in the README of github.com/dvlab-research/LISA (dataset, ReasonSeg)"


class ReasonSeg(Benchmark[ReasonSegConfig]):
    """Reads one split of ReasonSeg as LISA's release reads it.

    A sample's id is the image's name, with ".0", ".1", … where all of several texts are asked. Its question is the
    release's instruction; its expression is the text. `flag` shapes are left out; the others are drawn from the largest
    to the smallest, so that a small one stands where two overlap: those with "ignore" in their label are ignored, all
    others are the target. An outline that covers no pixel is outside the image, or in coordinates from 0 to 1.
    """

    opens_files = True

    @cached_property
    def _odd(self) -> dict[str, str]:
        """Images with a shape that is no polygon, and what it is; known once they were read."""
        return {}

    @cached_property
    def _nowhere(self) -> dict[str, None]:
        """Images with an outline that covers no pixel, likewise."""
        return {}

    @cached_property
    def _alone(self) -> dict[str, None]:
        """Annotations without a picture, likewise."""
        return {}

    @property
    def notes(self) -> Sequence[str]:
        """Which images have shapes that LabelMe draws otherwise than the release, such as rectangles of two corners.

        And which have an outline that is nowhere in them, and which annotations have no picture.
        """
        kinds = [f"{name}: {kind}" for name, kind in self._odd.items()]
        odd, nowhere, alone = (shortened(names, ", ") for names in (kinds, [*self._nowhere], [*self._alone]))
        said = (
            (
                self._odd,
                f"image(s) have shapes that are no polygons ({odd}): as in the release, their points are joined by "
                "lines, and what they enclose is filled",
            ),
            (
                self._nowhere,
                "image(s) have an outline that covers no pixel, which is left out; without another the image is not "
                f"scored: {nowhere}",
            ),
            (self._alone, f"annotation(s) have no .jpg beside them: left out ({alone})"),
        )
        return tuple(f"{len(names)} {what}" for names, what in said if names)

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """The folders that it consists of."""
        return tuple(DataFile(f"{split}/", _SOURCE, optional=split != "val") for split in ("train", "val", "test"))

    @property
    def needed_files(self) -> Sequence[DataFile]:
        """The folder of its split."""
        return (DataFile(f"{self.config.split}/", _SOURCE),)

    def samples(self) -> Iterator[Sample]:
        """Give the split's samples, by name.

        Raises:
            DataError: A file is missing or damaged.
        """
        folder = self.config.root / self.config.split
        require(self.config.root, self.needed_files, benchmark="reasonseg")
        pictures = sorted(folder.glob("*.jpg"))
        if not pictures:
            raise DataError(f"{folder} holds no .jpg", hint=_SOURCE)
        seen = {picture.stem for picture in pictures}
        self._alone.update((one.name, None) for one in sorted(folder.glob("*.json")) if one.stem not in seen)
        for picture in pictures:
            yield from self._of(picture)

    def _of(self, picture: Path) -> Iterator[Sample]:
        path = picture.with_suffix(".json")
        document = _read(path)
        texts, long = _texts(document, path)
        image = measured_of(path, picture)
        assert image.known_size is not None  # what measuring is for
        target, ignored, nowhere = _regions(document, path, image.known_size)
        if nowhere:
            self._nowhere[picture.stem] = None
        self._odd.update((picture.stem, kind) for shape in document["shapes"] if (kind := _kind(shape)) != "polygon")
        asked = texts[:1] if self.config.texts == "first" else texts
        for number, text in enumerate(asked):
            yield Sample(
                id=picture.stem if len(asked) == 1 else f"{picture.stem}.{number}",
                image=Image.from_path(picture, known_size=image.known_size),
                question=_instruction(text, long=long),
                expression=text,
                mask=None if nowhere and not target.any() else masks.encode(target),
                categories={"query": "long" if long else "short"},
                extra={IGNORED: dict(masks.encode(ignored)) if ignored.any() else None},
            )


def _read(path: Path) -> Mapping[str, Any]:
    """Read an annotation; some of the released ones are in Windows' encoding."""
    content = read_file(path, "annotation", f"every image has a JSON file beside it; {_SOURCE}")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = content.decode("cp1252", errors="replace")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path} is not JSON: {error}", hint="is the file whole?") from error
    if not isinstance(document, Mapping):
        raise DataError(f"{path} holds no object", hint="expected shapes, text and is_sentence")
    return document


def _texts(document: Mapping[str, Any], path: Path) -> tuple[list[str], bool]:
    texts, long = document.get("text"), document.get("is_sentence")
    usable = isinstance(texts, list) and texts and all(isinstance(text, str) and text.strip() for text in texts)
    if not isinstance(texts, list) or not usable:
        raise DataError(f"{path}: text is no list of texts", hint='expected ["..."]')
    if not isinstance(long, bool):
        raise DataError(f"{path}: is_sentence is neither true nor false", hint="is it damaged?")
    return [text.strip() for text in texts], long


def _instruction(text: str, *, long: bool) -> str:
    """Ask as the released evaluation does."""
    return f"{text if long else f'What is {text} in this image?'} Please output segmentation mask."


def _kind(shape: Mapping[str, Any]) -> str:
    """What LabelMe takes a shape for; one that is left out counts as a polygon."""
    return "polygon" if shape["label"].lower() == "flag" else str(shape.get("shape_type") or "polygon")


def _regions(
    document: Mapping[str, Any], path: Path, size: tuple[int, int]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], bool]:
    """Draw the target and what is ignored, (height, width) each; no pixel is both.

    And say whether an outline of the target covers no pixel.
    """
    masks.check_size(size, str(path))
    shapes = document.get("shapes")
    if not isinstance(shapes, list):
        raise DataError(f"{path} has no list of shapes", hint="is it damaged?")
    regions, nowhere = [], False
    for number, shape in enumerate(shapes):
        where = f"{path}: shape {number}"
        if not isinstance(shape, Mapping) or not isinstance(shape.get("label"), str):
            raise DataError(f"{where} has no label", hint='expected "target", "ignore" or "flag"')
        label = shape["label"].lower()
        if label != "flag":
            ignore, corners = "ignore" in label, corners_of(shape.get("points"), where)
            region = drawn(corners, size)
            if not region.any() or are_shares((float(value) for point in shape["points"] for value in point), size):
                nowhere = nowhere or not ignore
            else:
                regions.append((ignore, region))
    target, ignored = np.zeros(size[::-1], bool), np.zeros(size[::-1], bool)
    regions.sort(key=lambda one: int(one[1].sum()))
    for ignore, region in reversed(regions):  # among equals the last comes first, as in the release
        target = target & ~region if ignore else target | region
        ignored = ignored | region if ignore else ignored & ~region
    return target, ignored, nowhere
