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
    name = "coco-referring"

    @pytest.fixture
    def options(self, offer: Guest, tmp_path: Path) -> Mapping[str, Any]:
        """A folder with one picture and two expressions."""
        PILImage.new("RGB", (40, 30), (90, 120, 150)).save(tmp_path / "a.png")
        square = [[5, 5, 15, 5, 15, 15, 5, 15]]
        document = {
            "images": [{"id": 1, "file_name": "a.png", "width": 40, "height": 30}],
            "annotations": [
                {"id": 7, "image_id": 1, "segmentation": square, "expressions": ["the left square", "a square"]}
            ],
            "categories": [],
        }
        (tmp_path / "annotations.json").write_text(json.dumps(document))
        return {"root": str(tmp_path)}
