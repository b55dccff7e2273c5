"""The runner that holds native ports to published numbers: what it passes, and what it must not pass."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from pixcore.testing import goldens
from pixcore.testing.goldens import Check, GoldenSet, compare

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


def offer(golden: GoldenSet, monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("toy", "test_goldens_runner:unused", goldens.GROUP)
    monkeypatch.setattr(EntryPoint, "load", lambda self: lambda folder: golden)
    monkeypatch.setattr(goldens, "entry_points", lambda group: [entry])


@pytest.mark.parametrize(("checks", "status"), [(GOOD, 0), (GOOD[:1], 1), ((), 1)])
def test_exit_status(checks: tuple[Check, ...], status: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    np.savez(tmp_path / "outputs.npz", **EXPECTED)
    offer(GoldenSet(checks, ("*/logits",)), monkeypatch)
    result = CliRunner().invoke(goldens.main, ["toy", str(tmp_path)])
    assert result.exit_code == status, result.output


def test_an_unknown_system_and_an_empty_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    offer(GoldenSet(GOOD, ()), monkeypatch)
    result = CliRunner().invoke(goldens.main, ["tpy", str(tmp_path)])
    assert result.exit_code == 2
    assert "did you mean 'toy'?" in result.output
    result = CliRunner().invoke(goldens.main, ["toy", str(tmp_path)])
    assert result.exit_code == 2
    assert "can't read" in result.output
