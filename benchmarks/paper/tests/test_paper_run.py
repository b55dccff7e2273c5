"""What `make paper` runs, and what it says of the rows that it leaves out."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

RUN = Path(__file__).resolve().parents[1] / "run.py"
NAME = "llava-1.5-7b"

pytest.importorskip("pixcore_transformers")
pytest.importorskip("pixcore_spacy")


def said(folder: Path, *options: str) -> list[str]:
    """The lines of a dry run in a folder."""
    environment = os.environ | {"HF_HUB_CACHE": str(folder / "hub"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, str(RUN), "--dry-run", "--config", NAME, "--benchmark", "pixmmvp", *options]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_everything_that_is_missing_is_named(tmp_path: Path) -> None:
    (line,) = said(tmp_path)
    reasons = [
        "data/pixmmvp is not there",
        "models/sam_vit_h_4b8939.pth is not there",
        "llava-hf/llava-1.5-7b-hf is not in the hub's cache (--download)",
    ]
    assert line == f"{NAME} on pixmmvp: skipped: {'; '.join(reasons)}"


def test_what_is_there_is_run_in_every_fidelity(tmp_path: Path) -> None:
    (tmp_path / "data/pixmmvp").mkdir(parents=True)
    (tmp_path / "models").mkdir()
    (tmp_path / "models/sam_vit_h_4b8939.pth").touch()
    lines = said(tmp_path, "--download")
    assert [line.split("fidelity=")[1].split()[0] for line in lines] == ["paper", "published", "corrected"]
    assert "benchmark={name: pixmmvp, root: data/pixmmvp}" in shlex.split(lines[0])  # as a shell takes it


def test_a_row_that_is_not_there_is_refused(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(RUN), "--config", "lisa"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2
    assert "invalid choice: 'lisa'" in done.stderr
