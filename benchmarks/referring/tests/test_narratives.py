"""Panoptic Narrative Grounding: phrases and their segments, and average recall against the released sum."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_referring.config import NarrativesConfig
from pixcore_referring.narrative_figures import average_recall
from pixcore_referring.narratives import PanopticNarratives

from pixcore import cli, masks
from pixcore.records import Sample
from tests.damages import Damage, assert_told, edited

from .layouts import narratives, rectangle


def load(root: Path, **options: Any) -> dict[str, Sample]:
    return {one.id: one for one in PanopticNarratives(NarrativesConfig(root=root, **options)).samples()}


def test_each_phrase_with_a_segment_is_a_sample(tmp_path: Path) -> None:
    samples = load(narratives(tmp_path), question="Describe this image.")
    told = {name: (one.expression, *one.categories.values()) for name, one in samples.items()}
    assert told == {
        "139.0.0": ("two people", "things", "plurals"),
        "139.0.1": ("grass", "stuff", "singulars"),
        "139.1.0": ("A person", "things", "singulars"),
    }
    people = samples["139.0.0"]
    assert people.mask is not None
    assert (masks.decode(people.mask) == (rectangle(0, 0, 10, 10) | rectangle(20, 0, 30, 10))).all()
    assert people.question == "Describe this image."
    extra = people.extra
    assert extra["narrative"][extra["start"] : extra["end"]] == "two people"
    assert people.image.pil().size == (40, 30)


def test_a_segment_that_is_nowhere_in_the_picture_is_no_absent_object(tmp_path: Path) -> None:
    root = narratives(tmp_path)
    picture = root / "annotations/panoptic_segmentation/val2017/000000000139.png"
    PILImage.new("RGB", (40, 30), (3, 0, 0)).save(picture)
    benchmark = PanopticNarratives(NarrativesConfig(root=root))
    scored = {one.id: one.mask is not None and not one.absent for one in benchmark.samples()}
    assert scored == {"139.0.0": True, "139.0.1": False, "139.1.0": True}
    assert "1 phrase(s) have segments that no pixel belongs to" in benchmark.notes[0]


def test_coco_s_own_folders_are_found(tmp_path: Path) -> None:
    narratives(tmp_path)
    (tmp_path / "annotations/panoptic_segmentation/val2017").rename(tmp_path / "annotations/panoptic_val2017")
    assert len(load(tmp_path)) == 3


def test_a_phrase_that_the_caption_writes_otherwise_has_no_place(tmp_path: Path) -> None:
    extra = load(narratives(tmp_path, {"caption": "something else"}))["139.0.0"].extra
    assert (extra["start"], extra["end"]) == (None, None)


def released(ious: np.ndarray[Any, Any]) -> float:
    """The released evaluation's sum, one threshold after the other."""
    thresholds = np.arange(0, 1, 0.00001)
    total = 0.0
    for low, high in pairwise(thresholds):
        total += abs(high - low) * (ious >= low).mean()
    return total


def test_average_recall_is_the_released_sum() -> None:
    ious = np.array([0.0, 0.5, 0.33333, 0.99999, 1.0, 0.123456])
    assert average_recall(ious) == pytest.approx(released(ious), abs=1e-9)


def test_average_recall_stands_in_the_table_under_its_own_name(tmp_path: Path) -> None:
    root, found = narratives(tmp_path / "d"), rectangle(0, 0, 10, 10)
    lines = [
        {"sample_id": name, "protocol": "segment", "text": "it", "mask": masks.encode(found)}
        for name in ("139.0.0", "139.0.1", "139.1.0")
    ]
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    out = tmp_path / "summary.json"
    command = ["score", str(path), "--benchmark", "panoptic-narratives", "--root", str(root), "--json", str(out)]
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    assert not end.value.code
    figures = json.loads(out.read_text())["rows"][0]["figures"]
    told = {name: round(figure["value"], 2) for name, figure in figures.items() if "AR" in name or "@" in name}
    assert told == {  # IoU 0.5, 0 and 1
        "AR": 50.0,
        "AR things": 75.0,
        "AR stuff": 0.0,
        "AR singulars": 50.0,
        "AR plurals": 50.0,
        "acc@0.5": 33.33,
    }


PNG, PANOPTIC = "annotations/png_coco_val2017.json", "annotations/panoptic_val2017.json"


INFINITE = float("inf")  # as JSON reads 1e999


def first(change: dict[str, Any]) -> Damage:
    return edited(PNG, lambda told: told[0].update(change))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no list": (lambda root: (root / PNG).write_text("{}"), "holds no list of narratives"),
    "no caption": (first({"caption": None}), "narrative 0 lacks or misses"),
    "no parts": (first({"segments": [{}]}), "narrative 0 lacks or misses"),
    "another image": (first({"image_id": "5"}), "narrative 0 is of image 5"),
    "another segment": (first({"segments": [{"utterance": "a", "segment_ids": ["4"]}]}), "names segment 4"),
    "no words": (first({"segments": [{"utterance": " ", "segment_ids": ["3"]}]}), "a phrase without words"),
    "words that are no text": (
        first({"segments": [{"utterance": None, "segment_ids": ["3"]}]}),
        "narrative 0 lacks or misses utterance",
    ),
    "an endless segment": (first({"segments": [{"utterance": "a", "segment_ids": [INFINITE]}]}), "narrative 0 lacks"),
    "an endless size": (
        edited(PANOPTIC, lambda told: told["images"][0].update(width=INFINITE)),
        "is not COCO's panoptic file",
    ),
    "no categories": (edited(PANOPTIC, lambda told: told.pop("categories")), "is not COCO's panoptic file"),
    "no colours": (
        lambda root: (root / "annotations/panoptic_segmentation/val2017/000000000139.png").unlink(),
        "000000000139.png",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_every_damage_is_named(case: str, tmp_path: Path) -> None:
    damage, message = DAMAGES[case]
    damage(narratives(tmp_path))
    assert_told(lambda: load(tmp_path), message)


def test_missing_files_are_named_together(tmp_path: Path) -> None:
    assert_told(lambda: load(tmp_path), "lacks annotations/png_coco_val2017.json, annotations/panoptic_val2017.json")


def test_the_check_looks_for_the_files_of_its_split(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = narratives(tmp_path / "d")
    for split, code in (("val2017", 0), ("train2017", 2)):
        with pytest.raises(SystemExit) as end:
            cli.main(["benchmarks", "check", "panoptic-narratives", "--root", str(root), "--set", f"split={split}"])
        assert (end.value.code or 0) == code
    assert "annotations/png_coco_train2017.json missing" in capsys.readouterr().err
