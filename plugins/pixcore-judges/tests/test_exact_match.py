from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pixcore_judges.config import ExactMatchConfig
from pixcore_judges.exact_match import ExactMatch
from pixcore_judges.option_letters import _RULES, read

from pixcore.components import Context
from pixcore.records import Fidelity

LETTERS = Path(__file__).resolve().parents[3] / "../shared/data/goldens/attend-and-segment/letters.json"

STATE = ("Open", "Closed")
YES_NO = ("Yes", "No")
NO_YES = ("No", "Yes")
SIDES = ("Facing left", "Facing right")
WINGS = ("The wings are open.", "The wings are closed.")
COUNTS = ("2", "12", "3")
NESTED = ("A dog", "A dog and a cat")
COLOURS = ("Red", "Blue", "Green", "Dark red")

# answer, options, index of the option that it names or None, the rule that decides
CASES = [
    # its letter
    ("A", STATE, 0, "its letter"),
    ("b", STATE, 1, "its letter"),
    ("(a)", STATE, 0, "its letter"),
    ("(B).", STATE, 1, "its letter"),
    ("A)", STATE, 0, "its letter"),
    ("a:", STATE, 0, "its letter"),
    ("**B**", STATE, 1, "its letter"),
    ('"A"', STATE, 0, "its letter"),
    ("[B]", STATE, 1, "its letter"),
    ("  A\n", STATE, 0, "its letter"),
    ("A. Open", STATE, 0, "its letter"),
    ("(b) Closed", STATE, 1, "its letter"),
    ("B) it is closed", STATE, 1, "its letter"),
    ("Answer: (A).", STATE, 0, "its letter"),
    ("The answer is B", STATE, 1, "its letter"),
    ("The correct answer is: (b).", STATE, 1, "its letter"),
    ("Option A", STATE, 0, "its letter"),
    ("The answer is A. No, the answer is B", STATE, 1, "its letter"),
    ("The answer is A or B", STATE, None, "names several options"),
    ("the answer is (a) or (b), I can't tell", STATE, None, "names several options"),
    ("(A) or (B)", STATE, None, "names several options"),
    ("answer is A or answer is B", STATE, None, "names several options"),
    ("Option A or option B", STATE, None, "names several options"),
    ("A, B or C", COLOURS, None, "names several options"),
    ("Options A and B are wrong; the answer is C", COLOURS, 2, "its letter"),
    ("Answer: B or a boat", STATE, 1, "its letter"),
    ("Choice A is right because choice B is wrong.", STATE, 0, "its letter"),
    ("Option B can't be right, so option A.", STATE, 0, "its letter"),
    ("Option B is not wrong.", STATE, 1, "its letter"),
    ("Answer: B, not A", STATE, 1, "its letter"),
    ("Choice B is wrong", STATE, None, "names no option"),
    ("(B) isn't right", STATE, None, "names no option"),
    ("d", COLOURS, 3, "its letter"),
    ("（Ａ）", STATE, 0, "its letter"),
    # its whole text
    ("Open", STATE, 0, "its whole text"),
    ("closed.", STATE, 1, "its whole text"),
    ("The wings are closed", WINGS, 1, "its whole text"),
    ("Answer: closed", STATE, 1, "its whole text"),
    ("The answer is the dog and the cat.", NESTED, 1, "its whole text"),
    ("12", COUNTS, 1, "its whole text"),
    ("yes", YES_NO, 0, "its whole text"),
    # yes or no
    ("Yes, the door is open.", YES_NO, 0, "yes or no"),
    ("No, it isn't.", NO_YES, 0, "yes or no"),
    ("I would say yes.", YES_NO, 0, "yes or no"),
    ("I would say no.", YES_NO, 1, "yes or no"),
    ("As far as I see, no, it isn't.", YES_NO, 1, "yes or no"),
    ("There is a dog.", YES_NO, 0, "yes or no"),
    ("There is no dog in the picture.", YES_NO, 1, "yes or no"),
    ("There's one.", NO_YES, 1, "yes or no"),
    ("There aren't any.", NO_YES, 0, "yes or no"),
    ("The dog is visible.", YES_NO, 0, "yes or no"),
    ("The dog is not visible.", YES_NO, 1, "yes or no"),
    ("I can see one.", NO_YES, 1, "yes or no"),
    ("I can't see one.", NO_YES, 0, "yes or no"),
    ("The door is open.", YES_NO, None, "names no option"),
    ("The door is not open.", YES_NO, None, "names no option"),
    ("It has wings.", YES_NO, None, "names no option"),
    ("It has no wings.", YES_NO, None, "names no option"),
    ("There is a dog without a collar.", YES_NO, None, "names no option"),
    ("I can't tell whether there is a dog.", YES_NO, None, "names no option"),
    ("There is a dog but no cat", YES_NO, None, "names several options"),
    ("It could be yes or no.", YES_NO, None, "names several options"),
    ("Yes and no.", YES_NO, None, "names several options"),
    # its text
    ("The door of the house is open.", STATE, 0, "its text"),
    ("It is dark red.", COLOURS, 3, "its text"),
    ("I see a dog.", NESTED, 0, "its text"),
    ("I see a dog and a cat.", NESTED, 1, "its text"),
    ("There are 12 of them", COUNTS, 1, "its text"),
    ("It is not open, it is closed.", STATE, 1, "its text"),
    ("Not open, closed", STATE, 1, "its text"),
    ("It is not open but closed", STATE, 1, "its text"),
    ("The door isn't open.", STATE, 1, "its text"),
    ("It is neither red nor blue, it is green.", COLOURS, 2, "its text"),
    ("It is open or closed.", STATE, None, "names several options"),
    ("It is not red.", COLOURS, None, "names no option"),
    # a word that only it has
    ("The fish faces left.", SIDES, 0, "a word that only it has"),
    ("They are closed.", WINGS, 1, "a word that only it has"),
    ("It looks to the right, not to the left.", SIDES, 1, "a word that only it has"),
    # a letter in the sentence
    ("I would choose (b) here", STATE, 1, "its letter"),
    ("It isn't A, it's B", STATE, 1, "its letter"),
    ("It must be B, I think", STATE, 1, "its letter"),
    ("Everything speaks for (b) here", STATE, 1, "a letter in the sentence"),
    ("A house is there", STATE, None, "names no option"),
    ("either A, or B", STATE, None, "names several options"),
    ("A or B", STATE, None, "names several options"),
    ("A and B", STATE, None, "names several options"),
    ("I think A or B is fine", STATE, None, "names several options"),
    ("It is not A or B", STATE, None, "names no option"),
    ("Choice B is wrong, so A", STATE, 0, "its letter"),
    # said or denied
    ("It has no hat.", ("With a hat", "Without a hat"), 1, "said or denied"),
    ("It wears a hat.", ("With a hat", "Without a hat"), 0, "said or denied"),
    # its place
    ("Option 2", STATE, 1, "its place"),
    ("The first one.", STATE, 0, "its place"),
    ("Not the first one.", STATE, None, "names no option"),
    ("2", STATE, None, "names no option"),
    # nothing
    ("", STATE, None, "an empty answer"),
    (" ...\n", STATE, None, "an empty answer"),
    ("I don't know", STATE, None, "names no option"),
    ("opening", STATE, None, "names no option"),
]


