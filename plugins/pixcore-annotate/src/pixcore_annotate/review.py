"""A second person's word on what an annotator decided: `reviews-NAME.jsonl`, a line for each verdict.

A review is about one state of one item. It stands only while the annotator's decision is still that state: who draws
anew what was returned has answered it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from pixcore.errors import DataError
from pixcore_annotate.journal import read_state
from pixcore_annotate.log import Log
from pixcore_annotate.project import Item, State

Verdict = Literal["accepted", "returned"]
VERDICTS: tuple[Verdict, ...] = ("accepted", "returned")

About = tuple[str, str]
"""The annotator's name, and the item's id."""


@dataclass(frozen=True)
class Review:
    """What a reviewer said of one decision.

    Attributes:
        by: The reviewer's name.
        verdict: Whether the decision may stand.
        state: The decision as it was looked at.
        note: What is wrong with it.
    """

    by: str
    verdict: Verdict
    state: State
    note: str = ""


class Reviews(Log[About, Review | None]):
    """One reviewer's reviews, by whose decision they are of and the item."""

    kind = "reviews"

    def untouched(self, key: About) -> None:
        """Nothing was said."""

    def of(self, annotator: str, item: str, state: State) -> Review | None:
        """The review of a decision; None where nothing was said, or something of what it was before."""
        found = self[annotator, item]
        return found if found is not None and found.state == state else None

    def _written(self, key: About, value: Review | None) -> dict[str, Any]:
        said = asdict(value) if value is not None else {}
        return {"of": key[0], "item": key[1], **said}

    def _read(self, entry: Mapping[str, Any], where: str) -> tuple[About, Review]:
        item = self.item_of(entry, where)
        verdict = entry.get("verdict")
        if verdict not in VERDICTS:
            raise DataError(f"{where} has the verdict {verdict!r}", hint=" or ".join(VERDICTS))
        state = read_state(entry.get("state"), item, where)
        review = Review(self.name, verdict, state, str(entry.get("note") or ""))
        return (str(entry.get("of")), item.id), review


def all_reviews(folder: Path, items: Mapping[str, Item]) -> list[Reviews]:
    """Read the reviews of everybody who wrote some, by name.

    Raises:
        DataError: One file is damaged.
    """
    return [Reviews(folder, name, items) for name in Reviews.writers(folder)]


def reviews_of(everybody: list[Reviews], annotator: str, item: str, state: State) -> list[Review]:
    """Collect what everybody said of a decision."""
    return [found for one in everybody if (found := one.of(annotator, item, state)) is not None]
