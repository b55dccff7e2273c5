"""A tiny LISA in the published layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from pixcore_lisa.testing import write_tiny


@pytest.fixture(scope="session")
def lisa_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Config of an adapter on the tiny checkpoint."""
    return write_tiny(tmp_path_factory.mktemp("lisa") / "tiny")


@pytest.fixture
def options_of_a_rest(tmp_path: Path) -> dict[str, object]:
    """Config of an adapter whose tower never reads the last 13 of its pixels."""
    return write_tiny(tmp_path / "tiny", 69)
