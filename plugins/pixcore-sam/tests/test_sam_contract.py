"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pixcore_testing import PluginContract

from pixcore.plugins import Guest


class TestPlugin(PluginContract):
    name = "sam"

    @pytest.fixture
    def options(self, offer: Guest, request: pytest.FixtureRequest) -> Mapping[str, Any]:
        """Small models with random weights."""
        name = {"sam": "checkpoint", "sam-transformers": "converted", "sam3-concept": "concept"}[offer.name]
        return {"checkpoint": str(request.getfixturevalue(name)), "device": "cpu"}
