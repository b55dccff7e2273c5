"""The runner that holds native ports to published numbers: what it passes, and what it must not pass."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pixcore.errors import ModelError
from tests.goldens import runner as goldens
from tests.goldens.runner import Check, GoldenSet, attempt, compare

EXPECTED = {
    "a/logits": np.array([1.0, 2.0, np.inf], np.float32),
    "b/logits": np.zeros((2, 2), np.float32),
    "a/mask": np.packbits(np.eye(4, dtype=bool), axis=1),
    "a/ids": np.array([3, 4]),
    "a/other": np.zeros(1),
}


def statuses(*checks: Check, keys: tuple[str, ...] = ("*/logits",)) -> dict[str, str]:
    golden = GoldenSet(checks, keys)
    return {verdict.name: verdict.status for verdict in compare(golden, EXPECTED)}


GOOD = (
    Check("a/logits", np.array([1.0, 2.00001, np.inf]), atol=2e-5),
    Check("b/logits", np.zeros((2, 2))),
)


def test_agreement_within_the_tolerance() -> None:
    found = statuses(*GOOD)
    assert found == {"a/logits": "ok", "b/logits": "ok", "a/mask": "skipped", "a/ids": "skipped", "a/other": "skipped"}


@pytest.mark.parametrize(
    "wrong",
    [
        Check("a/logits", np.array([1.0, 2.0001, np.inf]), atol=2e-5),
        Check("a/logits", np.array([1.0, np.nan, np.inf]), atol=1.0),
        Check("a/logits", np.array([1.0, 2.0, -np.inf]), atol=1.0),
        Check("a/logits", np.array([1.0, 2.0]), atol=1.0),
        Check("a/ids", np.array([3, 5])),
        Check("a/ids", "3 4"),
        Check("c/logits", np.zeros(1)),
        Check("a/mask", np.eye(4, dtype=bool), unpack=lambda bits: bits.reshape(3, 3)),
        Check("a/mask", np.eye(4, dtype=bool), flips=[0, 0, 0], unpack=lambda bits: bits.astype(bool).repeat(4, 1)),
    ],
)
def test_disagreement_is_off(wrong: Check) -> None:
    assert statuses(*GOOD[1:], wrong)[wrong.name] == "off"


def test_a_key_array_that_is_not_compared_is_missing() -> None:
    assert statuses(GOOD[0])["b/logits"] == "missing"
    assert statuses(*GOOD, keys=("*/logits", "*/hidden"))["*/hidden"] == "missing"


def test_so_many_pixels_may_flip_for_each_mask() -> None:
    def unpack(bits: np.ndarray) -> np.ndarray:
        return np.unpackbits(bits, axis=1)[:, :4].astype(bool)

    masks = np.eye(4, dtype=bool)
    masks[0, 0] = False
    assert statuses(Check("a/mask", masks, flips=[1, 0, 0, 0], unpack=unpack))["a/mask"] == "ok"
    assert statuses(Check("a/mask", masks, flips=[0, 1, 1, 1], unpack=unpack))["a/mask"] == "off"


def failing_case() -> Iterator[Check]:
    yield GOOD[0]
    raise IndexError("no such\nstate")


def test_one_failing_case_does_not_hide_the_next() -> None:
    verdicts = {verdict.name: verdict for verdict in compare(GoldenSet(two_cases(), ()), EXPECTED)}
    assert verdicts["a"].status == "off"
    assert verdicts["a"].note == "IndexError: no such state"
    assert verdicts["a/logits"].status == verdicts["b/logits"].status == "ok"


def two_cases() -> Iterator[Check]:
    yield from attempt("a", failing_case())
    yield from attempt("b", GOOD[1:])


def test_a_failure_outside_of_any_case_is_off() -> None:
    assert "off" in {verdict.status for verdict in compare(GoldenSet(failing_case(), ()), EXPECTED)}


def offer(prepare: Callable[[Path], GoldenSet], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(goldens.SYSTEMS, "toy_model", f"{__name__}:prepared")
    monkeypatch.setattr(sys.modules[__name__], "prepared", prepare, raising=False)


@pytest.mark.parametrize(("checks", "status"), [(GOOD, 0), (GOOD[:1], 1), ((), 1)])
def test_exit_status(checks: tuple[Check, ...], status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "outputs.npz", **EXPECTED)
    offer(lambda folder: GoldenSet(checks, ("*/logits",)), monkeypatch)
    result = CliRunner().invoke(goldens.main, ["toy_model", str(tmp_path)])
    assert result.exit_code == status, result.output


def test_names_are_alike(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "outputs.npz", **EXPECTED)
    offer(lambda folder: GoldenSet(GOOD, ()), monkeypatch)
    for name in ("toy_model", "toy-model", "Toy-Model", "pixcore-toy-model"):
        assert CliRunner().invoke(goldens.main, [name, str(tmp_path)]).exit_code == 0
    result = CliRunner().invoke(goldens.main, ["toy-modle", str(tmp_path)])
    assert result.exit_code == 2
    assert "did you mean 'toy-model'?" in result.output


def refuse(folder: Path) -> GoldenSet:
    raise ModelError("1 tensors unknown to the key map")


def read_something_else(folder: Path) -> GoldenSet:
    raise KeyError("tiny")


@pytest.mark.parametrize(
    ("prepare", "status", "said"),
    [
        (refuse, 1, "1 tensors unknown"),
        (read_something_else, 2, "not a golden set"),
        (lambda folder: GoldenSet(GOOD, ()), 2, "can't read"),
    ],
)
def test_bad_sets_end_with_a_line(
    prepare: Callable[[Path], GoldenSet], status: int, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offer(prepare, monkeypatch)
    (tmp_path / "outputs.npz").write_bytes(b"PK\x03\x04 cut short")
    result = CliRunner().invoke(goldens.main, ["toy-model", str(tmp_path)])
    assert result.exit_code == status
    assert isinstance(result.exception, SystemExit)
    assert said in result.output.splitlines()[0]
    assert len(result.output.splitlines()) == (1 if status == 2 else 2)


@pytest.mark.parametrize("name", ["empty", "nowhere"])
def test_a_missing_or_empty_folder(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    offer(lambda folder: GoldenSet(GOOD, ()), monkeypatch)
    result = CliRunner().invoke(goldens.main, ["toy-model", str(tmp_path / name)])
    assert result.exit_code == 2
    assert result.output.splitlines() == [
        f"error: {tmp_path / name} is missing or empty (name the folder of one golden set)"
    ]
