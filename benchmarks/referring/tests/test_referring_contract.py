"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from pixcore_testing import PluginContract

from pixcore.plugins import Guest

from . import layouts


def reasonseg(root: Path) -> Path:
    """A split with one picture, one outline and one text."""
    (root / "val").mkdir()
    layouts.picture().save(root / "val/a.jpg")
    shapes = [{"label": "target", "points": [[5, 5], [15, 5], [15, 15]]}]
    annotation = {"text": ["the corner"], "is_sentence": False, "shapes": shapes}
    (root / "val/a.json").write_text(json.dumps(annotation))
    return root


WRITERS: Mapping[str, Callable[[Path], Path]] = {
    "reasonseg": reasonseg,
    "refcoco-m": layouts.refcoco_m,
    "panoptic-narratives": layouts.narratives,
    "grounded-conversations": layouts.conversations,
}


class TestPlugin(PluginContract):
    name = "referring"

    @pytest.fixture
    def options(self, offer: Guest, tmp_path: Path) -> Mapping[str, Any]:
        """A small data set in the benchmark's layout."""
        return {"root": str(WRITERS[offer.name](tmp_path))}
