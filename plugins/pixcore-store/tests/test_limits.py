"""A run has the files open that its stages need, however few a process has by default."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.workplace import Workplace


@pytest.mark.skipif(sys.platform == "win32", reason="has no such limit")
def test_many_strategies_run_where_a_process_may_open_few_files(workplace: Workplace) -> None:
    labelled = [{"name": "random", "label": f"the {place}th"} for place in range(40)]
    workplace.config(selections=labelled)
    workplace.environment["PIXCORE_PLUGINS"] = "toy,selection,store,table"
    limited = f"ulimit -Sn 100; exec {sys.executable} -m pixcore run run.yaml"
    done = subprocess.run(
        ["sh", "-c", limited],
        cwd=workplace.folder,
        env=workplace.environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert "the 39th" in done.stdout
