"""`pixcore run` on mini-world, from a checkpoint in the published layout to scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from pixcore_segtoken.testing import run_on_mini_world


@pytest.mark.parametrize("fidelity", ["published", "corrected"])
def test_a_run(lisa_options: dict[str, object], tmp_path: Path, fidelity: str) -> None:
    pytest.importorskip("pixcore_mini_world")
    lines = run_on_mini_world({"name": "lisa", **lisa_options}, tmp_path, fidelity)
    assert len(lines) == 4 * 3
    assert {line["protocol"] for line in lines} == {"question", "segment", "letter"}
    assert all(line["mask"] is not None for line in lines)
    assert any("[SEG]" in line["text"] for line in lines) == (fidelity == "published")
