"""Count, over a run, which places its answers state and how many of them were read."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from pixcore.figures.rows import Summary
from pixcore.records import SampleResult
from pixcore_places.scanning import scan


class PlaceAccounts:
    """Takes in a run's results one sample at a time; says something only where answers state places."""

    def __init__(self) -> None:
        self._stated = self._unread = self._repeated = 0
        self._answers = 0
        self._why: Counter[str] = Counter()

    def add(self, result: SampleResult) -> None:
        """Take in one sample."""
        for outcome in result.by_probing.values():
            if outcome.response is None:
                continue
            stated = scan(outcome.response.text)
            self._answers += bool(stated)
            self._stated += len(stated)
            groups = [one.group for one in outcome.candidates if one.group is not None]
            seen = set[object]()
            for one in stated:
                said, coded = (one.form, one.numbers, one.label), (one.form, one.numbers, one.label, one.codes)
                used = not one.wrong and any(each.start <= one.start and one.end <= each.end for each in groups)
                if not one.wrong and (coded in seen or (said in seen and not used)):
                    self._repeated += 1
                elif not used:
                    self._unread += 1
                    self._why[one.wrong or "outside of the image, or not looked for"] += 1
                seen |= {said, coded}

    def closed(self, summary: Summary) -> Summary:
        """Give the summary with a note of places that were not read."""
        if not self._stated:
            return summary
        told = f"{self._answers} answers state {self._stated} places"
        again = f", {self._repeated} of them again" if self._repeated else ""
        why = "; ".join(f"{count}: {reason}" for reason, count in self._why.most_common())
        unread = f", of which {self._unread} were not read ({why})" if self._unread else ", and all were read"
        return replace(summary, notes=(*summary.notes, f"{told}{again}{unread}."))
