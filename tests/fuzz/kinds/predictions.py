"""Predictions files: a run's own with candidates, choices and controls, and one of a model that segments by itself."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tests.fuzz.forms import JSON_LINES
from tests.fuzz.kinds import Act, Kind
from tests.fuzz.rule import UNSAFE, Case, Ending, end_of
from tests.workplace import TOY_RUN

SIZE = (16, 12)
PAIRS = 2
BENCHMARK = {"name": "toy-boxes", "pairs": PAIRS, "size": list(SIZE)}
FILE, OTHER = "made/predictions.jsonl", "sound/predictions.jsonl"


def _scene(index: int) -> np.ndarray:
    """The toy benchmark's ground truth, drawn anew."""
    width, height = SIZE
    inside = np.zeros((height, width), bool)
    x = width // 8 if index % 2 == 0 else width // 2 + width // 8
    inside[height // 4 : height // 4 + height // 3, x : x + width // 5] = True
    return inside


def pixels_of(rle: dict[str, Any]) -> np.ndarray:
    """Decode COCO's run lengths by their definition, without pycocotools."""
    height, width = rle["size"]
    counts = rle["counts"]
    if isinstance(counts, str):
        runs: list[int] = []
        place = 0
        while place < len(counts):
            number = shift = 0
            more = True
            while more:
                code = ord(counts[place]) - 48
                number |= (code & 31) << shift
                place, shift, more = place + 1, shift + 5, bool(code & 32)
                if not more and code & 16:
                    number -= 1 << shift
            runs.append(number + runs[-2] if len(runs) > 2 else number)
        counts = runs
    flat = np.repeat(np.arange(len(counts)) % 2 == 1, counts)
    return flat.reshape(width, height).T


def own_masks(folder: Path) -> None:
    """Every sample under every probing; masks by hand, as text and as lists of runs."""
    lines = []
    for index in range(2 * PAIRS):
        truth = _scene(index)
        shifted = np.roll(truth, index, axis=1)
        changes = np.flatnonzero(np.diff(np.concatenate(([False], shifted.T.reshape(-1))))).tolist()
        ends = [0, *changes, shifted.size]
        rle = {"size": [SIZE[1], SIZE[0]], "counts": [b - a for a, b in pairwise(ends)]}
        for protocol in ("question", "letter", "segment"):
            line: dict[str, Any] = {"sample_id": f"s{index}", "protocol": protocol, "text": "a box", "prompt": "Where?"}
            if protocol != "segment":
                line["verdict"] = {"correct": index != 3, "reason": "by hand"}
            if protocol != "letter":
                line["mask"] = rle if index else None
            lines.append(line)
    lines[-1]["error"] = "it failed"
    _place(folder, "".join(json.dumps(line) + "\n" for line in lines))


def _place(folder: Path, lines: str) -> None:
    """Write the file twice, one to be broken, beside what says which benchmark it is about."""
    for file in (FILE, OTHER):
        path = folder / file
        path.parent.mkdir()
        path.write_text(lines)
        path.with_name("run.json").write_text(json.dumps({"config": {"benchmark": BENCHMARK}}))


def of_a_run(folder: Path) -> None:
    """What a toy run leaves."""
    document = {
        **TOY_RUN,
        "benchmark": BENCHMARK,
        "output": str(folder / "run"),
        "store": str(folder / "store"),
        "writers": ["predictions"],
    }
    folder.joinpath("run.yaml").write_text(yaml.safe_dump(document))
    ending = end_of(Case(("run", str(folder / "run.yaml")), ()))
    assert ending.status == 0, ending.err
    _place(folder, (folder / "run" / "predictions.jsonl").read_text())
    for leftover in ("run", "store"):
        shutil.rmtree(folder / leftover)


def _sound(ending: Ending) -> str | None:
    """A result's numbers are numbers, percentages, and those that a few lines of NumPy make of the same file."""
    if not ending.out.startswith("{"):
        return None
    document = json.loads(ending.out, parse_constant=lambda name: math.nan)
    if document["samples"] != 2 * PAIRS:
        return f"{document['samples']} samples"
    for row in document["rows"]:
        for name, figure in row["figures"].items():
            for value in (figure["value"], figure["low"], figure["high"]):
                if value is not None and not 0 <= value <= 100 + 1e-9:
                    return f"{row['key']}: {name} is {value}"
    return _other_than_expected(document)


def _other_than_expected(document: dict[str, Any]) -> str | None:
    """The mean IoU of each row under `segment`, worked out independently."""
    lines = {}
    for text in Path(FILE).read_bytes().decode("utf-8-sig").split("\n"):
        if text.strip():
            line = json.loads(text.removeprefix("\ufeff"))
            if line["protocol"] == "segment":
                lines[line["sample_id"]] = line
    for row in document["rows"]:
        expected = _expected(lines, row)
        told = row["figures"].get("M", {}).get("value")
        if expected is not None and (told is None or abs(told - expected) > 1e-6):
            return f"{row['key']}: M is {told}, and should be {expected}"
    return None


def _expected(lines: dict[str, dict[str, Any]], row: dict[str, Any]) -> float | None:
    total = 0.0
    for index in range(2 * PAIRS):
        line = lines.get(f"s{index}")
        if line is None or line.get("error") is not None:
            continue  # counts as 0
        if row["key"] == "own masks":
            if "mask" not in line:
                return None
            mask = line["mask"]
        else:
            pool = line.get("control") or {} if row["control"] else line
            choices = {**(line.get("choices") or {}), **((line.get("control") or {}).get("choices") or {})}
            if "mask" in line or row["key"] not in choices:
                return None  # nobody says what was chosen: a strategy chooses anew
            choice = choices[row["key"]]
            chosen = isinstance(choice, dict) and "candidate" in choice
            mask = pool["candidates"][choice["candidate"]]["masks"][choice.get("mask", 0)] if chosen else None
        if mask is None:
            continue
        predicted, truth = pixels_of(mask), _scene(index)
        total += (predicted & truth).sum() / (predicted | truth).sum()
    return 100 * total / (2 * PAIRS)


def _a_safe_page(folder: str) -> Callable[[Ending], str | None]:
    """What is written is whole, and nothing in it would steer a terminal or run."""

    def check(ending: Ending) -> str | None:
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix == ".part":
                return f"{path.name} is left behind"
            if path.suffix in (".html", ".json", ".csv") and (found := UNSAFE.search(path.read_text("utf-8"))):
                return f"{path.name} holds {found[0]!r}"
        return None

    return check


_SCORED = Act(("score", FILE, "--json", "-"), _sound)
_ACTS = (
    _SCORED,
    _SCORED,
    _SCORED,
    Act(("score", "made")),
    Act(("score", FILE, "--missing", "error", "--json", "-"), _sound),
    Act(("score", FILE, "--missing", "skip", "--fidelity", "published", "--json", "-")),
    Act(("compare", "made", "sound")),
    Act(("compare", "made", "sound", "--output", "page"), _a_safe_page("page")),
    Act(("figures", "made", "--out", "page"), _a_safe_page("page")),
)
_EMERGENCE = Act(("emergence", "made", "--output", "page"), _a_safe_page("page"))
"""Of a model that segments by itself there are no phrases to look at."""

KINDS = (
    Kind("own-masks", own_masks, {FILE: JSON_LINES}, _ACTS, share=5),
    Kind("run-predictions", of_a_run, {FILE: JSON_LINES}, (*_ACTS, _EMERGENCE), share=4),
)
