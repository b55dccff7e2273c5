"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from click.testing import CliRunner
from pixcore_testing import PluginContract
from pixcore_testing.check import check

from pixcore.plugins import Guest


def answered(asked: Any) -> str:
    """What a server says that reads: the same to the same question."""
    return json.dumps({"answer": ("yes", "no")[int(asked.digest, 16) % 2] if asked.images else "no", "number": 1})


class TestPlugin(PluginContract):
    """Held by asking a real server, over TCP."""

    name = "openai"
    asks = True

    @pytest.fixture
    def options(self, offer: Guest, server: Any) -> Mapping[str, Any]:
        """The address of a server of the test's own."""
        server.script.answer = answered
        return {"base_url": server.url}


@pytest.mark.parametrize("name", ["openai", "automatic"])
def test_the_command_asks_when_it_is_told_to(name: str, server: Any) -> None:
    server.script.answer = answered
    kind = {"openai": "judge", "automatic": "selections"}[name]
    command = [name, "--kind", kind, "--set", f"base_url={server.url}"]
    silent = CliRunner().invoke(check, command, standalone_mode=False)
    assert "was not tried (--ask tries it)" in silent.output
    assert not server.calls
    asking = CliRunner().invoke(check, [*command, "--ask"], standalone_mode=False)
    assert asking.return_value == 0, asking.output
    assert "not tried" not in asking.output
    assert server.calls
