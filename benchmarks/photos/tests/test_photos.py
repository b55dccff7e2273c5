"""The photographs are there with their masks, as they were drawn, and the contract is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pixcore_annotate.journal import Journal
from pixcore_annotate.project import read_tasks
from pixcore_photos.benchmark import ANNOTATIONS, PHOTOGRAPHS, Photos, PhotosConfig
from pixcore_testing import PluginContract

from pixcore import cli
from pixcore.config import read_yaml, resolve
from pixcore.masks import area, decode
from pixcore.plugins import registry
from pixcore.records import Sample
from tests.scripts import loaded

annotations = loaded(Path(__file__).resolve().parents[1] / "annotations.py")


class TestPlugin(PluginContract):
    name = "photos"


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return list(Photos(PhotosConfig()).samples())


def test_the_file_is_what_was_decided_in_the_annotator() -> None:
    assert json.loads(ANNOTATIONS.read_text(encoding="utf-8")) == json.loads(json.dumps(annotations.document()))


def test_the_annotator_goes_on_with_the_masks(tmp_path: Path) -> None:
    """Every object is an item that is done, with a polygon that somebody can correct; its photograph lies beside it."""
    annotations.begin(tmp_path)
    tasks = read_tasks(tmp_path)
    journal = Journal(tmp_path, annotations.ANNOTATOR, tasks)
    assert len(tasks) == 20
    for name, item in tasks.items():
        assert journal[name].status == "done"
        assert journal[name].polygons
        assert (tmp_path / item.image).is_file()


def test_each_photograph_is_asked_about_with_and_without_its_object(samples: list[Sample]) -> None:
    assert len(samples) == len({sample.id for sample in samples}) == 28
    by_photograph = {name: [one for one in samples if one.categories["photograph"] == name] for name in PHOTOGRAPHS}
    for name, own in by_photograph.items():
        assert [one.absent for one in own].count(True) == 1, name
        assert all(one.options and one.answer is not None and one.question for one in own)
    right = [sample.answer for sample in samples]
    assert right.count(0) == right.count(1)  # always the same letter is right half of the time


def test_masks_lie_where_their_objects_are(samples: list[Sample]) -> None:
    """By the photographs' own pixels: the rocket is brighter than the sky, the eyes greener than the fur."""
    found = {sample.expression: sample for sample in samples}
    rocket = found["the rocket"]
    grey = np.asarray(rocket.image.pil().convert("L"), float)
    assert rocket.mask is not None
    inside = decode(rocket.mask)
    assert grey[inside].mean() > grey[~inside].mean() + 80
    nose = found["the cat's nose"]
    assert nose.mask is not None
    red, green, _ = np.moveaxis(np.asarray(nose.image.pil().convert("RGB"), float), -1, 0)
    inside = decode(nose.mask)
    assert (red - green)[inside].mean() > (red - green)[~inside].mean() + 20
    assert found["the banknote"].mask is not None
    assert area(found["the banknote"].mask) == 0


def test_its_config_names_what_is_installed() -> None:
    path = Path(__file__).resolve().parents[1] / "photos.yaml"
    assert resolve(read_yaml(path), registry()).components.one("benchmark").name == "photos"


def test_there_are_no_files_of_the_users_to_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["benchmarks", "check", "photos", "--root", str(tmp_path)])
    assert end.value.code == 2
    assert "the benchmark 'photos' has no files to get" in capsys.readouterr().err
