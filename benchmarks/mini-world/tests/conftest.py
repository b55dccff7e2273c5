from __future__ import annotations

import pytest
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig
from pixcore_mini_world.pairs import Pair, make_pair


@pytest.fixture(scope="session")
def pairs() -> list[Pair]:
    """Ten pairs of every category on the test side."""
    return [make_pair("test", 0, index) for index in range(60)]


@pytest.fixture
def world() -> MiniWorld:
    return MiniWorld(MiniWorldConfig(pairs=12))
