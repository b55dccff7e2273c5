"""Read COCO annotation files with every check: what the benchmarks on real images have in common.

An image may have several annotations, polygons and run lengths mixed; its ground truth is their union. Sizes are
(width, height) here and [height, width] in an RLE.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pixcore import masks
from pixcore.errors import DataError
from pixcore.files import read_json
from pixcore.masks import RLE
from pixcore_datasets import run_lengths
from pixcore_datasets.polygons import from_polygons

Size = tuple[int, int]


@dataclass(frozen=True)
class CocoImage:
    """One image of an annotation file.

    Attributes:
        id: Its id in the file.
        file_name: Its file.
        size: (width, height), or None where the file does not state it.
        segmentations: The segmentation of each of its annotations.
        annotations: The annotations themselves, in the same order.
        extra: The image's entry as the file has it.
    """

    id: int | str
    file_name: str
    size: Size | None = None
    segmentations: list[Any] = field(default_factory=list)
    annotations: list[Mapping[str, Any]] = field(default_factory=list)
    extra: Mapping[str, Any] = field(default_factory=dict)

    def stated_size(self, where: str) -> Size | None:
        """Find the size that the file states for the image, or that its first run-length annotation has.

        Args:
            where: Names the file in an error.
        """
        if self.size is not None:
            return self.size
        for segmentation in self.segmentations:
            if isinstance(segmentation, Mapping) and segmentation.get("size"):
                rle_size = segmentation["size"]
                if isinstance(rle_size, list) and len(rle_size) == 2:
                    width, height = (
                        _side(value, f"{where}: image {self.file_name}: a mask") for value in reversed(rle_size)
                    )
                    return (width, height) if width and height else None
        return None


class GroundTruth:
    """Unites an image's annotations, and remembers those that cover no pixel or are stretched.

    An annotation that covers no pixel lies outside its image, has coordinates from 0 to 1, or is finer than a pixel. It
    is left out and noted: absence is what a file says, not what remains.
    """

    def __init__(self) -> None:
        self._nowhere: dict[str, None] = {}
        self._stretched: dict[str, None] = {}

    @property
    def notes(self) -> tuple[str, ...]:
        """Which annotations were left out, and which images' are stretched, a line each."""
        said = (
            (self._nowhere, "annotation(s) cover no pixel of their image: left out, not scored"),
            (self._stretched, "image(s) have another shape than their annotations, which are stretched to it"),
        )
        return tuple(f"{len(names)} {what} ({shortened(list(names))})" for names, what in said if names)

    def of(
        self,
        annotations: Sequence[Mapping[str, Any]],
        size: Size,
        *,
        where: str,
        resize: bool = False,
        own: Size | None = None,
    ) -> RLE | None:
        """Unite annotations of one image, as `union_of`; None where they cover no pixel.

        No annotations at all give the empty mask.
        """
        parts = []
        for number, annotation in enumerate(annotations):
            segmentation = annotation["segmentation"]
            part = union_of([segmentation], size, where=where, resize=resize, own=own)
            drawn_at = tuple(segmentation["size"][::-1]) if isinstance(segmentation, Mapping) else own
            if resize and drawn_at is not None and not same_shape(drawn_at, size):
                self._stretched[where] = None
            if masks.area(part):
                parts.append(part)
            else:
                self._nowhere[f"{where}, annotation {annotation.get('id', number)}"] = None
        return masks.union(parts, size) if parts or not annotations else None


def read_coco(path: Path) -> dict[int | str, CocoImage]:
    """Read an annotation file.

    Returns:
        Its images by id, in the file's order, each with its annotations.

    Raises:
        DataError: The file is damaged: no images, two images with one id, an annotation of no image. Annotations belong
            to images by `image_id`, where some tools write the image 1 as "1"; their own ids may be missing or
            repeated.
    """
    document = read_json(path)
    images: dict[int | str, CocoImage] = {}
    for number, entry in enumerate(_list(document, "images", path)):
        if not isinstance(entry, Mapping) or not {"id", "file_name"} <= entry.keys():
            raise DataError(f"{path}: image {number} has no id or file_name", hint="every image needs both")
        where = f"{path}: image {number}"
        name, file_name = _id(entry["id"], where), entry["file_name"]
        if name in images:
            raise DataError(f"{path}: two images have the id {name!r}", hint="ids must be unique")
        if not isinstance(file_name, str) or not file_name or "\0" in file_name:
            raise DataError(f"{where} has no usable file_name", hint="expected a path, as text")
        sides = [_side(entry.get(key), f"{where}: {key}") for key in ("width", "height")]
        size = (sides[0], sides[1]) if all(sides) else None
        if size is not None:
            masks.check_size(size, where)
        images[name] = CocoImage(name, file_name, size, extra=entry)
    as_text = {str(name): name for name in images}
    for number, entry in enumerate(_list(document, "annotations", path)):
        name = f"annotation {number}"
        if isinstance(entry, Mapping) and entry.get("id") is not None:
            name = f"annotation {_id(entry['id'], f'{path}: {name}')}"
        if not isinstance(entry, Mapping) or "image_id" not in entry:
            raise DataError(f"{path}: {name} has no image_id", hint="every annotation belongs to an image")
        own = _id(entry["image_id"], f"{path}: {name}, image_id")
        own = own if own in images else as_text.get(str(own), own)
        if own not in images:
            raise DataError(
                f"{path}: {name} belongs to image {entry['image_id']!r}, which is not there",
                hint="add the image, or drop the annotation",
            )
        if "segmentation" not in entry:
            raise DataError(f"{path}: {name} has no segmentation", hint="polygons or run lengths")
        image = images[own]
        image.segmentations.append(entry["segmentation"])
        image.annotations.append(entry if entry["image_id"] == own else {**entry, "image_id": own})
    return images


