"""Everything that this plugin offers keeps the contract."""

from __future__ import annotations

from pixcore_testing import PluginContract


class TestPlugin(PluginContract):
    name = "mini-sam"
