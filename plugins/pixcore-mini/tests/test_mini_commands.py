"""What a command line gives is refused, by its name, where it is no number of the kind."""

from __future__ import annotations

import sys
from importlib import import_module
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
        ("--device meta", "there is no device 'meta': "),
        ("--attribute-weight nan", "nan is not a finite number from 0 on"),
        ("--attribute-weight -0.5", "-0.5 is not a finite number from 0 on"),
        ("--seed 99999999999999999999", "99999999999999999999 does not fit into 64 bits"),
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


@pytest.mark.parametrize("out", ["~/taken", "{}/taken", "{}/taken/below/it"])
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


def test_a_checkpoint_that_is_not_there_is_not_called_damaged(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"checkpoint.safetensors is not there; name the folder"):
        read_progress(tmp_path / "checkpoint.safetensors")


def test_weights_to_begin_with_that_are_not_there_or_not_whole_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "config.json").write_text("{}")
    for name, said in (("nowhere", "argument --begin: "), ("half", "error: can't load mini from ")):
        with pytest.raises(SystemExit) as left:
            further.main(["--out", str(tmp_path / "out"), "--begin", str(tmp_path / name), "--steps", "1"])
        assert left.value.code == 2
        assert f"{said}{tmp_path / name}" in capsys.readouterr().err


def test_no_training_goes_on_without_steps(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        further.main(["--out", "nowhere", "--steps", "0"])
    assert left.value.code == 2
    assert "argument --steps: 0 is less than 1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [["--scenes", "0"], ["--batch", "0"], ["--scenes", "three"], ["--twins", "7"], ["--twins", "nan"]],
)
def test_nothing_is_not_measured(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        evaluate.main(words)
    assert left.value.code == 2
    assert f"argument {words[0]}: " in capsys.readouterr().err


def test_a_model_that_is_not_there_is_not_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        evaluate.main(["--scenes", "1", "--checkpoint", str(tmp_path)])
    assert left.value.code == 2
    assert f"error: can't load mini from {tmp_path}: " in capsys.readouterr().err


def test_measuring_says_which_package_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pixcore_judges.option_letters", None)
    monkeypatch.delitem(sys.modules, "pixcore_mini.evaluate")
    with pytest.raises(SystemExit, match=r'pip install "pixcore-mini\[evaluate\]"'):
        import_module("pixcore_mini.evaluate")
