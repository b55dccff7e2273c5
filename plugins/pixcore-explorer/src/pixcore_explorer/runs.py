"""The runs below folders: what each is, how it does, and the tags and notes that people keep beside it."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

from pixcore.errors import DataError, PixcoreError
from pixcore.figures.columns import Own, main_columns
from pixcore.files import RUN, SUMMARY, read_object, write_json
from pixcore_explorer import going

NOTES = "notes.json"
"""In a run's folder: {"tags": […], "note": "…"}."""

_DEPTH = 6
_PASSED_OVER = frozenset({"node_modules", "__pycache__", "site-packages"})
_LONGEST_NOTE, _MOST_TAGS, _LONGEST_TAG = 20_000, 32, 60


def runs_below(places: Sequence[Path]) -> dict[str, Path]:
    """Find the runs in folders and below them, by a short name made of where each lies.

    Raises:
        DataError: A folder is not there.
    """
    found: dict[str, Path] = {}
    for place in places:
        if not place.is_dir():
            raise DataError(f"there is no folder {place}", hint="give a run's folder, or one that holds runs")
        for folder in _folders(place.resolve()):
            found[hashlib.sha256(os.fsencode(folder)).hexdigest()[:10]] = folder
    return found


def _folders(place: Path) -> Iterator[Path]:
    for current, names, files in os.walk(place):
        if {RUN, going.STATE} & set(files):
            yield Path(current)
        deep = len(Path(current).relative_to(place).parts) >= _DEPTH
        names[:] = [] if deep else sorted(n for n in names if not n.startswith(".") and n not in _PASSED_OVER)


def about(key: str, folder: Path, places: Sequence[Path]) -> dict[str, Any]:
    """Say what a run is: its names, its table, its state, its notes; a folder that can't be read says why."""
    data: dict[str, Any] = {"key": key, "name": _name(folder, places), "path": str(folder), "error": None}
    try:
        return data | _described(folder)
    except (PixcoreError, KeyError, TypeError, ValueError, AttributeError) as error:
        said = error.message if isinstance(error, PixcoreError) else f"its files are not a run's: {error!r}"
        blank = {"model": "", "benchmark": "", "fidelity": "", "samples": 0, "failed": 0, "rows": [], "main": []}
        return data | blank | {"state": "failed", "written": None, "going": None, "tags": [], "note": "", "error": said}


def _name(folder: Path, places: Sequence[Path]) -> str:
    inside = [folder.relative_to(place.resolve()) for place in places if folder.is_relative_to(place.resolve())]
    shortest = min(inside, key=lambda path: len(path.parts), default=folder)
    return str(shortest) if shortest.parts else folder.name


def _described(folder: Path) -> dict[str, Any]:
    state, summary = going.state_of(folder), _object(folder / SUMMARY)
    document = _object(folder / RUN) or {}
    if state is not None and state["config"] != document.get("config"):
        document, summary = {}, None  # of the run whose place it takes
    config = (state or {}).get("config") or document.get("config") or {}
    model = config.get("model") or {}
    checkpoint = model.get("checkpoint") if isinstance(model, dict) else None
    return {
        "model": (summary or {}).get("model") or _named(model),
        "checkpoint": None if checkpoint in (None, "shipped") else str(checkpoint),
        "benchmark": (summary or {}).get("benchmark") or _named(config.get("benchmark")),
        "fidelity": (summary or config).get("fidelity", ""),
        "samples": (summary or {}).get("samples", 0),
        "failed": (summary or {}).get("failed", 0),
        "rows": [_row(row) for row in (summary or {}).get("rows", [])],
        "main": list(
            main_columns(Own(*(tuple((summary or {}).get(f"own_{kind}", ())) for kind in ("probings", "graded"))))
        ),
        "notes": list((summary or {}).get("notes", [])),
        "written": document.get("written") or _began(state),
        "seconds": document.get("seconds"),
        "state": _state(state, summary),
        "going": _progress(state, going.nodes_of(folder) if state and state["alive"] else ""),
        **notes_of(folder),
    }


def _object(path: Path) -> dict[str, Any] | None:
    """A file's object, read again only where it has changed: a page asks for all runs every few seconds."""
    if not path.is_file():
        return None
    known = path.stat()
    return _read(path, known.st_mtime_ns, known.st_size)


@lru_cache(maxsize=256)
def _read(path: Path, *_: int) -> dict[str, Any]:
    return read_object(path)


def _named(section: Any) -> str:
    return str(section.get("name", "")) if isinstance(section, dict) else str(section or "")


def _row(row: dict[str, Any]) -> dict[str, Any]:
    figures = {
        name: [one["value"], one["low"], one["high"], one["n"]]
        for name, one in row["figures"].items()
        if one["value"] is not None
    }
    key = row.get("key") or row["name"]
    control = row.get("control_of") is not None or bool(row.get("control"))
    return {
        "key": key,
        "label": row.get("label") or key,
        "bound": row["uses_ground_truth"],
        "control": control,
        "figures": figures,
    }


def _state(state: dict[str, Any] | None, summary: dict[str, Any] | None) -> str:
    if state is not None:
        return "running" if state["alive"] else "failed"
    return "done" if summary is not None else "failed"


def _began(state: dict[str, Any] | None) -> str | None:
    return None if state is None else datetime.fromtimestamp(state["began"]).astimezone().isoformat(timespec="seconds")


def _progress(state: dict[str, Any] | None, nodes: str) -> dict[str, Any] | None:
    """How far a run is: its stage, with what nodes do, how fast, and how long the stage will take."""
    if state is None:
        return None
    stage = state["stage"]
    told = {"began": state["began"], "told": state["told"], "now": time.time(), "stage": None}
    if stage is None:
        return told
    made, seconds = stage["done"] - stage["first"][0], stage["seconds"] - stage["first"][1]
    rate = made / seconds if seconds > 0 and made > 0 else None
    left = (stage["total"] - stage["done"]) / rate if rate else None
    name = f"{stage['name']} ({nodes})" if nodes else stage["name"]
    return told | {"stage": name, "done": stage["done"], "total": stage["total"], "rate": rate, "left": left}


def notes_of(folder: Path) -> dict[str, Any]:
    """Read the tags and the note that are kept beside a run."""
    kept = _object(folder / NOTES) or {}
    return {"tags": [str(tag) for tag in kept.get("tags", [])], "note": str(kept.get("note", ""))}


def keep_notes(folder: Path, given: Any) -> dict[str, Any]:
    """Keep tags and a note beside a run.

    Raises:
        DataError: They are none, or longer than anybody writes.
    """
    tags, note = (given.get("tags"), given.get("note")) if isinstance(given, dict) else (None, None)
    if not isinstance(note, str) or not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise DataError("tags and a note are expected", hint='{"tags": ["…"], "note": "…"}')
    clean = list(dict.fromkeys(tag.strip() for tag in tags if tag.strip()))
    if len(note) > _LONGEST_NOTE or len(clean) > _MOST_TAGS or any(len(tag) > _LONGEST_TAG for tag in clean):
        raise DataError(
            "a note or a tag is too long", hint=f"{_LONGEST_NOTE} characters, {_MOST_TAGS} tags of {_LONGEST_TAG}"
        )
    kept = {"tags": clean, "note": note}
    write_json(folder / NOTES, kept, "folder")
    return kept
