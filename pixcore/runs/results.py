"""Writing and showing a run's results: shared by `run` and `report`."""

from __future__ import annotations

import json
from pathlib import Path

from pixcore_report.report import Report

from pixcore.figures.judge_notes import JudgingNotes
from pixcore.figures.rows import from_dict, to_dict
from pixcore.figures.summary import Tally
from pixcore.figures.table import SummaryTable
from pixcore.files import read_json, replacing, write_json
from pixcore.plugins import Registry
from pixcore.predictions.format import prediction_line
from pixcore.runs.folder import PREDICTIONS, REPORT, RUN, SUMMARY
from pixcore.runs.plan import Run
from pixcore.terminal import Console


def write(job: Run, folder: Path, registry: Registry) -> None:
    """Write a run's folder from its records.

    Args:
        job: The run.
        folder: Where.
        registry: Its observers are told.
    """
    tally = Tally(job.rows, job.resolved.config.fidelity, seed=job.resolved.config.seed)
    judging = JudgingNotes()
    with Report(job.rows) as report:
        with replacing(folder / PREDICTIONS) as file:
            for result in job.results():
                tally.add(result)
                judging.add(result)
                report.add(result)
                for outcome in result.by_probing.values():
                    record = prediction_line(result.sample, outcome, job.rows)
                    file.write(json.dumps(record, allow_nan=False) + "\n")
                    registry.notify("sample_finished", run=str(folder), record=record)
        notes = (*(job.benchmark.notes if job.benchmark is not None else ()), *judging.lines())
        summary = tally.summary(benchmark=job.benchmark_name, model=job.resolved.model.name, notes=notes)
        document = job.document()
        write_json(folder / RUN, document)
        write_json(folder / SUMMARY, to_dict(summary))
        report.write(folder / REPORT, summary=summary, run=document)
    registry.notify("run_finished", run=str(folder), summary=to_dict(summary))


def show(folder: Path) -> None:
    """Print a run's table."""
    summary = from_dict(read_json(folder / SUMMARY), where=str(folder / SUMMARY))
    Console().print(SummaryTable(summary, further=False))
