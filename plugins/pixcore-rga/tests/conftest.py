"""A tiny RGA in the published layout."""

from __future__ import annotations

import pytest
from pixcore_rga.testing import write_tiny


@pytest.fixture(scope="session")
def rga_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Config of an adapter on the tiny checkpoint."""
    return write_tiny(tmp_path_factory.mktemp("rga") / "tiny")
