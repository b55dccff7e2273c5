"""Write a run's tables as CSV files."""

from __future__ import annotations

import csv
from pathlib import Path

from pixcore.files import replacing
from pixcore.runs.plan import Run
from pixcore_export.base import GIVEN, Tell
from pixcore_export.spool import spooled


def export_csv(job: Run, folder: Path, tell: Tell) -> None:
    """Write each table as a CSV file, UTF-8, its columns' names in the first line."""
    with spooled(job, folder) as tables:
        for name, table in tables.items():
            with replacing(folder / f"{name}.csv", GIVEN, newline="") as file:
                writer = csv.DictWriter(file, list(table.columns))
                writer.writeheader()
                writer.writerows(table)
