"""Read PixCV-Bench from a local folder: CV-Bench's 2D questions, the objects they are about, and their masks."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from pixcore_datasets.coco import CocoImage, GroundTruth, Size, read_coco
from pixcore_datasets.data_files import DataFile, require, there
from pixcore_datasets.pictures import measured
from pixcore_datasets.tables import read_table

from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.masks import RLE, empty
from pixcore.records import Image, Sample
from pixcore_pixcvbench.config import PixCVBenchConfig, Source
from pixcore_pixcvbench.questions import Question, read_questions

_HUB = "huggingface.co/datasets/IVUlab/pixcvbench"
_OBJECTS = DataFile("Objects.csv", _HUB, "IVUlab/pixcvbench", "Objects.csv")
_ANNOTATIONS: Mapping[Source, DataFile] = {
    "ADE20K": DataFile(
        "ADE20K/FinalSegmentations.json",
        f"{_HUB} (633 samples)",
        "IVUlab/pixcvbench",
        "ADE20K/FinalSegmentations.json",
        alternatives=("ADE/FinalSegmentations.json",),
        optional=True,
    ),
    "COCO": DataFile(
        "COCO/FinalSegmentations.json",
        f"{_HUB} (805 samples)",
        "IVUlab/pixcvbench",
        "COCO/FinalSegmentations.json",
        optional=True,
    ),
}
_QUESTIONS = DataFile(
    "CV-Bench/test_2d.parquet",
    "huggingface.co/datasets/nyu-visionx/CV-Bench (needed for questions and to run a model, not to score masks)",
    "nyu-visionx/CV-Bench",
    "test_2d.parquet",
    alternatives=("CV-Bench/test.parquet", "test_2d.parquet", "test.parquet"),
    optional=True,
)


@dataclass(frozen=True)
class _Row:
    """One row of Objects.csv."""

    id: str
    file: PurePosixPath
    text: str
    objects: tuple[str, ...]

    @property
    def source(self) -> Source:
        return "ADE20K" if "ADE20K" in self.file.parts else "COCO"

    @property
    def relates(self) -> bool:
        return len(self.objects) > 1


class PixCVBench(Benchmark[PixCVBenchConfig]):
    """Reads CV-Bench's 2D questions with the objects in question and their masks.

    A sample's id is the Id of Objects.csv, "0" to "1437". Annotations and questions are joined to it by the image's
    file name. All annotations of an image are united: how several objects count together is not said in the paper, and
    the union is what the released loader of PixMMVP takes. Annotations of another size than the image are brought to
    it: run lengths by nearest neighbours, polygons by their corners. A turned image is refused.
    """

    opens_files = True

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """The files that it consists of."""
        return (_OBJECTS, *_ANNOTATIONS.values(), _QUESTIONS)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its figures has to know: what was left out, and why."""
        return tuple(self._loaded[1])

    def samples(self) -> Iterator[Sample]:
        """Give all samples, by Id.

        Raises:
            DataError: Files are missing, damaged, or contradict each other.
        """
        return iter(self._loaded[0])

    def __len__(self) -> int:
        """Number of samples."""
        return len(self._loaded[0])

    @cached_property
    def _loaded(self) -> tuple[tuple[Sample, ...], list[str]]:
        annotations = self._annotations()
        questions = self._questions()
        notes = [
            f"{source}'s annotations are not in {self.config.root}: its samples are left out"
            for source in _ANNOTATIONS
            if source not in annotations and (self.config.sources is None or source in self.config.sources)
        ]
        if questions is None:
            notes.append("CV-Bench's questions are not there: only grounding is measured")
        rows = [row for row in self._rows() if row.source in annotations]
        if not rows:
            said = f"{self.config.root / _OBJECTS.path} has no row about an image of {' or '.join(annotations)}"
            raise DataError(said, hint="is it whole?")
        sizes = self._shown_sizes(rows, questions or {})
        samples = tuple(self._sample(row, annotations[row.source], questions, sizes.get(row.file.name)) for row in rows)
        unmeasured = [sample.id for sample in samples if sample.mask is None]
        if unmeasured:
            shown = ", ".join(unmeasured[:12]) + (", ..." if len(unmeasured) > 12 else "")
            notes.append(
                f"{len(unmeasured)} sample(s) have no ground truth and are not scored for grounding ({shown}): no "
                "annotation that covers a pixel, or polygons of an image whose size nothing states (the images would)"
            )
        return samples, [*notes, *self._truth.notes]

    @cached_property
    def _truth(self) -> GroundTruth:
        return GroundTruth()

    def _annotations(self) -> dict[Source, dict[str, CocoImage]]:
        """Read the annotations that are there; the first look is whether all is that is needed."""
        wanted = self.config.sources or tuple(_ANNOTATIONS)
        paths = {source: path for source in wanted if (path := _ANNOTATIONS[source].find(self.config.root)) is not None}
        needed = wanted if self.config.sources or not paths else ()  # without a choice, either will do
        pieces = (_OBJECTS, *(replace(_ANNOTATIONS[source], optional=False) for source in needed))
        require(self.config.root, pieces, benchmark="pixcvbench")
        return {source: _by_file(path) for source, path in paths.items()}

    def _questions(self) -> dict[str, Question] | None:
        path = _QUESTIONS.find(self.config.root)
        return read_questions(path) if path is not None else None

    def _rows(self) -> list[_Row]:
        path = self.config.root / _OBJECTS.path
        rows: dict[str, _Row] = {}
        files: set[str] = set()
        for row in read_table(path, ("Id", "file", "Objects")):
            name, file = row["Id"].strip(), PurePosixPath(row["file"].strip())
            if name in rows:
                raise DataError(f"{path} has two rows with the Id {name}", hint="Ids must be unique")
            if file.name in files:
                raise DataError(f"{path} has two rows about {file.name}", hint="annotations are joined by file name")
            files.add(file.name)
            rows[name] = _Row(name, file, row["Objects"], parse_objects(row["Objects"], where=f"{path} Id {name}"))
        return list(rows.values())

    def _shown_sizes(self, rows: Sequence[_Row], questions: Mapping[str, Question]) -> dict[str, Size]:
        """The sizes of the questions' pictures, if they are shown, by file name; none of one that can't be read."""
        sizes: dict[str, Size] = {}
        names = {row.file.name for row in rows if self.config.images == "questions"} & questions.keys()
        for name in sorted(names, key=lambda one: questions[one].row):  # as they lie in the file
            image = questions[name].image
            if image is not None:
                with suppress(DataError):  # told with its sample, when it is looked at
                    sizes[name] = measured(Image(image, name)).size
        return sizes

    def _sample(
        self,
        row: _Row,
        images: Mapping[str, CocoImage],
        questions: Mapping[str, Question] | None,
        shown: Size | None,
    ) -> Sample:
        question = questions.get(row.file.name) if questions is not None else None
        if questions is not None and question is None:
            raise DataError(f"CV-Bench has no 2D question about {row.file.name} (Id {row.id})", hint="is it whole?")
        annotated = images.get(row.file.name)
        if annotated is None:
            raise DataError(
                f"{_ANNOTATIONS[row.source].path} has no image {row.file.name} (Id {row.id})", hint="is it whole?"
            )
        path = self._image_path(row)
        stated = _ANNOTATIONS[row.source].path
        size = shown or (measured(path).size if path is not None else annotated.stated_size(stated))
        if size is None and question is not None and question.image is not None:
            size = Image(question.image, row.file.name).size
        task = question.task if question is not None and question.task else ("Relation" if row.relates else "Count")
        return Sample(
            id=row.id,
            image=self._image(row, path, question, size),
            question=question.text if question is not None else None,
            options=question.options if question is not None else (),
            answer=question.answer if question is not None else None,
            expression=" and ".join(row.objects),
            mask=self._mask(row.source, annotated, size, question),
            categories={"task": task, "source": row.source},
            released_expression=row.text,
            extra={"objects": list(row.objects)},
        )

    def _mask(self, source: Source, annotated: CocoImage, size: Size | None, question: Question | None) -> RLE | None:
        """The union of an image's annotations.

        No annotation is a gap (ADE20K's "bucket, pail") unless the question says that there is none to be seen: its
        right answer is 0.
        """
        if size is None:
            return None
        if not annotated.annotations:
            none_there = question is not None and question.options[question.answer].strip() == "0"
            return empty(size) if none_there else None
        where = f"{_ANNOTATIONS[source].path}: image {annotated.file_name}"
        own = annotated.stated_size(_ANNOTATIONS[source].path)
        return self._truth.of(annotated.annotations, size, where=where, resize=True, own=own)

    def _image_path(self, row: _Row) -> Path | None:
        root = self.config.root
        places = (root / row.file, root / row.source / "images" / row.file.name, root / "images" / row.file.name)
        return next(filter(there, places), None)

    def _image(self, row: _Row, path: Path | None, question: Question | None, size: Size | None) -> Image:
        shown = question.image if question is not None and self.config.images == "questions" else None
        if shown is not None:
            return Image(shown, row.file.name, size)
        if path is not None:
            return Image.from_path(path, known_size=size)
        return Image(_absent(self.config.root / row.file), row.file.name, size)


