"""What tables say of what they leave out, against counts by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_scoring.evaluation import evaluate
from pixcore_statistics.probing import fixed, halves

from pixcore import masks
from pixcore.errors import ConfigError
from pixcore.figures.rows import OWN_MASKS, RowSpec, Summary, control_spec
from pixcore.figures.scores import score_sample
from pixcore.predictions.format import NO_PREDICTION
from pixcore.records import (
    Candidate,
    Fidelity,
    Image,
    Protocol,
    ProtocolResult,
    Response,
    Sample,
    SampleResult,
    Selection,
    Verdict,
)

ROW = RowSpec(OWN_MASKS, own_masks=True)
SIZE = (10, 10)


def results(count: int, *, absent: int = 0, failed: int = 0, unread: int = 0) -> Iterator[SampleResult]:
    """Samples of one image a pair; the first are absent, the next failed, the next unread, all others are right."""
    for index in range(count):
        image = Image(lambda index=index: str(index // 2).encode(), f"{index}", SIZE)
        truth = np.full(SIZE, index >= absent)
        sample = Sample(str(index), image, "?", ("a", "b"), 0, "it", masks.encode(truth), pair=str(index // 2))
        outcomes = {}
        for protocol in (Protocol.QUESTION, Protocol.SEGMENT):
            graded = protocol == Protocol.QUESTION
            said = Response("", mask=masks.encode(np.zeros(SIZE, bool)))
            verdict = Verdict(None if absent + failed <= index < absent + failed + unread else True)
            if absent <= index < absent + failed:
                outcomes[protocol] = ProtocolResult(protocol, "", graded=graded, error="broke")
            else:
                outcomes[protocol] = ProtocolResult(
                    protocol, "", said, graded=graded, verdict=verdict if graded else None
                )
        yield score_sample(sample, outcomes, [ROW])


def summary(fidelity: Fidelity = Fidelity.CORRECTED, **parts: int) -> Summary:
    return evaluate(results(24, **parts), [ROW], benchmark="b", model="m", fidelity=fidelity).summary


def test_what_is_left_out_and_what_counts_as_wrong_is_told() -> None:
    found = summary(absent=4, failed=2, unread=2)
    figures = found.rows[0].figures
    assert found.accounts["M"] == {"of": 24, "left_out": {"absent": 4}, "as_wrong": {"failed": 2}}
    assert found.accounts["A†"]["as_wrong"] == {"failed": 2, "unread": 2}
    assert figures["A†"].value == pytest.approx(100 * 10 / 12)
    assert found.accounts["A†"]["if_read"] == pytest.approx(100 * 11 / 12)  # both unread answers are one pair's
    assert found.accounts["A† per sample"]["if_read"] == pytest.approx(100 * 22 / 24)
    assert found.accounts["A"]["left_out"] == {"not asked or not graded": 24}
    notes = " ".join(found.notes)
    assert "M†, M: 20 of 24 samples; left out: 4 absent" in notes
    assert "95 % intervals over 12 pairs: Wilson (A†)" in notes


def test_published_says_how_many_absent_images_count_as_one() -> None:
    found = summary(Fidelity.PUBLISHED, absent=4)
    assert found.accounts["M"]["absent"] == 4
    assert found.accounts["M"]["absent_as_1"] == {OWN_MASKS: 4}
    assert found.rows[0].figures["M"].value == pytest.approx(100 * 4 / 24)
    assert found.rows[0].figures["M there"].value == 0
    told = f"whatever the model does: {OWN_MASKS} 4 (16.7, without them 0.0)"
    assert any("M holds 4 images without the object" in note and told in note for note in found.notes)


def test_what_is_wrong_whatever_was_said_is_told_of_each_figure_by_itself() -> None:
    notes = summary(failed=2, unread=2).notes
    assert "M† (under question): 2 failed count as IoU 0" in notes
    assert "M (under segment): 2 failed count as IoU 0" in notes
    bounds = "whatever the unread ones say, it is between 83.3 and 91.7"
    assert f"A† (under question): 2 failed and 2 unread count as wrong; {bounds}" in notes


def test_what_is_missing_is_no_iou_of_0_where_a_row_knows_that_the_object_is_absent() -> None:
    """Under `published` an oracle looks at the ground truth before it looks for a file."""
    rows = [RowSpec("knows", uses_ground_truth=True), RowSpec("guesses")]

    def missing(rows: list[RowSpec]) -> Iterator[SampleResult]:
        for one in results(24, absent=4):
            said = one.by_probing[Protocol.SEGMENT]
            knows = Selection.absent() if one.sample.absent else Selection.nothing()
            wrong = Verdict(False, NO_PREDICTION)
            chosen = {"knows": knows, "guesses": Selection.nothing()}
            asked = replace(said, response=Response(""), verdict=wrong, selections=chosen, scores={})
            yield score_sample(one.sample, {Protocol.SEGMENT: asked}, rows)

    def told(rows: list[RowSpec]) -> tuple[int, list[str]]:
        given = missing(rows)
        found = evaluate(given, rows, benchmark="b", model="m", fidelity=Fidelity.PUBLISHED).summary
        lines = [note for note in found.notes if note.startswith("M (under segment)")]
        return found.accounts["M"]["as_wrong"]["missing"], lines

    spared = "; the object being absent, 4 count as 1 in the row knows"
    assert told(rows) == (24, [f"M (under segment): 24 missing count as IoU 0{spared}"])
    assert told(rows[1:]) == (24, ["M (under segment): 24 missing count as IoU 0"])
    assert told(rows[:1]) == (20, ["M (under segment): 20 missing count as IoU 0"])


def test_paper_leaves_out_what_was_not_chosen_whether_the_object_is_named_or_there() -> None:
    picks = RowSpec("picks")

    def nothing_chosen() -> Iterator[SampleResult]:
        for place, one in enumerate(results(24, absent=4)):
            sample = one.sample if place < 16 else replace(one.sample, expression=None)
            chosen = {"picks": Selection.nothing()}
            outcomes = {name: replace(outcome, selections=chosen) for name, outcome in one.by_probing.items()}
            yield score_sample(sample, outcomes, [picks])

    found = evaluate(nothing_chosen(), [picks], benchmark="b", model="m", fidelity=Fidelity.PAPER).summary
    assert found.accounts["M"]["left_out"] == {"nothing chosen": 24}
    assert found.accounts["M gIoU"]["left_out"] == {"no object named": 8}


def test_a_control_lacks_no_sample_without_a_ground_truth() -> None:
    picks = RowSpec("picks")
    rows = [picks, control_spec(picks, "others")]

    def told(*, truth: bool) -> str:
        def scored() -> Iterator[SampleResult]:
            for one in results(24):
                sample = one.sample if truth else replace(one.sample, mask=None)
                chosen = {"picks": Selection.nothing()}
                outcomes = {name: replace(outcome, selections=chosen) for name, outcome in one.by_probing.items()}
                yield score_sample(sample, outcomes, rows)

        notes = evaluate(scored(), rows, benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary.notes
        return " ".join(notes)

    assert "24 samples of others, picks pick under segment: not there" in told(truth=True)
    assert "not there" not in told(truth=False)


def test_samples_of_one_image_are_one_cluster() -> None:
    """Whatever the files are called: RefCOCO has several expressions an image, and intervals are over images."""

    def unpaired() -> Iterator[SampleResult]:
        for one in results(24):
            sample = Sample(one.sample.id, one.sample.image, "?", ("a", "b"), 0, "it", one.sample.mask)
            yield score_sample(sample, dict(one.by_probing), [ROW])

    found = evaluate(unpaired(), [ROW], benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary
    assert found.clusters == {"pair": 0, "image": 12}
    assert found.rows[0].figures["A†"].n == 24
    assert any("95 % intervals over 12 images" in note for note in found.notes)


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(24)))
def test_samples_may_come_in_any_order(order: list[int]) -> None:
    """The samples of a pair, or of an image, may lie far apart in a benchmark."""
    ordered, parts = [*results(24, absent=4, failed=2, unread=2)], {"absent": 4, "failed": 2, "unread": 2}
    shuffled = (ordered[place] for place in order)
    found = evaluate(shuffled, [ROW], benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary
    expected = summary(**parts)
    assert (found.accounts, found.clusters) == (expected.accounts, expected.clusters)
    assert found.rows[0].figures["A†"] == expected.rows[0].figures["A†"]
    for name in ("M†", "M", "A† per sample"):
        assert found.rows[0].figures[name].value == pytest.approx(expected.rows[0].figures[name].value)


def test_s_of_a_probing_that_was_named() -> None:
    found = dict(halves(results(24, failed=2), [ROW], Fidelity.CORRECTED, fix="A†,M"))
    assert found[OWN_MASKS].honest == pytest.approx(0)  # every mask is empty
    assert found[OWN_MASKS].made_of == ("A†, M",)


def test_s_that_is_nothing_in_every_draw_has_no_interval() -> None:
    """As in tables: every mask is empty, so S is 0 whichever pairs are drawn."""
    for fix in ("A†,M", None):
        ((_, found),) = halves(results(60, failed=2), [ROW], Fidelity.CORRECTED, fix=fix)
        assert (found.honest, found.low, found.high) == (0, None, None)


def test_s_as_in_tables_is_made_of_what_the_config_named() -> None:
    given = list(results(24, absent=8))
    named = evaluate(given, [ROW], benchmark="b", model="m", fidelity=Fidelity.PUBLISHED, s_of=("A†", "M"))
    ((_, found),) = halves(given, [ROW], Fidelity.PUBLISHED, s_of=("A†", "M"))
    assert found.chosen == pytest.approx(named.summary.rows[0].figures["S"].value)


def test_figures_to_fix_are_an_accuracy_and_a_mean_iou() -> None:
    with pytest.raises(ConfigError, match="no accuracy and mean IoU"):
        fixed("M,A")


@pytest.mark.parametrize("chosen", [0, 1])
def test_a_row_that_never_chose_says_why(chosen: int) -> None:
    """Its IoUs are 0, as those of one that always chose wrongly."""
    rows = [RowSpec("idle"), RowSpec("busy")]

    def scored() -> Iterator[SampleResult]:
        for index, one in enumerate(results(6)):
            offered = (Candidate(None, None, (masks.encode(np.ones(SIZE, bool)),), (0.5,)),) if index else ()
            idle = Selection.chosen(0, 0) if index == 5 and chosen else Selection.nothing("it knows no masks")
            selections = {"idle": idle, "busy": Selection.chosen(0, 0) if index else Selection.nothing("no candidates")}
            outcome = one.by_probing[Protocol.SEGMENT]
            response = replace(outcome.response, mask=None) if outcome.response is not None else None
            outcome = replace(outcome, response=response, candidates=offered, selections=selections, scores={})
            yield score_sample(one.sample, {Protocol.SEGMENT: outcome}, rows)

    found = evaluate(scored(), rows, benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary
    told = [note for note in found.notes if "chose nothing" in note]
    assert told == ["idle chose nothing under segment, of whatever candidates 5 samples had: it knows no masks"] * (
        1 - chosen
    )
