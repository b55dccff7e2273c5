"""Decompressed run lengths against pycocotools and against plain counting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_datasets.run_lengths import covered, parse, parse_many, run_lengths
from pycocotools import mask as coco

from pixcore import masks
from pixcore.errors import DataError


def plain_runs(mask: np.ndarray) -> list[int]:
    runs, value = [0], False
    for pixel in mask.T.ravel():
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    return runs


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 2**32 - 1),
    shapes=st.lists(st.tuples(st.integers(1, 60), st.integers(1, 60), st.floats(0, 1)), min_size=1, max_size=6),
)
def test_runs_are_those_that_one_counts(seed: int, shapes: list[tuple[int, int, float]]) -> None:
    rng = np.random.default_rng(seed)
    drawn = [rng.random((h, w)) < share for h, w, share in shapes]
    counts = [masks.encode(mask)["counts"] for mask in drawn]
    runs, first = run_lengths(counts, str)
    for index, mask in enumerate(drawn):
        assert runs[first[index] : first[index + 1]].tolist() == plain_runs(mask)
    assert covered(*run_lengths(counts, str)).tolist() == [mask.size for mask in drawn]


def test_long_runs_and_empty_text() -> None:
    big = masks.encode(np.zeros((4000, 3000), bool))
    assert covered(*run_lengths([big["counts"], "", big["counts"]], str)).tolist() == [12_000_000, 0, 12_000_000]
    assert covered(*run_lengths([], str)).tolist() == []


@pytest.mark.parametrize("damaged", ["é", "!!", "000k", "OOOOPO", "o" * 20 + "0"])
def test_damage_names_the_mask(damaged: str) -> None:
    sound = masks.encode(np.eye(7, dtype=bool))["counts"]
    with pytest.raises(DataError, match=r"^second has"):
        run_lengths([sound, damaged, sound], ["first", "second", "third"].__getitem__)


def written(number: int) -> str:
    """One of COCO's numbers, as its C code writes them."""
    text = ""
    while True:
        digit, number = number & 31, number >> 5
        more = number != -1 if digit & 16 else number != 0
        text += chr(digit + 32 * more + 48)
        if not more:
            return text


def test_the_largest_mask_is_read() -> None:
    largest = masks.empty((1 << 14, 1 << 14))
    assert parse(largest, where="mask") == largest


@pytest.mark.parametrize("numbers", [[1, 1, 1, *[1 << 29, 0] * 8, 1], [1, 1, 1, *[(1 << 29) - 1, 0] * 8, 9]])
def test_runs_that_come_round_to_small_ones_again_are_refused(numbers: list[int]) -> None:
    """Eight differences of 2²⁹ are none in 32 bits."""
    with pytest.raises(DataError, match=r"absurd|negative"):
        run_lengths(["".join(map(written, numbers))], str)


def test_runs_that_do_not_fill_their_mask_are_counted() -> None:
    sound = masks.encode(np.eye(7, dtype=bool))["counts"]
    assert covered(*run_lengths([sound, sound[:-1]], str))[1] != 49


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(1, 9), width=st.integers(1, 9), share=st.floats(0, 1))
def test_a_mask_is_one_however_its_runs_are_parted(seed: int, height: int, width: int, share: float) -> None:
    """Equal masks are merged by their text, and other writers leave runs of no pixel in it."""
    rng = np.random.default_rng(seed)
    mask = rng.random((height, width)) < share
    runs = plain_runs(mask)
    for _ in range(rng.integers(1, 4)):
        place = int(rng.integers(len(runs)))
        cut = int(rng.integers(runs[place] + 1))
        runs[place : place + 1] = [cut, 0, runs[place] - cut]
    size = [height, width]
    text = coco.frPyObjects({"size": size, "counts": runs}, height, width)["counts"].decode()
    sound = masks.encode(mask)
    for counts in (runs, text):
        assert parse({"size": size, "counts": counts}, where="mask") == sound
    many = [{"size": size, "counts": counts} for counts in (text, sound["counts"], text)]
    assert parse_many(many, str, (width, height)) == [sound] * 3
