"""Which pairs the failure histogram counts, beside the table's A."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from pixcore_scoring.evaluation import evaluate

from pixcore import masks
from pixcore.figures.rows import OWN_MASKS, RowSpec
from pixcore.figures.scores import score_sample
from pixcore.records import Fidelity, Image, ProtocolResult, Response, Sample, SampleResult, Verdict


@pytest.mark.parametrize("fidelity", Fidelity)
def test_half_a_pair_is_none_where_it_fails_as_in_the_table(fidelity: Fidelity) -> None:
    """The last of five samples has its other one outside of --limit; the first two answers of six are one pair's."""
    row = RowSpec(OWN_MASKS, own_masks=True)
    truth = masks.encode(np.ones((4, 4), bool))

    def results(count: int, *, paired: bool = True) -> Iterator[SampleResult]:
        for number in range(count):
            image = Image(lambda number=number: str(number).encode(), str(number), (4, 4))
            pair = str(number // 2) if paired else None
            sample = Sample(str(number), image, "?", ("a", "b"), 0, "it", truth, pair=pair)
            answer = ProtocolResult("question", "", Response("a"), graded=True, verdict=Verdict(number != 0))
            asked = {"segment": ProtocolResult("segment", "", Response("", mask=truth)), "question": answer}
            yield score_sample(sample, asked, [row])

    def counts(given: Iterator[SampleResult]) -> tuple[tuple[int, ...], int]:
        found = evaluate(given, [row], benchmark="b", model="m", fidelity=fidelity)
        (failures,) = found.failures[row.key]
        return failures.counts, found.summary.rows[0].figures["A†"].n

    assert counts(results(6)) == ((1, 0, 0, 2), 3)
    assert counts(results(5)) == ((1, 0, 0, 1), 2)
    assert counts(results(5, paired=False)) == ((1, 0, 0, 4), 5)


@pytest.mark.parametrize("unnamed", [0, 1])
def test_a_pair_of_which_one_names_no_object_is_none(unnamed: int) -> None:
    """Nobody can say of it whether it is found, so its pair is half a pair."""
    row = RowSpec(OWN_MASKS, own_masks=True)
    truth = masks.encode(np.ones((4, 4), bool))

    def results() -> Iterator[SampleResult]:
        for number in range(4):
            image = Image(lambda number=number: str(number).encode(), str(number), (4, 4))
            name = "it" if number >= unnamed else None
            sample = Sample(str(number), image, "?", ("a", "b"), 0, name, truth, pair=str(number // 2))
            answer = ProtocolResult("question", "", Response("a"), graded=True, verdict=Verdict(True))
            asked = {"segment": ProtocolResult("segment", "", Response("", mask=truth)), "question": answer}
            yield score_sample(sample, asked, [row])

    found = evaluate(results(), [row], benchmark="b", model="m", fidelity=Fidelity.CORRECTED)
    (failures,) = found.failures[row.key]
    assert failures.counts == (0, 0, 0, 2 - unnamed)
