"""The configs of today's models: each resolves in each way, and one of them runs end to end on tiny checkpoints."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pixcore import cli
from pixcore.config import ResolvedRun, read_yaml, resolve
from pixcore.errors import ConfigError
from pixcore.plugins import registry
from tests.scripts import loaded

TODAY = Path(__file__).parents[1]
MODELS = sorted(path for path in TODAY.glob("*.yaml") if path.stem not in ("ways", "segmenting"))
WAYS = read_yaml(TODAY / "ways.yaml")
LACKING = {
    ("molmo2", "boxes"),
    ("internvl3", "points"),
    ("internvl3", "together"),
    ("paligemma2", "points"),
    ("paligemma2", "together"),
}


def resolved(document: dict[str, Any]) -> ResolvedRun:
    return resolve({**document, "output": "runs/none"}, registry())


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("config", MODELS, ids=lambda path: path.stem)
def test_each_config_is_whole_in_each_way(config: Path, way: str) -> None:
    document = {**read_yaml(config), **WAYS[way]}
    if (config.stem, way) in LACKING:
        with pytest.raises(ConfigError, match=r"write no (points|boxes)"):
            resolved(document)
        return
    run = resolved(document)
    assert "{expression}" in next(iter(run.config.probings.values())).template
    assert bool(run.controls) == (way != "sam3")


@pytest.mark.parametrize("config", sorted((TODAY / "published").glob("*.yaml")), ids=lambda path: path.stem)
def test_each_published_baseline_is_whole(config: Path) -> None:
    run = resolved(read_yaml(config))
    assert run.config.fidelity == "published"
    asked = [one.template for one in run.config.probings.values()]
    if config.stem == "qwen2.5-vl-points":
        assert "Point to the {expression}, output its coordinates in point-format as JSON" in asked
    if config.stem in ("llava-1.5-boxes", "cambrian-boxes"):
        assert asked == ["Output bounding box for the {expression}."]
    if config.stem == "prompts":
        assert len(asked) == 7
        assert asked[2] == asked[4]
        assert asked[5].endswith("dont generate any masks.")


@pytest.fixture(scope="module")
def tiny() -> ModuleType:
    return loaded(TODAY / "tiny.py")


def test_a_model_is_run_here_in_every_way(tiny: ModuleType, tmp_path: Path) -> None:
    if not all(map(importlib.util.find_spec, ("transformers", "segment_anything"))):
        pytest.skip("transformers or segment-anything absent")
    assert tiny.main([str(tmp_path), "--pairs", "1", "--only", "paligemma2"]) == 0
    found = json.loads((tmp_path / "runs" / "ways.json").read_text())
    assert list(dict.fromkeys(row["way"] for row in found["rows"])) == ["attention", "boxes", "sam3", "sam3-phrases"]
    assert found["left_out"] == [
        f"paligemma2, {way}: protocols: models of the family paligemma write no points"
        for way in ("together", "points")
    ]
    boxes = (tmp_path / "runs" / "paligemma2" / "boxes" / "predictions.jsonl").read_text().splitlines()
    width, height = json.loads(boxes[0])["candidates"][0]["masks"][0]["size"][::-1]
    place = json.loads(boxes[0])["candidates"][0]["point"]["box"]
    edges = zip((width, height) * 2, (256, 256, 768, 768), strict=True)
    assert place == pytest.approx([side * part / 1023 for side, part in edges])


def test_a_segmenting_model_has_every_way_in_one_table_of_one_run(tiny: ModuleType, tmp_path: Path) -> None:
    for module in ("transformers", "pixcore_lisa"):
        pytest.importorskip(module)
    config = tiny.segmenting(tmp_path, {"name": "mini-world", "pairs": 1})
    with pytest.raises(SystemExit) as end:
        cli.main(["run", str(config)])
    assert not end.value.code
    rows = {row["key"]: row for row in json.loads((tmp_path / "runs/segmenting/summary.json").read_text())["rows"]}
    assert {"own masks", "oracle", "mask-score", "as-written", "random-places points, oracle pick"} <= rows.keys()
    assert "other-images points, oracle pick" in rows
    for key in ("own masks", "oracle", "as-written", "random-places points, oracle pick"):
        for name in ("M", "M point", "M concept"):
            assert rows[key]["figures"][name]["value"] is not None, (key, name)
    assert [rows[key]["uses_ground_truth"] for key in ("own masks", "oracle", "as-written")] == [False, True, False]
    points = [json.loads(line) for line in (tmp_path / "runs/segmenting/predictions.jsonl").read_text().splitlines()]
    kinds = {line["protocol"]: [one["point"] for one in line["candidates"]] for line in points}
    assert all(isinstance(point, list) for point in kinds["segment"])
    assert not kinds["point"]  # random weights point at nothing
    assert [point["text"] for point in kinds["concept"]] == [points[-1]["candidates"][0]["phrase"]]
