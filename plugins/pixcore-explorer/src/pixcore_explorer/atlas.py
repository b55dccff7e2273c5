"""Every phrase of a run as a dot, and the figures of when and where grounding emerges, as numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pixcore_emergence.concepts import Concept, classify
from pixcore_emergence.emergence import Emergence, EmergenceTally, Shares, measured_ious
from pixcore_emergence.looks import CONCEPTS

from pixcore.records import Sample, SampleResult

_PHRASE = 80


class Atlas:
    """Takes in a run's samples, and gives what its atlas shows.

    Args:
        model: The model's name.
        probings: The probings whose answers are looked at for masks.
        seed: Of the intervals.
    """

    def __init__(self, model: str, probings: Sequence[str], seed: int) -> None:
        self._tallies = {name: EmergenceTally(model, name, classifier=_concept, seed=seed) for name in probings}
        self._dots: dict[str, list[list[Any]]] = {name: [] for name in probings}
        self._count = 0

    def add(self, result: SampleResult) -> None:
        """Take in one sample; the n-th is the n-th of the run."""
        sample = result.sample
        for name, tally in self._tallies.items():
            outcome = result.by_probing.get(name)
            if outcome is None or outcome.response is None or sample.mask is None or outcome.error is not None:
                continue
            tally.add(result)
            text = outcome.response.text
            for candidate, values in zip(outcome.candidates, measured_ious(sample, outcome), strict=True):
                if (group := candidate.group) is not None and len(values):
                    concept = CONCEPTS.index(_concept(group.phrase, text, sample))
                    place, iou = round(group.place(text), 2), round(float(values.max()), 4)
                    self._dots[name].append([self._count, place, iou, concept, group.phrase[:_PHRASE]])
        self._count += 1

    def finish(self) -> tuple[dict[str, Any], dict[str, dict[str, tuple[float, str]]]]:
        """Give what the atlas shows, and for each probing the place and concept of each sample's best phrase, by id."""
        found = {name: tally.finish() for name, tally in self._tallies.items()}
        best = {
            name: {one.sample_id: (round(one.phrase.place, 2), str(one.phrase.concept)) for one in each.best}
            for name, each in found.items()
        }
        shown = {name: {"dots": self._dots[name], **_figures(each)} for name, each in found.items()}
        return {"concepts": [str(one) for one in CONCEPTS], "probings": shown}, best


@lru_cache(maxsize=4096)
def _classified(phrase: str, text: str, expression: str | None) -> Concept:
    return classify(phrase, text=text, expression=expression)


def _concept(phrase: str, text: str, sample: Sample) -> Concept:
    return _classified(phrase, text, sample.expression)


def _figures(found: Emergence) -> dict[str, Any]:
    curves = [
        {"name": one.name, "n": list(one.n), "points": [_estimate(*point) for point in one.points]}
        for one in found.curves
    ]
    return {
        "places": _shares(found.places()),
        "concepts": _shares(found.concepts()),
        "iou_by_place": _shares(found.iou_by_place()),
        "iou_by_concept": _shares(found.iou_by_concept()),
        "curves": curves,
        "found": found.found(),
        "samples": len(found.own),
    }


def _shares(found: Sequence[Shares]) -> list[dict[str, Any]]:
    return [
        {"name": one.name, "samples": one.samples, "values": [_estimate(*value) for value in one.values]}
        for one in found
    ]


def _estimate(*values: float | None) -> list[float | None]:
    return [None if value is None or not math.isfinite(value) else round(value, 3) for value in values]
