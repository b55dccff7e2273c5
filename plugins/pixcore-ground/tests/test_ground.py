"""`pixcore ground` on one image of one's own."""

from __future__ import annotations

import gc
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image as PILImage
from pixcore_ground.command import _document, _tell
from pixcore_ground.grounded import Grounded

from pixcore.cli import main
from pixcore.components import Context
from pixcore.figures.scores import score_sample
from pixcore.plugins import Kind, registry
from pixcore.records import Candidate, Image, PointPrompt, Response, Selection
from tests.workplace import Workplace

pytest.importorskip("pixcore_mini")
pytest.importorskip("pixcore_mini_world")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A picture of mini-world, and what is asked for in it."""
    registration = registry().get(Kind.BENCHMARK, "mini-world")
    samples = registration.create(registration.config_class(), Context()).samples()
    sample = next(one for one in samples if one.expression and not one.absent)
    path = tmp_path_factory.mktemp("picture") / "scene.png"
    path.write_bytes(sample.image.read())
    return path, sample.expression


def ground(*arguments: object) -> None:
    with pytest.raises(SystemExit) as end:
        main(["ground", *map(str, arguments)])
    assert not end.value.code


def test_without_a_config_the_expression_decides(picture: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    path, expression = picture
    ground(path, expression)
    assert "phrase-overlap: " in capsys.readouterr().out
    assert path.with_name("scene-grounded.png").read_bytes().startswith(b"\x89PNG")


def test_a_configs_first_selection_without_ground_truth_chooses(
    picture: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, expression = picture
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump({"selections": ["oracle", "mask-score", "phrase-overlap"]}))
    ground(path, expression, "--config", config)
    assert "mask-score: " in capsys.readouterr().out


def test_a_phrase_that_has_nothing_of_the_expression_is_no_choice(
    picture: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    path, _ = picture
    ground(path, "quarterly dividends", "--set", "selections=[phrase-overlap]")
    assert "phrase-overlap: nothing, no phrase is similar to the expression" in capsys.readouterr().out


def test_mini_says_on_the_picture_that_a_photograph_is_nothing_to_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    skimage = pytest.importorskip("skimage")
    photograph = Path(skimage.__file__).parent / "data" / "chelsea.png"
    ground(photograph, "the cat", "--output", tmp_path / "cat.png")
    orange = (np.asarray(PILImage.open(tmp_path / "cat.png")) == (168, 65, 10)).all(axis=-1)
    assert orange.any()


def test_a_point_that_the_object_is_not_at_is_told_as_one(
    picture: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ground(*picture, "--set", "points=positive-negative")
    assert ", not (" in capsys.readouterr().out
    ground(*picture, "--set", "points=positive-negative", "--json", "-")
    labels = [one["labels"] for one in json.loads(capsys.readouterr().out)["candidates"]]
    assert labels
    assert all(own[0] == 1 and not any(own[1:]) for own in labels)
    ground(*picture, "--set", "points=box-of-region", "--json", "-")
    assert all(len(one["box"]) == 4 for one in json.loads(capsys.readouterr().out)["candidates"])


@pytest.mark.parametrize("name", ["seen.jpg", "seen"])
def test_a_picture_is_not_named_what_it_is_not(
    name: str, picture: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, expression = picture
    with pytest.raises(SystemExit) as end:
        main(["ground", str(path), expression, "--output", str(tmp_path / name)])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "the picture is written as PNG (a name that ends in .png)" in said
    assert said.count("\n") == 1
    assert not [*tmp_path.iterdir()]
    ground(path, expression, "--output", tmp_path / "seen.PNG")
    assert (tmp_path / "seen.PNG").read_bytes().startswith(b"\x89PNG")


def test_where_the_picture_goes_is_seen_to_before_a_model_is_asked(
    picture: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, expression = picture
    ground(path, expression, "--output", tmp_path / "new" / "seen.png")
    assert (tmp_path / "new" / "seen.png").is_file()
    with pytest.raises(SystemExit) as end:
        main(["ground", str(path), expression, "--model", "none-such", "--output", str(path / "seen.png")])
    assert end.value.code == 2
    said = capsys.readouterr().err
    assert "can't write" in said
    assert "--output" in said
    with pytest.raises(SystemExit):
        main(["ground", str(tmp_path / "missing" / "scene.png"), expression])
    assert not (tmp_path / "missing").exists()


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="asks Linux which files are open")
def test_no_file_of_its_store_stays_open(picture: tuple[Path, str]) -> None:
    ground(*picture)
    gc.collect()  # the store of what services said goes with the strategy that was handed it
    opened = [os.readlink(link) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    assert not [path for path in opened if ".sqlite" in path and path.endswith("(deleted)")]


def refused(*arguments: object) -> None:
    with pytest.raises(SystemExit) as end:
        main(["ground", *map(str, arguments)])
    assert end.value.code == 2


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_the_image_itself_is_never_written_over(
    option: str, picture: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "scene.png"
    image.write_bytes(picture[0].read_bytes())
    refused(image, picture[1], option, tmp_path / "." / "scene.png")
    assert f"error: {option} {image}: that is the image itself" in capsys.readouterr().err
    assert image.read_bytes() == picture[0].read_bytes()
    (tmp_path / "other.png").symlink_to(image)
    refused(image, picture[1], option, tmp_path / "other.png")


def test_where_the_figures_go_is_seen_to_before_a_model_is_asked(
    picture: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ground(*picture, "--output", tmp_path / "seen.png", "--json", tmp_path / "new" / "seen.json")
    assert json.loads((tmp_path / "new" / "seen.json").read_text())["expression"] == picture[1]
    refused(*picture, "--model", "none-such", "--json", picture[0] / "seen.json")
    assert "choose another --json" in capsys.readouterr().err


def test_two_things_are_not_written_to_one_file(
    picture: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = tmp_path / "seen.png"
    refused(*picture, "--output", both, "--json", tmp_path / "." / "seen.png", "--model", "none-such")
    assert f"error: --json {both}: the picture is written there" in capsys.readouterr().err
    beside = picture[0].with_name("scene-grounded.png")  # where it goes by itself
    refused(*picture, "--json", beside, "--model", "none-such")
    assert f"error: --json {beside}: the picture is written there" in capsys.readouterr().err


def test_an_empty_name_is_no_model(picture: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    """As of a variable of the shell that is not set; the config's own is not taken in its place."""
    refused(*picture, "--model", "")
    assert "no installed plugin offers the model adapter ''" in capsys.readouterr().err


