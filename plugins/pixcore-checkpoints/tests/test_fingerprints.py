"""What a checkpoint's fingerprint sees."""

from __future__ import annotations

from pathlib import Path

from pixcore_checkpoints.fingerprints import hash_folder


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
