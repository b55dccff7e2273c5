"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pixcore_testing import BenchmarkContract, PluginContract

from pixcore.plugins import Guest


def write(root: Path, paint: Any) -> Mapping[str, Any]:
    paint("images/a.png", colour=(90, 120, 150))
    paint("masks/a.png", (255, 5, 4, 15, 12))
    (root / "samples.csv").write_text("image,expression\na,the left box\na,a box\n")
    return {"root": str(root)}


class TestPlugin(PluginContract):
    name = "folder"
    elsewhere = ("hf-dataset",)

    @pytest.fixture
    def options(self, offer: Guest, tmp_path: Path, paint: Any) -> Mapping[str, Any]:
        """A folder with one picture and two rows."""
        return write(tmp_path / "d", paint)


class TestHfDataset(BenchmarkContract):
    name = "hf-dataset"

    @pytest.fixture
    def options(self, tmp_path: Path, paint: Any, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Any]:
        """A saved dataset of two rows."""
        datasets = pytest.importorskip("datasets")
        write(tmp_path / "d", paint)
        pictures = {name: [str(tmp_path / f"d/{name}s/a.png")] * 2 for name in ("image", "mask")}
        features = datasets.Features(image=datasets.Image(), mask=datasets.Image(), text=datasets.Value("string"))
        made = datasets.Dataset.from_dict({**pictures, "text": ["the left box", "a box"]}, features=features)
        made.save_to_disk(str(tmp_path / "saved"))
        return {"dataset": str(tmp_path / "saved")}
