"""Every phrase of a run as a dot, and the figures of when and where grounding emerges, as numbers."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Any

from pixcore_emergence.concepts import Concept
from pixcore_emergence.emergence import Emergence, EmergenceTally, Shares, measured_ious
from pixcore_emergence.looks import CONCEPTS
from pixcore_emergence.rules import classify

from pixcore.records import Sample, SampleResult
from pixcore.shelf import on_disk

MOST_DRAWN = 3000
"""Phrases that the page draws at once: of all, and of each concept when it is picked."""

_PHRASE = 80


class Atlas:
    """Takes in a run's samples, and gives what its atlas shows; phrases wait in a temporary file.

    Args:
        model: The model's name.
        probings: The probings whose answers are looked at for masks.
        seed: Of the intervals.
        control: The name of the matched control; None where there is none.
    """

    def __init__(self, model: str, probings: Sequence[str], seed: int, control: str | None) -> None:
        self._tallies = {
            name: EmergenceTally(model, name, classifier=_concept, seed=seed, control=control) for name in probings
        }
        self._dots = {name: Dots() for name in probings}
        self._count = 0

    def add(self, result: SampleResult) -> dict[str, tuple[float, str]]:
        """Take in the next sample of the run; give by probing the place and the concept of its best phrase."""
        sample, found = result.sample, {}
        for name, tally in self._tallies.items():
            outcome = result.by_probing.get(name)
            if outcome is None or outcome.response is None or sample.mask is None or outcome.error is not None:
                continue
            if (best := tally.add(result)) is not None:
                found[name] = round(best.phrase.place, 2), str(best.phrase.concept)
            text = outcome.response.text
            for candidate, values in zip(outcome.candidates, measured_ious(sample, outcome), strict=True):
                group = candidate.group
                if group is not None and (place := group.place(text)) is not None and len(values):
                    concept = CONCEPTS.index(_concept(group.phrase, text, sample))
                    iou = round(float(values.max()), 4)
                    self._dots[name].add(self._count, round(place, 2), iou, concept, group.phrase[:_PHRASE])
        self._count += 1
        return found

    def finish(self) -> dict[str, Any]:
        """Give what the atlas shows."""
        shown = {
            name: {"dots": self._dots[name].drawn(), **_figures(tally.finish())}
            for name, tally in self._tallies.items()
        }
        return {"concepts": [str(one) for one in CONCEPTS], "probings": shown}


class Dots:
    """A probing's phrases, in a temporary file, of which no more are drawn than one can tell apart."""

    def __init__(self) -> None:
        self._of = [0] * (1 + len(CONCEPTS))  # all phrases, then those about each concept
        with on_disk():
            self._file = tempfile.TemporaryFile("w+")  # noqa: SIM115 (it goes with its object)

    def add(self, sample: int, place: float, iou: float, concept: int, phrase: str) -> None:
        """Take in a phrase: its sample, where it begins, its best IoU, what it is about, what it says."""
        with on_disk():
            self._file.write(json.dumps([sample, place, iou, concept, phrase]) + "\n")
        for kind in (0, 1 + concept):
            self._of[kind] += 1

    def drawn(self) -> list[dict[str, Any]]:
        """Give how many phrases there are, and those to draw, evenly of many; then the same of each concept."""
        wanted, seen = [evenly(count) for count in self._of], [0] * len(self._of)
        kinds: list[dict[str, Any]] = [{"of": count, "drawn": []} for count in self._of]
        with on_disk():
            self._file.seek(0)
            for line in self._file:
                dot = json.loads(line)
                for kind in (0, 1 + dot[3]):
                    if seen[kind] in wanted[kind]:
                        kinds[kind]["drawn"].append(dot)
                    seen[kind] += 1
        return kinds


def evenly(count: int, most: int = MOST_DRAWN) -> Collection[int]:
    """Choose so many numbers below another, evenly; all where there are no more.

    >>> sorted(evenly(10, 4))
    [0, 2, 5, 7]
    """
    return {place * count // most for place in range(most)} if count > most else range(count)


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
