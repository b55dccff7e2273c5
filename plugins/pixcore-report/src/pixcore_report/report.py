"""Write `report.html`: what a run found, in one file that opens from disk."""

from __future__ import annotations

import base64
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from pixcore_plots.plots import Plots
from pixcore_table import table

from pixcore.errors import DataError
from pixcore.figures.rows import Row, RowSpec, Summary, shown
from pixcore.records import ProtocolResult, SampleResult
from pixcore_report.page import packed, packed_json, page_json, plain, write_page
from pixcore_report.payload import Display, sample_index, sample_payload

GROUNDED = 0.5
"""Above this IoU the report's filter calls a sample grounded, as failures and flips do."""

_BUDGET = 96 * 2**20
MOST = 5_000
"""So many samples have a card, unless a report says otherwise."""


class Report:
    """Takes in a run's results as they stream by, and writes the page that shows them.

    What a card shows, and its line of the index, are made at once and spooled to temporary files: memory holds no
    sample, and a run's records are read once for all that is written of them.
    """

    def __init__(
        self,
        rows: Iterable[RowSpec | Row],
        *,
        display: Display | None = None,
        budget: int = _BUDGET,
        most: int = MOST,
    ) -> None:
        """An empty report.

        Args:
            rows: The table's rows.
            display: How large images, masks and maps are kept.
            budget: Bytes; once the samples' data exceed it, the samples that follow keep their texts, images and chosen
                masks but not all their candidates, and the report says so.
            most: So many samples have a card; the page says where the others are: a browser can't hold them all.
        """
        lines = shown(tuple(rows))
        self._rows = [
            {"key": row.key, "label": row.label, "upper_bound": row.uses_ground_truth, "control": row.control}
            for row in lines
        ]
        self._keys = [row.key for row in lines]
        self._controls = {row.key: row.pool for row in lines if row.pool is not None}
        self._display, self._budget, self._most = display or Display(), budget, most
        self._cards = self._reduced = self._spent = self._beyond = 0
        self._spool = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 (closed with the report)
        self._index = tempfile.TemporaryFile("w+", encoding="ascii")  # noqa: SIM115 (likewise)

    def __enter__(self) -> Report:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # closing writes what is left, which nobody reads any more
            self._spool.close()
        with suppress(OSError):
            self._index.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise DataError(
                f"can't write the report's samples to {tempfile.gettempdir()}: {error.strerror}",
                hint="free some space there, or set TMPDIR",
            ) from error

    def add(self, result: SampleResult) -> None:
        """Take in one sample; samples are shown in the order in which they come.

        Raises:
            DataError: The temporary file is full.
        """
        if self._cards >= self._most:
            self._beyond += 1
            return
        whole = self._spent < self._budget
        self._reduced += not whole
        display = self._display if whole else replace(self._display, candidates=False)
        outcomes = {protocol: self._lines_alone(outcome) for protocol, outcome in result.by_probing.items()}
        result = SampleResult(result.sample, outcomes)
        payload = sample_payload(result, controls=self._controls, display=display)
        entry = sample_index(result, self._keys)
        for name, one in payload["protocols"].items():
            entry["protocols"][name]["phrases"] = _phrases(one["candidates"])
            for candidate in one["candidates"]:
                candidate["map"] = candidate["map"] and coarse(candidate["map"])
        text = packed_json(payload)
        self._spent += len(text)
        with self._explained():
            self._spool.write(text + "\n")
            self._index.write(page_json(entry) + "\n")
        self._cards += 1

    def _lines_alone(self, outcome: ProtocolResult) -> ProtocolResult:
        """A result without the choices of rows that the table has no line for."""
        kept = {key: choice for key, choice in outcome.selections.items() if key in self._keys}
        return replace(outcome, selections=kept)

    def write(self, path: Path | str, *, summary: Summary, run: Mapping[str, Any], plots: Plots | None = None) -> Path:
        """Write the page.

        Args:
            path: The HTML file; an existing one is replaced once the new one is whole.
            summary: The table.
            run: What `run.json` holds. Every entry is shown; "config" and "versions" have places of their own.
            plots: The run's plots, if it has any.

        Returns:
            The path.

        Raises:
            DataError: The file can't be written.
        """
        target = Path(path)
        with self._explained():
            self._spool.seek(0)
            self._index.seek(0)
        drawn, rules = _drawn(plots)
        write_page(
            target,
            "report.html",
            styles=("card.css", "report.css", *(["plots.css"] if drawn else [])),
            scripts=("inflate.js", "pixels.js", "card.js", "report.js"),
            rules=rules,
            context={
                "title": f"{summary.model} on {summary.benchmark}",
                "summary": summary,
                "plots": plots,
                "drawn": drawn,
                "footnotes": table.footnotes(summary),
                "particulars": particulars(run),
                "samples": (line.rstrip("\n") for line in self._spool),
                "index": packed(self._index_text(target.parent)),
            },
        )
        return target

    def _index_text(self, folder: Path) -> Iterator[str]:
        """Write, in pieces of JSON, what filters, sorting and the search read of all samples."""
        yield '{"samples":['
        for number, line in enumerate(self._index):
            yield f",{line}" if number else line
        rest = {
            "rows": self._rows,
            "reduced": self._reduced,
            "beyond": self._beyond,
            "view": f"pixcore view {shlex.quote(str(folder))}",
            "grounded": GROUNDED,
        }
        yield f"],{page_json(rest)[1:]}"


def _drawn(plots: Plots | None) -> tuple[list[dict[str, Any]], str]:
    """Draw plots, and give the rules of style that they need; nothing where there are none."""
    if plots is None or not any(plot.panels for plot in plots.plots):
        return [], ""
    from pixcore_plots.svg import page_rules  # matplotlib is slow to import

    from pixcore_report.plots import sections

    return list(sections(plots)), page_rules()


def _phrases(candidates: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Count an answer's phrases, and those of which no mask fits: an answer with both shows what choosing is."""
    fits = [max(one["ious"]) > GROUNDED for one in candidates if one["ious"]]
    return len(fits), fits.count(False)


LEVELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
"""A map's levels in the page, a character each: more than the eye tells apart where colours run into each other."""

_LEVEL_OF = bytes(ord(LEVELS[(63 * value + 127) // 255]) for value in range(256))


def coarse(quantised: str) -> str:
    """Write a map of a byte a cell (`pixcore_report.payload.quantise`) as one of `LEVELS` a cell."""
    return base64.b64decode(quantised).translate(_LEVEL_OF).decode("ascii")


def particulars(run: Mapping[str, Any]) -> dict[str, Any]:
    """Say what was run, sorted for reading.

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
