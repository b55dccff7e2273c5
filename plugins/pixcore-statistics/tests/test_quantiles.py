"""Quantiles are SciPy's to the bit, whether they were kept or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from scipy import stats

CODE = """
import sys
from pixcore_statistics.quantiles import normal, student
print(normal(0.975).hex(), student(39, 0.975).hex(), student(4, 0.9).hex(), "scipy" in sys.modules)
"""


def found(cache: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What a process of its own finds, and whether it imported SciPy."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    return subprocess.run([sys.executable, "-c", CODE], check=True, capture_output=True, text=True).stdout.split()


EXPECTED = stats.norm.ppf(0.975), stats.t.ppf(0.975, 39), stats.t.ppf(0.9, 4)


def test_what_was_found_once_is_kept(tmp_path, monkeypatch):
    first, again = found(tmp_path, monkeypatch), found(tmp_path, monkeypatch)
    assert first[3] == "True"
    assert again == [*first[:3], "False"]
    assert [float.fromhex(one) for one in again[:3]] == pytest.approx(EXPECTED, rel=1e-12)


@pytest.mark.parametrize("damage", ["", "[]", '{"1": 2', "null"])
def test_a_damaged_file_is_made_anew(tmp_path, monkeypatch, damage):
    first = found(tmp_path, monkeypatch)
    (kept,) = (tmp_path / "pixcore").iterdir()
    kept.write_text(damage)
    assert found(tmp_path, monkeypatch) == first
    assert found(tmp_path, monkeypatch)[3] == "False"


def test_another_release_asks_its_own(tmp_path, monkeypatch):
    found(tmp_path, monkeypatch)
    (kept,) = (tmp_path / "pixcore").iterdir()
    kept.write_text(kept.read_text().replace('"1.', '"0.'))
    assert found(tmp_path, monkeypatch)[3] == "True"


def test_without_a_folder_for_caches_it_is_the_same(tmp_path, monkeypatch):
    first = found(tmp_path / "one", monkeypatch)
    (tmp_path / "two").write_text("a file in its place")
    assert found(tmp_path / "two", monkeypatch) == first
