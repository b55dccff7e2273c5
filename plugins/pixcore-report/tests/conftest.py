"""Results made by hand, and a browser to look at them with."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pixcore import masks
from pixcore.figures.rows import Figure, Row, Summary
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import (
    Candidate,
    Image,
    PointPrompt,
    Protocol,
    ProtocolResult,
    Response,
    Sample,
    SampleResult,
    Score,
    Selection,
    Token,
    TokenGroup,
    Verdict,
)

CONTROL = "random points, oracle pick"
WIDTH, HEIGHT = 48, 32


def _figures(level: float) -> dict[str, Figure]:
    return {
        "A†": Figure(71.25, 63.5, 78.875, 8, per_pair=True),
        "A": Figure(68.0, 60.0, 75.5, 8, per_pair=True),
        "M†": Figure(level / 3, level / 3 - 2.5, level / 3 + 2.5, 16),
        "M": Figure(level, level - 4.25, level + 4.25, 16),
        "S": Figure(level + 10, level + 6, level + 13, 16),
        "A per sample": Figure(84.0, 78.0, 89.0, 16),
    }


@pytest.fixture
def summary() -> Summary:
    rows = (
        Row("mask-score", _figures(31.5), candidates=9.5, oracle_gap=30.0),
        Row("phrase-overlap", _figures(42.0), candidates=9.5, oracle_gap=19.5),
        Row("oracle", _figures(61.5), uses_ground_truth=True, candidates=9.5, oracle_gap=0.0),
        Row(CONTROL, _figures(22.0), control_of="oracle", uses_ground_truth=True, candidates=9.5, oracle_gap=39.5),
    )
    breakdowns = {"category": {"state": rows, "colour": rows}}
    return Summary("mini-world", "mini", "corrected", 16, 1, rows, breakdowns, ("two samples have no expression",))


def _disc(x: float, y: float, radius: float) -> np.ndarray[Any, np.dtype[np.bool_]]:
    rows, cols = np.mgrid[:HEIGHT, :WIDTH]
    return np.asarray((cols - x) ** 2 + (rows - y) ** 2 <= radius**2)


def _candidates(tokens: list[Token], rng: np.random.Generator) -> tuple[Candidate, ...]:
    found = []
    for index, token in enumerate(tokens):
        x, y = float(rng.integers(WIDTH)), float(rng.integers(HEIGHT))
        discs = np.stack([_disc(x, y, radius) for radius in (3, 7, 12)])
        group = TokenGroup((index,), token.text, token.start, token.end)
        scores = tuple(float(value) for value in rng.random(3))
        found.append(Candidate(group, PointPrompt.at((x, y)), tuple(masks.encode_many(discs)), scores))
    return tuple(found)


@pytest.fixture
def make_result() -> Callable[..., SampleResult]:
    """make_result(number, text=…, error=…, notice=…) gives a sample under three protocols, different by its number."""

    def make(
        number: int, *, text: str | None = None, error: str | None = None, notice: str | None = None, **fields: Any
    ) -> SampleResult:
        rng = np.random.default_rng(number)
        picture = rng.integers(0, 255, (HEIGHT, WIDTH, 3)).astype(np.uint8)
        truth = masks.encode(_disc(20, 16, 0 if number % 5 == 4 else 8) & (number % 5 != 4))
        described: dict[str, Any] = {
            "id": f"world/{number:03d}",
            "question": "Is the door open or closed?",
            "options": ("open", "closed"),
            "answer": number % 2,
            "expression": "the door of the house",
            "mask": truth,
            "pair": f"p{number // 2:03d}",
            "categories": {"category": ("state", "colour")[number % 2]},
        }
        sample = Sample(image=Image.from_pixels(picture), **(described | fields))
        layout = VisualLayout.single(VisualGrid.stretched(4, 6, (WIDTH, HEIGHT)))
        results = {}
        for protocol in Protocol:
            said = text or f"The red door of house {number} is open."
            tokens = [Token(i, m[0], *m.span()) for i, m in enumerate(re.finditer(r"\S+", said))]
            candidates = _candidates(tokens, rng)
            controls = _candidates(tokens, rng)
            tokens.append(Token(2, "", len(said), len(said)))
            maps = rng.random((len(tokens), layout.tokens)).astype(np.float32)
            candidates = tuple(replace(one, map=maps[index]) for index, one in enumerate(candidates))
            correct = None if protocol is Protocol.SEGMENT else number % 3 != 0
            picks = {
                "mask-score": Selection.chosen(0, 1, reason="the highest score", score=0.9),
                "phrase-overlap": Selection.absent("no phrase names it"),
                "oracle": Selection.chosen(len(candidates) - 1, 2),
                CONTROL: Selection.chosen(0, 2),
            }
            if error is not None and protocol is Protocol.QUESTION:
                failed = {name: Score(sample.id, protocol, correct=False, iou=0.0, error=error) for name in picks}
                results[protocol] = ProtocolResult(protocol, "why?", scores=failed, graded=True, error=error)
                continue
            scores = {name: Score(sample.id, protocol, correct, number % 10 / 10, 0.9) for name in picks}
            verdict = None if correct is None else Verdict(correct, "the option's text")
            response = Response(said, tuple(tokens), maps, layout, extra={"notice": notice} if notice else {})
            results[protocol] = ProtocolResult(
                protocol,
                f"asked as {protocol}",
                response,
                candidates,
                {"random points": controls},
                picks,
                scores,
                verdict,
                graded=verdict is not None,
            )
        return SampleResult(sample, results)

    return make
