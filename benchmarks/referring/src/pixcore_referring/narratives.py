"""Read Panoptic Narrative Grounding: narratives of COCO's images, each noun phrase with segments of the panoptic truth.

A phrase that names several things has several segments. COCO's panoptic picture keeps a segment's number in its
colours: red + 256 green + 65,536 blue.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_datasets.data_files import DataFile, require

from pixcore import masks
from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.files import read_json
from pixcore.records import Image, Sample
from pixcore_referring.config import NarrativesConfig

NARRATIVE = "narrative"
"""Where a sample keeps the text that its phrase stands in."""

_HOME = "bcv-uniandes.github.io/panoptic-narrative-grounding"
_COCO = "panoptic_annotations_trainval2017.zip of cocodataset.org"
_DAMAGED = "is it whole? " + _HOME


@dataclass(frozen=True)
class _Picture:
    """What COCO's panoptic file says of one image: sizes in pixels, and for each segment whether it is a thing."""

    file_name: str
    size: tuple[int, int]
    segments_in: str
    things: Mapping[int, bool]


class PanopticNarratives(Benchmark[NarrativesConfig]):
    """Reads one split of Panoptic Narrative Grounding: each noun phrase that has a segment is a sample.

    A sample's id is "IMAGE.NARRATIVE.PHRASE", the last two counted from 0. Its expression is the phrase; categories say
    whether it is of things or stuff (its last segment decides, as in the released evaluation), and of one segment or
    several. `extra` has the narrative and where the phrase stands in it.
    """

    opens_files = True
    _nowhere = 0
    """Phrases whose segments no pixel belongs to; known once they were read."""

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """What the validation split consists of."""
        return _files("val2017")

    @property
    def needed_files(self) -> tuple[DataFile, DataFile, DataFile]:
        """What its split consists of."""
        return _files(self.config.split)

    @property
    def notes(self) -> Sequence[str]:
        """How many phrases have segments that are nowhere in COCO's picture: that is a gap, no absent object."""
        if not self._nowhere:
            return ()
        return (f"{self._nowhere} phrase(s) have segments that no pixel belongs to: not scored for grounding",)

    def samples(self) -> Iterator[Sample]:
        """Give the split's samples, in the order of the file of narratives.

        Raises:
            DataError: A file is missing or damaged, or a phrase names a segment that its image does not have.
        """
        config, self._nowhere = self.config, 0
        require(config.root, self.needed_files, benchmark="panoptic-narratives")
        path, listing, folder = (one.find(config.root) or config.root for one in self.needed_files)
        images = _panoptic(listing)
        told = read_json(path)
        if not isinstance(told, list) or not told:
            raise DataError(f"{path} holds no list of narratives", hint=_DAMAGED)
        counts: dict[int, int] = {}
        for number, narrative in enumerate(told):
            where = f"{path}: narrative {number}"
            name, phrases = _phrases(narrative, where)
            if name not in images:
                raise DataError(f"{where} is of image {name}, which {listing.name} does not have", hint=_DAMAGED)
            counts[name] = counts.get(name, -1) + 1
            yield from self._of(images[name], f"{name}.{counts[name]}", narrative["caption"], phrases, folder, where)

    def _of(
        self,
        picture: _Picture,
        name: str,
        caption: str,
        phrases: Sequence[tuple[str, list[int]]],
        folder: Path,
        where: str,
    ) -> Iterator[Sample]:
        """Make the samples of one narrative."""
        if not any(segments for _, segments in phrases):
            return
        numbers = _numbers(folder / picture.segments_in, picture.size)
        image = Image.from_path(self._images / picture.file_name, known_size=picture.size)
        spans = _spans(caption, [phrase for phrase, _ in phrases])
        grounded = [(*one, span) for one, span in zip(phrases, spans, strict=True) if one[1]]
        for number, (phrase, segments, span) in enumerate(grounded):
            unknown = [one for one in segments if one not in picture.things]
            if unknown:
                raise DataError(f"{where} names segment {unknown[0]}, which its image does not have", hint=_DAMAGED)
            inside = np.isin(numbers, segments)
            self._nowhere += not inside.any()
            yield Sample(
                id=f"{name}.{number}",
                image=image,
                question=self.config.question,
                expression=phrase,
                mask=masks.encode(inside) if inside.any() else None,
                categories={
                    "kind": "things" if picture.things[segments[-1]] else "stuff",
                    "number": "singulars" if len(segments) == 1 else "plurals",
                },
                extra={NARRATIVE: caption, "start": span[0], "end": span[1]},
            )

    @property
    def _images(self) -> Path:
        return self.config.root / (self.config.images or f"images/{self.config.split}")


def _files(split: str) -> tuple[DataFile, DataFile, DataFile]:
    return (
        DataFile(f"annotations/png_coco_{split}.json", _HOME, alternatives=(f"png_coco_{split}.json",)),
        DataFile(f"annotations/panoptic_{split}.json", _COCO),
        DataFile(
            f"annotations/panoptic_segmentation/{split}/",
            f"panoptic_{split}.zip in {_COCO}",
            alternatives=(f"annotations/panoptic_{split}/", f"panoptic_{split}/"),
        ),
    )


def _panoptic(path: Path) -> dict[int, _Picture]:
    """Read COCO's panoptic file, by image."""
    document = read_json(path)
    try:
        things = {int(one["id"]): bool(one["isthing"]) for one in document["categories"]}
        images = {int(one["id"]): one for one in document["images"]}
        found = {}
        for entry in document["annotations"]:
            image = images[int(entry["image_id"])]
            size = (int(image["width"]), int(image["height"]))
            masks.check_size(size, f"{path}: image {image['id']}")
            segments = {int(one["id"]): things[int(one["category_id"])] for one in entry["segments_info"]}
            found[int(image["id"])] = _Picture(str(image["file_name"]), size, str(entry["file_name"]), segments)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise DataError(f"{path} is not COCO's panoptic file: it lacks or misses {error}", hint=_COCO) from error
    return found


def _phrases(narrative: Any, where: str) -> tuple[int, list[tuple[str, list[int]]]]:
    """Read a narrative's image, and its parts in order, each with the segments that it is about: often none."""
    try:
        if not isinstance(narrative["caption"], str):
            raise TypeError("caption")
        if not all(isinstance(part["utterance"], str) for part in narrative["segments"]):
            raise TypeError("utterance")
        parts = [
            (part["utterance"].strip(), [int(one) for one in part["segment_ids"]]) for part in narrative["segments"]
        ]
        name = int(narrative["image_id"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where} lacks or misses {error}", hint=_DAMAGED) from error
    if any(segments and not phrase for phrase, segments in parts):
        raise DataError(f"{where} has segments for a phrase without words", hint=_DAMAGED)
    return name, parts


def _spans(caption: str, parts: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Say where each part of a narrative stands in its text; None where it is written otherwise there."""
    spans: list[tuple[int | None, int | None]] = []
    after = 0
    for part in parts:
        start = caption.find(part, after)
        spans.append((None, None) if start < 0 else (start, start + len(part)))
        after = after if start < 0 else start + len(part)
    return spans


def _numbers(path: Path, size: tuple[int, int]) -> NDArray[np.int64]:
    """Read which segment each pixel belongs to, (height, width)."""
    colours = Image.from_path(path, known_size=size).pixels().astype(np.int64)
    return np.asarray(colours @ np.array([1, 256, 65536]))
