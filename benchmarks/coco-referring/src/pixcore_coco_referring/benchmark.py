"""Samples from COCO files: one for every expression.

An expression at an annotation refers to that annotation, one at an image to all annotations of the image; an image
with an expression and no annotation is a sample whose object is absent. RefCOCO/+/g come as `instances.json` and a file
of references with `ref_id`, `ann_id`, `image_id`, `split` and `sentences`; that file is released as a pickle, which is
not read: `python -c "import json, pickle; json.dump(pickle.load(open('refs(unc).p', 'rb')), open('refs.json', 'w'))"`
turns one that you trust into JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from pixcore_datasets.coco import CocoImage, Size, read_coco, read_json, union_of
from pixcore_datasets.data_files import DataFile, require
from pixcore_datasets.tables import read_table

from pixcore.components import Benchmark
from pixcore.errors import DataError
from pixcore.masks import empty
from pixcore.records import Image, Sample
from pixcore_coco_referring.config import CocoReferringConfig


class CocoReferring(Benchmark[CocoReferringConfig]):
    """A user's own referring-segmentation data.

    A sample's id is the reference's or annotation's id, with ".0", ".1", … where it has several expressions; an image's
    own expression has the image's id. An image may carry `question`, `options`, `answer` (an index), `pair` and
    `categories`; its samples then ask that question.
    """

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """What it consists of, by default names."""
        return (DataFile("annotations.json", "COCO's format, with expressions"),)

    def samples(self) -> Iterator[Sample]:
        """All samples, in the order of the file.

        Raises:
            DataError: Files are missing, damaged, or contradict each other.
        """
        config = self.config
        named = [name for name in (config.annotations, config.expressions, config.refs) if name is not None]
        require(config.root, [DataFile(name, "named in the config") for name in named], benchmark="coco-referring")
        seen: set[str] = set()
        for sample in self._from_refs() if config.refs else self._from_file():
            if sample.id in seen:
                raise DataError(f"coco-referring: two samples have the id {sample.id}", hint="ids must be unique")
            seen.add(sample.id)
            yield sample
        if not seen:
            raise DataError(
                f"{config.root / config.annotations} holds no expression",
                hint="give annotations or images an `expression`, or name a table under expressions:",
            )

    @cached_property
    def _images(self) -> dict[int | str, CocoImage]:
        return read_coco(self.config.root / self.config.annotations)

    def _from_file(self) -> Iterator[Sample]:
        by_annotation, by_image = self._table()
        for image in self._images.values():
            for number, annotation in enumerate(image.annotations):
                key = str(annotation.get("id", f"{image.id}-{number}"))
                said = [*_expressions(annotation), *by_annotation.get(key, ())]
                if _one_of_all(image, said):
                    continue  # the image says the same of all its annotations together
                yield from self._each(key, said, image, [annotation["segmentation"]])
            said = [*_expressions(image.extra), *by_image.get(image.file_name, by_image.get(str(image.id), ()))]
            yield from self._each(str(image.id), said, image, image.segmentations)

    def _from_refs(self) -> Iterator[Sample]:
        path = self.config.root / str(self.config.refs)
        references = read_json(path)
        if not isinstance(references, list):
            raise DataError(f"{path} holds no list of references", hint="RefCOCO's refs as JSON")
        segmentations = {
            annotation.get("id"): annotation["segmentation"]
            for image in self._images.values()
            for annotation in image.annotations
        }
        splits = sorted({str(reference.get("split")) for reference in references})
        if self.config.split is not None and self.config.split not in splits:
            raise DataError(f"{path} has no split {self.config.split!r}", hint=f"its splits: {', '.join(splits)}")
        for reference in references:
            if self.config.split not in (None, reference.get("split")):
                continue
            try:
                name, annotation, image = reference["ref_id"], reference["ann_id"], self._images[reference["image_id"]]
                said = [str(sentence.get("raw") or sentence["sent"]) for sentence in reference["sentences"]]
                segmentation = segmentations[annotation]
            except KeyError as error:
                raise DataError(
                    f"{path}: reference {reference.get('ref_id')!r} lacks or misses {error}",
                    hint="a reference names an image and an annotation of the instances file",
                ) from error
            yield from self._each(str(name), said, image, [segmentation], {"split": str(reference.get("split"))})

    def _each(
        self,
        name: str,
        said: Sequence[str],
        image: CocoImage,
        segmentations: Sequence[Any],
        categories: Mapping[str, str] | None = None,
    ) -> Iterator[Sample]:
        if not said:
            return
        size = self._size(image)
        where = f"{self.config.annotations}: image {image.file_name}"
        mask = union_of(segmentations, size, where=where) if segmentations else empty(size)
        question = image.extra
        options = tuple(str(option) for option in question.get("options") or ())
        answer = question.get("answer")
        if answer is not None and (not isinstance(answer, int) or not 0 <= answer < len(options)):
            raise DataError(f"{where} has the answer {answer!r}", hint="expected the index of an option")
        for number, expression in enumerate(said):
            yield Sample(
                id=name if len(said) == 1 else f"{name}.{number}",
                image=Image.from_path(self._path(image), known_size=size),
                question=question.get("question"),
                options=options,
                answer=answer,
                expression=expression.strip(),
                mask=mask,
                pair=str(question["pair"]) if question.get("pair") is not None else None,
                categories={**(question.get("categories") or {}), **(categories or {})},
            )

    def _table(self) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
        """Expressions from a CSV file, by annotation id and by image."""
        by_annotation: dict[str, list[str]] = {}
        by_image: dict[str, list[str]] = {}
        if self.config.expressions is None:
            return by_annotation, by_image
        path = self.config.root / self.config.expressions
        names = {name for image in self._images.values() for name in (image.file_name, str(image.id))}
        ids = {str(a.get("id")) for image in self._images.values() for a in image.annotations}
        for row in read_table(path, ("expression",), aliases={"file": "image", "file_name": "image"}):
            annotation, image = row.get("annotation_id", "").strip(), row.get("image", "").strip()
            key, known, found = (annotation, ids, by_annotation) if annotation else (image, names, by_image)
            if key not in known:
                what = "annotation" if annotation else "image"
                raise DataError(f"{path} is about the unknown {what} {key!r}", hint="ids and names of the COCO file")
            found.setdefault(key, []).append(row["expression"].strip())
        return by_annotation, by_image

    def _path(self, image: CocoImage) -> Path:
        return self.config.root / self.config.images / image.file_name

    def _size(self, image: CocoImage) -> Size:
        return image.stated_size() or Image.from_path(self._path(image)).size


def _expressions(entry: Mapping[str, Any]) -> list[str]:
    """`expression`, `expressions`, or both."""
    several = entry.get("expressions") or []
    one = entry.get("expression")
    return [str(text) for text in ([one] if one else []) + list(several) if str(text).strip()]


def _one_of_all(image: CocoImage, said: Sequence[str]) -> bool:
    return bool(said) and list(said) == _expressions(image.extra)
