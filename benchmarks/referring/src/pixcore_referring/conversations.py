"""Read GranD-f's grounded conversations (GCG): a caption of an image, phrases of it, and a mask for each phrase.

The evaluated splits come as two files in COCO's format, one of captions and one of masks, whose entries of an image
belong together by their order; the training files have an image's caption and its phrases in one entry, each with its
place in the caption.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixcore_datasets import run_lengths
from pixcore_datasets.data_files import DataFile, require
from pixcore_datasets.pictures import measured_of

from pixcore import masks
from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.files import read_json
from pixcore.masks import RLE
from pixcore.records import Image, Sample
from pixcore_referring.caption_figures import check_installed
from pixcore_referring.config import ConversationsConfig

TRUTH = "conversation"
"""Where a sample keeps what its answer is compared with: the phrases and their masks."""

_SOURCE = "MBZUAI/GranD-f on the hub; github.com/mbzuai-oryx/groundingLMM, docs/datasets.md, has its pictures"
_ASKED = (
    "Could you please give me a detailed description of the image? Please respond with interleaved{} segmentation "
    "masks for the corresponding parts of the answer."
)


@dataclass
class _Conversation:
    """One image's caption, its phrases, and the mask of each."""

    file_name: str
    caption: str = ""
    phrases: list[str] = field(default_factory=list)
    masks: list[RLE] = field(default_factory=list)
    spans: list[tuple[int, int]] | None = None


class Conversations(Benchmark[ConversationsConfig]):
    """Reads one split of GranD-f: each image is a sample whose answer is to be a caption with masks.

    The question is the one that the release evaluates with, under `published` with its accidental spaces. With `each:
    phrase` every phrase is a sample of its own in place of the image, its expression the phrase; an image that has
    another number of phrases than of masks is then left out, as nothing says which mask is whose.
    """

    opens_files = True
    _uneven = 0
    """Images that have another number of phrases than of masks; known once they were read."""
    _nowhere = 0
    """Samples whose masks cover no pixel, likewise."""

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """The two files of the validation split."""
        return _files("val")

    @property
    def needed_files(self) -> Sequence[DataFile]:
        """The two files of its split, or the training file that is read in their place."""
        named = self.config.groundings
        return _files(self.config.split) if named is None else (DataFile(named, _SOURCE),)

    @property
    def notes(self) -> Sequence[str]:
        """How many images have another number of phrases than of masks, and how many samples no mask."""
        each = self.config.each
        done = "masks alone count" if each == "image" else "left out"
        said = (
            (self._uneven, f"image(s) have another number of phrases than of masks: {done}"),
            (self._nowhere, f"{each}(s) have no mask that covers a pixel: not scored for grounding"),
        )
        return tuple(f"{count} {what}" for count, what in said if count)

    def samples(self) -> Iterator[Sample]:
        """Give the split's samples, in the order of the captions' file.

        Raises:
            DataError: A file is missing or damaged, or what compares captions is not installed.
        """
        config, self._uneven, self._nowhere = self.config, 0, 0
        require(config.root, self.needed_files, benchmark="grounded-conversations")
        if config.bert is not None and not config.bert.is_dir():  # it is read only when all is answered
            raise DataError(f"bert: there is no folder {config.bert}", hint="the folder of bert-base-uncased")
        if config.captions:
            check_installed()
        found = self._evaluated() if config.groundings is None else _training(config.root / config.groundings)
        seen: set[str] = set()
        for name, one in found:
            if name in seen:
                raise DataError(f"{config.root}: two images have the id {name}", hint="ids must be unique")
            seen.add(name)
            yield from self._of(name, one)

    def _evaluated(self) -> Iterator[tuple[str, _Conversation]]:
        captions, outlines = (self.config.root / one.path for one in _files(self.config.split))
        named: dict[str, _Conversation] = {}
        told = read_json(captions)
        for number, entry in enumerate(_listed(told, "images", captions)):
            name = _text(entry, "id", f"{captions}: image {number}")
            if name in named:
                raise DataError(f"{captions}: two images have the id {name}", hint="ids must be unique")
            named[name] = _Conversation(str(entry.get("file_name") or f"{name}.jpg"))
        for entry in _listed(told, "annotations", captions):
            where = f"{captions}: annotation {entry.get('id')!r}"
            one, labels = _belongs(entry, named, where), entry.get("labels")
            if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
                raise DataError(f"{where} has no list of labels", hint=_SOURCE)
            one.caption, one.phrases = str(entry.get("caption") or ""), labels
        for entry in _listed(read_json(outlines), "annotations", outlines):
            where = f"{outlines}: annotation {entry.get('id')!r}"
            _belongs(entry, named, where).masks.append(run_lengths.parse(entry.get("segmentation"), where=where))
        for name, one in named.items():
            uneven = len(one.phrases) != len(one.masks)
            self._uneven += uneven
            one.phrases = [*one.phrases, *[""] * len(one.masks)][: len(one.masks)]
            if not uneven or self.config.each == "image":
                yield name, one

    def _of(self, name: str, one: _Conversation) -> Iterator[Sample]:
        path = self.config.root / (self.config.images or _pictures(self.config)) / one.file_name
        known = masks.size_of(one.masks[0]) if one.masks else measured_of(self.config.root, path).size
        image = Image.from_path(path, known_size=known)
        if any(masks.size_of(mask) != known for mask in one.masks):
            raise DataError(f"{one.file_name}: two of its masks differ in size", hint=_SOURCE)
        if self.config.each == "image":
            spans = {} if one.spans is None else {"spans": [list(span) for span in one.spans]}
            compared = {"caption": one.caption, "phrases": one.phrases, "masks": [dict(mask) for mask in one.masks]}
            yield Sample(
                id=name,
                image=image,
                question=_ASKED.format("    " if self.context.published else ""),
                mask=self._seen(masks.union(one.masks, known)),
                extra={TRUTH: compared | spans | self._ways},
            )
            return
        for number, (phrase, mask) in enumerate(zip(one.phrases, one.masks, strict=True)):
            if phrase.strip():
                yield Sample(id=f"{name}.{number}", image=image, expression=phrase.strip(), mask=self._seen(mask))

    def _seen(self, mask: RLE) -> RLE | None:
        """None for a mask that covers no pixel: that is a gap, no absent object."""
        seen = masks.area(mask) > 0
        self._nowhere += not seen
        return mask if seen else None

    @property
    def _ways(self) -> dict[str, Any]:
        """How answers are to be compared; each only where asked for, so that a sample is what it was."""
        bert = {"bert": str(self.config.bert)} if self.config.bert else {}
        return bert | ({"captions": True} if self.config.captions else {})


