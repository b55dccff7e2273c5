"""Collect candidate masks of the class that a question asks about, from COCO's and ADE20K's own annotations."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import numpy as np
from PIL import Image as PILImage
from pixcore_datasets.coco import CocoImage, Size, read_coco, same_shape, union_of
from pixcore_datasets.pictures import listed_in, measured_of
from pixcore_datasets.tables import read_table

from pixcore.errors import DataError
from pixcore.files import can_be_read, read_file, read_json
from pixcore.masks import RLE, area, decode, encode, resized, size_of
from pixcore.notices import notice
from pixcore_annotate.project import Instance, Item

_IRREGULAR: Mapping[str, str] = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "children": "child",
    "mice": "mouse",
    "teeth": "tooth",
    "feet": "foot",
}

_SEEN, _HIDDEN = 255, 128

_CARRIED = ("options", "answer", "pair", "categories")

Found = TypeVar("Found")

Finder = Callable[[str, Sequence[str], Size], list[Instance]]
"""From an image's file name, the classes that are asked about, and its size."""


def coco_instances(path: Path) -> Finder:
    """Read the instances of COCO's `instances_*.json`.

    Raises:
        DataError: The file is damaged.
    """
    names = _class_names(path)
    images: dict[str, list[CocoImage]] = {}
    for image in read_coco(path).values():
        images.setdefault(PurePosixPath(image.file_name).name, []).append(image)

    def find(file_name: str, objects: Sequence[str], size: Size) -> list[Instance]:
        image = _the_one(file_name, {one.file_name: one for one in images.get(PurePosixPath(file_name).name, ())}, path)
        found: list[Instance] = []
        for number, annotation in enumerate(image.annotations if image is not None else ()):
            label = names.get(str(annotation.get("category_id")), "")
            if image is not None and matches(label, objects):
                found.append(_instance(image, number, label, size, f"{path}: image {file_name}"))
        return found

    return find


def _class_names(path: Path) -> dict[str, str]:
    document = read_json(path)
    entries = (document.get("categories") if isinstance(document, Mapping) else None) or []
    if not isinstance(entries, list) or not all(
        isinstance(one, Mapping) and {"id", "name"} <= one.keys() for one in entries
    ):
        raise DataError(f"{path} has damaged categories", hint="expected a list of objects with id and name")
    return {str(entry["id"]): str(entry["name"]) for entry in entries}


def _instance(image: CocoImage, number: int, label: str, size: Size, where: str) -> Instance:
    annotation = image.annotations[number]
    mask = union_of([annotation["segmentation"]], image.size or size, where=where, resize=True)
    return Instance(str(annotation.get("id", number)), label, _scaled(mask, size, where))


def ade_instances(folder: Path) -> Finder:
    """Read the instances of ADE20K's full release: `NAME.json` beside each image, and one mask file for each object.

    A mask file is 255 where the object is seen and 128 where another hides it; what is seen counts, as the paper's
    masks have it. A file of 0 and 1 is read as one of 0 and 255; one with other values is refused, and an object of
    which nothing is seen is told and left out.
    """
    sheets: dict[str, list[Path]] = {}
    for path in sorted(folder.rglob("*.json")):
        sheets.setdefault(path.stem, []).append(path)

    def find(file_name: str, objects: Sequence[str], size: Size) -> list[Instance]:
        known = {path.relative_to(folder).as_posix(): path for path in sheets.get(PurePosixPath(file_name).stem, ())}
        sheet = _the_one(str(PurePosixPath(file_name).with_suffix(".json")), known, folder)
        if sheet is None:
            return []
        found = []
        for entry in _objects_of(sheet):
            label = str(entry.get("raw_name") or entry.get("name") or "")
            if matches(str(entry.get("name") or ""), objects) or matches(label, objects):
                file = _beside(sheet, str(entry["instance_mask"]))
                mask = _mask_file(file, size)
                if area(mask):
                    found.append(Instance(str(entry.get("id")), label, mask))
                else:
                    notice(f"{file}: nothing is seen of {label!r}, so it is left out")
        return found

    return find


