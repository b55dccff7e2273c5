"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from pixcore_testing import PluginContract

from pixcore.plugins import Guest


class TestPlugin(PluginContract):
    name = "places"

    @pytest.fixture
    def options(self, offer: Guest) -> Mapping[str, Any]:
        return {
            "united": {"of": "regions"},
            "mask-codes": {"of": "regions"},
            "enlarged": {"of": "silent"},
            "by-probing": {"of": {"segment": "words"}},
            "by-prompt": {"places": {"name": "mask-codes", "of": "regions"}, "texts": "regions"},
        }.get(offer.name, {})
