"""A probing of a config's own: asked, looked at, not graded, in a column of its own, and no file is changed for it."""

from __future__ import annotations

import json

import numpy as np
import pytest

from pixcore import masks
from pixcore.protocols import PROBINGS, Probing, build_prompt
from pixcore.records import Fidelity, Image, Protocol, Sample

DESCRIBE = {"name": "describe", "template": "Describe {expression}.", "masks": True}


def truth(sample: str) -> np.ndarray:
    """Where the toy benchmark draws its box."""
    inside = np.zeros((24, 40), bool)
    left = 5 if int(sample.removeprefix("s")) % 2 == 0 else 25
    inside[6:14, left : left + 8] = True
    return inside


def overlap(line: dict, strategy: str) -> float:
    choice = line["choices"][strategy]
    found = masks.decode(line["candidates"][choice["candidate"]]["masks"][choice["mask"]])
    wanted = truth(line["sample_id"])
    return float((found & wanted).sum() / (found | wanted).sum())


def test_a_probing_of_a_configs_own_is_one_like_the_others(workplace):
    shown = workplace("run", str(workplace.config(protocols=["question", DESCRIBE]))).stdout
    lines = [line for line in workplace.predictions() if line["protocol"] == "describe"]
    assert [line["prompt"] for line in lines] == ["Describe the box."] * 6
    assert all(line["candidates"] and "verdict" not in line for line in lines)
    graded = [line for line in workplace.predictions() if "verdict" in line]
    assert {line["protocol"] for line in graded} == {"question"}

    summary = workplace.summary()
    assert summary["own_probings"] == ["describe"]
    assert len(summary["rows"]) > 3
    for row in summary["rows"]:
        assert list(row["figures"])[:6] == ["A†", "A", "M†", "M", "S", "M describe"]
        if row["control_of"] is None:
            mean = np.mean([overlap(line, row["key"]) for line in lines])
            assert row["figures"]["M describe"]["value"] == pytest.approx(100 * mean)
            assert row["figures"]["M describe"]["n"] == 6
        assert row["figures"]["A"]["n"] == row["figures"]["M"]["n"] == 0
    assert "describe" in next(line for line in shown.splitlines() if line.split() and line.split()[-1] == "describe")
    assert "M describe mIoU under describe" in " ".join(shown.split())
    page = (workplace.folder / "out/report.html").read_text()
    assert 'title="mIoU under describe">M describe' in page


def test_a_runs_own_file_knows_its_probings(workplace):
    workplace("run", str(workplace.config(protocols=["segment", DESCRIBE])))
    wanted = [row["figures"] for row in workplace.summary()["rows"]]
    for given in ("out", "out/predictions.jsonl"):
        scored = json.loads(workplace("score", given, "--json", "-").stdout)
        assert [row["figures"] for row in scored["rows"]] == wanted
        assert scored["rows"][0]["mIoU"]["describe"]["n_without_none"] == 6
    assert {one["protocol"] for one in scored["rows"][0]["locations"]} == {"segment", "describe"}
    assert "M describe" in " ".join(workplace("compare", "out", "out", "--output", "beside").stdout.split())
    workplace("emergence", "out", "--protocol", "describe", "--output", "emergence")
    said = workplace("emergence", "out", "--protocol", "letter", status=2).stderr
    assert "out has no masks under 'letter'" in said
    assert "describe, question, segment" in said

    alone = workplace.folder / "alone.jsonl"
    alone.write_bytes((workplace.folder / "out/predictions.jsonl").read_bytes())
    said = workplace("score", "alone.jsonl", "--benchmark", "toy-boxes", status=2).stderr
    assert "has protocol 'describe' (allowed: letter, question, segment)" in said


def test_a_probing_of_a_configs_own_names_who_grades_it(workplace):
    """The toy judge wants the option's words; every second sample's are "right"."""
    place = {"name": "place", "template": "{question} In one word.", "masks": False, "judge": "judge"}
    config = workplace.config(
        protocols=["letter", {**DESCRIBE, "judge": "letter_judge"}, place],
        model={"name": "toy", "says": "right", "fails_on": ["s5"]},
        on_error="record",
    )
    shown = workplace("run", str(config)).stdout
    lines = {line["sample_id"]: line for line in workplace.predictions() if line["protocol"] == "place"}
    assert {name: line.get("verdict", {}).get("correct") for name, line in lines.items()} == {
        "s0": False,
        "s1": True,
        "s2": False,
        "s3": True,
        "s4": False,
        "s5": None,
    }
    summary = workplace.summary()
    assert (summary["own_probings"], summary["own_graded"]) == (["describe"], ["describe", "place"])
    for row in summary["rows"]:
        figures = row["figures"]
        assert list(figures)[5:8] == ["A describe", "A place", "M describe"]
        assert figures["A place per sample"] == {
            **figures["A place per sample"],
            "n": 6,
            "value": pytest.approx(200 / 6),
        }
        assert figures["A place"] == {**figures["A place"], "n": 3, "per_pair": True, "value": 0.0}
        assert figures["A†"]["n"] == 0
    assert "A place accuracy under place" in " ".join(shown.split())
    for given in ("out", "out/predictions.jsonl"):
        scored = json.loads(workplace("score", given, "--json", "-").stdout)
        assert [row["figures"] for row in scored["rows"]] == [row["figures"] for row in summary["rows"]]
    assert {one["answers"] for row in scored["rows"] for one in row["failures"]} >= {"place"}
    assert 'title="accuracy under place">A place' in (workplace.folder / "out/report.html").read_text()


