"""Merge several annotators' decisions into one benchmark folder, with what they disagree about.

The folder is what the benchmark `coco-referring` reads: `annotations.json`, COCO's format with `expression` at each
annotation and, for objects that are absent, at the image.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixcore_datasets.data_files import digest

from pixcore.errors import DataError
from pixcore.files import prepare, write_json
from pixcore.masks import area, iou
from pixcore_annotate.journal import Journal
from pixcore_annotate.project import TASKS, Item, State, check_own, read_tasks
from pixcore_annotate.review import all_reviews, reviews_of

AGREE = 0.9
"""IoU from which two masks count as the same."""


@dataclass(frozen=True)
class Conflict:
    """An item that annotators decided differently.

    Attributes:
        item: Its id.
        about: "mask", "expression" or "absence".
        said: What each annotator decided, in words.
    """

    item: str
    about: str
    said: Mapping[str, str]


@dataclass(frozen=True)
class Merged:
    """What came out of a merge.

    Attributes:
        states: The decision that stands, by item; conflicts are not among them unless somebody was preferred.
        conflicts: What is to be talked about.
        undecided: Items that nobody finished.
        returned: Those of them that somebody finished and a reviewer returned.
    """

    states: Mapping[str, State]
    conflicts: tuple[Conflict, ...]
    undecided: tuple[str, ...]
    returned: tuple[str, ...] = ()


def merge(folder: Path, *, prefer: str | None = None) -> Merged:
    """Merge all journals of a folder.

    What a reviewer returned and nobody accepted counts as undecided. Where annotators differ, what was accepted stands.

    Args:
        folder: The folder of annotation work.
        prefer: Whose decision stands where annotators differ, and reviewers do not say.

    Raises:
        DataError: The folder or a journal is damaged, or nobody is called that.
    """
    items = read_tasks(folder)
    journals = {name: Journal(folder, name, items) for name in Journal.writers(folder)}
    if prefer is not None and prefer not in journals:
        raise DataError(
            f"nobody called {prefer!r} has decided anything", hint=f"there are: {', '.join(journals) or 'none'}"
        )
    everybody = all_reviews(folder, items)
    states: dict[str, State] = {}
    conflicts: list[Conflict] = []
    undecided: list[str] = []
    returned: list[str] = []
    for name, item in items.items():
        said = {who: journal[name] for who, journal in journals.items() if _decides(journal, item)}
        verdicts = {
            who: {one.verdict for one in reviews_of(everybody, who, name, state)} for who, state in said.items()
        }
        accepted = {who: state for who, state in said.items() if "accepted" in verdicts[who]}
        decided = accepted or {who: state for who, state in said.items() if "returned" not in verdicts[who]}
        if not decided:
            undecided.append(name)
            returned += [name] if said else []
            continue
        conflict = _conflict(item, decided)
        if conflict is None:
            states[name] = next(iter(decided.values()))
            continue
        conflicts.append(conflict)
        if prefer in decided:
            states[name] = decided[prefer]
    return Merged(states, tuple(conflicts), tuple(undecided), tuple(returned))


def export(folder: Path, states: Mapping[str, State], target: Path) -> Path:
    """Write the merged decisions as a benchmark folder.

    Args:
        folder: The folder of annotation work.
        states: The decisions that stand.
        target: Where; `annotations.json` in it is replaced once the new one is whole.

    Returns:
        The annotation file.

    Raises:
        DataError: That file is there, and was not exported from this folder.
    """
    items = read_tasks(folder)
    path, made = target / "annotations.json", {"description": "pixcore annotate", "tasks": digest(folder / TASKS)}
    check_own(path, made)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (name, state) in enumerate(states.items()):
        item = items[name]
        mask = state.mask(item)
        source = folder / item.image
        entry: dict[str, Any] = {
            "id": name,
            # a step up from a link is one from where it leads
            "file_name": os.path.relpath(source, os.path.realpath(target)),
            "width": item.size[0],
            "height": item.size[1],
            "question": item.question or None,
            "expression": state.expression,
            **item.extra,
        }
        if os.path.isfile(source):  # a path that can't be one is no file
            entry["sha256"] = digest(source)
        images.append({key: value for key, value in entry.items() if value is not None})
        if state.status != "absent":
            annotations.append(
                {
                    "id": number + 1,
                    "image_id": name,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": area(mask),
                    "segmentation": mask,
                    "expression": state.expression,
                }
            )
    prepare(target, "folder")
    categories = [{"id": 1, "name": "object"}]
    document = {"info": made, "images": images, "annotations": annotations, "categories": categories}
    write_json(path, document, "folder", indent=None)
    return path


def _decides(journal: Journal, item: Item) -> bool:
    """Whether somebody said what there is; "done" with no mask says nothing, least of all that the object is absent."""
    state = journal[item.id]
    try:
        return state.status == "absent" or (state.status == "done" and area(state.mask(item)) > 0)
    except DataError as error:
        raise DataError(f"{journal.path}: {error.message}", hint=error.hint) from error


def _conflict(item: Item, decided: Mapping[str, State]) -> Conflict | None:
    states: Sequence[State] = list(decided.values())
    if len({state.status for state in states}) > 1:
        return Conflict(item.id, "absence", {who: state.status for who, state in decided.items()})
    drawn = [state.mask(item) for state in states]
    overlaps = iou(drawn, drawn)
    if overlaps.min() < AGREE:
        worst = f"IoU {overlaps.min():.2f}"
        said = {who: f"{area(mask)} pixels" for who, mask in zip(decided, drawn, strict=True)}
        return Conflict(item.id, f"mask ({worst})", said)
    if len({state.expression.casefold() for state in states}) > 1:
        return Conflict(item.id, "expression", {who: state.expression for who, state in decided.items()})
    return None
