"""Let every run leave a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pixcore.figures.rows import RowSpec, Summary
from pixcore.records import SampleResult
from pixcore.runs.writers import RunWriter
from pixcore_report.report import Report


class ReportWriter(RunWriter):
    """Writes `report.html` as a run goes by."""

    def __init__(self) -> None:
        self._open = ExitStack()

    def begin(self, folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        """Begin the page's samples."""
        self._path, self._run = folder / "report.html", run
        self._report = self._open.enter_context(Report(rows))

    def add(self, result: SampleResult) -> None:
        """Take in a sample's card."""
        self._report.add(result)

    def finish(self, summary: Summary) -> Path:
        """Write the page."""
        return self._report.write(self._path, summary=summary, run=self._run)

    def close(self) -> None:
        """Remove what was spooled."""
        self._open.close()
