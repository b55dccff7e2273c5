"""What a reader has to know of a language model's choices: how often another order of pictures changed them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np

from pixcore.records import SampleResult


@dataclass
class _Row:
    flips: list[float] = field(default_factory=list)
    unread: int = 0
    asked: int = 0


class ChoiceNotes:
    """Collects what strategies note in a selection's details: "flip_rate" and "unread"."""

    def __init__(self) -> None:
        self._rows: dict[str, _Row] = {}

    def add(self, result: SampleResult) -> None:
        """Take one sample's selections into account."""
        for outcome in result.by_probing.values():
            for name, selection in outcome.selections.items():
                if "flip_rate" not in selection.details and "unread" not in selection.details:
                    continue
                row = self._rows.setdefault(name, _Row())
                row.asked += 1
                row.unread += int(selection.details.get("unread", 0))
                if "flip_rate" in selection.details:
                    row.flips.append(float(selection.details["flip_rate"]))

    def lines(self) -> Iterator[str]:
        """Say what there is to know, one line for each strategy and thing."""
        for name, row in self._rows.items():
            if row.flips:
                rate = 100 * float(np.mean(row.flips))
                yield f"{name}: another order of the pictures changes {rate:.1f} % of choices (n={len(row.flips)})"
            if row.unread:
                yield f"{name}: {row.unread} answers could not be read, over {row.asked} selections; none was guessed"
