"""What a command line gives is refused, by its name, where it is no number of the kind."""

from __future__ import annotations

from pathlib import Path

import pytest
from pixcore_mini import evaluate, further, train
from pixcore_mini.checkpoint import read_progress


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--processes 0", "0 is less than 1"),
        ("--processes -1", "-1 is less than 1"),
        ("--steps 500 -3 500", "-3 is less than 0"),
        ("--rounds 0", "0 is less than 1"),
        ("--keep-every -1", "-1 is less than 0"),
        ("--workers -1", "-1 is less than 0"),
        ("--device nowhere", "there is no device 'nowhere': "),
        ("--device cuda:99", "there is no device 'cuda:99': "),
    ],
)
def test_a_training_is_not_begun_with_less_than_can_be(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    option, *given = words.split()
    with pytest.raises(SystemExit) as left:
        train.main(["--out", "nowhere", option, *given])
    assert left.value.code == 2
    assert f"argument {option}: {said}" in capsys.readouterr().err


@pytest.mark.parametrize("out", ["~/taken", "{}/taken"])
def test_a_file_is_no_folder_for_a_training(
    out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # no shell puts it behind a =
    (tmp_path / "taken").write_text("mine")
    with pytest.raises(SystemExit) as left:
        train.main([f"--out={out.format(tmp_path)}"])
    assert left.value.code == 2
    assert "taken is a file, and a folder is wanted" in capsys.readouterr().err


@pytest.mark.parametrize("held", [b"", b"\x08\0\0\0\0\0\0\0{}      ", b"{" * 100])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, held: bytes) -> None:
    (tmp_path / "checkpoint.safetensors").write_bytes(held)
    with pytest.raises(SystemExit, match="is damaged, or none of a training"):
        read_progress(tmp_path / "checkpoint.safetensors")


def test_no_training_goes_on_without_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        further.main(["--out", "nowhere", "--steps", "0"])
    assert left.value.code == 2
    assert "argument --steps: 0 is less than 1" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--scenes", "0"], ["--batch", "0"], ["--scenes", "three"]])
def test_nothing_is_not_measured(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        evaluate.main(words)
    assert left.value.code == 2
    assert f"argument {words[0]}: " in capsys.readouterr().err
