"""The ground truth of a sample, of what a mask file says and what its row says; and the sample itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixcore_datasets import run_lengths
from pixcore_datasets.coco import union_of
from pixcore_datasets.pictures import measured

from pixcore import masks
from pixcore.errors import DataError
from pixcore.masks import RLE
from pixcore.records import Image, Sample
from pixcore_folder.columns import Row
from pixcore_folder.labels import Labels


class Truth:
    """Makes the ground truth of each sample, and remembers which are absent because their mask is black all over.

    Args:
        threshold: What counts as inside a mask for which no value is asked.
    """

    def __init__(self, threshold: int | None = None) -> None:
        self._threshold = threshold
        self._black: dict[str, None] = {}
        self._nowhere: dict[str, None] = {}

    @property
    def notes(self) -> list[str]:
        """Which objects count as absent since their mask has nothing in it, and which outlines are nowhere."""
        said = (
            (self._black, "sample(s) have a mask with nothing in it: their objects count as absent"),
            (self._nowhere, "outline(s) cover no pixel of their picture: not scored for grounding"),
        )
        return [f"{len(names)} {what} ({shortened(list(names))})" for names, what in said if names]

    def outlined(self, segmentation: Any, image: Image, where: str) -> RLE | None:
        """Rasterise COCO's run lengths or polygons; None where polygons cover no pixel, which says nothing of absence.

        Polygons are on no pixels either where the picture can't be read: that is its sample's failure.

        Raises:
            DataError: It is neither, or is damaged.
        """
        if image.known_size is None:
            return run_lengths.parse(segmentation, where=where) if isinstance(segmentation, Mapping) else None
        mask = union_of([segmentation], image.known_size, where=where)
        if masks.area(mask) or isinstance(segmentation, Mapping):
            return mask
        self._nowhere[where] = None
        return None

    def of(self, given: Labels | RLE | None, image: Image, row: Row, name: str, where: str) -> RLE | None:
        """Make a sample's ground truth.

        Args:
            given: What its mask says; None without one.
            image: Its picture.
            row: Its row.
            name: Its id.
            where: Names the row and the mask in an error.

        Returns:
            Run lengths at the picture's size, empty where the object is absent; None where nobody knows.

        Raises:
            DataError: The mask has another size than the picture, lacks the value, or contradicts the row.
        """
        if row.absent:  # of a picture that can't be read the run tells
            return masks.empty(image.known_size) if image.known_size is not None else None
        if given is None:
            return None
        size = given.size if isinstance(given, Labels) else masks.size_of(given)
        _check_size(size, image, where)
        if isinstance(given, Labels):
            inside = given.inside(row.values, threshold=self._threshold, where=where)
            mask = masks.encode(inside)
        else:
            mask = given
        if not masks.area(mask):
            if row.absent is False:
                raise DataError(
                    f"{where} has nothing in it, and the row says that the object is there", hint="mend one"
                )
            self._black[name] = None
        return mask


def sample_of(name: str, image: Image, row: Row, mask: RLE | None) -> Sample:
    """Make a sample of a row, its picture and its ground truth."""
    return Sample(
        id=name,
        image=image,
        question=row.question,
        options=row.options,
        answer=row.answer,
        expression=row.expression,
        mask=mask,
        pair=row.pair,
        categories=row.categories,
    )


def sized(picture: Path | Image) -> Image:
    """Measure a picture; one that can't be read is its sample's failure, of which the run tells."""
    try:
        return measured(picture)
    except DataError:
        return picture if isinstance(picture, Image) else Image.from_path(picture)


def shortened(names: Sequence[str], most: int = 5) -> str:
    """List the first of many names."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _check_size(size: tuple[int, int], image: Image, where: str) -> None:
    known = image.known_size
    if known is None or known == size:
        return
    turned = known[::-1] == size
    raise DataError(
        f"{where} is {size[0]}x{size[1]} pixels, its picture {image.name} {known[0]}x{known[1]}",
        hint="is the picture turned by its EXIF orientation? turn the mask as well"
        if turned
        else "a mask has its picture's size",
    )