def _objects_of(sheet: Path) -> list[Mapping[str, Any]]:
    document = read_json(sheet)
    about = document.get("annotation") if isinstance(document, Mapping) else None
    entries = about.get("object", []) if isinstance(about, Mapping) else []
    if not isinstance(entries, list) or not all(isinstance(one, Mapping) and "instance_mask" in one for one in entries):
        raise DataError(f"{sheet} has damaged objects", hint="is ADE20K's folder whole?")
    return entries


def _beside(sheet: Path, name: str) -> Path:
    path = sheet.parent / name
    with can_be_read(sheet, "object sheet", "is it damaged?"):  # a name may be no path at all
        inside = path.resolve().is_relative_to(sheet.parent.resolve())
    if not inside:
        raise DataError(f"{sheet} names a mask outside its folder", hint="is it damaged?")
    return path


def _the_one(file_name: str, known: Mapping[str, Found], where: Path) -> Found | None:
    """What is known about a file: by its whole path, or by its name where no other folder has that name too."""
    wanted = PurePosixPath(file_name).parts
    alike = [one for name, one in known.items() if _ends_alike(PurePosixPath(name).parts, wanted)]
    found = alike or list(known.values())
    if len(found) > 1:
        raise DataError(f"{where} has several files {wanted[-1]}", hint="give the table its folders too")
    return found[0] if found else None


def _ends_alike(one: Sequence[str], other: Sequence[str]) -> bool:
    shorter = min(len(one), len(other))
    return tuple(one[-shorter:]) == tuple(other[-shorter:])


def matches(label: str, objects: Iterable[str]) -> bool:
    """Say whether a class is one that is asked about: any of its synonyms, in singular or plural."""
    known = {form for part in label.split(",") for form in _forms(part)}
    return any(form in known for name in objects for part in name.split(",") for form in _forms(part))


def items_from_table(table: Path, images: Path, finders: Sequence[Finder]) -> list[Item]:
    """Make items from a table of objects (`pixcore benchmarks parse-objects`).

    Args:
        table: CSV with id, image and objects (several joined by " | "), and optionally question and expression.
        images: The folder that image paths begin in.
        finders: Where candidate masks come from.

    Raises:
        DataError: The table or an image is missing or damaged.
    """
    items: dict[str, Item] = {}
    for row in read_table(table, ("id", "image", "objects")):
        name = row["id"].strip()
        if name in items:
            raise DataError(f"{table} has two rows with the id {name!r}", hint="decisions are kept by id: rename one")
        path = images / row["image"].strip()
        size = measured_of(table, path).size
        objects = [name.strip() for name in row["objects"].split("|") if name.strip()]
        instances = [instance for find in finders for instance in find(row["image"], objects, size)]
        items[name] = Item(
            id=name,
            image=str(path.resolve()),
            size=size,
            expression=(row.get("expression") or "").strip() or " and ".join(objects),
            question=(row.get("question") or "").strip(),
            instances=_told_apart(instances),
        )
    return list(items.values())


def items_from_coco(path: Path, images: Path) -> list[Item]:
    """Make items from a COCO file alone: one for each image and thing that is said of it.

    What is said is an annotation's own `expression`, else its image's, else the name of its class. An image of which
    nothing is said is an item too: its expression is written by hand. What an image asks (`question`, `options`,
    `answer`, `pair`, `categories`) goes with each of its items.

    Args:
        path: The file.
        images: The folder that its file names begin in.

    Raises:
        DataError: The file or an image is missing or damaged, or two items would have one id.
    """
    names = _class_names(path)
    items: dict[str, Item] = {}
    for image in read_coco(path).values():
        where = f"{path}: image {image.file_name}"
        picture = listed_in(images, image.file_name)
        size = measured_of(path, picture).size
        whole = str(image.extra.get("expression") or "")
        question = image.extra.get("question") or ""
        if not isinstance(question, str):
            raise DataError(f"{where} has a question that is not text", hint="expected a text")
        said: dict[str, list[Instance]] = {} if image.annotations else {whole: []}
        for number, annotation in enumerate(image.annotations):
            label = names.get(str(annotation.get("category_id")), "")
            expression = str(annotation.get("expression") or whole or label)
            said.setdefault(expression, []).append(_instance(image, number, label, size, where))
        for number, (expression, instances) in enumerate(said.items()):
            name = f"{image.id}" if len(said) == 1 else f"{image.id}-{number}"
            if name in items:
                raise DataError(
                    f"{where} makes a second item with the id {name!r}",
                    hint="decisions are kept by id: give the image another one",
                )
            items[name] = Item(
                id=name,
                image=str(picture.resolve()),
                size=size,
                expression=expression.strip(),
                question=question,
                instances=_told_apart(instances),
                extra={key: image.extra[key] for key in _CARRIED if key in image.extra},
            )
    return list(items.values())


