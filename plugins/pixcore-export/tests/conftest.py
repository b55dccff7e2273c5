"""A run of the demo's kind, and the command that exports it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from pixcore_export.command import export

from pixcore.cli import main


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of mini on two pairs of mini-world, with a control; its `predictions.jsonl` says what is right."""
    for package in ("pixcore_mini", "pixcore_mini_world", "pixcore_attention", "pixcore_groupers", "pixcore_regions"):
        pytest.importorskip(package)
    folder = tmp_path_factory.mktemp("export")
    config = {
        "benchmark": {"name": "mini-world", "pairs": 2},
        "model": "mini",
        "protocols": ["segment", "letter"],
        "selections": ["oracle", {"name": "phrase-overlap", "label": "=phrase, overlap/x"}],
        "output": str(folder / "run"),
        "store": str(folder / "store"),
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(config))
    with pytest.raises(SystemExit):
        main(["run", str(path)])
    return folder / "run"


@pytest.fixture
def predictions(run: Path) -> list[dict[str, Any]]:
    """What the run found, as the core writes it."""
    return [json.loads(line) for line in (run / "predictions.jsonl").read_text().splitlines()]


@pytest.fixture
def exported(run: Path, tmp_path: Path) -> Callable[[str], Path]:
    """Export the run in a format to a new folder."""

    def made(form: str) -> Path:
        export.main([str(run), "--to", form, "--out", str(tmp_path / form)], standalone_mode=False)
        return tmp_path / form

    return made
