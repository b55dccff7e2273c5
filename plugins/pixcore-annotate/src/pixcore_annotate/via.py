"""Read polygons from a VGG Image Annotator project: its native JSON, its CSV export, its COCO export.

VIA keeps regions with their shape and free attributes, and no image size; sizes come from the images, or from the COCO
export, which states them. Polygons, polylines, rectangles, circles and ellipses become polygons; points have no area
and are refused. Where the regions of an image have different expressions, or another one than the image has, each is a
sample of its own; else all regions together are what the image's expression is about.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixcore_datasets.coco import Size, read_coco, union_of
from pixcore_datasets.pictures import listed_in, measured, measured_of
from pixcore_datasets.tables import read_table

from pixcore.errors import DataError, nearest
from pixcore.files import prepare, read_json, write_json
from pixcore.masks import area
from pixcore_annotate.project import check_own

_SIDES = 64
_LISTS = ("dropdown", "radio")
_MADE = {"description": "pixcore benchmarks import-via"}


@dataclass(frozen=True)
class ViaRegion:
    """One region of an image.

    Attributes:
        segmentation: As COCO has it: polygons, [x0, y0, x1, y1, …] each, or run lengths.
        attributes: Its own.
    """

    segmentation: Any
    attributes: Mapping[str, str] = field(default_factory=dict)


@dataclass
class ViaImage:
    """One image of a project.

    Attributes:
        file_name: As the project has it.
        size: (width, height), if the project states it.
        regions: What is outlined in it.
        attributes: Of the file.
        bytes: The file's size as the project has it; tells two files of one name apart.
    """

    file_name: str
    size: Size | None = None
    regions: list[ViaRegion] = field(default_factory=list)
    attributes: dict[str, str] = field(default_factory=dict)
    bytes: str = ""


def read_via(path: Path) -> dict[str, ViaImage]:
    """Read a project, by file name.

    Raises:
        DataError: It is none of the three forms, or a region has no area.
    """
    if path.suffix.lower() == ".csv":
        return _from_csv(path)
    document = read_json(path)
    if isinstance(document, Mapping) and "annotations" in document and "images" in document:
        return _from_coco(path)
    return _from_json(document, path)


def import_via(
    project: Path,
    target: Path,
    *,
    images: Path | None = None,
    expressions: Path | None = None,
    attribute: str = "expression",
) -> tuple[int, int]:
    """Turn a project into a benchmark folder that `coco-referring` reads.

    Args:
        project: The project's file.
        target: The folder; `annotations.json` in it is replaced once the new one is whole.
        images: Where the images are; needed where the project states no sizes.
        expressions: CSV with `file` and `expression`, if they are not an attribute in the project.
        attribute: Which attribute holds the expression.

    Returns:
        Number of images, and of those that have an expression.

    Raises:
        DataError: The project, an image or the table is missing or damaged, or the folder's file is of another origin.
    """
    check_own(target / "annotations.json", _MADE)
    found = read_via(project)
    said = _expressions(expressions) if expressions is not None else {}
    unknown = sorted(said.keys() - found.keys())
    if unknown:
        raise DataError(f"{expressions} is about {unknown[0]}, which {project} does not have", hint="check file names")
    named = [held for one in found.values() for held in (one.attributes, *(each.attributes for each in one.regions))]
    known = set().union(*named)
    if known and attribute not in known and expressions is None:
        raise DataError(f"{project} has no attribute {attribute!r}", hint=nearest(attribute, known))
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    spoken = 0
    for number, (name, image) in enumerate(found.items(), start=1):
        path = listed_in(images, name) if images is not None else None
        size = image.size or _measure(project, path, name)
        if path is not None and image.size is not None and path.exists() and measured(path).size != size:
            seen = measured(path).size
            raise DataError(
                f"{project} says that {name} has {size[0]}x{size[1]} pixels, it has {seen[0]}x{seen[1]} upright",
                hint="is it another file, or turned by its EXIF data?",
            )
        expression, apart = said.get(name), False
        if expression is None:
            expression, apart = _said_of(image, attribute)
        entry: dict[str, Any] = {"id": number, "width": size[0], "height": size[1], "expression": expression}
        entry["file_name"] = os.path.relpath(path, os.path.realpath(target)) if path is not None else name
        entries.append({key: value for key, value in entry.items() if value is not None})
        spoken += apart or expression is not None
        for spoken_of, segmentation in _objects(image, attribute, apart, size, f"{project}: image {name}"):
            mask = union_of([segmentation], size, where=f"{project}: image {name}")
            annotation = {
                "id": len(annotations) + 1,
                "image_id": number,
                "category_id": 1,
                "iscrowd": 0,
                "segmentation": segmentation,
                "area": area(mask),
            }
            annotations.append(annotation | ({"expression": spoken_of} if spoken_of else {}))
    prepare(target, "folder")
    categories = [{"id": 1, "name": "object"}]
    document = {"info": _MADE, "images": entries, "annotations": annotations, "categories": categories}
    write_json(target / "annotations.json", document, "folder", indent=None)
    return len(entries), spoken


def _said_of(image: ViaImage, attribute: str) -> tuple[str | None, bool]:
    """What is said of all regions of an image together, and whether regions say something of themselves alone."""
    whole = image.attributes.get(attribute, "").strip()
    own = {text for region in image.regions if (text := region.attributes.get(attribute, "").strip())}
    if len(own) == 1 and whole in {"", *own}:
        return next(iter(own)), False
    return whole or None, bool(own)


def _objects(image: ViaImage, attribute: str, apart: bool, size: Size, where: str) -> Iterator[tuple[str | None, Any]]:
    """The annotations of an image: a region each, or, where regions say different things, one for each thing said."""
    together: dict[str, list[Any]] = {}
    for number, region in enumerate(image.regions, start=1):
        if not area(union_of([region.segmentation], size, where=where)):
            raise DataError(
                f"{where}: region {number} covers no pixel of {size[0]}x{size[1]}",
                hint="is it outside the image, or in coordinates from 0 to 1?",
            )
        text = region.attributes.get(attribute, "").strip()
        if apart and text:
            together.setdefault(text, []).append(region.segmentation)
        else:
            yield None, region.segmentation
    for text, segmentations in together.items():
        if all(isinstance(one, list) for one in segmentations):
            yield text, [ring for one in segmentations for ring in one]
        else:
            yield text, union_of(segmentations, size, where=where)


def _from_json(document: Any, path: Path) -> dict[str, ViaImage]:
    metadata = document.get("_via_img_metadata", document) if isinstance(document, Mapping) else None
    entries: list[Any] = list(metadata.values()) if isinstance(metadata, Mapping) else [None]
    if not all(isinstance(entry, Mapping) and "filename" in entry for entry in entries):
        raise DataError(f"{path} is not a VIA project", hint="VIA 2's project or annotations as JSON, CSV or COCO")
    about_files, about_regions = (_choices(document, kind) for kind in ("file", "region"))
    found: dict[str, ViaImage] = {}
    for entry in entries:
        if str(entry["filename"]) in found:
            raise DataError(
                f"{path} has two images {entry['filename']}",
                hint="VIA keeps no folders: rename one, or split the project",
            )
        image = _image(found, str(entry["filename"]), str(entry.get("size", "")), path)
        image.attributes.update(_chosen(_texts(entry.get("file_attributes")), about_files))
        regions = entry.get("regions") or []
        if not isinstance(regions, (list, Mapping)):
            raise DataError(f"{path}: {image.file_name} has regions that are none", hint="save it in VIA again")
        for region in regions.values() if isinstance(regions, Mapping) else regions:
            if not isinstance(region, Mapping):
                raise DataError(f"{path}: {image.file_name} has a damaged region", hint="save it in VIA again")
            rings = _polygons(region.get("shape_attributes"), f"{path}: {image.file_name}")
            image.regions.append(ViaRegion(rings, _chosen(_texts(region.get("region_attributes")), about_regions)))
    return found


def _choices(document: Mapping[str, Any], kind: str) -> dict[str, dict[str, str]]:
    """What the options of a project's lists are called, by attribute and id: a region or file has the id alone."""
    every = document.get("_via_attributes")
    own = every.get(kind) if isinstance(every, Mapping) else None
    found = own.items() if isinstance(own, Mapping) else ()
    lists = ((name, one) for name, one in found if isinstance(one, Mapping) and one.get("type") in _LISTS)
    return {str(name): _texts(one.get("options")) for name, one in lists}


