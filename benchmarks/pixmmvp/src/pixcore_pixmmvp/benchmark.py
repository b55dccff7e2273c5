"""Read PixMMVP from a local folder, every oddity of its released files taken as it is meant."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path

from pixcore_datasets.coco import CocoImage, GroundTruth, read_coco, shortened
from pixcore_datasets.data_files import DataFile, require
from pixcore_datasets.tables import read_table

from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.files import read_file
from pixcore.records import Image, Sample
from pixcore_pixmmvp.config import PixMMVPConfig

DISPUTED = frozenset({99, 100, 279, 280})
"""MMVP rows whose published answers are contested: each pair's two answers are the wrong way round."""

UNNAMED = "None"
"""What Objects.csv says where no object is named; a string, with a space before it."""

_SEGMENTATIONS = DataFile(
    "Segmentations.json", "huggingface.co/datasets/IVUlab/pixmmvp", "IVUlab/pixmmvp", "Segmentations.json"
)
_OBJECTS = DataFile("Objects.csv", "huggingface.co/datasets/IVUlab/pixmmvp", "IVUlab/pixmmvp", "Objects.csv")
_PATTERNS = DataFile(
    "visual_patterns.csv",
    "huggingface.co/datasets/IVUlab/pixmmvp (the nine visual patterns)",
    "IVUlab/pixmmvp",
    "visual_patterns.csv",
    optional=True,
)
_QUESTIONS = DataFile(
    "Questions.csv",
    "huggingface.co/datasets/MMVP/MMVP",
    "MMVP/MMVP",
    "Questions.csv",
    alternatives=("MMVP/Questions.csv", "visual_patterns.csv"),
)
_NONE_LIST = DataFile(
    "meta_none.txt",
    "huggingface.co/datasets/IVUlab/pixmmvp (a cross-check of the unnamed objects)",
    "IVUlab/pixmmvp",
    "meta_none.txt",
    optional=True,
)
_IMAGES = DataFile(
    "MMVP Images/",
    "huggingface.co/datasets/MMVP/MMVP (needed to run a model, not to score)",
    "MMVP/MMVP",
    "MMVP Images/",
    alternatives=("MMVP/MMVP Images/", "MMVP_Images/", "images/", "Images/"),
    optional=True,
)


