"""Prints the rows of several runs of one benchmark in one table, in the order of the paper's Table 1.

    python benchmarks/miniature/side.py runs/demo runs/miniature/a-1-own

First what models without masks answer, then the own masks of those trained with them, then what strategies mine, then
the upper bounds, and last the controls. Runs of other samples, or under another fidelity, are refused.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pixcore_report.reading import from_dict
from pixcore_statistics.wording import plural
from pixcore_table.table import SummaryTable

from pixcore.errors import DataError, UserError, one_line
from pixcore.figures.rows import OWN_MASKS, Row, Summary
from pixcore.files import RUN, SUMMARY, read_object
from pixcore.terminal import Console

ANSWERS, MASKS = ("A†", "A"), ("M†", "M", "S")


def together(runs: Mapping[str, Summary]) -> Summary:
    """Put several runs' rows into one summary.

    Args:
        runs: By what each model is called.
    """
    placed = [(place, row) for name, summary in runs.items() for place, row in _placed(name, summary)]
    first = next(iter(runs.values()))
    rows = tuple(row for _, row in sorted(placed, key=lambda pair: pair[0]))
    failed = {name: summary.failed for name, summary in runs.items() if summary.failed}
    return Summary(
        first.benchmark,
        " and ".join(runs),
        first.fidelity,
        first.samples,
        sum(failed.values()),
        rows,
        notes=tuple(f"{name}: {plural(count, 'failure')}" for name, count in failed.items()),
        clusters=first.clusters,
    )


def _placed(name: str, summary: Summary) -> Iterator[tuple[int, Row]]:
    """Each row with its place in the paper's order, and before a run's mined masks what its model says without them."""
    if not any(row.key == OWN_MASKS for row in summary.rows):
        plain = {figure: summary.rows[0].figures[figure] for figure in ANSWERS if figure in summary.rows[0].figures}
        yield 0, Row(f"{name} answers", plain, f"{name}, no masks")
    for row in summary.rows:
        place = 4 if row.control else 3 if row.uses_ground_truth else 1 if row.key == OWN_MASKS else 2
        figures = {figure: value for figure, value in row.figures.items() if figure in (*ANSWERS, *MASKS)}
        kept = replace(row, key=f"{name} {row.key}", label=f"{name}, {row.label}", figures=figures)
        yield place, replace(kept, candidates=None, masks=None, distinct=None, oracle_gap=None)


def read(folders: Sequence[Path]) -> dict[str, Summary]:
    """Read runs that may stand in one table, each by a name of its own.

    Raises:
        DataError: They are not of the same benchmark, fidelity and samples, or one is given twice.
    """
    documents = [read_object(folder / RUN) for folder in folders]
    summaries = [from_dict(read_object(folder / SUMMARY)) for folder in folders]
    told = {
        "benchmark": [_options(document["config"]["benchmark"]) for document in documents],
        "fidelity": [summary.fidelity for summary in summaries],
        "number of samples": [str(summary.samples) for summary in summaries],
        "samples": [_scope(document.get("scope") or {}) for document in documents],
    }
    for what, values in told.items():
        for folder, value in zip(folders, values, strict=True):
            if value != values[0]:
                raise DataError(
                    f"{folder} and {folders[0]} differ in their {what}: {value} and {values[0]}",
                    hint="one table shows runs of the same samples",
                )
    names = names_of(folders, [document["config"]["model"] for document in documents])
    return dict(zip(names, summaries, strict=True))


def _options(part: Mapping[str, Any]) -> str:
    """Write a component and its options in one line."""
    return ", ".join([str(part["name"]), *(f"{key} {value}" for key, value in part.items() if key != "name")])


def _scope(scope: Mapping[str, Any]) -> str:
    """Write which samples a run was told to take."""
    shard = scope.get("shard")
    return ", ".join(scope.get("samples") or ["as they come"]) + (f", shard {shard[0]} of {shard[1]}" if shard else "")


def names_of(folders: Sequence[Path], models: Sequence[Mapping[str, Any]]) -> list[str]:
    """Name each run by its model; where names repeat add the checkpoint, then the folder's name, then its path.

    Raises:
        DataError: A run is given twice.
    """
    names = [str(model["name"]) for model in models]
    checkpoints = [f" {model['checkpoint']}" if model.get("checkpoint") else "" for model in models]
    for more in (checkpoints, [f" ({folder.name})" for folder in folders], [f" at {folder}" for folder in folders]):
        times = Counter(names)
        names = [name + one if times[name] > 1 else name for name, one in zip(names, more, strict=True)]
    if len({*names}) < len(names):
        raise DataError("a run is given twice", hint="name each folder once")
    return names


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, or one line that says why not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs of one benchmark")
    try:
        runs = read(parser.parse_args(arguments).runs)
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.exit(error.exit_status)
    Console().print(SummaryTable(together(runs)))


if __name__ == "__main__":
    main()
