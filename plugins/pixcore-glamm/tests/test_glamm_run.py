"""`pixcore run` on mini-world, from a checkpoint in the published layout to scores."""

from __future__ import annotations

from pathlib import Path

import pytest
from pixcore_segtoken.testing import run_on_mini_world


@pytest.mark.parametrize("name", ["glamm", "glamm-regcap"])
@pytest.mark.parametrize("fidelity", ["published", "corrected"])
def test_a_run(glamm_options: dict[str, object], tmp_path: Path, fidelity: str, name: str) -> None:
    pytest.importorskip("pixcore_mini_world")
    lines = run_on_mini_world({"name": name, **glamm_options}, tmp_path, fidelity)
    assert len(lines) == 4 * 3
    assert {line["protocol"] for line in lines} == {"question", "segment", "letter"}
    assert all(line["mask"] is not None for line in lines)
    assert not any("[SEG]" in line["text"] for line in lines)