def _files(split: str) -> tuple[DataFile, DataFile]:
    folder = "annotations/val_test"
    captions, outlines = (f"{folder}/{split}_gcg_coco_{kind}_gt.json" for kind in ("caption", "mask"))
    return DataFile(captions, _SOURCE), DataFile(outlines, _SOURCE)


def _pictures(config: ConversationsConfig) -> str:
    return f"GranDf_HA_images/{'val_test' if config.groundings is None else 'train'}"


def _training(path: Path) -> Iterator[tuple[str, _Conversation]]:
    """Read a training file: GranDf_HA_GCG_train.json, or OpenPsgGCG_train.json and _val.json."""
    document = read_json(path)
    if not isinstance(document, list) or not all(isinstance(entry, Mapping) for entry in document):
        raise DataError(f"{path} holds no list of images", hint='expected [{"file_name": ..., "groundings": {...}}]')
    for number, entry in enumerate(document):
        where = f"{path}: image {number}"
        groundings = entry.get("groundings")
        if not isinstance(groundings, Mapping):
            raise DataError(f"{where} has no groundings", hint=_SOURCE)
        one = _Conversation(_text(entry, "file_name", where), str(entry.get("caption") or "").strip('"').strip())
        placed = [_grounding(phrase, found, where) for phrase, found in groundings.items() if found is not None]
        placed.sort(key=lambda found: found[1][0])
        one.phrases, one.masks = [found[0] for found in placed], [found[2] for found in placed]
        one.spans = [found[1] for found in placed]
        yield Path(one.file_name).stem, one


def _grounding(phrase: str, found: Any, where: str) -> tuple[str, tuple[int, int], RLE]:
    """Read a phrase's place in the caption, and unite its masks."""
    here = f"{where}, phrase {phrase!r}"
    try:
        start, end = (int(place) for place in found["token_positives"])
        parts = [part for given in found["rle_masks"] for part in (given if isinstance(given, list) else [given])]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{here} has no token_positives or rle_masks", hint=_SOURCE) from error
    if not parts:
        raise DataError(f"{here} has no mask", hint=_SOURCE)
    read = [run_lengths.parse(part, where=here) for part in parts]
    if any(one["size"] != read[0]["size"] for one in read):
        raise DataError(f"{here} has masks that differ in size", hint=_SOURCE)
    return phrase, (start, end), masks.union(read, masks.size_of(read[0]))


def _belongs(entry: Mapping[str, Any], named: Mapping[str, _Conversation], where: str) -> _Conversation:
    name = str(entry.get("image_id"))
    if name not in named:
        raise DataError(f"{where} belongs to image {name!r}, which the captions do not list", hint=_SOURCE)
    return named[name]


def _listed(document: Any, key: str, path: Path) -> Iterable[Mapping[str, Any]]:
    found = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(found, list) or not all(isinstance(entry, Mapping) for entry in found):
        raise DataError(f"{path} has no list of {key}", hint=_SOURCE)
    return found


def _text(entry: Mapping[str, Any], key: str, where: str) -> str:
    found = entry.get(key)
    if isinstance(found, bool) or not isinstance(found, (str, int)) or found == "":
        raise DataError(f"{where} has no {key}", hint=_SOURCE)
    return str(found)
