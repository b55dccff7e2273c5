"""predictions.jsonl: every way it can be wrong has its line, and what a run writes reads back as it was."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_scoring.evaluation import evaluate
from pixcore_scoring.file import PredictionsFile

from pixcore import masks
from pixcore.components import NoConfig, SelectionStrategy
from pixcore.errors import DataError
from pixcore.figures.rows import OWN_MASKS, RowSpec
from pixcore.figures.scores import candidate_ious, score_sample
from pixcore.predictions.format import prediction_line
from pixcore.records import (
    Candidate,
    Fidelity,
    Image,
    PointPrompt,
    Protocol,
    ProtocolResult,
    Response,
    Sample,
    SampleResult,
    Selection,
    Token,
    TokenGroup,
    Verdict,
)

SIZE = (9, 7)
NO_IMAGE = Image(lambda: b"", "none", SIZE)


def truth(index: int) -> np.ndarray:
    mask = np.zeros((7, 9), bool)
    if index != 2:
        mask[index % 4 : 6, 1 : 3 + index % 5] = True
    return mask


SAMPLES = [
    Sample(str(i), NO_IMAGE, "Is it?", ("Yes", "No"), i % 2, "it", masks.encode(truth(i)), str(i // 2))
    for i in range(6)
]
RLE = masks.encode(truth(1))
GOOD: dict[str, Any] = {"sample_id": "0", "protocol": "segment", "text": "it is there", "mask": RLE}
CANDIDATES = [{"phrase": "it", "start": 0, "end": 2, "masks": [RLE, RLE], "scores": [0.1, 0.2], "similarity": 0.9}]
MANY: dict[str, Any] = {"sample_id": "0", "protocol": "segment", "text": "it is there", "candidates": CANDIDATES}


class Best(SelectionStrategy[NoConfig]):
    """The best of the first candidate's masks; without candidates an object that is absent."""

    uses_ground_truth = True

    def select(self, sample: Sample, response: Response, candidates: Any) -> Selection:
        if not candidates:
            return Selection.absent() if sample.absent else Selection.nothing()
        return Selection.chosen(0, int(np.argmax(candidate_ious(sample, candidates)[0])))


def opened(path: Path, *lines: Any, **options: Any) -> list[SampleResult]:
    text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
    path.write_text(text, encoding="utf-8")
    return list(PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.CORRECTED, **options))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "p.jsonl"


def with_candidate(**changes: Any) -> dict[str, Any]:
    return {**MANY, "candidates": [{**CANDIDATES[0], **changes}], "choice": {"candidate": 0, "mask": 0}}


@pytest.mark.parametrize("outcome", ["absent", "nothing"])
@pytest.mark.parametrize("score", [0.43, None])
def test_a_choice_of_no_mask_keeps_its_score(path: Path, outcome: Any, score: float | None) -> None:
    line = {**MANY, "choices": {"x": outcome if score is None else {outcome: score}}}
    (outcomes,) = [one.by_probing for one in opened(path, line, missing="skip")]
    assert outcomes["segment"].selections["x"] == Selection(outcome, score=score)
    (sample,) = [one for one in SAMPLES if one.id == line["sample_id"]]
    assert prediction_line(sample, outcomes["segment"])["choices"] == line["choices"]


