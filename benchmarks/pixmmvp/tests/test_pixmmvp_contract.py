"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PILImage
from pixcore_testing import PluginContract


class TestPlugin(PluginContract):
    """The released annotations, with pictures in place of MMVP's."""

    name = "pixmmvp"

    @pytest.fixture
    def options(self, copied: Path) -> Mapping[str, Any]:
        (copied / "images").mkdir()
        for index in range(1, 301):
            PILImage.new("RGB", (224, 224), (90, 120, 150)).save(copied / "images" / f"{index}.jpg")
        return {"root": str(copied)}