class PixMMVP(Benchmark[PixMMVPConfig]):
    """Reads MMVP's questions, each with the object in question and its mask.

    A sample's id is MMVP's Index, "1" to "300"; two that follow each other are a pair. Several annotations of an image
    are united; an image without one is a sample whose object is absent. The 14 samples for which Objects.csv names no
    object (meta_none.txt) have no expression and are not scored for grounding, except where the released evaluator is
    reproduced.
    """

    opens_files = True

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """The files that it consists of."""
        return (_SEGMENTATIONS, _OBJECTS, _QUESTIONS, _PATTERNS, _NONE_LIST, _IMAGES)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its figures has to know."""
        rows = ", ".join(str(row) for row in sorted(DISPUTED))
        if self.config.labels == "corrected":
            said = f"answers of rows {rows} are swapped (labels: corrected); figures with labels: original differ"
        else:
            said = (
                f"answers of rows {rows} are disputed and taken as MMVP has them; labels: corrected swaps them, and "
                "the breakdown by labels has the figures without them"
            )
        return (said, *self._truth.notes)

    def samples(self) -> Iterator[Sample]:
        """Give all samples, by Index.

        Raises:
            DataError: Files are missing, damaged, or contradict each other.
        """
        return iter(self._samples)

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._samples)

    @cached_property
    def _truth(self) -> GroundTruth:
        return GroundTruth()

    @cached_property
    def _samples(self) -> tuple[Sample, ...]:
        root = self.config.root
        require(root, self.data_files(), benchmark="pixmmvp")
        questions = self._questions()
        objects = self._by_index(root / _OBJECTS.path, "Object")
        patterns = self._patterns()
        images = self._annotations()
        self._same_keys("Objects.csv", objects, "Questions.csv", questions)
        self._same_keys("Segmentations.json", images, "Questions.csv", questions)
        self._check_unnamed({index for index, name in objects.items() if name.strip() == UNNAMED})
        return tuple(
            self._sample(index, questions[index], objects[index], images[index], patterns.get(index))
            for index in sorted(questions)
        )

    def _sample(
        self, index: int, question: tuple[str, str, str], name: str, image: CocoImage, pattern: str | None
    ) -> Sample:
        text, options, right = question
        texts, expression = split_options(options), name.strip().replace('""', '"')
        if not expression:
            raise DataError(f"{_OBJECTS.path} says nothing of image {index}", hint="name its object, or write None")
        if expression.count('"') % 2:
            raise DataError(
                f"{_OBJECTS.path}: the object of image {index} is half quoted: {expression!r}",
                hint='write a space before the first quote, as the released file has it, or """Z""" for "Z"',
            )
        if not text.strip() or not all(texts):
            lacking = "an option without text" if text.strip() else "no text"
            raise DataError(f"{_QUESTIONS.path}: question {index} has {lacking}", hint="fill it in")
        answer = self._answer(index, right, len(texts))
        if image.size is None:
            raise DataError(f"{_SEGMENTATIONS.path}: image {index} has no width and height", hint="add them")
        categories = {"labels": "disputed" if index in DISPUTED else "undisputed"}
        if pattern:
            categories["pattern"] = pattern
        return Sample(
            id=str(index),
            image=self._image(image),
            question=text.strip(),
            options=texts,
            answer=answer,
            expression=None if expression == UNNAMED else expression,
            mask=self._truth.of(image.annotations, image.size, where=f"{_SEGMENTATIONS.path}: image {index}"),
            pair=str((index + 1) // 2),
            categories=categories,
            released_expression=name,
            released_options=options,
        )

    def _answer(self, index: int, right: str, options: int) -> int:
        match = re.fullmatch(r"\(?([a-z])\)?", right.strip().lower())
        answer = ord(match.group(1)) - ord("a") if match else -1
        if not 0 <= answer < options:
            raise DataError(
                f"{_QUESTIONS.path}: question {index} has the answer {right!r}", hint="expected a letter of its options"
            )
        if index in DISPUTED and self.config.labels == "corrected":
            return 1 - answer
        return answer

    def _questions(self) -> dict[int, tuple[str, str, str]]:
        path = _QUESTIONS.find(self.config.root)
        if path is None:
            raise DataError(f"{self.config.root} lacks {_QUESTIONS.path}", hint=_QUESTIONS.source)
        rows = read_table(
            path, ("Index", "Question", "Options", "Correct Answer"), aliases={"lndex": "Index"}
        )  # MMVP's own file writes the header with a letter l
        found: dict[int, tuple[str, str, str]] = {}
        for row in rows:
            index = _index(row["Index"], path)
            if index in found:
                raise DataError(f"{path} has two rows with the index {index}", hint="indices must be unique")
            found[index] = (row["Question"], row["Options"], row["Correct Answer"])
        return found

    def _by_index(self, path: Path, column: str) -> dict[int, str]:
        found: dict[int, str] = {}
        for row in read_table(path, ("Index", column), aliases={"lndex": "Index"}):
            index = _index(row["Index"], path)
            if index in found:
                raise DataError(f"{path} has two rows with the index {index}", hint="indices must be unique")
            found[index] = row[column]
        return found

    def _patterns(self) -> dict[int, str]:
        path = _PATTERNS.find(self.config.root)
        return {index: pattern.strip() for index, pattern in self._by_index(path, "Pattern").items()} if path else {}

    def _annotations(self) -> dict[int, CocoImage]:
        path = self.config.root / _SEGMENTATIONS.path
        found: dict[int, CocoImage] = {}
        for image in read_coco(path).values():
            index = _number(Path(image.file_name).stem)
            if index is None:
                raise DataError(f"{path}: image {image.id!r} is {image.file_name!r}", hint="expected 1.jpg to 300.jpg")
            if index in found:
                raise DataError(f"{path}: two images are {image.file_name!r}", hint="file names must be unique")
            found[index] = image
        return found

    def _check_unnamed(self, unnamed: set[int]) -> None:
        """meta_none.txt lists the unnamed objects' images; Objects.csv says the same."""
        path = _NONE_LIST.find(self.config.root)
        if path is None:
            return
        text = read_file(path).decode("utf-8-sig", "replace")
        listed = {int(match) for match in re.findall(r"^\s*(\d{1,9})\.jpg\s*$", text, re.MULTILINE)}
        if listed != unnamed:
            rows = ", ".join(str(row) for row in sorted(listed ^ unnamed)[:5])
            raise DataError(
                f"{_NONE_LIST.path} and {_OBJECTS.path} disagree about images {rows}",
                hint="both say for which images no object is named",
            )

    def _same_keys(self, one: str, left: Mapping[int, object], other: str, right: Mapping[int, object]) -> None:
        for name, lacking in ((one, sorted(right.keys() - left.keys())), (other, sorted(left.keys() - right.keys()))):
            if lacking:
                shown = shortened([*map(str, lacking)], ", ")
                raise DataError(f"benchmark pixmmvp: {name} lacks {shown}", hint="every index must be in every file")

    def _image(self, image: CocoImage) -> Image:
        folder = _IMAGES.find(self.config.root)
        path = (folder or self.config.root / _IMAGES.path) / image.file_name
        hint = f"{_IMAGES.source}; pixcore benchmarks fetch pixmmvp"
        return Image(partial(read_file, path, "image", hint), str(path), image.size)


def split_options(options: str) -> tuple[str, ...]:
    """Cut "(a) X (b) Y" into its texts; parentheses within a text stay."""
    parts = re.split(r"\(([a-z])\)", options)
    texts: list[str] = []
    for letter, text in zip(parts[1::2], parts[2::2], strict=True):
        if letter == chr(ord("a") + len(texts)):
            texts.append(text.strip())
        elif texts:
            texts[-1] += f" ({letter}) {text.strip()}"
    return tuple(text.strip() for text in texts)


def _index(text: str, path: Path) -> int:
    index = _number(text.strip())
    if index is None:
        raise DataError(f"{path} has the index {text!r}", hint="expected a whole number")
    return index


def _number(text: str) -> int | None:
    return int(text) if re.fullmatch("[0-9]{1,9}", text) else None
