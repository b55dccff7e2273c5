"""Hold an executor to its contract."""

from __future__ import annotations

import inspect
from typing import Any

from pixcore.components import Executor
from pixcore_testing.findings import Finding, Report, page_of


def check_executor(executor: Executor[Any]) -> list[Finding]:
    """Hold an executor to its contract, as far as that can be seen without a run: how it is called.

    Whether it makes the records of a run in one process, its own tests have to show: compare two stores.
    """
    report = Report(page_of("executor"))
    with report.step("execute"):
        wanted = list(inspect.signature(Executor.execute).parameters)[1:]
        given = list(inspect.signature(executor.execute).parameters)
        report.expect(given == wanted, f"execute takes {', '.join(wanted)}", ", ".join(given))
    return report.findings
