"""A tiny Cambrian in the published layout."""

from __future__ import annotations

from typing import Any

import pytest
from pixcore_cambrian.testing import write_cambrian


@pytest.fixture(scope="session")
def cambrian_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Config of an adapter on the tiny checkpoint."""
    return write_cambrian(tmp_path_factory.mktemp("cambrian") / "tiny")
