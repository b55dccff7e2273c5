"""The adapter keeps the contract that `pixcore check` holds every plugin to."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pixcore_testing.adapters import check_model_adapter
from pixcore_testing.conformance import check_registration

from pixcore.components import Context
from pixcore.plugins import Kind, registry
from pixcore.records import Fidelity


@pytest.mark.parametrize("fidelity", Fidelity)
@pytest.mark.parametrize("family", ["llava_next", "qwen3_vl", "gemma3"])
def test_the_adapter_keeps_the_contract(family: str, fidelity: Fidelity, checkpoint: Callable[..., Path]) -> None:
    found = registry().get(Kind.MODEL, "transformers")
    config = found.config_class.model_validate({"checkpoint": str(checkpoint(family)), "max_new_tokens": 5})
    # the geometry of every family has tests of its own
    assert check_model_adapter(found.create(config, Context(fidelity=fidelity)), geometry=False) == []


def test_what_is_registered_keeps_the_contract(checkpoint: Callable[..., Path]) -> None:
    found = registry().get(Kind.MODEL, "transformers")
    config = found.config_class.model_validate({"checkpoint": str(checkpoint("mistral3")), "max_new_tokens": 3})
    assert check_registration(found, config) == []
