"""`pixcore run` on mini-world, from a checkpoint in the published layout to scores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from pixcore.cli import main


@pytest.mark.parametrize("fidelity", ["published", "corrected"])
def test_a_run(lisa_options: dict[str, object], tmp_path: Path, fidelity: str) -> None:
    pytest.importorskip("pixcore_mini_world")
    document = {
        "benchmark": {"name": "mini-world", "pairs": 2},
        "model": {"name": "lisa", **lisa_options},
        "extractor": None,
        "masks": None,
        "selections": [],
        "control": None,
        "judge": "exact-match",
        "letter_judge": "exact-match",
        "fidelity": fidelity,
        "batch_size": 4,
        "output": str(tmp_path / "out"),
        "store": str(tmp_path / "store"),
    }
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(json.loads(json.dumps(document))))
    with pytest.raises(SystemExit) as ended:
        main(["run", str(config)])
    assert ended.value.code == 0
    lines = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    assert len(lines) == 4 * 3
    assert {line["protocol"] for line in lines} == {"question", "segment", "letter"}
    assert all(line["mask"] is not None for line in lines)
    assert any("[SEG]" in line["text"] for line in lines) == (fidelity == "published")
