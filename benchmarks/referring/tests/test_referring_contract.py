"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PILImage
from pixcore_testing import PluginContract

from pixcore.plugins import Guest


class TestPlugin(PluginContract):
    name = "referring"

    @pytest.fixture
    def options(self, offer: Guest, tmp_path: Path) -> Mapping[str, Any]:
        """A split with one picture, one outline and one text."""
        (tmp_path / "val").mkdir()
        PILImage.new("RGB", (40, 30), (90, 120, 150)).save(tmp_path / "val/a.jpg")
        shapes = [{"label": "target", "points": [[5, 5], [15, 5], [15, 15]]}]
        annotation = {"text": ["the corner"], "is_sentence": False, "shapes": shapes}
        (tmp_path / "val/a.json").write_text(json.dumps(annotation))
        return {"root": str(tmp_path)}
