"""Prompts and letters against the released scripts' own strings."""

import json
from pathlib import Path
from typing import Any

import pytest
from pixcore_judges.option_letters import grade_letter, published_letter, published_options, read

from pixcore.errors import ConfigError
from pixcore.protocols import Probing, build_prompt, inline_options
from pixcore.records import Fidelity, Image, Protocol, Sample

GOLDENS = Path(__file__).resolve().parents[1] / "../shared/data/goldens/attend-and-segment"
NO_IMAGE = Image(lambda: b"", "none", (4, 4))


def golden(name: str) -> Any:
    path = GOLDENS / name
    if not path.exists():
        pytest.skip(f"the golden file {name} is absent")
    return json.loads(path.read_text())


def published(question: str, options: str, expression: str) -> Sample:
    return Sample(
        "1", NO_IMAGE, question, published_options(options), 0, expression.strip(), None, None, {}, expression, options
    )


def test_published_prompts_are_the_released_ones() -> None:
    rows = golden("prompts.json")["rows"]
    assert len(rows) == 20
    for row in rows:
        sample = published(row["question"], row["options"], row["object"])
        names = {"p1": Protocol.QUESTION, "p2": Protocol.LETTER, "p3": Protocol.SEGMENT}
        for key, protocol in names.items():
            assert build_prompt(sample, protocol, Fidelity.PUBLISHED) == row["prompts"][key]
        assert list(published_options(row["options"])) == row["give_options"]


def test_odd_option_strings_are_cut_as_the_released_scripts_cut_them() -> None:
    for case in golden("prompts.json")["synthetic"]:
        assert list(published_options(case["options"])) == case["give_options"]
        prompt = build_prompt(published("Q?", case["options"], "x"), Protocol.LETTER, Fidelity.PUBLISHED)
        assert prompt is not None
        assert prompt.rpartition("\n")[0] + "\nEXT." == case["process"]


def test_letters_are_read_as_the_released_evaluator_reads_them() -> None:
    rows = golden("letters.json")["rows"]
    assert len(rows) == 80
    for row in rows:
        assert published_letter(row["answer"]) == row["extracted"]
        answer = "ab".index(row["gt_answer"][1])
        verdict = grade_letter(row["answer"], row["text_options"], answer, Fidelity.PUBLISHED)
        assert verdict.correct == bool(row["correct"])


def test_corrected_prompts() -> None:
    sample = Sample("1", NO_IMAGE, "How many?", ("1", "2", "3"), 2, "the dogs")
    assert build_prompt(sample, Protocol.QUESTION, Fidelity.CORRECTED) == "How many? (a) 1 (b) 2 (c) 3"
    assert build_prompt(sample, Protocol.LETTER, Fidelity.CORRECTED) == (
        "How many? Options:\nA. 1\nB. 2\nC. 3\nAnswer with the option's letter from the given choices directly."
    )
    assert build_prompt(sample, Protocol.SEGMENT, Fidelity.CORRECTED) == "Identify the dogs in the scene."
    # the released scripts have no string of their own for this sample
    assert "A. 1\nB. 2\nC. 3\n" in str(build_prompt(sample, Protocol.LETTER, Fidelity.PUBLISHED))


def test_nothing_to_ask_gives_no_prompt() -> None:
    grounded = Sample("1", NO_IMAGE, expression="the dog")
    asked = Sample("2", NO_IMAGE, "Is it?", ("Yes", "No"), 0)
    for fidelity in Fidelity:
        assert build_prompt(grounded, Protocol.QUESTION, fidelity) is None
        assert build_prompt(grounded, Protocol.LETTER, fidelity) is None
        assert build_prompt(asked, Protocol.SEGMENT, fidelity) is None


def test_an_adapters_template_takes_the_place_of_the_papers() -> None:
    template = {Protocol.SEGMENT: "Can you segment {expression} in this image?"}
    sample = published("Is {it}?", "(a) Yes (b) No", " the dog")
    assert build_prompt(sample, Protocol.SEGMENT, Fidelity.PUBLISHED, template) == (
        "Can you segment  the dog in this image?"
    )
    assert build_prompt(sample, Protocol.QUESTION, Fidelity.PUBLISHED, template) == "Is {it}? (a) Yes (b) No"
    with pytest.raises(ConfigError, match="fields"):
        build_prompt(sample, Protocol.SEGMENT, Fidelity.PUBLISHED, {Protocol.SEGMENT: "{object}"})


@pytest.mark.parametrize(
    ("said", "named"),
    [
        ("B", 1),
        (" (b). ", 1),
        ("**B**", 1),
        ("B. Closed", 1),
        ("(b) it is closed", 1),
        ("Answer: (A).", 0),
        ("The answer is B.", 1),
        ("The correct option is: a", 0),
        ("answer: A, no, the answer is B", 1),
        ("Open", 0),
        ("The door is closed.", 1),
        ("It is open or closed.", None),
        ("A door.", None),
        ("The answer isn't clear", None),
        ("I can't say.", None),
        ("", None),
    ],
)
def test_corrected_reading_of_an_option(said: str, named: int | None) -> None:
    assert read(said, ("Open", "Closed")).option == named


def test_the_longer_of_two_nested_options_is_the_one_that_was_said() -> None:
    assert read("It says OK/SELECT here", ("OK/SELECT", "OK")).option == 0
    assert read("It says OK here", ("OK/SELECT", "OK")).option == 1


def test_inline_options() -> None:
    assert inline_options(("X", "Y")) == "(a) X (b) Y"
    with pytest.raises(ConfigError):
        inline_options([""] * 27)


def test_a_template_that_speaks_of_a_listing_needs_none() -> None:
    probing = Probing.own("describe", "Describe {expression} in a {{listing}}.")
    sample = Sample("1", NO_IMAGE, expression="the dog")
    assert build_prompt(sample, probing, Fidelity.CORRECTED) == "Describe the dog in a {listing}."
