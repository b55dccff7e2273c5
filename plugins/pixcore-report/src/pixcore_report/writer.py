"""Let every run leave a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pixcore_plots.every import every_plot, looked_at
from pixcore_plots.kept import Kept

from pixcore.config import ProbingSection
from pixcore.figures.intervals import FEW
from pixcore.figures.rows import RowSpec, Summary
from pixcore.records import Fidelity, SampleResult
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
        self._plots = _kept_for(run, rows)

    def add(self, result: SampleResult) -> None:
        """Take in a sample's card, and what plots keep of it."""
        self._report.add(result)
        self._plots.add(result)

    def finish(self, summary: Summary) -> Path:
        """Write the page; a handful of samples makes no plot."""
        plots = every_plot(self._plots) if len(self._plots) >= FEW else None
        return self._report.write(self._path, summary=summary, run=self._run, plots=plots)

    def close(self) -> None:
        """Remove what was spooled."""
        self._open.close()


def _kept_for(run: Mapping[str, Any], rows: Sequence[RowSpec]) -> Kept:
    config: Mapping[str, Any] = run.get("config") or {}
    asked = [ProbingSection.model_validate(one).probing for one in config.get("protocols") or ()]
    masked = [probing.name for probing in asked if probing.masks]
    fidelity = Fidelity(config.get("fidelity", Fidelity.CORRECTED))
    return Kept(rows, fidelity, looked_at(masked), seed=int(config.get("seed", 0)))
