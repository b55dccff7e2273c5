"""`report.html`: what a run found, in one file that opens from disk."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from markupsafe import Markup

from pixcore.report import table
from pixcore.report.page import embed_json, plain, write_page
from pixcore.report.payload import Display, Transform, sample_index, sample_payload
from pixcore.results import SampleResult, Summary

GROUNDED = 0.5
"""IoU from which the report's filter calls a sample grounded."""

_BUDGET = 96 * 2**20


def write_report(
    path: Path | str,
    *,
    summary: Summary,
    results: Iterable[SampleResult],
    run: Mapping[str, Any],
    transform: Transform | None = None,
    display: Display | None = None,
    budget: int = _BUDGET,
) -> Path:
    """Write the report of a run.

    Args:
        path: The HTML file; an existing one is replaced once the new one is whole.
        summary: The table.
        results: The samples, taken one by one, in the order in which they are shown.
        run: What `run.json` holds. Every entry is shown; "config" and "versions" have places of their own.
        transform: From a response's raw maps to those that its points were selected on.
        display: How large images, masks and maps are kept.
        budget: Bytes; once the samples' data exceed it, the samples that follow keep their texts, images and chosen
            masks but not all their candidates, and the report says so.

    Returns:
        The path.

    Raises:
        DataError: The file can't be written.
    """
    target = Path(path)
    samples = _Samples(results, summary, transform, display or Display(), budget)
    write_page(
        target,
        "report.html",
        styles=("card.css", "report.css"),
        scripts=("pixels.js", "card.js", "report.js"),
        context={
            "title": f"{summary.model} on {summary.benchmark}",
            "summary": summary,
            "footnotes": table.footnotes(summary),
            "failures": table.failures(summary),
            "particulars": particulars(run),
            "samples": samples,
        },
    )
    return target


def particulars(run: Mapping[str, Any]) -> dict[str, Any]:
    """What was run, sorted for reading.

    Returns:
        "facts": names and single values; "blocks": names and YAML text of everything that has parts.
    """
    data = plain(run)
    facts, blocks = {}, {}
    for name, value in data.items():
        if isinstance(value, (dict, list)):
            if value:
                blocks[name] = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=100).rstrip()
        elif value is not None:
            facts[name] = value
    return {"facts": facts, "blocks": blocks}


class _Samples:
    """The samples' data for the template, made while the page is written; the index is known after the last one."""

    def __init__(
        self,
        results: Iterable[SampleResult],
        summary: Summary,
        transform: Transform | None,
        display: Display,
        budget: int,
    ) -> None:
        self._results, self._transform, self._display, self._budget = results, transform, display, budget
        self._rows = [
            {"name": row.name, "upper_bound": row.uses_ground_truth, "control": row.control} for row in summary.rows
        ]
        self._controls = {row.name for row in summary.rows if row.control}
        self._entries: list[dict[str, Any]] = []
        self._reduced = 0

    def __iter__(self) -> Iterator[Markup]:
        spent = 0
        names = [str(row["name"]) for row in self._rows]
        for result in self._results:
            whole = spent < self._budget
            self._reduced += not whole
            display = self._display if whole else replace(self._display, candidates=False)
            payload = sample_payload(result, controls=self._controls, transform=self._transform, display=display)
            text = embed_json(payload)
            spent += len(text)
            self._entries.append(sample_index(result, names))
            yield text

    @property
    def index(self) -> dict[str, Any]:
        """What the scripts know before any card opens; complete after the iteration."""
        return {
            "rows": self._rows,
            "samples": self._entries,
            "reduced": self._reduced,
            "grounded": GROUNDED,
        }