def parse_objects(text: str, *, where: str) -> tuple[str, ...]:
    """Read a cell of Objects.csv: one name, which may hold commas, or several as the text of a Python tuple or list.

    Raises:
        DataError: It is empty, or starts like a tuple or list and is none of texts.
    """
    stripped = text.strip()
    if stripped and not stripped.startswith(("(", "[")):
        return (stripped,)
    try:
        value = ast.literal_eval(stripped)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise DataError(f"{where} has the objects {stripped[:60]!r}", hint="expected ('one', 'other')") from error
    if not isinstance(value, (tuple, list)) or not value or not all(isinstance(n, str) and n.strip() for n in value):
        raise DataError(f"{where} has the objects {stripped[:60]!r}", hint="expected ('one', 'other')")
    return tuple(name.strip() for name in value)


def _by_file(path: Path) -> dict[str, CocoImage]:
    found: dict[str, CocoImage] = {}
    for image in read_coco(path).values():
        name = PurePosixPath(image.file_name).name
        if name in found:
            raise DataError(f"{path} has two images {name}", hint="file names must be unique")
        found[name] = image
    return found


def _absent(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        raise DataError(
            f"can't read image {path}: it is not there",
            hint="CV-Bench's parquet file holds the pictures: pixcore benchmarks fetch pixcvbench",
        )

    return read
