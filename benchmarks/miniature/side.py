"""Prints the rows of several runs of one benchmark in one table, in the order of the paper's Table 1.

    python benchmarks/miniature/side.py runs/demo runs/miniature/a-1-own

First what models without masks answer, then the own masks of those trained with them, then what strategies mine, then
the upper bounds, and last the controls.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from pixcore_report.reading import from_dict
from pixcore_table.table import SummaryTable

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
    return Summary(first.benchmark, " and ".join(runs), first.fidelity, first.samples, 0, rows, clusters=first.clusters)


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


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="folders of runs of one benchmark")
    folders: list[Path] = parser.parse_args().runs
    models = [read_object(folder / RUN)["config"]["model"] for folder in folders]
    alike = len({model["name"] for model in models}) < len(models)
    names = [f"{model['name']} {model['checkpoint']}" if alike else model["name"] for model in models]
    summaries = [from_dict(read_object(folder / SUMMARY)) for folder in folders]
    Console().print(SummaryTable(together(dict(zip(names, summaries, strict=True)))))


if __name__ == "__main__":
    main()
