"""Candidate masks of the class that a question asks about, from COCO's and ADE20K's own annotations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image as PILImage
from PIL import UnidentifiedImageError
from pixcore_datasets.coco import CocoImage, Size, read_coco, read_json, union_of
from pixcore_datasets.tables import read_table

from pixcore.errors import DataError
from pixcore.masks import RLE, encode
from pixcore_annotate.project import Instance, Item

_IRREGULAR: Mapping[str, str] = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "leaves": "leaf",
    "shelves": "shelf",
}

Finder = Callable[[str, Sequence[str], Size], list[Instance]]
"""From an image's file name, the classes that are asked about, and its size."""


def coco_instances(path: Path) -> Finder:
    """Instances from COCO's `instances_*.json`.

    Raises:
        DataError: The file is damaged.
    """
    names = {entry["id"]: str(entry["name"]) for entry in read_json(path).get("categories", [])}
    images: dict[str, CocoImage] = {PurePosixPath(image.file_name).name: image for image in read_coco(path).values()}

    def find(file_name: str, objects: Sequence[str], size: Size) -> list[Instance]:
        image = images.get(PurePosixPath(file_name).name)
        found = []
        for number, annotation in enumerate(image.annotations if image is not None else ()):
            label = names.get(annotation.get("category_id"), "")
            if matches(label, objects):
                where = f"{path}: image {file_name}"
                mask = union_of([annotation["segmentation"]], size, where=where, resize=True)
                found.append(Instance(str(annotation.get("id", number)), label, mask))
        return found

    return find


def ade_instances(folder: Path) -> Finder:
    """Instances from ADE20K's full release: `NAME.json` beside each image, and one mask file for each object."""
    sheets = {path.stem: path for path in folder.rglob("*.json")}

    def find(file_name: str, objects: Sequence[str], size: Size) -> list[Instance]:
        sheet = sheets.get(PurePosixPath(file_name).stem)
        if sheet is None:
            return []
        found = []
        for entry in (read_json(sheet).get("annotation") or {}).get("object", []):
            label = str(entry.get("raw_name") or entry.get("name") or "")
            if matches(str(entry.get("name") or ""), objects) or matches(label, objects):
                mask = _mask_file(sheet.parent / entry["instance_mask"], size)
                found.append(Instance(str(entry.get("id")), label, mask))
        return found

    return find


def matches(label: str, objects: Iterable[str]) -> bool:
    """Whether a class is one that is asked about: any of its synonyms, in singular or plural."""
    known = {_singular(part) for part in label.split(",") if part.strip()}
    wanted = {_singular(part) for name in objects for part in name.split(",") if part.strip()}
    return bool(known & wanted)


def items_from_table(table: Path, images: Path, finders: Sequence[Finder]) -> list[Item]:
    """Make items from a table of objects (`pixcore benchmarks parse-objects`).

    Args:
        table: CSV with id, image and objects (several joined by " | "), and optionally question and expression.
        images: The folder that image paths begin in.
        finders: Where candidate masks come from.

    Raises:
        DataError: The table or an image is missing or damaged.
    """
    items = []
    for row in read_table(table, ("id", "image", "objects")):
        path = images / row["image"].strip()
        size = _size(path)
        objects = [name.strip() for name in row["objects"].split("|") if name.strip()]
        instances = [instance for find in finders for instance in find(row["image"], objects, size)]
        items.append(
            Item(
                id=row["id"].strip(),
                image=str(path.resolve()),
                size=size,
                expression=(row.get("expression") or "").strip() or " and ".join(objects),
                question=(row.get("question") or "").strip(),
                instances=tuple(instances),
            )
        )
    return items


def _mask_file(path: Path, size: Size) -> RLE:
    try:
        with PILImage.open(path) as image:
            scaled = image.convert("L").resize(size, PILImage.Resampling.NEAREST)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"can't read mask {path}: {error}", hint="is ADE20K's folder whole?") from error
    return encode(np.asarray(scaled) > 0)


def _size(path: Path) -> Size:
    try:
        with PILImage.open(path) as image:
            return image.size
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(f"can't read image {path}: {error}", hint="check --images") from error


def _singular(name: str) -> str:
    word = re.sub(r"[^a-z ]", "", name.lower()).strip()
    irregular: Mapping[str, str] = {
        "people": "person",
        "men": "man",
        "women": "woman",
        "children": "child",
        "mice": "mouse",
        "leaves": "leaf",
        "shelves": "shelf",
    }
    if word in irregular:
        return irregular[word]
    for ending, single in (
        ("ies", "y"),
        ("ches", "ch"),
        ("shes", "sh"),
        ("sses", "ss"),
        ("xes", "x"),
        ("ves", "fe"),
        ("uses", "us"),
    ):
        if word.endswith(ending) and len(word) > len(ending):
            return word.removesuffix(ending) + single
    return word.removesuffix("s") if word.endswith("s") and not word.endswith(("ss", "us")) else word
