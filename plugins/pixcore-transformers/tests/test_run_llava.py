"""A config that names LLaVA-1.5, through the command line, on a tiny checkpoint of the published layout."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_transformers.testing.llava import TinyLlava

from pixcore.cli import main

CONFIG = """
benchmark: mini-world
model: {{name: llava-1.5, checkpoint: {checkpoint}, max_new_tokens: 6}}
extractor: mean
grouper: tokens
points: peak
masks: regions
selections: [oracle]
control: null
judge: exact-match
protocols: [segment]
fidelity: {fidelity}
output: {folder}/run
store: {folder}/store
batch_size: 2
"""


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return TinyLlava(tmp_path_factory.mktemp("tiny")).save_hugging_face()


def status_of(arguments: list[str]) -> object:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    return stopped.value.code


@pytest.mark.parametrize("fidelity", ["corrected", "published"])
def test_run(checkpoint: Path, tmp_path: Path, fidelity: str) -> None:
    pytest.importorskip("pixcore_mini_world")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(checkpoint=checkpoint, folder=tmp_path, fidelity=fidelity))
    assert status_of(["run", str(config), "--limit", "3"]) in (0, None)
    lines = (tmp_path / "run" / "predictions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) >= 3
    assert all(json.loads(line)["text"] is not None for line in lines)
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_missing_checkpoint_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pixcore_mini_world")
    config = tmp_path / "config.yaml"
    config.write_text(CONFIG.format(checkpoint=tmp_path / "absent", folder=tmp_path, fidelity="corrected"))
    assert status_of(["run", str(config), "--limit", "1"]) == 2
    error = capsys.readouterr().err
    assert "there is no folder" in error
    assert "Traceback" not in error


def test_ground(checkpoint: Path, tmp_path: Path) -> None:
    photo, picture = tmp_path / "photo.png", tmp_path / "grounded.png"
    pixels = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)
    PILImage.fromarray(pixels).save(photo)
    arguments = ["ground", str(photo), "the cat's ear", "--model", "llava-1.5", "--output", str(picture)]
    arguments += ["--set", f"model.checkpoint={checkpoint}", "--set", "model.max_new_tokens=6"]
    assert status_of(arguments) in (0, None)
    assert picture.is_file()


def test_a_notice_is_one_line_beside_the_runs_own(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pixcore_mini_world")
    monkeypatch.setattr("warnings.showwarning", warnings.showwarning)  # put back after the command has set its own
    folder, config = tmp_path / "checkpoint", tmp_path / "config.yaml"
    shutil.copytree(checkpoint, folder)
    (folder / "generation_config.json").write_text('{"num_beams": 4, "penalty_alpha": 0.6}', encoding="utf-8")
    config.write_text(CONFIG.format(checkpoint=folder, folder=tmp_path, fidelity="corrected"))
    with warnings.catch_warnings():
        warnings.simplefilter("default")
        assert status_of(["run", str(config), "--limit", "2"]) in (0, None)
    said = capsys.readouterr().err
    told = [line for line in said.splitlines() if "not followed" in line]
    assert told == [f"note: {folder / 'generation_config.json'}: not followed: num_beams, penalty_alpha"]
    assert "Warning" not in said