def test_the_papers_answers_are_not_asked_for_again(workplace):
    def run(*protocols: object) -> list[str]:
        log = workplace.folder / "log"
        log.unlink(missing_ok=True)
        model = {"name": "toy", "log": str(log)}
        workplace("run", str(workplace.config(model=model, protocols=list(protocols))))
        return sorted({line.split()[1] for line in log.read_text().splitlines()}) if log.exists() else []

    assert run("question", "segment", "letter") == ["letter", "question", "segment"]
    before = workplace.summary()["rows"]
    assert run("question", DESCRIBE, "segment", "letter") == ["describe"]
    for row, old in zip(workplace.summary()["rows"], before, strict=True):
        kept = {name: figure for name, figure in row["figures"].items() if not name.startswith("M describe")}
        assert kept == old["figures"]
    assert run("question", {**DESCRIBE, "template": "Tell of {expression}."}, "segment", "letter") == ["describe"]
    assert run("question", DESCRIBE, "segment", "letter") == []


def test_a_probing_whose_answers_are_not_looked_at_has_no_column(workplace):
    chat = {"name": "chat", "template": "What is this?", "masks": False}
    workplace("run", str(workplace.config(protocols=["segment", chat])))
    lines = [line for line in workplace.predictions() if line["protocol"] == "chat"]
    assert [line["prompt"] for line in lines] == ["What is this?"] * 6
    assert all(line["text"] and "candidates" not in line and "verdict" not in line for line in lines)
    assert workplace.summary()["own_probings"] == []
    assert not [name for name in workplace.summary()["rows"][0]["figures"] if "chat" in name]
    scored = json.loads(workplace("score", "out", "--json", "-").stdout)
    assert [row["figures"] for row in scored["rows"]] == [row["figures"] for row in workplace.summary()["rows"]]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("describe", ["protocols.1: got 'describe'", "allowed: letter, question, segment", "template:"]),
        ({"name": "describe"}, ["protocols.1", "allowed: letter, question, segment", "template:"]),
        ({"name": "segment", "template": "{expression}!"}, ["protocols.1", "'segment' is the paper's", "prompts"]),
        ({"name": "segment", "masks": False}, ["protocols.1", "'segment' is the paper's"]),
        ({**DESCRIBE, "templat": "x"}, ["protocols.1.templat: no such key", "did you mean 'template'"]),
        ({**DESCRIBE, "template": "Describe {object}."}, ["protocols.1", "the template of describe", "{expression}"]),
        ({**DESCRIBE, "template": " "}, ["protocols.1", "the template of describe is empty"]),
        ({**DESCRIBE, "name": "gIoU"}, ["protocols.1", "a name is lower-case letters"]),
        ({**DESCRIBE, "judge": "toy-judge"}, ["protocols.1", "'toy-judge'", "'judge' or 'letter_judge'"]),
        ({"name": "letter", "judge": "judge"}, ["protocols.1", "'letter' is the paper's"]),
        ({**DESCRIBE, "name": "../x"}, ["protocols.1", "a name is lower-case letters"]),
        ({**DESCRIBE, "name": "there"}, ["protocols.1", "not 'there'"]),
        ({"template": "Hm?"}, ["protocols.1.name: is needed and missing"]),
        (7, ["protocols.1"]),
    ],
)
def test_what_is_no_probing_is_one_line(workplace, given, said):
    done = workplace("run", str(workplace.config(protocols=["question", given])), status=2)
    assert len(done.stderr.strip().splitlines()) == 1, done.stderr
    assert not [words for words in said if words not in done.stderr], done.stderr


def test_a_name_counts_once(workplace):
    done = workplace("run", str(workplace.config(protocols=[DESCRIBE, DESCRIBE])), status=2)
    assert "a probing is named twice" in done.stderr


def test_the_schema_knows_probings(workplace):
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads(workplace("schema").stdout)
    jsonschema.validate({"benchmark": "toy-boxes", "protocols": ["question", DESCRIBE]}, schema)
    jsonschema.validate({"benchmark": "toy-boxes", "protocols": [{**DESCRIBE, "judge": "letter_judge"}]}, schema)
    for wrong in ("describe", {"name": "describe"}, {**DESCRIBE, "judge": "toy-judge"}):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"benchmark": "toy-boxes", "protocols": [wrong]}, schema)


def test_a_sample_that_lacks_what_a_template_holds_is_not_asked() -> None:
    image = Image(lambda: b"", "none", (4, 4))
    whole = Sample("1", image, "Which?", ("red", "blue"), 0, "the dog")
    bare = Sample("2", image)
    for template, prompt in (
        ("Look.", "Look."),
        ("Describe {expression} ", "Describe the dog "),
        ("{question} Choose: {options}", "Which? Choose: (a) red (b) blue"),
    ):
        probing = Probing.own("own", template)
        assert build_prompt(whole, probing, Fidelity.CORRECTED) == prompt
        assert build_prompt(bare, probing, Fidelity.CORRECTED) == ("Look." if template == "Look." else None)


def test_the_paper_has_three() -> None:
    assert list(PROBINGS) == [name.value for name in Protocol]
    assert {name: (one.masks, one.judge, one.accuracy, one.mean_iou) for name, one in PROBINGS.items()} == {
        "question": (True, "judge", "A†", "M†"),
        "segment": (True, None, None, "M"),
        "letter": (False, "letter_judge", "A", None),
    }
