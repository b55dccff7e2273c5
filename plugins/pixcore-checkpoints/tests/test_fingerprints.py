"""What a checkpoint's fingerprint sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pixcore_checkpoints.fingerprints import hash_folder
from pixcore_checkpoints.headers import read_places

from pixcore.errors import ModelError


def test_a_change_in_a_folder_that_a_link_leads_to_is_seen(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "model", tmp_path / "clip"
    for place in (folder, elsewhere):
        place.mkdir()
    (folder / "config.json").write_text("{}")
    (elsewhere / "weights.bin").write_bytes(b"1")
    (folder / "tower").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(folder)  # no walk without end
    before = hash_folder(folder)
    assert hash_folder(folder) == before
    (elsewhere / "weights.bin").write_bytes(b"2")
    assert hash_folder(folder) != before


def test_hidden_files_and_readmes_do_not_count(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    before = hash_folder(tmp_path)
    (tmp_path / "README.md").write_text("new")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache/config.json").write_text("new")
    assert hash_folder(tmp_path) == before


@pytest.mark.parametrize("offsets", [[-99, 4], [8, 4], [-2, -1]])
def test_a_header_that_leads_out_of_its_file_is_damage(offsets: list[int], tmp_path: Path) -> None:
    tensors = {"whole": [0, 8], "odd": offsets}
    header = json.dumps({name: {"shape": [1], "data_offsets": one} for name, one in tensors.items()}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    with pytest.raises(ModelError, match="gives the tensor odd no place"):
        read_places(tmp_path / "a.safetensors")
