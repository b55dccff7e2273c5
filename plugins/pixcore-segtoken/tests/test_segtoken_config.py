"""What a checkpoint's fingerprint knows."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pixcore_segtoken.config import GroundedConfig, fingerprint_with_tower


@pytest.mark.parametrize("key", ["mm_vision_tower", "vision_tower"])
def test_a_tower_that_the_checkpoints_folder_names_is_part_of_it(key: str, tmp_path: Path) -> None:
    checkpoint, tower = tmp_path / "lisa", tmp_path / "clip"
    for folder, content in ((checkpoint, {key: str(tower)}), (tower, {})):
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps(content))
    config = GroundedConfig(checkpoint=str(checkpoint))
    (tower / "model.safetensors").write_bytes(b"weights")
    before = config.fingerprint()
    assert before == fingerprint_with_tower(str(checkpoint), None, str(tower))
    (tower / "model.safetensors").write_bytes(b"others!")
    assert config.fingerprint() != before


@pytest.mark.parametrize("content", ['{"mm_vision_tower": "openai/clip-vit-large-patch14"}', "[]", "{", '{"a": 1}'])
def test_without_a_tower_in_a_folder_the_checkpoint_stands_alone(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    assert len(GroundedConfig(checkpoint=str(tmp_path)).fingerprint().split()) == 1