BAD: dict[str, tuple[Any, str]] = {
    "no JSON": ("{", "line 2 is not JSON"),
    "a list": ([], "line 2 holds a list"),
    "no id": ({**GOOD, "sample_id": None}, "line 2 has sample_id None"),
    "a number as id": ({**GOOD, "sample_id": 1}, "line 2 has sample_id 1"),
    "an unknown sample": ({**GOOD, "sample_id": "77"}, "line 2 has the unknown sample '77'"),
    "an unknown protocol": ({**GOOD, "sample_id": "1", "protocol": "segmant"}, "did you mean 'segment'"),
    "no protocol": ({"sample_id": "1", "text": ""}, "line 2 has no protocol"),
    "a second line": (GOOD, "second line for sample 0 (segment); the first is line 1"),
    "no text": ({"sample_id": "1", "protocol": "segment", "mask": None}, "line 2 has no text"),
    "a text that is a number": ({**GOOD, "text": 5}, "has text 5"),
    "another size": ({**GOOD, "sample_id": "1", "mask": masks.encode(np.ones((9, 7), bool))}, "its image is 9x7"),
    "no RLE": ({**GOOD, "sample_id": "1", "mask": [[0, 0, 1, 1]]}, "is not COCO RLE"),
    "damaged RLE": ({**GOOD, "sample_id": "1", "mask": {"size": [7, 9], "counts": "01"}}, "do not fill"),
    "NaN score": (json.dumps(with_candidate(scores=[float("nan"), 1.0])), "NaN is not a number"),
    "infinite score": (json.dumps(with_candidate(scores=[0.5, 1])).replace("0.5", "1e999"), "has scores [inf, 1]"),
    "a score for all masks": (with_candidate(scores=0.5), "has scores 0.5"),
    "a misspelt key": ({**MANY, "choice": "absent", "canidates": []}, "has the unknown key 'canidates'"),
    "a misspelt key of a candidate": (with_candidate(score=[0.5, 1]), "candidate 0 has the unknown key 'score'"),
    "True as a score": (with_candidate(scores=[True, 1]), "has scores [True, 1]"),
    "a place beyond any text": (with_candidate(start=10**400), "has start 1000"),
    "a place between characters": (with_candidate(start=0.5), "has start 0.5"),
    "a phrase that is a number": (with_candidate(phrase=5), "has phrase 5"),
    "tokens counted from the end": (with_candidate(tokens=[-1]), "has tokens [-1]"),
    "too few scores": (with_candidate(scores=[0.1]), "has 1 scores for 2 masks"),
    "a worded similarity": (with_candidate(similarity="high"), "similarity 'high'"),
    "a point of three": (with_candidate(point=[1, 2, 3]), "point [1, 2, 3]"),
    "points without labels": (with_candidate(point={"points": [[1, 2]]}), "point {'points'"),
    "a label for no point": (with_candidate(point={"points": [[1, 2]], "labels": [1, 0]}), "point {'points'"),
    "a stability in words": (with_candidate(stability=["high", "low"]), "stability"),
    "tokens that are not a list": (with_candidate(tokens=5), "has tokens 5"),
    "merged with a number": (with_candidate(merged=5), "merged"),
    "upper bounds that are not a list": ({**MANY, "choice": "absent", "upper_bounds": 5}, "upper_bounds"),
    "masks of another size": (with_candidate(masks=[masks.encode(np.ones((2, 2), bool))], scores=[1]), "candidate 0"),
    "no masks": ({**MANY, "candidates": [{"phrase": "x"}], "choice": "absent"}, "candidate 0 has no masks"),
    "candidates no list": ({**MANY, "candidates": {"a": 1}, "choice": "absent"}, "not a list"),
    "a candidate beyond the end": ({**MANY, "choice": {"candidate": 1, "mask": 0}}, "candidate 1 of 1"),
    "a mask beyond the end": ({**MANY, "choice": {"candidate": 0, "mask": 2}}, "mask 2 of 2"),
    "a negative choice": ({**MANY, "choice": {"candidate": -1, "mask": 0}}, "line 2: choice is"),
    "a worded choice": ({**MANY, "choice": "none"}, "'none'"),
    "nobody chose": (MANY, "candidates and no choice"),
    "a worded verdict": ({**GOOD, "verdict": {"correct": "yes"}}, "verdict 'yes'"),
    "invalid spans": ({**GOOD, "token_spans": [[1]]}, "token_spans"),
    "a verdict without its word": ({**GOOD, "verdict": {"right": True}}, "has a verdict {'right': True}"),
    "a misspelt verdict": ({**GOOD, "verdict": {"corect": True}}, "has the unknown key 'corect'"),
    "a misspelt choice": ({**MANY, "choice": {"candidate": 0, "masks": 1}}, "has the unknown key 'masks'"),
    "a misspelt control": ({**MANY, "choice": "absent", "control": {"candidats": []}}, "the unknown key 'candidats'"),
    "a choice and its absence": ({**MANY, "choice": {"absent": 0.1, "candidate": 0, "mask": 0}}, "choice is {'absent'"),
    "a choice that did not fail": ({**MANY, "choice": {"failed": False, "candidate": 0}}, "choice is {'failed'"),
    "an absence that is none": ({**MANY, "choice": {"absent": False}}, "choice is {'absent': False}"),
    "a place that was not found": (with_candidate(start=-1, end=1), "has start -1"),
    "a point further than any": (with_candidate(point=[1e39, 0]), "has point [1e+39, 0]"),
    "further places that are none": (with_candidate(point={"points": [[1, 2]], "labels": [1], "also": 5}), "has point"),
    "further places of three": (with_candidate(point={"points": [[1, 2]], "labels": [1], "also": [[1]]}), "has point"),
    "words that are none": (with_candidate(point={"points": [[1, 2]], "labels": [1], "text": 5}), "has point"),
    "an error that is not text": ({**GOOD, "error": 5}, "an error that is not text"),
}


