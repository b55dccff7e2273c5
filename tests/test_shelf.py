"""What lies on a shelf comes back as it was, whatever its name and whatever it holds."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pixcore import masks, shelf
from pixcore.errors import StoreError
from pixcore.records import Image, Sample
from pixcore.shelf import Shelf, View

NAMES = st.lists(st.text(st.characters(codec=None)))


@given(NAMES)
def test_names_have_numbers_in_the_order_in_which_they_came(names: list[str]) -> None:
    kept, expected = Shelf[int](), list(dict.fromkeys(names))
    for place, name in enumerate(names):
        assert kept.add(name, place) is (name not in names[:place])
    assert len(kept) == len(expected)
    assert [kept.name(number) for number in range(len(kept))] == expected
    assert [kept.number(name) for name in expected] == list(range(len(expected)))
    assert [kept.thing(number) for number in range(len(kept))] == [names.index(name) for name in expected]
    assert kept.number("".join(names) + "x") == -1


def test_a_sample_comes_back_with_what_its_image_knows(tmp_path: Path) -> None:
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    there = tmp_path / "there.ppm"
    there.write_bytes(Image.from_pixels(pixels).read())
    kept = Shelf[Sample]()
    for name, image in {"pixels": Image.from_pixels(pixels), "\ud800": Image.from_path(there)}.items():
        _ = image.digest
        assert kept.add(name, Sample(name, image, mask=masks.empty((4, 2))))
    there.unlink()
    first, second = kept.thing(0), kept.thing(1)
    assert first is not kept.thing(0)
    assert (first.image.pixels() == pixels).all()
    assert (second.id, second.image.digest) == ("\ud800", first.image.digest)


class Archive:
    """A benchmark's pictures, far too many to be copied with each sample."""

    def read(self, number: int) -> bytes:
        return bytes([number])

    def __reduce__(self) -> str:
        raise AssertionError("copied")


def test_what_can_not_be_copied_is_held() -> None:
    kept = Shelf[object]()
    held = [Image(partial(Archive().read, 3)), Image(lambda: b"closure"), MappingProxyType({"a": 1})]
    for place, thing in enumerate(held):
        kept.add(str(place), thing)
    assert [kept.thing(place) for place in range(3)] == held
    assert all(kept.thing(place) is thing for place, thing in enumerate(held))


def test_a_view_reads_what_is_asked_for() -> None:
    read: list[int] = []
    view = View(lambda place: read.append(place) or place * 10, [4, 2, 9])  # type: ignore[func-returns-value]
    assert (len(view), view[0], view[-1], view[1:], list(view)) == (3, 40, 90, [20, 90], [40, 20, 90])
    assert read == [4, 9, 2, 9, 4, 2, 9]
    with pytest.raises(IndexError):
        view[3]


def test_a_folder_without_room_is_named_as_what_to_change() -> None:
    with pytest.raises(StoreError, match=r"temporary file.*TMPDIR"), shelf.on_disk():
        raise OSError("no space left")
