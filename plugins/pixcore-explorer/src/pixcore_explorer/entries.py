"""The line that a list of samples has for each: what one sorts and filters by, without opening the sample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pixcore_report.payload import sample_index

from pixcore.figures.columns import in_order
from pixcore.figures.rows import RowSpec, shown
from pixcore.protocols import Probing
from pixcore.records import SampleResult

_TEXT, _SAID = 20_000, 4_000
"""Characters of all of a sample's texts, and of an answer, that a search and a filter look at."""


def entry(result: SampleResult, rows: Sequence[RowSpec]) -> dict[str, Any]:
    """Make a sample's line.

    Returns:
        "id", "question", "expression", "pair", "categories", "absent", "text" (all that it says, for a search), and for
        each probing what was said, whether it is right, whether anything failed, how many candidates there were, the
        best IoU among them, and the IoU of each row's mask in the order of `rows_data`.
    """
    sample = result.sample
    line = sample_index(result, [row.key for row in shown(tuple(rows))])
    line["text"] = line["text"][:_TEXT]
    line |= {"question": sample.question, "expression": sample.expression, "pair": sample.pair}
    for name, one in result.by_probing.items():
        best = max((float(max(values, default=0.0)) for values in one.ious), default=None) if one.ious else None
        said = one.error or (one.response.text if one.response is not None else "")
        line["protocols"][str(name)] |= {"said": said[:_SAID], "best": best, "candidates": len(one.candidates)}
    return line


def rows_data(rows: Sequence[RowSpec]) -> list[dict[str, Any]]:
    """Say which rows a line's IoUs belong to."""
    return [
        {"key": row.key, "label": row.label, "bound": row.uses_ground_truth, "control": row.control, "pool": row.pool}
        for row in shown(tuple(rows))
    ]


def figures_data(probings: Mapping[str, Probing]) -> list[dict[str, Any]]:
    """Say which figure each probing feeds with a sample's answer, and with its mask."""
    found = []
    for name, one in probings.items():
        if one.accuracy is not None:
            found.append({"name": one.accuracy, "probing": name, "kind": "answer"})
        if one.mean_iou is not None:
            found.append({"name": one.mean_iou, "probing": name, "kind": "iou"})
    places = in_order([one["name"] for one in found])
    return sorted(found, key=lambda one: places.index(one["name"]))