def test_a_link_to_itself_gives_way_as_any_other_link_does(picture: tuple[Path, str], tmp_path: Path) -> None:
    (tmp_path / "loop.png").symlink_to("loop.png")
    ground(*picture, "--output", tmp_path / "loop.png")
    assert not (tmp_path / "loop.png").is_symlink()


@pytest.mark.parametrize("option", ["--output", "--json"])
def test_a_folder_is_no_file_to_write(
    option: str, picture: tuple[Path, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is told before any model is asked."""
    folder = tmp_path / "seen.png"
    folder.mkdir()
    refused(*picture, option, folder, "--model", "none-such")
    assert f"Invalid value for '{option}': File '{folder}' is a directory" in capsys.readouterr().err
    image, beside = tmp_path / "own.png", tmp_path / "own-grounded.png"  # where it goes by itself
    image.write_bytes(picture[0].read_bytes())
    beside.mkdir()
    refused(image, picture[1], "--model", "none-such")
    assert f"error: --output {beside}: that is a folder (name a file)" in capsys.readouterr().err


@pytest.mark.parametrize("image", ["", ".", "/"])
def test_a_folder_is_no_image(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    refused(image, "the cat")
    assert "Is a directory (check the path)" in capsys.readouterr().err


def test_a_config_that_names_no_strategy_gets_the_default(
    picture: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    ground(*picture, "--set", "selections=[]")
    assert "phrase-overlap: chosen" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["yes", "null", "a: b"])
def test_the_model_is_the_word_that_is_given(
    name: str, picture: tuple[Path, str], capsys: pytest.CaptureFixture[str]
) -> None:
    refused(*picture, "--model", name)
    assert f"no installed plugin offers the model adapter '{name}'" in capsys.readouterr().err


def test_every_place_that_a_mask_is_made_of_is_told(picture: tuple[Path, str]) -> None:
    places = (PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), box=(1, 2, 3, 4)),)
    prompt = replace(PointPrompt.at((5, 6)), text="the boat", also=places)
    candidate = Candidate(None, prompt, ({"size": [1, 1], "counts": "01"},), ())
    found = Grounded(
        Image.from_path(picture[0]), "x", "toy", "pick", Response("y"), (candidate,), Selection.chosen(0, 0)
    )
    (told,) = _document(found)["candidates"]
    assert (told["points"], told["labels"], told["box"]) == ([[5.0, 6.0]], [1], None)
    assert told["text"] == "the boat"
    assert told["also"] == [{"points": [], "labels": [], "box": (1, 2, 3, 4), "text": None, "also": []}]


def test_a_model_that_gave_no_mask_is_told(picture: tuple[Path, str], capsys: pytest.CaptureFixture[str]) -> None:
    nothing = Selection.nothing("the model gave no mask")
    _tell(Grounded(Image.from_path(picture[0]), "the cat", "toy", "", Response("It is red."), (), nothing))
    assert capsys.readouterr().out == "It is red.\ntoy: nothing, the model gave no mask\n"


def test_a_failure_promises_nothing_of_what_is_not_kept(workplace: Workplace) -> None:
    PILImage.new("RGB", (40, 24), "red").save(workplace.folder / "box.png")
    config = workplace.config(model={"name": "toy", "fails_on": ["image"]}, selections=["toy-first"])
    said = workplace("ground", "box.png", "the box", "--config", str(config), status=1).stderr
    assert "failed in stage answer: RuntimeError: toy failure on image" in said
    assert "is kept" not in said
    assert "on_error" not in said


def test_what_can_t_be_scored_is_a_failure_that_promises_nothing(
    picture: tuple[Path, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(sample: Any, results: Any, rows: Any) -> Any:
        if any(one.error is None for one in results.values()):
            raise ValueError("no such mask")
        return score_sample(sample, results, rows)

    monkeypatch.setattr("pixcore.runs.plan.score_sample", failing)
    with pytest.raises(SystemExit) as end:
        main(["ground", *map(str, picture)])
    assert end.value.code == 1
    assert capsys.readouterr().err.strip() == (
        "error: sample image (segment) can't be scored: ValueError: no such mask"
    )