def test_a_control_has_one_name_in_all_lines(path: Path) -> None:
    def of(name: str, sample: str, *more: dict[str, Any]) -> dict[str, Any]:
        control = {"name": name, "candidates": CANDIDATES, "choices": {"x": {"candidate": 0, "mask": 0}}}
        return {**GOOD, "sample_id": sample, "control": [control, *more]}

    for line, which in ((of("anywhere", "1"), 2), (of("points", "1", {**of("anywhere", "1")["control"][0]}), 2)):
        said = rf"line {which} has 'x' as a choice of the control 'anywhere', and before it was 'points''s"
        with pytest.raises(DataError, match=said):
            opened(path, of("points", "0"), line)


@pytest.mark.parametrize("case", BAD)
def test_every_bad_line_is_named(case: str, path: Path) -> None:
    line, message = BAD[case]
    if isinstance(line, dict) and line.get("sample_id") == "0" and case != "a second line":
        line = {**line, "sample_id": "1"}
    if isinstance(line, str):
        line = line.replace('"sample_id": "0"', '"sample_id": "1"')
    with pytest.raises(DataError) as caught:
        opened(path, GOOD, line)
    assert message in str(caught.value)
    assert caught.value.hint


def test_a_probing_of_which_every_line_failed_has_no_mask_right(path: Path) -> None:
    """As in the run that wrote them: what failed is an IoU of 0, whether all of it did or some."""
    failed = [{"sample_id": str(i), "protocol": "question", "text": "", "error": "broke"} for i in range(6)]
    for lines in ([*failed, GOOD], [*failed, MANY | {"choices": {"mine": {"candidate": 0, "mask": 0}}}]):
        found = [one.by_probing["question"].scores for one in opened(path, *lines)]
        assert [score.iou for scores in found for score in scores.values()] == [0.0] * 6
    assert not any(one.by_probing["question"].scores for one in opened(path, *failed))


def test_a_failed_line_may_have_spans_and_no_text(path: Path) -> None:
    failed = {"sample_id": "1", "protocol": "segment", "error": "it failed", "token_spans": [[0, 2]]}
    result = opened(path, GOOD, failed)[1].by_probing[Protocol.SEGMENT]
    assert result.error == "it failed"


@pytest.mark.parametrize("text", ["", "\n\n"])
def test_an_empty_file_is_no_prediction(path: Path, text: str) -> None:
    with pytest.raises(DataError, match="holds no predictions"):
        opened(path, text)


def test_a_file_in_another_encoding(path: Path) -> None:
    path.write_bytes(json.dumps(GOOD).replace("there", "th\xe9re").encode("latin-1"))
    with pytest.raises(DataError, match="not UTF-8"):
        PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.CORRECTED)


def test_a_file_that_is_not_there(path: Path) -> None:
    with pytest.raises(DataError, match="can't read"):
        PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.CORRECTED)


def test_a_sample_without_prediction_is_a_failure_is_left_out_or_an_error(path: Path) -> None:
    failed = opened(path, GOOD)
    assert [one.by_probing[Protocol.SEGMENT].error for one in failed] == [None, *["no prediction"] * 5]
    assert failed[1].by_probing[Protocol.SEGMENT].scores[OWN_MASKS].iou == 0
    assert [one.sample.id for one in opened(path, GOOD, missing="skip")] == ["0"]
    with pytest.raises(DataError, match=r"no line for sample 1 \(segment\)"):
        opened(path, GOOD, missing="error")


