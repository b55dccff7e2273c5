"""What `pixcore score` prints below its table of figures."""

from __future__ import annotations

from collections.abc import Iterator
from io import StringIO

import numpy as np
from pixcore_scoring.evaluation import evaluate
from pixcore_scoring.evaluation_table import EvaluationTable
from rich.console import Console

from pixcore import masks
from pixcore.figures.rows import RowSpec
from pixcore.figures.scores import score_sample
from pixcore.records import Candidate, Fidelity, Image, ProtocolResult, Response, Sample, SampleResult, Selection

ROWS = [RowSpec("first"), RowSpec("second")]


def printed(patterns: list[str]) -> list[str]:
    """What is printed of samples with these patterns, whose first strategy finds the object of every other pattern."""
    truth, other = masks.encode(np.ones((4, 4), bool)), masks.encode(np.eye(4, dtype=bool))

    def results() -> Iterator[SampleResult]:
        for number, pattern in enumerate(patterns):
            image = Image(lambda number=number: str(number).encode(), str(number), (4, 4))
            categories = {"pattern": pattern, "source": "one"}
            sample = Sample(str(number), image, None, (), None, "it", truth, categories=categories)
            candidates = tuple(Candidate(None, None, (mask,), (0.5,)) for mask in (truth, other))
            chosen = {"first": Selection.chosen(int(pattern > "colour"), 0), "second": Selection.chosen(1, 0)}
            asked = {"segment": ProtocolResult("segment", "", Response(""), candidates, {}, chosen)}
            yield score_sample(sample, asked, ROWS)

    found = evaluate(results(), ROWS, benchmark="b", model="m", fidelity=Fidelity.CORRECTED)
    console = Console(file=StringIO(), width=80)
    console.print(EvaluationTable(found))
    return console.file.getvalue().splitlines()


def test_figures_stand_by_category_too() -> None:
    lines = printed(["colour"] * 10 + ["state"] * 12)
    start = lines.index(next(line for line in lines if line.startswith("by pattern")))
    told = [line.split() for line in lines[start:]]
    assert ["pattern", "selection", "M"] in told
    assert ["colour", "first", "100.0"] in told
    assert ["second", "25.0"] in told
    assert ["state", "first", "25.0"] in told
    assert not any(line.startswith("by source") for line in lines), "what all samples share breaks nothing down"


def test_a_value_in_brackets_is_shown_as_it_is() -> None:
    assert any(line.startswith("[b]colour") for line in printed(["[b]colour"] * 10 + ["state"] * 12))


def test_a_category_of_very_many_values_is_left_to_the_json() -> None:
    assert not any(line.startswith("by pattern") for line in printed([f"kind {number}" for number in range(40)]))
