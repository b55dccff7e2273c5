"""A tiny Cambrian in the published layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pixcore_cambrian.testing import write_cambrian


@pytest.fixture(scope="session")
def cambrian_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Config of an adapter on the tiny checkpoint."""
    return write_cambrian(tmp_path_factory.mktemp("cambrian") / "tiny")


@pytest.fixture
def options_of_a_rest(tmp_path: Path) -> dict[str, Any]:
    """Config of an adapter whose SigLIP never reads the last 6 of its 90 pixels, 0.4 of a cell; the others read all.

    It is wider than the other tiny one, each of whose heads has one channel and may happen to look at one tower alone.
    """
    return write_cambrian(tmp_path / "tiny", sides=(90, 84, 84, 128), width=128)
