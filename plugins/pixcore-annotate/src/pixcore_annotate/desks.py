"""What the page works on: one's own decisions, or somebody else's to be reviewed."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixcore_datasets.run_lengths import run_lengths

from pixcore.errors import DataError
from pixcore.files import json_text
from pixcore.masks import RLE
from pixcore_annotate.journal import Journal, state_from_json
from pixcore_annotate.log import Log
from pixcore_annotate.project import Item, State
from pixcore_annotate.review import VERDICTS, Review, Reviews, all_reviews, reviews_of
from pixcore_annotate.segmenting import Click, Segmenter


class Desk(ABC):
    """Items in their order, what the page is told of each, and what becomes of a decision.

    Attributes:
        items: What is to be decided, in the page's order.
        log: What is written to.
    """

    items: list[Item]
    log: Log[Any, Any]

    @abstractmethod
    def about(self) -> dict[str, Any]:
        """Say who is at work, and on what."""

    @abstractmethod
    def status(self, item: Item) -> str:
        """Say in a word how far an item is; "open" is what is left to do."""

    @abstractmethod
    def shown(self, item: Item) -> dict[str, Any]:
        """Say what the page has to know of an item: its state, and what was said of it."""

    @abstractmethod
    def decide(self, item: Item, decision: Mapping[str, Any]) -> None:
        """Take a decision of the page's.

        Raises:
            DataError: It is none.
        """

    @property
    def undoable(self) -> bool:
        """Whether there is a decision that can be taken back."""
        return self.log.newest is not None

    @abstractmethod
    def undo(self) -> str | None:
        """Take the newest decision back, and name its item."""

    def segment(self, item: Item, image: Path, clicks: Any) -> list[dict[str, Any]]:
        """Make masks of clicks on an item's image.

        Raises:
            DataError: There is nothing to make them with, or the clicks are none.
        """
        raise DataError("nothing is drawn here", hint="decisions are accepted or returned")


class Drawing(Desk):
    """One annotator's own decisions.

    Args:
        journal: Where they are written.
        segmenter: Makes masks of clicks.
    """

    def __init__(self, journal: Journal, segmenter: Segmenter | None = None) -> None:
        self.items = list(journal.items.values())
        self.log = self._journal = journal
        self._segmenter = segmenter or Segmenter()
        self._reviews: list[Reviews] = []

    def about(self) -> dict[str, Any]:
        """Say who draws, and what makes masks of clicks; what reviewers said is read anew."""
        self._reviews = all_reviews(self._journal.path.parent, self._journal.items)
        return {"annotator": self._journal.name, "reviews": None, "segments": self._segmenter.name}

    def status(self, item: Item) -> str:
        """Call it open again where a reviewer returned it."""
        returned = any(one.verdict == "returned" for one in self._said(item))
        return "open" if returned else self._journal[item.id].status

    def shown(self, item: Item) -> dict[str, Any]:
        """Show the state, and what reviewers said of it."""
        said = [{"by": one.by, "verdict": one.verdict, "note": one.note} for one in self._said(item)]
        return {"state": _state(self._journal[item.id]), "said": said}

    def decide(self, item: Item, decision: Mapping[str, Any]) -> None:
        """Write the item's whole new state."""
        size = [item.size[1], item.size[0]]
        runs = {key: decision.get(key) for key in ("painted", "erased")}
        pixels = {key: None if one is None else {"size": size, "counts": one} for key, one in runs.items()}
        self._journal.decide(item.id, state_from_json({**decision, **pixels}, item))

    def undo(self) -> str | None:
        """Take the newest decision back."""
        return self._journal.undo()

    def segment(self, item: Item, image: Path, clicks: Any) -> list[dict[str, Any]]:
        """Make masks of clicks, the best first."""
        made = self._segmenter.masks(image, _clicks(clicks, item))
        return [{"runs": runs_of(mask), "score": round(score, 4)} for mask, score in made]

    def _said(self, item: Item) -> list[Review]:
        return reviews_of(self._reviews, self._journal.name, item.id, self._journal[item.id])


class Reviewing(Desk):
    """Somebody else's decisions, of which each is accepted or returned.

    Args:
        journal: The decisions, as they are now.
        reviews: Where the reviewer's word is written.

    Raises:
        DataError: Nothing has been decided.
    """

    def __init__(self, journal: Journal, reviews: Reviews) -> None:
        self.items = [item for item in journal.items.values() if journal[item.id].status in ("done", "absent")]
        if not self.items:
            raise DataError(f"{journal.name} has finished no item", hint="there is nothing to review yet")
        self.log = self._reviews = reviews
        self._journal = journal

    def about(self) -> dict[str, Any]:
        """Say who reviews whom."""
        return {"annotator": self._reviews.name, "reviews": self._journal.name, "segments": ""}

    def status(self, item: Item) -> str:
        """Say what the review says; without one the item is open."""
        review = self._review(item)
        return review.verdict if review is not None else "open"

    def shown(self, item: Item) -> dict[str, Any]:
        """Show the decision, and the review of it."""
        review = self._review(item)
        said = [] if review is None else [{"by": review.by, "verdict": review.verdict, "note": review.note}]
        return {"state": _state(self._journal[item.id]), "said": said}

    def decide(self, item: Item, decision: Mapping[str, Any]) -> None:
        """Write a review of the decision as it is now."""
        verdict, note = decision.get("verdict"), decision.get("note", "")
        if verdict not in VERDICTS or not isinstance(note, str):
            raise DataError(f"item {item.id} has the verdict {verdict!r}", hint=" or ".join(VERDICTS))
        review = Review(self._reviews.name, verdict, self._journal[item.id], note.strip())
        self._reviews.decide((self._journal.name, item.id), review)

    @property
    def undoable(self) -> bool:
        """Whether the newest review is of what is shown: one of somebody else's decisions stays."""
        shown = {(self._journal.name, item.id) for item in self.items}
        return self._reviews.newest in shown

    def undo(self) -> str | None:
        """Take the newest review back, where that is of what is shown."""
        about = self._reviews.undo() if self.undoable else None
        return about[1] if about is not None else None

    def _review(self, item: Item) -> Review | None:
        return self._reviews.of(self._journal.name, item.id, self._journal[item.id])


def seal_of(shown: Mapping[str, Any]) -> str:
    """Hash what is shown of an item: a decision counts that was taken on seeing this, and not in an older tab."""
    return hashlib.sha256(json_text(shown, indent=None).encode()).hexdigest()[:16]


def runs_of(mask: RLE) -> list[int]:
    """Write a mask as COCO's plain run lengths: down each column, column by column, first what is outside."""
    runs: list[int] = run_lengths([mask["counts"]], "mask {}".format)[0].tolist()
    return runs


def _state(state: State) -> dict[str, Any]:
    return {
        "keep": list(state.keep),
        "polygons": [list(ring) for ring in state.polygons],
        "painted": None if state.painted is None else runs_of(state.painted),
        "erased": None if state.erased is None else runs_of(state.erased),
        "expression": state.expression,
        "status": state.status,
    }


def _clicks(given: Any, item: Item) -> Sequence[Click]:
    width, height = item.size
    try:
        clicks = [(float(x), float(y), int(inside)) for x, y, inside in given]
        if not all(0 <= x <= width and 0 <= y <= height and inside in (0, 1) for x, y, inside in clicks):
            raise ValueError("a click lies outside the image")
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(f"item {item.id} has damaged clicks: {error}", hint="reload the page") from error
    return clicks