def test_null_is_the_empty_mask(path: Path) -> None:
    results = opened(path, {**GOOD, "sample_id": "2", "mask": None}, missing="skip")
    assert results[0].by_probing[Protocol.SEGMENT].scores[OWN_MASKS].iou == 1.0


def test_a_choice_stands_and_the_rest_is_selected(path: Path) -> None:
    full = masks.encode(np.ones((7, 9), bool))
    candidates = [{"masks": [full, masks.encode(truth(0))]}]
    chosen = {**MANY, "candidates": candidates, "choice": {"candidate": 0, "mask": 0}}
    undecided = {**MANY, "candidates": [{"masks": [full, masks.encode(truth(1))]}], "sample_id": "1"}
    first, second = opened(
        path, chosen, undecided, select=["best"], strategies={"best": Best(NoConfig())}, missing="skip"
    )
    assert first.by_probing[Protocol.SEGMENT].scores["best"].iou == 1.0
    assert first.by_probing[Protocol.SEGMENT].scores["choice"].iou == pytest.approx(truth(0).mean())
    assert second.by_probing[Protocol.SEGMENT].scores["choice"].iou == 1.0


def test_a_line_without_the_others_choice_is_chosen_from_by_that_strategy(path: Path) -> None:
    by = {"best": Best(NoConfig())}
    full = masks.encode(np.ones((7, 9), bool))
    first = {**MANY, "candidates": [{"masks": [RLE]}], "choices": {"best": {"candidate": 0, "mask": 0}}}
    other = {**MANY, "sample_id": "1", "candidates": [{"masks": [full, masks.encode(truth(1))]}]}
    options: dict[str, Any] = {"strategies": by, "missing": "skip"}
    results = opened(path, first, other, **options)
    assert results[1].by_probing[Protocol.SEGMENT].scores["best"].iou == 1.0
    file = PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.PUBLISHED, **options | {"missing": "fail"})
    assert [row.uses_ground_truth for row in file.rows] == [True]
    absent = {one.sample.id: one for one in file}["2"]  # no line: who sees the truth knows that nothing is there
    assert absent.by_probing[Protocol.SEGMENT].scores["best"].iou == 1.0
    with pytest.raises(DataError, match=r"candidates and no choice by 'best'"):
        opened(path, first, other)


def test_iou_of_candidates_is_measured_again_where_anything_differs() -> None:
    full = masks.encode(np.ones((7, 9), bool))
    pools = [(Candidate(None, None, (mask,), ()),) for mask in (full, RLE)]
    for sample in SAMPLES[:2]:
        for pool in (*pools, list(pools[0])):
            for _ in range(2):
                inside = masks.decode(pool[0].masks[0]) & truth(int(sample.id))
                around = masks.decode(pool[0].masks[0]) | truth(int(sample.id))
                assert candidate_ious(sample, pool)[0][0] == pytest.approx(inside.sum() / around.sum())