def _chosen(attributes: Mapping[str, str], choices: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    return {name: choices.get(name, {}).get(text, text) for name, text in attributes.items()}


def _from_csv(path: Path) -> dict[str, ViaImage]:
    columns = ("filename", "region_shape_attributes")
    found: dict[str, ViaImage] = {}
    for row in read_table(path, columns, aliases={"#filename": "filename"}):
        name = row["filename"]
        image = _image(found, name, row.get("file_size", ""), path)
        about = _texts(_cell(row.get("file_attributes", "{}"), path, name))
        for key, text in about.items():
            if (before := image.attributes.setdefault(key, text)) != text:
                raise DataError(
                    f"{path} says {before!r} and {text!r} of {name}", hint=f"write one {key} in all its rows"
                )
        shape = _cell(row["region_shape_attributes"], path, name)
        if shape:
            said = _texts(_cell(row.get("region_attributes", "{}"), path, name))
            image.regions.append(ViaRegion(_polygons(shape, f"{path}: {name}"), said))
    return found


def _from_coco(path: Path) -> dict[str, ViaImage]:
    found: dict[str, ViaImage] = {}
    for image in read_coco(path).values():
        if any(one.get("expressions") for one in (image.extra, *image.annotations)):
            raise DataError(
                f"{path}: image {image.file_name} has `expressions`, which VIA has not",
                hint="the benchmark coco-referring reads such a file as it is: name it as annotations:",
            )
        regions = [
            ViaRegion(_rings(one["segmentation"]), {**_texts(one), **_texts(one.get("attributes"))})
            for one in image.annotations
        ]
        entry = _image(found, image.file_name, str(image.id), path)
        entry.size, entry.regions, entry.attributes = image.size, regions, _texts(image.extra)
    return found


def _image(found: dict[str, ViaImage], name: str, marked: str, path: Path) -> ViaImage:
    """The image of a name.

    Raises:
        DataError: It is another file of the same name, from another folder: VIA keeps no folders.
    """
    image = found.setdefault(name, ViaImage(name, bytes=marked))
    if image.bytes != marked:
        raise DataError(f"{path} has two images {name}", hint="VIA keeps no folders: rename one, or split the project")
    return image


def _rings(segmentation: Any) -> Any:
    """VIA's own export writes one flat ring where COCO has a list of them."""
    flat = isinstance(segmentation, list) and segmentation and not isinstance(segmentation[0], list)
    return [segmentation] if flat else segmentation


def _polygons(shape: Any, where: str) -> list[list[float]]:
    shape = shape if isinstance(shape, Mapping) else {}
    kind = shape.get("name")
    try:
        if kind in ("polygon", "polyline"):
            xs, ys = shape["all_points_x"], shape["all_points_y"]
            if len(xs) < 3 or len(xs) != len(ys):
                raise DataError(f"{where} has a polygon with {len(xs)} points", hint="a polygon needs at least three")
            return [[float(value) for point in zip(xs, ys, strict=True) for value in point]]
        if kind == "rect":
            x, y, width, height = (float(shape[key]) for key in ("x", "y", "width", "height"))
            return [[x, y, x + width, y, x + width, y + height, x, y + height]]
        if kind in ("circle", "ellipse"):
            return [_round(shape)]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(f"{where} has a damaged {kind}: {error}", hint="open it in VIA and save it again") from error
    raise DataError(
        f"{where} has a region of shape {kind!r}", hint="polygons, rectangles, circles and ellipses have an area"
    )


def _round(shape: Mapping[str, Any]) -> list[float]:
    x, y = float(shape["cx"]), float(shape["cy"])
    wide, high = float(shape.get("rx", shape.get("r", 0))), float(shape.get("ry", shape.get("r", 0)))
    turn = float(shape.get("theta", 0))
    ring = []
    for step in range(_SIDES):
        angle = 2 * math.pi * step / _SIDES
        right, down = wide * math.cos(angle), high * math.sin(angle)
        ring += [x + right * math.cos(turn) - down * math.sin(turn), y + right * math.sin(turn) + down * math.cos(turn)]
    return ring


def _cell(text: str, path: Path, name: str) -> Mapping[str, Any]:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise DataError(f"{path}: {name} has attributes that are not JSON", hint="export it from VIA again") from error
    return value if isinstance(value, Mapping) else {}


def _texts(attributes: Any) -> dict[str, str]:
    given = attributes if isinstance(attributes, Mapping) else {}
    return {str(key): str(value) for key, value in given.items() if isinstance(value, str) and value.strip()}


def _expressions(path: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in read_table(path, ("file", "expression"), aliases={"filename": "file", "image": "file"}):
        name = row["file"].strip()
        if name in found:
            raise DataError(f"{path} has two rows about {name}", hint="one row a file")
        if not (said := row["expression"].strip()):
            raise DataError(f"{path} says nothing of {name}", hint="fill the expression in, or drop the row")
        found[name] = said
    return found


def _measure(project: Path, path: Path | None, name: str) -> Size:
    if path is None:
        raise DataError(f"nothing states the size of {name}", hint="say where the images are: --images FOLDER")
    return measured_of(project, path).size
