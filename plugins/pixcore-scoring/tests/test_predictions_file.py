"""`pixcore score` on a run's own file: a part of it, and what a strategy chooses from it, are as the run has them."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from pixcore_scoring.file import PredictionsFile

from pixcore import masks
from pixcore.errors import DataError
from pixcore.records import Fidelity, Image, Sample


def scored(workplace, *arguments):
    return json.loads(workplace("score", "out/predictions.jsonl", *arguments, "--json", "-").stdout)


def row(document, name):
    (found,) = (one for one in document["rows"] if one["name"] == name)
    return {figure: one for figure, one in found["figures"].items() if "less control" not in figure}  # takes two rows


@pytest.mark.parametrize("scope", [("--limit", "2"), ("--sample", "s5", "--sample", "s4")])
def test_a_part_of_a_file_scores_as_a_run_of_that_part(workplace, scope):
    config = workplace.config()
    workplace("run", str(config))
    part = scored(workplace, *scope)
    workplace("run", str(config), "--set", "output=part", *scope)
    expected = workplace.summary("part")
    assert part["samples"] == expected["samples"] == 2
    assert {one["name"]: one["figures"] for one in part["rows"]} == {
        one["name"]: one["figures"] for one in expected["rows"]
    }


@pytest.mark.parametrize("section", ["judge", "letter_judge"])
def test_what_a_run_did_not_grade_is_not_graded_when_its_file_is_read_again(workplace, section):
    workplace.environment["PIXCORE_PLUGINS"] += ",judges"  # has the judge that grades by default
    workplace("run", str(workplace.config(**{section: None})))
    expected = {one["name"]: one["figures"] for one in workplace.summary()["rows"]}
    assert {one["name"]: one["figures"] for one in scored(workplace)["rows"]} == expected
    asked = {"judge": ("--judge", "toy-judge"), "letter_judge": ("--letters-or-words",)}[section]
    accuracy = {"judge": "A†", "letter_judge": "A"}[section]
    assert expected["toy-first"].get(accuracy, {}).get("value") is None
    assert scored(workplace, *asked)["rows"][0]["figures"][accuracy]["value"] is not None


def test_a_judge_of_no_name_is_not_the_default_one(workplace):
    workplace("run", str(workplace.config()))
    assert "offers the judge ''" in workplace("score", "out", "--judge", "", status=2).stderr


def test_a_line_about_no_sample_of_the_benchmark_is_named_whatever_is_asked_for(workplace):
    workplace("run", str(workplace.config()))
    lines = workplace.predictions()
    path = workplace.folder / "out" / "predictions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in [*lines, {**lines[-1], "sample_id": "s99"}]))
    said = workplace("score", str(path), "--limit", "2", status=2).stderr
    assert f"line {len(lines) + 1} has the unknown sample 's99'" in said


def test_a_file_without_the_samples_asked_for(workplace):
    workplace("run", str(workplace.config()), "--limit", "2")
    said = workplace("score", "out/predictions.jsonl", "--sample", "s5", status=2).stderr
    assert "no predictions for the samples asked for" in said


def undecided(workplace):
    """The run's lines in reverse, without what was chosen."""
    lines = [{k: v for k, v in line.items() if k not in ("choices", "control")} for line in workplace.predictions()]
    path = workplace.folder / "out" / "predictions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in reversed(lines)))


def test_a_random_choice_is_the_runs_own_in_any_order_of_the_lines(workplace):
    workplace("run", str(workplace.config()))
    expected = row(workplace.summary(), "toy-random")
    undecided(workplace)
    assert row(scored(workplace, "--select", "toy-random"), "toy-random") == expected
    last = row(scored(workplace, "--select", "toy-random", "--sample", "s5"), "toy-random")
    workplace("run", str(workplace.config()), "--set", "output=alone", "--sample", "s5")
    assert last == row(workplace.summary("alone"), "toy-random")


def test_a_strategy_chooses_with_the_options_that_the_run_gave_it(workplace):
    pytest.importorskip("pixcore_selection")
    workplace.environment["PIXCORE_PLUGINS"] += ",selection"
    outcomes = []
    for mask in ("best-score", "smallest", "largest"):
        options = {"name": "phrase-overlap", "mask": mask}
        workplace("run", str(workplace.config(selections=[options], control=None)))
        expected = row(workplace.summary(), "phrase-overlap")
        undecided(workplace)
        assert row(scored(workplace, "--select", "phrase-overlap"), "phrase-overlap") == expected
        outcomes.append(expected["M"]["value"])
    assert len(set(outcomes)) > 1, "the options make no difference here"