def union_of(
    segmentations: Sequence[Any], size: Size, *, where: str, resize: bool = False, own: Size | None = None
) -> RLE:
    """Rasterise segmentations and unite them.

    Args:
        segmentations: Polygons ([[x0, y0, x1, y1, …], …]) or run lengths, compressed or not.
        size: (width, height) of the image.
        where: Names the image in an error.
        resize: Whether annotations of another size are brought to the image's: run lengths by nearest neighbours,
            polygons by their corners.
        own: The (width, height) that polygons are drawn at; None where nobody knows, and they stay as they are.

    Returns:
        The mask. It is empty where nothing of the image is covered, and where all coordinates are shares of its sides
        (`are_shares`), which cover its first pixel at most.

    Raises:
        DataError: A polygon has fewer than three points, run lengths are damaged or of another size, or the image is
            turned against what is to be resized.
    """
    drawn_at = own if resize and own is not None else size
    parts = [_one(segmentation, size, where, resize, drawn_at) for segmentation in segmentations]
    return masks.union(parts, size)


def _one(segmentation: Any, size: Size, where: str, resize: bool, drawn_at: Size) -> RLE:
    if isinstance(segmentation, Mapping):
        rle = run_lengths.parse(segmentation, where=f"{where}: a mask", size=None if resize else size)
        if masks.size_of(rle) == size:
            return rle
        _check_upright(masks.size_of(rle), size, where)
        return masks.encode(masks.resized(masks.decode(rle), size))
    if segmentation is None or segmentation == []:
        raise DataError(f"{where} has no outline", hint="give it one, or drop it: a bounding box alone is no mask")
    if not isinstance(segmentation, list):
        raise DataError(f"{where} has a segmentation that is neither polygons nor run lengths", hint="is it damaged?")
    for ring in segmentation:
        if not isinstance(ring, list) or not all(_is_number(value) for value in ring) or len(ring) % 2:
            raise DataError(f"{where} has a polygon that is not a list of x, y", hint="expected [x0, y0, x1, y1, ...]")
        if len(ring) < 6:
            raise DataError(
                f"{where} has a polygon with {len(ring) // 2} points", hint="a polygon needs at least three"
            )
    if are_shares((value for ring in segmentation for value in ring), size):
        return masks.empty(size)
    if drawn_at != size:
        _check_upright(drawn_at, size, where)
        scales = (size[0] / drawn_at[0], size[1] / drawn_at[1])
        segmentation = [[value * scales[at % 2] for at, value in enumerate(ring)] for ring in segmentation]
    return from_polygons(segmentation, size)


def are_shares(values: Iterable[float], size: Size) -> bool:
    """Say whether coordinates are shares of an image's sides and no pixels: all from 0 to 1, but for a hundredth."""
    return max(size) > 1 and all(-0.01 <= value <= 1.01 for value in values)


def _check_upright(own: Size, size: Size, where: str) -> None:
    if same_shape(own[::-1], size) and not same_shape(own, size):
        raise DataError(
            f"{where} is annotated at {own[0]}x{own[1]} pixels, its picture has {size[0]}x{size[1]}",
            hint="is the picture turned by its EXIF data? turn its annotations as well",
        )


def same_shape(one: Size, other: Size) -> bool:
    """Say whether two sizes are one picture's at two scales, but for rounding; a picture and its turned one are not.

    >>> same_shape((640, 480), (427, 320)), same_shape((640, 480), (480, 640))
    (True, False)
    """
    scaled = (one[0] * other[1], one[1] * other[0])
    return abs(scaled[0] - scaled[1]) <= max(*one, *other)


def shortened(names: Sequence[str], between: str = "; ") -> str:
    """Name the first five, and say where there are more."""
    return between.join(names[:5]) + (f"{between}..." if len(names) > 5 else "")


def _is_number(value: Any) -> bool:
    # a whole number may be too large for a float
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300


def _id(value: Any, where: str) -> int | str:
    if isinstance(value, bool) or not isinstance(value, (int, str)):
        raise DataError(f"{where} has an id of type {type(value).__name__}", hint="a whole number or text")
    return value


def _side(value: Any, where: str) -> int:
    """A side in pixels; 0 where nothing is stated, for which VIA 3 writes -1."""
    if value is None or value == -1:
        return 0
    if not _is_number(value) or value != int(value) or value < 0:
        raise DataError(f"{where} is not a number of pixels", hint="expected a whole number above 0")
    return int(value)


def _list(document: Any, key: str, path: Path) -> list[Any]:
    value = document.get(key) if isinstance(document, Mapping) else None
    if not isinstance(value, list):
        raise DataError(f"{path} has no list of {key}", hint="expected COCO's images and annotations")
    return value
