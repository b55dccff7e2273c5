"""Shows a summary as a table."""

from __future__ import annotations

from typing import Any

from pixcore import hookimpl


@hookimpl
def show_summary(summary: Any) -> Any:
    """Show the table, with its footnotes."""
    from pixcore_table.table import SummaryTable

    return SummaryTable(summary)