@pytest.mark.parametrize(("answer", "options", "option", "rule"), CASES)
def test_every_rule_by_its_examples(answer, options, option, rule):
    reading = read(answer, options)
    assert (reading.option, reading.rule) == (option, rule)


def test_every_rule_has_examples():
    assert {name for name, _ in _RULES} <= {case[3] for case in CASES}


def test_a_verdict_says_which_option_was_named_and_why():
    judge = ExactMatch(ExactMatchConfig())
    right = judge.grade("Is the door open or closed?", STATE, 1, "The door is closed.")
    assert (right.correct, right.reason) == (True, "names option b: its text")
    assert judge.grade("", STATE, 0, "The door is closed.").correct is False
    unknown = judge.grade("", STATE, 0, "A house.")
    assert (unknown.correct, unknown.reason) == (None, "names no option")


@given(answer=st.text(max_size=40), options=st.lists(st.text(max_size=12), min_size=1, max_size=5))
def test_any_text_can_be_graded(answer, options):
    reading = read(answer, options)
    assert reading.option is None or 0 <= reading.option < len(options)


@given(options=st.permutations(["red", "blue", "dark green", "yes", "left side"]), index=st.integers(0, 4))
def test_an_options_text_is_read_whatever_the_order(options, index):
    assert read(f"It is {options[index]}.", options).option == index


def test_published_grades_as_the_released_evaluator():
    if not LETTERS.exists():
        pytest.skip("../shared/data/goldens absent")
    judge = ExactMatch(ExactMatchConfig(), Context(fidelity=Fidelity.PUBLISHED))
    rows = json.loads(LETTERS.read_text())["rows"]
    assert len(rows) == 80
    for row in rows:
        verdict = judge.grade("", row["text_options"], "ab".index(row["gt_answer"][1]), row["answer"])
        assert verdict.correct is bool(row["correct"]), row
        assert repr(row["extracted"]) in verdict.reason
