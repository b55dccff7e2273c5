"""`pixcore run` on mini-world, from a checkpoint in the published layout through attention to scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixcore.cli import main


def test_a_run(cambrian_options: dict[str, Any], tmp_path: Path) -> None:
    for package in ("pixcore_mini_world", "pixcore_attention", "pixcore_points", "pixcore_regions", "pixcore_groupers"):
        pytest.importorskip(package)
    document = {
        "benchmark": {"name": "mini-world", "pairs": 1},
        "model": {"name": "cambrian", **cambrian_options},
        "extractor": "mean",
        "transforms": ["subtract-mean"],
        # Random weights say no noun phrases.
        "grouper": "tokens",
        "masks": "regions",
        "selections": ["oracle", "random"],
        "control": None,
        "judge": "exact-match",
        "letter_judge": "exact-match",
        "output": str(tmp_path / "out"),
        "store": str(tmp_path / "store"),
    }
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(document))
    with pytest.raises(SystemExit) as ended:
        main(["run", str(config)])
    assert ended.value.code == 0
    lines = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    assert {line["protocol"] for line in lines} == {"question", "segment", "letter"}
    found = [line["candidates"] for line in lines if line["protocol"] == "segment"]
    assert all(len(candidates) > 1 for candidates in found)
    points = {tuple(candidate["point"]) for candidates in found for candidate in candidates}
    assert len(points) > 2