def test_without_images_a_random_choice_still_does_not_depend_on_the_order(workplace):
    workplace("run", str(workplace.config()))
    undecided(workplace)
    names = [("--sample", f"s{index}") for index in range(6)]
    forwards, backwards = (
        scored(
            workplace, "--select", "toy-random", "--set", "folder=nowhere", *(word for name in order for word in name)
        )
        for order in (names, names[::-1])
    )
    assert row(forwards, "toy-random") == row(backwards, "toy-random")


@pytest.mark.parametrize(
    ("name", "reason"),
    [("attention-inside", "needs relevance maps"), ("self-judge", "asks a model"), ("toy-none", "worked out")],
)
def test_a_strategy_that_a_file_is_not_enough_for_says_why(workplace, name, reason):
    pytest.importorskip("pixcore_selection")
    workplace.environment["PIXCORE_PLUGINS"] = "toy,selection,scoring"
    workplace("run", str(workplace.config()))
    undecided(workplace)
    said = workplace("score", "out/predictions.jsonl", "--select", name, status=2).stderr
    assert f"no choices by '{name}'" in said
    assert reason in said
    assert said.count("\n") == 1


def test_what_such_a_strategy_chose_in_the_run_stands(workplace):
    pytest.importorskip("pixcore_selection")
    workplace.environment["PIXCORE_PLUGINS"] = "toy,selection,scoring"
    workplace("run", str(workplace.config(selections=["attention-inside"])))
    again = scored(workplace, "--select", "attention-inside")
    assert row(again, "attention-inside") == row(workplace.summary(), "attention-inside")


def replaced(path: Path, text: str) -> None:
    (path.parent / "other").write_text(text)
    os.replace(path.parent / "other", path)


