"""Writing and showing a run's results, from its records."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from pixcore.figures.rows import Summary, to_dict
from pixcore.figures.summary import Tally
from pixcore.files import RUN, SUMMARY, write_json
from pixcore.plugins import Guest, registry
from pixcore.runs.plan import Run
from pixcore.runs.writers import Writers
from pixcore.terminal import Console


@dataclass(frozen=True)
class Written:
    """What has been written of a run, and what could not be.

    Attributes:
        summary: The table.
        paths: Files that a person would open, by the writer's name.
        failures: A line for each writer that failed.
    """

    summary: Summary
    paths: dict[str, Path]
    failures: list[str]

    def show(self, messages: Console, output: Console) -> int:
        """Print the table, and what was written and what was not as messages; the command's exit status comes back."""
        shown = registry().ask("show_summary", summary=self.summary)
        output.print("\n".join(_lines(self.summary)) if shown is None else shown)
        for name, path in self.paths.items():
            messages.print(f"{name}: {path}", style="bold", soft_wrap=True)
        for line in self.failures:
            messages.print(line, style="yellow", soft_wrap=True, highlight=False)
        return 1 if self.failures else 0


def write(job: Run, folder: Path, guests: Iterable[Guest]) -> Written:
    """Write a run's folder from its records, `run.json` and `summary.json` beside what its writers leave."""
    config = job.resolved.config
    tally = Tally(job.rows, config.fidelity, seed=config.seed, s_of=config.s_of or ())
    document = job.document()
    with Writers(guests, folder, document, tuple(job.rows)) as writers:
        for result in job.results():
            tally.add(result)
            writers.add(result)
        notes = job.benchmark.notes if job.benchmark is not None else ()
        summary = tally.summary(benchmark=job.benchmark_name, model=job.loader.component.name, notes=notes)
        writers.finish(deepcopy(summary))
        write_json(folder / RUN, document | {"files": writers.files})
        write_json(folder / SUMMARY, to_dict(summary))
    return Written(summary, writers.written, writers.failures)


def _lines(summary: Summary) -> Iterable[str]:
    """The figures of each row in a line, for lack of a table."""
    yield f"{summary.model} on {summary.benchmark}, {summary.samples} samples, {summary.fidelity}"
    for row in summary.rows:
        told = (f"{name} {figure.value:.1f}" for name, figure in row.figures.items() if figure.value is not None)
        yield f"{row.label}: {', '.join(told) or '-'}"
    yield "no table: pip install pixcore-table"
