"""Emergence: best-of-N against enumeration, places and ties by hand, concepts by rule and by a judge's letters."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_emergence.concepts import Concept, agreement, classify, judge_prompt, read_letters
from pixcore_emergence.emergence import Emergence, EmergenceTally, expected_best, shares_word

from pixcore import masks
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import score_sample
from pixcore.records import (
    Candidate,
    Image,
    Protocol,
    ProtocolResult,
    Response,
    Sample,
    Selection,
    Token,
    TokenGroup,
    Verdict,
)

ORACLE = RowSpec("oracle", uses_ground_truth=True)
SIZE = (10, 10)


@settings(deadline=None, max_examples=50)
@given(values=st.lists(st.floats(0, 1), min_size=1, max_size=7), size=st.integers(1, 8))
def test_best_of_n_is_the_mean_over_all_draws(values: list[float], size: int) -> None:
    (found,) = expected_best(np.array(values), [size])
    if size > len(values):
        assert np.isnan(found)
        return
    assert found == pytest.approx(np.mean([max(drawn) for drawn in combinations(values, size)]))


def columns(count: int) -> masks.RLE:
    mask = np.zeros((10, 10), bool)
    mask[:, :count] = True
    return masks.encode(mask)


def candidate(phrase: str, start: int, *fits: int, tokens: tuple[int, ...] = ()) -> Candidate:
    group = TokenGroup(tokens, phrase, start, start + len(phrase))
    return Candidate(group, None, tuple(columns(fit) for fit in fits), (0.5,) * len(fits))


TEXT = "The red roof of a house stands on the left side of it."
TOKENS = tuple(Token(i, TEXT[i : i + 1], i, i + 1) for i in range(len(TEXT)))


def emergence(*candidates: Candidate, control: tuple[Candidate, ...] = (), **sample: Any) -> Emergence:
    facts = {"expression": "the roof", **sample}
    one = Sample("1", Image(lambda: b"", "none", SIZE), "?", ("a", "b"), 0, **facts)
    chosen = {"oracle": Selection.chosen(0, 0)} if candidates else {"oracle": Selection.nothing()}
    outcomes = {
        Protocol.SEGMENT: ProtocolResult(Protocol.SEGMENT, "", Response(TEXT, TOKENS), candidates, control, chosen),
        Protocol.LETTER: ProtocolResult(Protocol.LETTER, "", Response("A"), verdict=Verdict(True)),
    }
    tally = EmergenceTally("m", row=ORACLE)
    tally.add(score_sample(one, outcomes, [ORACLE]))
    return tally.finish()


def test_the_best_phrase_its_place_and_its_concept() -> None:
    found = emergence(
        candidate("The red roof", 0, 3, 4, tokens=(0, 1, 2)),
        candidate("the left side", 34, 9, 10, tokens=(34, 35)),
        mask=columns(10),
    )
    (best,) = found.best
    assert (best.phrase, best.concept, best.iou, best.candidates) == ("the left side", Concept.LOCATION, 1.0, 4)
    assert best.place == pytest.approx(100 * 34 / len(TEXT))
    assert best.token == pytest.approx(100 * 34 / len(TEXT))
    assert not best.names_object
    assert found.places().tolist() == [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]
    assert found.concepts()[Concept.LOCATION] == 1
    assert found.outcomes == {"both right": 0, "only the answer": 1, "only the grounding": 0, "neither": 0}


def test_phrases_as_good_as_the_best_share_the_sample() -> None:
    found = emergence(candidate("The red roof", 0, 10), candidate("it", len(TEXT) - 3, 10), mask=columns(10))
    assert found.places().tolist() == [1] + [0] * 9
    assert found.places(tied=True).tolist() == [0.5] + [0] * 8 + [0.5]
    assert sum(found.concepts(tied=True).values()) == pytest.approx(1)


def test_the_curve_stands_beside_its_control() -> None:
    found = emergence(
        candidate("The red roof", 0, 10, 5), control=(candidate("The red roof", 0, 2, 4),), mask=columns(10)
    )
    own, control = found.curves
    assert (own.n, control.n) == ((1, 2), (1, 2))
    assert own.value == pytest.approx((75, 100))
    assert control.value == pytest.approx((30, 40))


def test_absent_and_unnamed_objects_are_not_looked_at() -> None:
    assert emergence(candidate("x", 0, 1), mask=columns(0)).best == []
    assert emergence(candidate("x", 0, 1), mask=columns(5), expression=None).best == []
    assert emergence(mask=columns(5)).left_out == 1


@pytest.mark.parametrize(
    ("phrase", "expression", "concept"),
    [
        ("the butterfly's wings", "the butterfly's wings", Concept.PART),
        ("A dog", "the dog", Concept.OBJECT),
        ("the dog's face", "the dog", Concept.PART),
        ("the left side", "the dog", Concept.LOCATION),
        ("the background", "the dog", Concept.LOCATION),
        ("a red color", "the dog", Concept.APPEARANCE),
        ("the image", "the dog", Concept.CONTEXT),
        ("the grass", "the dog", Concept.CONTEXT),
        ("a sitting position", "the dog", Concept.LOCATION),
        ("the open one", "the door", Concept.STATE),
        ("the green one", "the door", Concept.APPEARANCE),
        ("a motion", "the dog", Concept.STATE),
        ("two people", "the dog", Concept.OBJECT),
        ("", "the dog", Concept.OBJECT),
    ],
)
def test_concepts_by_rule(phrase: str, expression: str, concept: Concept) -> None:
    assert classify(phrase, expression=expression) is concept


@pytest.mark.parametrize(
    ("answer", "letters"),
    [("(a), (c)", "ac"), ("e", "e"), ("B, F", "bf"), ("(d) Context or setting", "d"), ("none", ""), ("", "")],
)
def test_a_judges_letters(answer: str, letters: str) -> None:
    assert {concept.letter for concept in read_letters(answer)} == set(letters)


def test_agreement_of_rules_and_judge() -> None:
    part, place, thing = Concept.PART, Concept.LOCATION, Concept.OBJECT
    judged = [frozenset({part}), frozenset({thing, place}), frozenset({thing}), frozenset()]
    found = agreement([part, place, part, thing], judged)
    assert (found["share"], found["n"]) == (pytest.approx(2 / 3), 3)
    # by chance: part 2/3 x 1/3, location 1/3 x 1/3, object 0 x 1/3
    assert found["kappa"] == pytest.approx((2 / 3 - 1 / 3) / (1 - 1 / 3))


def test_the_judges_prompt_is_the_papers() -> None:
    prompt = judge_prompt("the dog", "A text.")
    assert prompt.startswith(
        "Can you classify the following noun phrase belongs to which of these 6 concepts: (a) Color"
    )
    assert prompt.endswith("correponding full context.: 'the dog', 'A text.'. ")


def test_whether_a_phrase_names_the_object() -> None:
    assert shares_word("The butterfly's open wings", "the butterfly's wings")
    assert shares_word("Wings.", "the wings")
    assert not shares_word("the left side", "the wings")
    assert not shares_word("the car", "the cat")