def run_results(rng: np.random.Generator) -> Iterator[SampleResult]:
    """What a run holds, with everything that a line can say."""

    def drawn() -> Any:
        return masks.encode(rng.random((7, 9)) < rng.random())

    def proposal(index: int, text: str) -> Candidate:
        group = TokenGroup((index, index + 1), text[index : index + 3], index, index + 3, "root")
        point = PointPrompt.at(*(tuple(rng.random(2) * 7) for _ in range(1 + index % 2)))
        scores = tuple(float(np.float32(value)) for value in rng.random(3))
        return Candidate(group, point, (drawn(), drawn(), drawn()), scores, scores[::-1], float(rng.random()), ("x",))

    for sample in SAMPLES:
        outcomes = {}
        for protocol in Protocol:
            text = f"The thing “ö” {sample.id} is <b>here</b>\n"
            tokens = tuple(Token(i, text[i], i, i + 1) for i in range(len(text)))
            pool = tuple(proposal(i, text) for i in range(int(rng.integers(0, 4))))
            control = tuple(proposal(i, text) for i in range(len(pool)))
            chosen = Selection.chosen(len(pool) - 1, 1, score=0.25) if pool else Selection.nothing()
            spare = Selection.absent() if sample.id == "2" else chosen
            letter = protocol is Protocol.LETTER
            outcomes[protocol] = ProtocolResult(
                protocol,
                "prompt",
                Response(text, tokens),
                () if letter else pool,
                {} if letter else {"random points": control, "scrambled": control[::-1]},
                {}
                if letter
                else {
                    "oracle": spare,
                    "random": chosen,
                    "random points, oracle pick": spare,
                    "scrambled, oracle pick": spare,
                },
                graded=protocol is not Protocol.SEGMENT,
                verdict=None if protocol is Protocol.SEGMENT else Verdict([True, False, None][int(rng.integers(3))]),
                error="it broke" if sample.id == "5" and not letter else None,
            )
        yield score_sample(sample, outcomes, ROWS)


ROWS = (
    RowSpec("oracle", uses_ground_truth=True),
    RowSpec("random"),
    RowSpec("random points, oracle pick", control_of="oracle", pool="random points", uses_ground_truth=True),
    RowSpec("scrambled, oracle pick", control_of="oracle", pool="scrambled", uses_ground_truth=True),
)


@pytest.mark.parametrize("fidelity", Fidelity)
def test_a_runs_own_predictions_give_its_own_figures(path: Path, fidelity: Fidelity) -> None:
    results = list(run_results(np.random.default_rng(7)))
    lines = [prediction_line(one.sample, outcome, ROWS) for one in results for outcome in one.by_probing.values()]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    file = PredictionsFile(path, lambda: SAMPLES, fidelity=fidelity)
    assert file.rows == ROWS
    again = list(file)
    for before, after in zip(results, again, strict=True):
        for protocol, outcome in before.by_probing.items():
            assert after.by_probing[protocol].scores == outcome.scores
    before, after = (
        evaluate(found, ROWS, benchmark="b", model="m", fidelity=fidelity).document() for found in (results, again)
    )
    assert before == after


@pytest.mark.parametrize(
    "point",
    [
        PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), text="a dog"),
        PointPrompt.at((1, 2), (3, 4)),
        PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), (0.0, 0.5, 2.0, 3.0), "a dog"),
        PointPrompt(np.ones((1, 2), np.float32), np.zeros(1, np.int8), also=(PointPrompt.at((3, 4)),)),
    ],
)
def test_every_kind_of_prompt_reads_back(path: Path, point: PointPrompt) -> None:
    """A generator that is told words alone has candidates without a point."""
    candidate = Candidate(TokenGroup((0,), "it", 0, 2), point, (RLE,), (0.5,))
    chosen = {"x": Selection.chosen(0, 0)}
    result = ProtocolResult("segment", "", Response("it is there"), (candidate,), selections=chosen)
    line = prediction_line(SAMPLES[0], result, [RowSpec("x")])
    (again,) = opened(path, line, missing="skip")
    assert prediction_line(again.sample, again.by_probing["segment"], [RowSpec("x")]) == line


def places(path: Path, *candidates: dict[str, Any]) -> tuple[tuple[int, ...], int]:
    """In which tenth each phrase begins that was chosen of "it is there", and how many of them are left out."""
    lines = [
        {**MANY, "sample_id": str(place), "candidates": [{"masks": [RLE], **one}], "choice": {"candidate": 0}}
        for place, one in zip((0, 1, 3, 4), candidates, strict=False)
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    file = PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.CORRECTED, missing="skip")
    (found,) = evaluate(file, file.rows, benchmark="b", model="m", fidelity=Fidelity.CORRECTED).locations["choice"]
    return found.counts, found.left_out


def test_a_phrase_whose_place_nobody_said_is_not_at_the_beginning(path: Path) -> None:
    known = {"phrase": "there", "start": 6, "end": 11}
    assert places(path, known, {"phrase": "there"}) == ((0, 0, 0, 0, 0, 1, 0, 0, 0, 0), 1)
    first, without_end, beyond = {"phrase": "it", "start": 0}, {"phrase": "is", "start": 3}, known | {"start": 11}
    assert places(path, first, without_end, beyond) == ((1, 0, 1, 0, 0, 0, 0, 0, 0, 0), 1)


