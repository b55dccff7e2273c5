"""Count, over a run, which places its answers state and how many of them were read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

from pixcore.figures.rows import Summary
from pixcore.records import Candidate, PointPrompt, SampleResult
from pixcore_places.scanning import Stated, scan


@dataclass
class _Held:
    """Where a candidate's places stand in the text, and how many of them are not found there yet."""

    start: int
    end: int
    left: float

    @classmethod
    def by(cls, candidate: Candidate) -> _Held:
        """Those of a candidate with a group; where nothing says its prompt, as many as there are."""
        assert candidate.group is not None
        left = math.inf if candidate.point is None else _count(candidate.point)
        return cls(candidate.group.start, candidate.group.end, left)


def _count(prompt: PointPrompt) -> int:
    return len(prompt.points) + (prompt.box is not None) + sum(map(_count, prompt.also))


def _taken(stated: Stated, held: Sequence[_Held]) -> bool:
    """Find a place among those that candidates hold; of several around it the one that ends first has it."""
    around = [each for each in held if each.left and each.start <= stated.start and stated.end <= each.end]
    if around:
        min(around, key=lambda each: each.end).left -= 1
    return bool(around)


class PlaceAccounts:
    """Takes in a run's results one sample at a time; says something only where answers state places."""

    def __init__(self) -> None:
        self._answers = self._stated = self._repeated = 0
        self._unread: Counter[str] = Counter()

    def add(self, result: SampleResult) -> None:
        """Take in one sample."""
        for outcome in result.by_probing.values():
            if outcome.response is None:
                continue
            text = outcome.response.text
            stated = scan(text)
            self._answers += bool(stated)
            self._stated += len(stated)
            held = [_Held.by(one) for one in outcome.candidates if one.group is not None]
            merged = [phrase for one in outcome.candidates for phrase in one.merged]
            seen = set[object]()
            for one in stated:
                said, coded = (one.numbers, one.label), (one.form, one.numbers, one.label, one.codes)
                if one.wrong:
                    self._unread[one.wrong] += 1
                elif coded in seen:
                    self._repeated += 1
                elif not any(text[one.start : one.end] in phrase for phrase in merged) and not _taken(one, held):
                    if said in seen:
                        self._repeated += 1
                    else:
                        self._unread["outside of the image, or not looked for"] += 1
                seen |= {said, coded}

    def closed(self, summary: Summary) -> Summary:
        """Give the summary with a note of places that were not read."""
        if not self._stated:
            return summary
        told = f"{self._answers} answers state {self._stated} places"
        again = f", {self._repeated} of them again" if self._repeated else ""
        why = "; ".join(f"{count}: {reason}" for reason, count in self._unread.most_common())
        unread = f", of which {self._unread.total()} were not read ({why})" if why else ", and all were read"
        return replace(summary, notes=(*summary.notes, f"{told}{again}{unread}."))
