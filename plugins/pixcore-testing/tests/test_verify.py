"""`pixcore verify`: the fixed images, the report, and expectations that hold or do not."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from pixcore_testing.verification import SCENES

from pixcore import masks


def test_the_images_never_change() -> None:
    assert len(SCENES) == 10
    assert len({scene.name for scene in SCENES}) == 10
    digest = hashlib.sha256(b"".join(scene.pixels().tobytes() for scene in SCENES)).hexdigest()
    # Another digest makes every stored expectation worthless.
    assert digest == "31cce33d3e1bf5971bb6c09eeeea79746db16f52d868f6b53d665a963f50328c"


def test_every_scene_shows_what_it_asks_for() -> None:
    for scene in SCENES:
        sample = scene.sample()
        assert sample.mask is not None
        inside = masks.decode(sample.mask)
        assert 0.005 < inside.mean() < 0.3
        assert len(np.unique(scene.pixels()[inside], axis=0)) == 1
        columns = np.flatnonzero(inside.any(axis=0))
        assert (columns.mean() < scene.size[0] / 2) == (sample.answer == 0)


def test_a_report_is_written_and_is_an_expectation(workplace) -> None:
    done = workplace("verify", "toy-masks", "--output", "first.json")
    assert "20 answers, no expectations" in done.stdout
    first = json.loads((workplace.folder / "first.json").read_text())
    assert len(first["cases"]) == 20
    assert {"text", "mask", "prompt", "seconds", "iou"} <= first["cases"][0].keys()
    assert first["model"]["name"] == "toy-masks"
    done = workplace("verify", "toy-masks", "--expect", "first.json")
    assert "20 of 20 answers as expected" in done.stdout
    assert (workplace.folder / "toy-masks-verified.json").exists()


def test_another_answer_is_found(workplace) -> None:
    workplace("verify", "toy-masks", "--output", "first.json")
    document = json.loads((workplace.folder / "first.json").read_text())
    document["cases"][3]["text"] += "!"
    size = document["cases"][6]["mask"]["size"]
    document["cases"][6]["mask"] = masks.encode(np.ones(size, bool))
    (workplace.folder / "first.json").write_text(json.dumps(document))
    done = workplace("verify", "toy-masks", "--expect", "first.json", status=1)
    assert "18 of 20 answers as expected" in done.stdout
    assert done.stdout.count("OTHER") == 2


def test_where_no_report_can_be_written_nothing_is_asked(workplace) -> None:
    (workplace.folder / "file").touch()
    done = workplace("verify", "toy-masks", "--output", "file/first.json", status=2)
    assert "choose another --output" in done.stderr
    assert not done.stdout
    done = workplace("verify", "toy-masks", "--output", ".", status=2)
    assert "names the report's file" in done.stderr
    assert not done.stdout
    workplace("verify", "toy-masks", "--output", "a new folder/first.json")
    assert (workplace.folder / "a new folder" / "first.json").exists()


def test_what_a_model_says_steers_no_terminal(workplace) -> None:
    done = workplace("verify", "toy", "--set", r'says="\\x1b[31mred \\ud800"', "--output", "first.json")
    assert r"\x1b[31mred \ud800" in done.stdout
    assert "\x1b" not in done.stdout
    assert len(json.loads((workplace.folder / "first.json").read_text())["cases"]) == 20


def test_a_wrong_option_or_file_is_one_line(workplace) -> None:
    assert "no such key" in workplace("verify", "toy-masks", "--set", "nonsense=1", status=2).stderr
    (workplace.folder / "other.json").write_text("[]")
    assert "is not a report" in workplace("verify", "toy-masks", "--expect", "other.json", status=2).stderr
    assert "toy-mask" in workplace("verify", "toy-mask", status=2).stderr
