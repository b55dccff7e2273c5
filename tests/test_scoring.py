"""Scores and figures against plain arithmetic on decoded masks, and scipy's bootstrap."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_scoring.evaluation import evaluate
from scipy import stats

from pixcore import masks
from pixcore.errors import DataError
from pixcore.figures.columns import harmonic_score
from pixcore.figures.rows import OWN_MASKS, RowSpec, Summary, control_spec
from pixcore.figures.scores import candidate_ious, is_correct, score_protocol, score_result, score_sample
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

SIZE = (12, 8)
NO_IMAGE = Image(lambda: b"", "none", SIZE)
ORACLE = RowSpec("oracle", uses_ground_truth=True)


def random_mask(rng: np.random.Generator, *, share: float | None = None) -> np.ndarray:
    return rng.random((SIZE[1], SIZE[0])) < (rng.random() if share is None else share)


def candidate(*arrays: np.ndarray) -> Candidate:
    return Candidate(None, None, tuple(masks.encode(array) for array in arrays), (0.5,) * len(arrays))


def sample(name: str, truth: np.ndarray | None, *, pair: str | None = None, expression: str | None = "it") -> Sample:
    mask = masks.encode(truth) if truth is not None else None
    return Sample(name, NO_IMAGE, "Is it?", ("Yes", "No"), 0, expression, mask, pair, {"kind": f"k{len(name) % 2}"})


def plain_iou(left: np.ndarray, right: np.ndarray) -> float:
    union = np.logical_or(left, right).sum()
    return 1.0 if union == 0 else float(np.logical_and(left, right).sum() / union)


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 2**32 - 1), counts=st.lists(st.integers(0, 4), max_size=5))
def test_candidate_ious_are_those_of_decoded_masks(seed: int, counts: list[int]) -> None:
    rng = np.random.default_rng(seed)
    truths = [random_mask(rng) for _ in range(2)]
    arrays = [[random_mask(rng) for _ in range(count)] for count in counts]
    candidates = tuple(candidate(*group) for group in arrays)
    for truth in (*truths, *truths):  # what was measured before is given again, with the truth that it is of
        measured = candidate_ious(sample("1", truth), candidates)
        assert [len(values) for values in measured] == counts
        for group, values in zip(arrays, measured, strict=True):
            np.testing.assert_allclose(values, [plain_iou(one, truth) for one in group], atol=1e-12)


def test_every_outcome_of_a_selection() -> None:
    full, none = np.ones((8, 12), bool), np.zeros((8, 12), bool)
    half = full.copy()
    half[:, 6:] = False
    present, absent = sample("1", half), sample("2", none)
    result = ProtocolResult(Protocol.SEGMENT, "?", Response("x"), (candidate(full, half), candidate(none)))

    chosen = score_result(present, result, Selection.chosen(0, 0))
    assert (chosen.iou, chosen.best_iou, chosen.predicted_area) == (0.5, 1.0, 96)
    assert score_result(present, result, Selection.absent()).iou == 0.0
    assert score_result(present, result, Selection.nothing()).iou == 0.0
    assert score_result(absent, result, Selection.absent()).iou == 1.0
    assert score_result(absent, result, Selection.nothing()).iou == 0.0
    assert score_result(absent, result, Selection.chosen(0, 1)).iou == 0.0
    assert score_result(absent, result, Selection.chosen(1, 0)).iou == 1.0
    assert score_result(sample("3", None), result, Selection.chosen(0, 0)).iou is None
    own = replace(result, response=Response("x", mask=masks.encode(full)))
    for selection, area in ((None, 96), (Selection.absent(), 0), (Selection.nothing(), 0)):
        assert score_result(sample("3", None), own, selection).predicted_area == area
    nothing_there = ProtocolResult(Protocol.SEGMENT, "?", Response("x"))
    assert score_result(present, nothing_there, Selection.nothing()).best_iou == 0.0


def test_a_failed_sample_counts_in_every_row() -> None:
    failed = ProtocolResult(Protocol.LETTER, "?", graded=True, error="the model said nothing")
    rows = [ORACLE, RowSpec(OWN_MASKS, own_masks=True), RowSpec("random points", control_of="oracle")]
    scores = score_protocol(sample("1", np.ones((8, 12), bool)), failed, rows)
    assert {row.key for row in rows} == set(scores)
    assert all(score.iou == 0 and score.correct is False and score.error for score in scores.values())


def test_a_mask_of_another_size_is_a_clear_error() -> None:
    wrong = Candidate(None, None, (masks.encode(np.ones((12, 8), bool)),), (1.0,))
    with pytest.raises(DataError, match="size"):
        candidate_ious(sample("1", np.ones((8, 12), bool)), [wrong])


def test_a_failed_sample_is_no_wrong_answer_where_nobody_grades() -> None:
    failed = ProtocolResult(Protocol.QUESTION, "?", error="the model said nothing")
    assert is_correct(sample("1", None), failed) is None
    assert is_correct(sample("1", None), replace(failed, graded=True)) is False


def random_results(rng: np.random.Generator, pairs: int, rows: Sequence[RowSpec]) -> list[SampleResult]:
    results = []
    for index in range(2 * pairs):
        truth = random_mask(rng, share=0.0 if index % 7 == 0 else None)
        one = sample(str(index), truth, pair=str(index // 2))
        groups = [candidate(*(random_mask(rng, share=0.5) for _ in range(3))) for _ in range(4)]
        outcomes = {}
        for protocol in Protocol:
            chosen = Selection.absent() if rng.random() < 0.2 else Selection.chosen(int(rng.integers(4)), 1)
            outcomes[protocol] = ProtocolResult(
                protocol,
                "?",
                Response("x", mask=masks.encode(random_mask(rng))),
                tuple(groups),
                selections={"oracle": chosen, "other": Selection.chosen(index % 4, 0)},
                graded=True,
                verdict=Verdict(bool(rng.random() < 0.7)),
            )
        results.append(score_sample(one, outcomes, rows))
    return results


def decoded_iou(result: SampleResult, protocol: Protocol) -> float:
    truth = masks.decode(result.sample.mask)  # type: ignore[arg-type]
    chosen = result.by_probing[protocol].selections["oracle"]
    if chosen.outcome == "absent":
        return plain_iou(np.zeros_like(truth), truth)
    return plain_iou(masks.decode(result.by_probing[protocol].candidates[chosen.candidate].masks[chosen.mask]), truth)


def test_the_table_is_plain_arithmetic() -> None:
    results = random_results(np.random.default_rng(1), 30, [ORACLE])
    for fidelity in Fidelity:
        summary = evaluate(results, [ORACLE], benchmark="b", model="m", fidelity=fidelity).summary
        figures = summary.rows[0].figures
        for name, protocol in {"A†": Protocol.QUESTION, "A": Protocol.LETTER}.items():
            right = np.array([result.by_probing[protocol].verdict.correct for result in results])  # type: ignore[union-attr]
            assert figures[name].value == pytest.approx(100 * right.reshape(-1, 2).all(1).mean())
            assert figures[f"{name} per sample"].value == pytest.approx(100 * right.mean())
            assert (figures[name].n, figures[f"{name} per sample"].n) == (30, 60)
        counted = [r for r in results if fidelity is not Fidelity.CORRECTED or not r.sample.absent]
        for name, protocol in {"M†": Protocol.QUESTION, "M": Protocol.SEGMENT}.items():
            values = [decoded_iou(result, protocol) for result in counted]
            assert figures[name].value == pytest.approx(100 * np.mean(values), abs=1e-9)
            assert figures[name].n == len(values)
        a = max(figures["A"].value, figures["A†"].value)  # type: ignore[type-var]
        m = max(figures["M"].value, figures["M†"].value)  # type: ignore[type-var]
        assert figures["S"].value == pytest.approx(2 / (1 / a + 1 / m))  # type: ignore[operator]
        assert all(f.low <= f.value <= f.high for f in figures.values() if f.value is not None)  # type: ignore[operator]
        assert sum(row[0].figures["M"].n for row in summary.breakdowns["kind"].values()) == figures["M"].n


@pytest.mark.parametrize(("paired", "masked"), [(True, 24), (True, 3), (False, 24), (False, 3)])
def test_s_counts_what_the_rarest_of_its_parts_does(paired: bool, masked: int) -> None:
    """Samples of one image are one cluster, and S is marked as a handful where M is."""
    results = []
    for index in range(24):
        one = sample(str(index), np.ones((8, 12), bool), pair=str(index // 2) if paired else None)
        about = {"graded": True, "verdict": Verdict(True), "selections": {"oracle": Selection.absent()}}
        one = one if index < masked else replace(one, mask=None)
        outcomes = {name: ProtocolResult(name, "?", Response("x"), **about) for name in Protocol}
        results.append(score_sample(one, outcomes, [ORACLE]))
    figures = evaluate(results, [ORACLE], benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary.rows[0].figures
    expected = min((figures[name] for name in ("A", "M")), key=lambda figure: figure.n)
    assert expected.n == (12 if paired and masked == 24 else masked)
    for name in ("S", "S†", "S asked"):
        assert (figures[name].n, figures[name].per_pair) == (expected.n, expected.per_pair)


def test_a_table_of_many_clusters_waits_in_a_file_and_is_the_same(monkeypatch) -> None:
    rows = [ORACLE, RowSpec("other", control_of="oracle")]
    results = random_results(np.random.default_rng(4), 15, rows)

    def summary() -> Summary:
        return evaluate(results, rows, benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary

    expected = summary()
    assert "M less control" in expected.rows[0].figures
    monkeypatch.setattr("pixcore.figures.summary.MANY", 10)
    assert summary() == expected


def test_a_row_stands_beside_its_control_over_the_same_samples() -> None:
    """Of a third of the pairs the strategy chose nothing for one sample, the control nothing for the other."""
    rng = np.random.default_rng(5)
    control = control_spec(ORACLE, "random points")
    results, ious = [], []
    for index in range(60):
        truth, own, drawn = (random_mask(rng, share=0.5) for _ in range(3))
        chosen = {row.key: Selection.chosen(0, 0) for row in (ORACLE, control)}
        if index // 2 % 3 == 0:
            chosen[(ORACLE, control)[index % 2].key] = Selection.nothing()
        pools = (candidate(own),), {"random points": (candidate(drawn),)}
        outcome = ProtocolResult(Protocol.SEGMENT, "?", Response("x"), *pools, chosen)
        one = sample(str(index), truth, pair=str(index // 2))
        results.append(score_sample(one, {Protocol.SEGMENT: outcome}, [ORACLE, control]))
        ious.append((plain_iou(own, truth), plain_iou(drawn, truth)))
    whole = np.array(ious).reshape(30, 2, 2)[np.arange(30) % 3 > 0].mean(axis=1)
    interval = stats.ttest_rel(*whole.T).confidence_interval(0.95)
    expected = 100 * np.array([np.subtract(*whole.T).mean(), interval.low, interval.high])
    summary = evaluate(results, [ORACLE, control], benchmark="b", model="m", fidelity=Fidelity.PAPER).summary
    for row in summary.rows:
        figure = row.figures["M less control"]
        assert (figure.value, figure.low, figure.high) == pytest.approx(tuple(expected))
        assert figure.n == 40


def test_giou_ciou_and_absence_are_plain_arithmetic() -> None:
    results = random_results(np.random.default_rng(2), 20, [ORACLE])
    figures = evaluate(results, [ORACLE], benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary.rows[0].figures
    overlap = union = said = noticed = 0
    ious = []
    for result in results:
        truth = masks.decode(result.sample.mask)  # type: ignore[arg-type]
        outcome = result.by_probing[Protocol.SEGMENT]
        chosen = outcome.selections["oracle"]
        empty = chosen.outcome == "absent"
        guess = np.zeros_like(truth) if empty else masks.decode(outcome.candidates[chosen.candidate].masks[1])
        overlap += np.logical_and(guess, truth).sum()
        union += np.logical_or(guess, truth).sum()
        ious.append(plain_iou(guess, truth))
        said += empty
        noticed += empty and result.sample.absent
    assert figures["M gIoU"].value == pytest.approx(100 * np.mean(ious))
    assert figures["M cIoU"].value == pytest.approx(100 * overlap / union)
    assert figures["absence precision"].value == pytest.approx(100 * noticed / said)
    absent = sum(result.sample.absent for result in results)
    assert figures["absence recall"].value == pytest.approx(100 * noticed / absent)


def test_a_failure_is_no_empty_prediction() -> None:
    absent = sample("1", np.zeros((8, 12), bool))
    failed = score_sample(absent, {Protocol.SEGMENT: ProtocolResult(Protocol.SEGMENT, "?", error="broke")}, [ORACLE])
    summary = evaluate([failed], [ORACLE], benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary
    assert summary.failed == 1
    assert summary.rows[0].figures["absence recall"].value == 0.0
    assert "absence precision" not in summary.rows[0].figures


def test_a_pair_without_its_partner_is_left_out_and_noted() -> None:
    results = random_results(np.random.default_rng(3), 3, [ORACLE])[:5]
    summary = evaluate(results, [ORACLE], benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary
    assert summary.rows[0].figures["A"].n == 2
    assert any("pair" in note for note in summary.notes)


def test_an_unjudged_answer_is_wrong_and_said() -> None:
    outcome = ProtocolResult(Protocol.LETTER, "?", Response("x"), graded=True, verdict=Verdict(None))
    result = score_sample(sample("1", None), {Protocol.LETTER: outcome}, [ORACLE])
    summary = evaluate([result], [ORACLE], benchmark="b", model="m", fidelity=Fidelity.CORRECTED).summary
    assert summary.rows[0].figures["A"].value == 0.0
    told = "1 unread count as wrong; whatever the unread ones say, it is between 0.0 and 100.0"
    assert any(told in one for one in summary.notes)


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        ((27.3, 28.0, 26.1, 38.0), 32.2),
        ((39.3, 30.0, 23.6, 38.2), 38.7),
        ((52.0, 52.0, 52.0, 56.1), 54.0),
        ((7.3, np.nan, 18.1, 42.9), 12.5),
        ((0.0, 0.0, 20.0, 10.0), 0.0),
    ],
)
def test_s_of_the_papers_table(columns: tuple[float, ...], expected: float) -> None:
    assert harmonic_score(*map(np.asarray, columns)) == pytest.approx(expected, abs=0.051)