def appended(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def removed(path: Path, text: str) -> None:
    path.unlink()


def opened(path: Path) -> tuple[PredictionsFile, str]:
    """A file of four long lines, every second answer right; and a text as long that says the contrary of each."""
    rle = masks.encode(np.ones((2, 2), bool))
    samples = [
        Sample(str(n), Image(lambda: b"", "none", (2, 2)), "Is it?", ("Yes", "No"), 0, "it", rle) for n in range(4)
    ]
    lines = [
        {"sample_id": str(n), "protocol": "letter", "text": "AB"[n % 2], "prompt": 100_000 * "x"} for n in range(4)
    ]
    others = [{**line, "text": {"A": "B", "B": "A"}[line["text"]]} for line in lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = PredictionsFile(path, lambda: iter(samples), fidelity=Fidelity.CORRECTED)
    return file, "".join(json.dumps(line) + "\n" for line in others)


def right(file: PredictionsFile) -> list[bool | None]:
    return [result.by_probing["letter"].verdict.correct for result in file]  # type: ignore[union-attr]


@pytest.mark.parametrize("change", [replaced, appended, removed])
def test_a_file_is_scored_as_it_was_when_it_was_opened(tmp_path, change):
    file, other = opened(tmp_path / "p.jsonl")
    change(file.path, other)
    assert right(file) == right(file) == [True, False, True, False]


@pytest.mark.parametrize(
    "change",
    [lambda text: "", lambda text: text[:30_000], lambda text: text, lambda text: "\n" + text, lambda text: "[" * 99],
)
def test_a_file_that_is_written_over_is_named_and_never_mixed(tmp_path, change):
    file, other = opened(tmp_path / "p.jsonl")
    file.path.write_text(change(other))
    with pytest.raises(DataError, match=r"p\.jsonl was changed while it was read"):
        right(file)


def test_a_line_of_the_same_length_at_the_same_place_is_noticed_between_two_readings(tmp_path):
    file, other = opened(tmp_path / "p.jsonl")
    results = iter(file)
    assert next(results).by_probing["letter"].verdict.correct
    with file.path.open("r+") as written:
        written.write(other)
    with pytest.raises(DataError, match="was changed while it was read"):
        list(results)


def test_a_pipe_is_no_predictions_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(DataError, match="a pipe or a device"):
        PredictionsFile(tmp_path / "pipe", lambda: iter(()), fidelity=Fidelity.CORRECTED)


@pytest.mark.parametrize("command", [("score",), ("figures",), ("emergence",), ("compare", "out")])
def test_what_holds_no_predictions_is_told_before_anything_is_asked(workplace, command):
    workplace("run", str(workplace.config()))
    (workplace.folder / "stopped").mkdir()
    workplace("run", str(workplace.config(output="no-lines", writers=["report"])))
    for path, told, hint in (
        ("runz/typo", "can't read predictions runz/typo: there is no such run or file", "check the path"),
        ("stopped", "stopped holds no run that is done", "goes on where it stopped"),
        ("no-lines", "run no-lines left no predictions.jsonl", "add predictions to its config's writers:"),
    ):
        said = workplace(*command, path, status=2).stderr
        assert told in said
        assert hint in said
        assert said.count("\n") == 1


def test_bare_letters_are_a_switch_of_the_run_that_its_file_follows(workplace):
    workplace.environment["PIXCORE_PLUGINS"] += ",judges"
    run = ("run", str(workplace.config(letter_judge={"name": "exact-match"})))
    workplace(*run)
    workplace(*run, "--set", "letter_judge={name: exact-match, bare_letters: true}", "--set", "output=bare")
    lines = workplace.predictions()
    letters = [line for line in lines if line["protocol"] == "letter"]
    right = [line["verdict"]["correct"] for line in letters]  # the toy says "A" to all
    assert any(right[::2])
    for line in letters[::2]:
        line["text"] = "The answer is A"
    for folder in ("out", "bare"):
        for line in letters:
            line["verdict"] = {"correct": True} if folder == "out" else None
        kept = [{k: v for k, v in line.items() if v is not None} for line in lines]
        (workplace.folder / folder / "predictions.jsonl").write_text("\n".join(map(json.dumps, kept)))

    def accuracy(folder, *said):
        document = json.loads(workplace("score", f"{folder}/predictions.jsonl", *said, "--json", "-").stdout)
        return document["rows"][0]["figures"]["A per sample"]["value"]

    words_too, alone = 100 * sum(right) / len(right), 100 * sum(right[1::2]) / len(right)
    assert accuracy("out") == 100  # verdicts that come with a file stand, unless another rule is asked for
    assert accuracy("out", "--bare-letters") == pytest.approx(alone)
    assert accuracy("bare") == pytest.approx(alone)
    assert accuracy("bare", "--letters-or-words") == pytest.approx(words_too)


def test_a_run_by_other_rules_is_graded_and_chosen_anew_or_said_to_stand(workplace):
    pytest.importorskip("pixcore_selection")
    workplace.environment["PIXCORE_PLUGINS"] += ",judges,selection"
    changes = {"letter_judge": {"name": "exact-match"}, "selections": ["oracle"], "control": None}
    workplace("run", str(workplace.config(**changes)))
    lines = workplace.predictions()
    for line in lines:
        if line["protocol"] == "letter":
            line |= {"text": "A. that one", "verdict": {"correct": True}}
        if line.get("choices"):
            line["choices"] = {"oracle": "nothing"}
    (workplace.folder / "out" / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)))

    def scored(*said):
        document = json.loads(workplace("score", "out/predictions.jsonl", *said, "--json", "-").stdout)
        figures = document["rows"][0]["figures"]
        (said,) = [note for note in document["notes"] if " stand " in note] or [""]
        return figures["A per sample"]["value"], figures["M"]["value"], said

    assert scored() == (100, 0, "")
    assert scored("--fidelity", "corrected") == (100, 0, "")
    letters, masks, said = scored("--fidelity", "published")  # which knows a bare letter or the option's bare text
    assert (letters, masks) == (0, 0)
    assert "letters are graded by the rules of published; other verdicts and choices stand" in said
    letters, masks, said = scored("--fidelity", "published", "--select", "oracle")
    assert (letters, masks > 0) == (0, True)
    assert "letters are graded and oracle has chosen by the rules of published" in said


def test_a_run_of_answers_alone_has_no_masks_when_its_file_is_read_again(workplace):
    workplace("run", str(workplace.config(extractor=None)))
    expected = {one["name"]: one["figures"] for one in workplace.summary()["rows"]}
    assert list(expected) == ["answers"]
    assert {one["name"]: one["figures"] for one in scored(workplace)["rows"]} == expected


def test_no_strategy_is_called_as_the_row_of_answers_alone_is(workplace):
    labelled = [{"name": "toy-first", "label": "answers"}, "toy-best"]
    said = workplace("run", str(workplace.config(selections=labelled)), status=2).stderr
    assert "the label 'answers' is the name of the answers' row" in said
    workplace("run", str(workplace.config()))
    path = workplace.folder / "out" / "predictions.jsonl"
    path.write_text(path.read_text(encoding="utf-8").replace('"toy-first":', '"answers":'), encoding="utf-8")
    said = workplace("score", str(path), status=2).stderr
    assert "choices by 'answers', which names the row of a file without masks (call it otherwise)" in said
