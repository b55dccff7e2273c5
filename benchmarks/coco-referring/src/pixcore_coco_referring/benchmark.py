"""Make samples of COCO files: one for every expression.

An expression at an annotation refers to that annotation, one at an image to all annotations of the image; an image
with an expression and no annotation is a sample whose object is absent. RefCOCO/+/g come as `instances.json` and a file
of references with `ref_id`, `ann_id`, `image_id`, `split` and `sentences`: the released pickle, of which plain data
is read, or the same as JSON.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pixcore_datasets.coco import CocoImage, GroundTruth, Size, read_coco
from pixcore_datasets.data_files import DataFile, require
from pixcore_datasets.pictures import listed_in, measured
from pixcore_datasets.tables import read_table

from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.files import read_json
from pixcore.records import Image, Sample
from pixcore_coco_referring.config import CocoReferringConfig
from pixcore_coco_referring.pickles import read_refs


class CocoReferring(Benchmark[CocoReferringConfig]):
    """Reads a user's own referring-segmentation data.

    A sample's id is the reference's or annotation's id, with ".0", ".1", … where it has several expressions; an image's
    own expression has the image's id. Images and annotations count apart: where both give one id, the image's sample is
    "image-ID"; an annotation whose id is missing or repeated is "IMAGE-NUMBER". An image may carry `question`,
    `options`, `answer` (an index), `pair` and `categories`; its samples then ask that question.
    """

    opens_files = True
    _encoded: Sequence[str] = ()
    """A note on the encoding of the references, where there is something to say; known once they were read."""

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """What it consists of, by default names."""
        return (DataFile("annotations.json", "COCO's format, with expressions"),)

    @property
    def needed_files(self) -> Sequence[DataFile]:
        """The files that its options name."""
        config = self.config
        named = (
            (config.annotations, "COCO's format"),
            (config.expressions, "a table of expressions"),
            (config.refs, "RefCOCO's references"),
        )
        return [DataFile(name, what) for name, what in named if name is not None]

    def samples(self) -> Iterator[Sample]:
        """Give all samples, in the order of the file.

        Raises:
            DataError: Files are missing, damaged, or contradict each other.
        """
        config = self.config
        require(config.root, self.needed_files, benchmark="coco-referring")
        seen: set[str] = set()
        for sample in self._from_refs() if config.refs else self._from_file():
            if sample.id in seen:
                raise DataError(
                    f"{config.refs or config.annotations}: two samples have the id {sample.id}",
                    hint="ids must be unique",
                )
            seen.add(sample.id)
            yield sample
        if not seen:
            raise DataError(
                f"{config.root / config.annotations} holds no expression",
                hint="give annotations or images an `expression`, or name a table under expressions:",
            )

    @property
    def notes(self) -> Sequence[str]:
        """Annotations that were left out because they cover no pixel; the encoding of a pickle that is not UTF-8."""
        return (*self._truth.notes, *self._encoded)

    @cached_property
    def _truth(self) -> GroundTruth:
        return GroundTruth()

    @cached_property
    def _images(self) -> dict[int | str, CocoImage]:
        return read_coco(self.config.root / self.config.annotations)

    def _from_file(self) -> Iterator[Sample]:
        by_annotation, by_image = self._table()
        spoken: list[list[tuple[str, list[str], Mapping[str, Any]]]] = []
        for image in self._images.values():
            spoken.append([])
            for number, annotation in enumerate(image.annotations):
                name = str(annotation.get("id"))
                said = [*self._expressions(annotation), *by_annotation.get(name, ())]
                if said and not self._says_it_of_all(image, said):
                    known = annotation.get("id") is not None and self._counts[name] == 1
                    spoken[-1].append((name if known else f"{image.id}-{number}", said, annotation))
        taken = {one for entries in spoken for name, said, _ in entries for one in _ids(name, said)}
        for image, entries in zip(self._images.values(), spoken, strict=True):
            for name, said, annotation in entries:
                yield from self._each(name, said, image, [annotation])
            named = dict.fromkeys((image.file_name, str(image.id)))
            said = [*self._expressions(image.extra), *(text for one in named for text in by_image.get(one, ()))]
            name = str(image.id)
            yield from self._each(
                name if taken.isdisjoint(_ids(name, said)) else f"image-{name}", said, image, image.annotations
            )

    @cached_property
    def _counts(self) -> Counter[str]:
        """How often each annotation id occurs."""
        return Counter(str(entry.get("id")) for image in self._images.values() for entry in image.annotations)

    def _from_refs(self) -> Iterator[Sample]:
        path = self.config.root / str(self.config.refs)
        references = self._references(path)
        every = (annotation for image in self._images.values() for annotation in image.annotations)
        annotations = {str(one["id"]): one for one in every if one.get("id") is not None}
        splits = sorted({str(reference.get("split")) for reference in references})
        if self.config.split is not None and self.config.split not in splits:
            raise DataError(f"{path} has no split {self.config.split!r}", hint=f"its splits: {', '.join(splits)}")
        for reference in references:
            if self.config.split not in (None, reference.get("split")):
                continue
            where = f"{path}: reference {reference.get('ref_id')!r}"
            try:
                name, named, image = reference["ref_id"], reference["ann_id"], self._images[reference["image_id"]]
                said = [sentence.get("raw") or sentence["sent"] for sentence in _sentences(reference, where)]
                wanted = _named(named)
                ambiguous = next((one for one in wanted if self._counts[one] > 1), None)
                meant = [annotations[one] for one in wanted]
            except (KeyError, TypeError, AttributeError) as error:
                raise DataError(
                    f"{where} lacks or misses {error.args[0]}",
                    hint="a reference names an image and annotations of the instances file",
                ) from error
            if ambiguous is not None:
                raise DataError(f"{where} is about annotation {ambiguous}, of which there are several", hint="mend it")
            self._check(reference, wanted, meant, image, said, where)
            yield from self._each(str(name), said, image, meant, {"split": str(reference.get("split"))})

    def _references(self, path: Path) -> list[Mapping[str, Any]]:
        """Read JSON, or the released pickle."""
        if path.suffix in (".p", ".pkl", ".pickle"):
            references, encoding = read_refs(path)
            if encoding != "utf-8":
                self._encoded = (f"{path.name}: texts that are not UTF-8 were read as {encoding}",)
        else:
            references = read_json(path)
        if not isinstance(references, list):
            raise DataError(f"{path} holds no list of references", hint="RefCOCO's refs, a pickle or JSON")
        if not all(isinstance(reference, Mapping) for reference in references):
            raise DataError(f"{path} holds a reference that is not an object", hint="RefCOCO's refs, a pickle or JSON")
        return references

    def _check(
        self,
        reference: Mapping[str, Any],
        wanted: Sequence[str],
        meant: Sequence[Mapping[str, Any]],
        image: CocoImage,
        said: Sequence[str],
        where: str,
    ) -> None:
        """Refuse a reference that contradicts itself: its ground truth would be another object's, or none."""
        given = reference["ann_id"]
        if not all(isinstance(text, str) for text in said):
            raise DataError(f"{where} has a sentence that is no text", hint='expected [{"sent": "..."}, ...]')
        strange = [one for one, annotation in zip(wanted, meant, strict=True) if annotation["image_id"] != image.id]
        if strange:
            raise DataError(f"{where} is about annotation {strange[0]}, which is another image's", hint="mend it")
        both = isinstance(given, list) and bool(wanted) and len(wanted) < len(given)
        if both or (reference.get("no_target") is True and wanted):
            raise DataError(f"{where} is about an object and says that there is none", hint="mend it")
        if reference.get("no_target") is False and not wanted:
            raise DataError(f"{where} names no annotation and says that there is one", hint="mend it")
        if not all(text.strip() for text in said):
            raise DataError(f"{where} has an empty sentence", hint="mend it")

    def _each(
        self,
        name: str,
        said: Sequence[str],
        image: CocoImage,
        annotations: Sequence[Mapping[str, Any]],
        categories: Mapping[str, str] | None = None,
    ) -> Iterator[Sample]:
        if not said:
            return
        size = self._size(image)
        where = f"{self.config.annotations}: image {image.file_name}"
        mask = self._truth.of(annotations, size, where=where)
        question = image.extra
        given = question.get("options") or ()
        if not isinstance(given, (list, tuple)):
            raise DataError(f"{where} has options that are not a list", hint="expected the options' texts")
        if not all(isinstance(option, str | int | float) for option in given):
            raise DataError(f"{where} has options that are not texts", hint="expected the options' texts")
        options = tuple(str(option) for option in given)
        pair = question.get("pair")
        if not isinstance(pair, str | int | float | None):
            raise DataError(f"{where} has the pair {pair!r}", hint="expected a text or a number")
        asked, kinds = question.get("question"), question.get("categories") or {}
        if not isinstance(asked, str | None) or not isinstance(kinds, Mapping):
            raise DataError(f"{where} has an odd question or odd categories", hint="expected a text, and an object")
        odd = next((name for name, value in kinds.items() if not isinstance(value, str | int | float | None)), None)
        if odd is not None:
            raise DataError(f"{where} has the category {odd!r}: {kinds[odd]!r}", hint="expected a text or a number")
        kinds = {name: str(value) for name, value in kinds.items() if value is not None}
        answer = question.get("answer")
        if answer is not None and (
            isinstance(answer, bool) or not isinstance(answer, int) or not 0 <= answer < len(options)
        ):
            raise DataError(f"{where} has the answer {answer!r}", hint="expected the index of an option")
        for sample, expression in zip(_ids(name, said), said, strict=True):
            yield Sample(
                id=sample,
                image=Image.from_path(self._path(image), known_size=size),
                question=asked if asked and asked.strip() else None,
                options=options,
                answer=answer,
                expression=expression.strip(),
                mask=mask,
                pair=str(pair) if pair is not None else None,
                categories={**kinds, **(categories or {})},
            )

    def _expressions(self, entry: Mapping[str, Any]) -> list[str]:
        """`expression`, `expressions`, or both."""
        several = entry.get("expressions") or []
        one = entry.get("expression")
        texts = [*([one] if one else []), *(several if isinstance(several, list) else [several])]
        if not all(isinstance(text, str) for text in texts):
            where = f"{self.config.annotations}: image or annotation {entry.get('id')!r}"
            raise DataError(f"{where} has an expression that is not text", hint="expected texts")
        return [text for text in texts if text.strip()]

    def _says_it_of_all(self, image: CocoImage, said: Sequence[str]) -> bool:
        """Whether the image says the same of all its annotations together."""
        return bool(said) and list(said) == self._expressions(image.extra)

    def _table(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Expressions from a CSV file, by annotation id and by image."""
        by_annotation: dict[str, list[str]] = {}
        by_image: dict[str, list[str]] = {}
        if self.config.expressions is None:
            return by_annotation, by_image
        path = self.config.root / self.config.expressions
        names = Counter(name for image in self._images.values() for name in {image.file_name, str(image.id)})
        for row in read_table(path, ("expression",), aliases={"file": "image", "file_name": "image"}):
            annotation, image = row.get("annotation_id", "").strip(), row.get("image", "").strip()
            key, known, found = (
                (annotation, self._counts.keys(), by_annotation) if annotation else (image, names, by_image)
            )
            if key not in known:
                what = "annotation" if annotation else "image"
                raise DataError(f"{path} is about the unknown {what} {key!r}", hint="ids and names of the COCO file")
            if not annotation and names[key] > 1:
                raise DataError(f"{path} is about image {key}, of which there are several", hint="name it by its id")
            if annotation and self._counts[key] > 1:
                raise DataError(f"{path} is about annotation {key}, of which there are several", hint="name the image")
            if not (said := row["expression"].strip()):
                what = "annotation" if annotation else "image"
                raise DataError(f"{path} says nothing of {what} {key}", hint="fill the expression in, or drop the row")
            found.setdefault(key, []).append(said)
        return by_annotation, by_image

    def _path(self, image: CocoImage) -> Path:
        return listed_in(self.config.root / self.config.images, image.file_name)

    def _size(self, image: CocoImage) -> Size:
        return image.stated_size(self.config.annotations) or measured(self._path(image)).size


def _ids(name: str, said: Sequence[str]) -> list[str]:
    return [name] if len(said) == 1 else [f"{name}.{number}" for number in range(len(said))]


def _sentences(reference: Mapping[str, Any], where: str) -> list[Mapping[str, Any]]:
    sentences = reference["sentences"]
    if not isinstance(sentences, list) or not all(isinstance(one, Mapping) for one in sentences):
        raise DataError(f"{where} has sentences that are no objects", hint='expected [{"sent": "..."}, ...]')
    return sentences


def _named(annotation: Any) -> list[str]:
    """The ids of a reference's `ann_id`: one, or gRefCOCO's list, where -1 (or nothing) says that it is about none."""
    ids = annotation if isinstance(annotation, list) else [annotation]
    return [str(one) for one in ids if one != -1]