def _told_apart(instances: Sequence[Instance]) -> tuple[Instance, ...]:
    """Give instances whose id is another's too, of one file or of two, an id of their own: one is kept by its id."""
    taken: set[str] = set()
    found = []
    for number, instance in enumerate(instances):
        name = f"{instance.id}-{number}" if instance.id in taken else instance.id
        taken.add(name)
        found.append(instance if name == instance.id else replace(instance, id=name))
    return tuple(found)


def _scaled(mask: RLE, size: Size, where: str) -> RLE:
    """Bring a mask to its picture's size, where that is another scale of the same shape.

    Raises:
        DataError: It is another shape: the picture is turned or cut, and nobody knows where the mask belongs.
    """
    own = size_of(mask)
    if not same_shape(own, size):
        raise DataError(
            f"{where} is annotated at {own[0]}x{own[1]} pixels, its picture has {size[0]}x{size[1]}",
            hint="is the picture turned by its EXIF data, or cut?",
        )
    return mask if own == size else encode(resized(decode(mask), size))


def _mask_file(path: Path, size: Size) -> RLE:
    try:
        with PILImage.open(io.BytesIO(read_file(path, "mask"))) as image:
            clear = image.has_transparency_data and np.asarray(image.convert("RGBA"))[..., 3].min() < 255
            deep = np.asarray(image) if image.mode.startswith("I") else None
            plain = np.asarray(image.convert("L"))
    except DataError:
        raise
    except Exception as error:  # Pillow's readers raise anything at damaged files
        raise DataError(f"can't read mask {path}: {error}", hint="is ADE20K's folder whole?") from error
    if clear:
        raise DataError(f"mask {path} is partly transparent", hint="a mask has 255 (seen), 128 (hidden) and 0")
    if deep is not None:  # 16 bits: Pillow would clip them, and hidden would be seen
        plain = deep // 257 if (deep % 257 == 0).all() else deep
    values = np.unique(plain).tolist()
    if values in ([1], [0, 1]):
        return _scaled(encode(plain == 1), size, f"mask {path}")
    if not set(values) <= {0, _HIDDEN, _SEEN}:
        told = ", ".join(map(str, values[:6])) + (", …" if len(values) > 6 else "")
        raise DataError(
            f"mask {path} has the values {told}", hint="a mask has 255 (seen), 128 (hidden) and 0, or 1 and 0"
        )
    return _scaled(encode(plain == _SEEN), size, f"mask {path}")


def _forms(name: str) -> set[str]:
    """Give a name in its letters alone, and what it may be the plural of; nothing where it has no letter."""
    word = " ".join(re.sub(r"[^\w ]|[\d_]", "", name.lower()).split())
    found = {word, _IRREGULAR.get(word, word)}
    if word.endswith("s") and not word.endswith("ss"):
        found.add(word[:-1])
        if re.search("(ch|sh|[sxzo])es$", word):
            found.add(word[:-2])
        if word.endswith("ies"):
            found.add(word[:-3] + "y")
        if word.endswith("ves"):
            found |= {word[:-3] + "f", word[:-3] + "fe"}
    return found - {""}
