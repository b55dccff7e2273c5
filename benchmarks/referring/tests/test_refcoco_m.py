"""RefCOCO-M's parquet files: a sample an expression, masks from run lengths, pictures read on use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pixcore_referring.config import RefCocoMConfig
from pixcore_referring.refcoco_m import RefCocoM

from pixcore import masks
from pixcore.records import Sample
from tests.damages import assert_told

from .layouts import rectangle, refcoco_m, rle


def load(root: Path) -> dict[str, Sample]:
    return {sample.id: sample for sample in RefCocoM(RefCocoMConfig(root=root)).samples()}


def test_each_expression_of_each_object_is_a_sample(tmp_path: Path) -> None:
    samples = load(refcoco_m(tmp_path))
    told = {name: (sample.expression, sample.categories["category"]) for name, sample in samples.items()}
    assert told == {
        "7.0": ("left dog", "dog"),
        "7.1": ("the brown one", "dog"),
        "8": ("the cat", "cat"),
        "9": ("a dog", "dog"),
    }
    cat = samples["8"]
    assert cat.mask is not None
    assert (masks.decode(cat.mask) == rectangle(20, 5, 30, 15)).all()
    assert cat.image.pil().size == cat.image.size == (40, 30)


def test_a_mask_that_covers_no_pixel_is_no_absent_object(tmp_path: Path) -> None:
    objects = [
        {"id": 1, "sentences": ["a"], "mask": rle(0, 0, 0, 0)},
        {"id": 2, "sentences": ["b"], "mask": rle(0, 0, 2, 2)},
    ]
    benchmark = RefCocoM(RefCocoMConfig(root=refcoco_m(tmp_path, [{"samples": objects}])))
    scored = {one.id: one.mask is not None for one in benchmark.samples()}
    assert scored == {"1": False, "2": True}
    assert benchmark.notes == ("1 object(s) have a mask that covers no pixel: not scored for grounding",)


DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no objects": ({"samples": None}, "row 0 has no samples"),
    "no mask": ({"samples": [{"id": 1, "sentences": ["a"]}]}, "object 1: mask is not COCO RLE"),
    "no sentences": ({"samples": [{"id": 1, "mask": rle(0, 0, 1, 1)}]}, "object 1 has no id or no sentences"),
    "an empty sentence": ({"samples": [{"id": 1, "sentences": [" "]}]}, "object 1 has a sentence that is no text"),
    "half a mask": (
        {"samples": [{"id": 1, "sentences": ["a"], "mask": {"size": [30, 40], "counts": "0"}}]},
        "object 1: mask has counts that do not fill 40x30",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_every_damage_is_named(case: str, tmp_path: Path) -> None:
    row, message = DAMAGES[case]
    assert_told(lambda: load(refcoco_m(tmp_path, [row])), message)


def test_missing_files_and_repeated_objects_are_named(tmp_path: Path) -> None:
    assert_told(lambda: load(tmp_path), "lacks data/")
    (tmp_path / "data").mkdir()
    assert_told(lambda: load(tmp_path), "holds no validation-*.parquet")
    (tmp_path / "data/validation-0.parquet").write_bytes(b"no")
    assert_told(lambda: load(tmp_path), "can't read")
    one = {"samples": [{"id": 1, "sentences": ["a"], "mask": rle(0, 0, 1, 1)}]}
    assert_told(lambda: load(refcoco_m(tmp_path / "twice", [one, one])), "two samples have the id 1")