def test_what_stands_for_no_text_has_no_place_in_a_line() -> None:
    groups = TokenGroup((0,), "is", 3, 5), TokenGroup((), "the roof", 0, 0)
    candidates = tuple(Candidate(group, None, (RLE,), (0.5,)) for group in groups)
    line = prediction_line(SAMPLES[0], ProtocolResult("segment", "", Response("it is there"), candidates))
    assert [one.get("place") for one in line["candidates"]] == [27.27, None]


def test_an_upper_bound_is_one_in_all_lines_whichever_says_it_first(path: Path) -> None:
    asked = {**MANY, "choices": {"x": {"candidate": 0}}}
    control = {"candidates": CANDIDATES, "choices": {"x, random": {"candidate": 0}}, "of": {"x, random": "x"}}
    first = {**asked, "control": control}
    second = {**first, "sample_id": "1", "upper_bounds": ["x", "x, random"]}
    path.write_text(json.dumps(first) + "\n" + json.dumps(second))
    file = PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.CORRECTED, missing="skip")
    assert [(row.key, row.uses_ground_truth) for row in file.rows] == [("x", True), ("x, random", True)]


def test_an_upper_bound_that_chose_nothing_is_a_misspelt_one(path: Path) -> None:
    path.write_text(json.dumps({**MANY, "choices": {"oracle": {"candidate": 0}}, "upper_bounds": ["orcale"]}))
    with pytest.raises(DataError, match=r"names 'orcale' among its upper_bounds.*did you mean 'oracle'"):
        PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.CORRECTED, missing="skip")


def test_a_choice_without_a_name_may_be_an_upper_bound(path: Path) -> None:
    control = {"candidates": CANDIDATES, "choices": {"random": {"candidate": 0}}, "of": {"random": "choice"}}
    path.write_text(json.dumps({**MANY, "choice": {"candidate": 0}, "control": control, "upper_bounds": ["choice"]}))
    file = PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.CORRECTED, missing="skip")
    assert [(row.key, row.uses_ground_truth) for row in file.rows] == [("choice", True), ("random", False)]


def test_choices_under_a_probing_without_masks_are_passed_over(path: Path) -> None:
    """Nothing is looked for in a letter, whatever the line holds: its control may have another name, or none."""
    control = {"name": "points", "candidates": CANDIDATES, "choices": {"control": {"candidate": 0}}}
    asked = {**MANY, "choices": {"x": {"candidate": 0}}, "control": control}
    letter = {**asked, "protocol": "letter", "control": {**control, "name": "others"}, "choices": {"x": "failed"}}
    path.write_text(json.dumps(asked) + "\n" + json.dumps(letter))
    file = PredictionsFile(path, lambda: SAMPLES, fidelity=Fidelity.CORRECTED, missing="skip")
    found = evaluate(file, file.rows, benchmark="b", model="m", fidelity=Fidelity.CORRECTED)
    assert {one.protocol for places in found.locations.values() for one in places} == {"segment"}
    assert found.summary.failed == 0


def test_a_line_holds_what_the_format_says(path: Path) -> None:
    result = next(run_results(np.random.default_rng(8)))
    line = prediction_line(result.sample, result.by_probing[Protocol.SEGMENT], ROWS)
    assert {"sample_id", "protocol", "text", "prompt", "candidates", "choices", "control"} <= line.keys()
    assert line["upper_bounds"] == ["oracle", "random points, oracle pick", "scrambled, oracle pick"]
    assert [one["name"] for one in line["control"]] == ["random points", "scrambled"]
    assert [set(one["choices"]) for one in line["control"]] == [
        {"random points, oracle pick"},
        {"scrambled, oracle pick"},
    ]
    letter = prediction_line(result.sample, result.by_probing[Protocol.LETTER], ROWS)
    assert "candidates" not in letter
    json.loads(json.dumps(line, allow_nan=False))
