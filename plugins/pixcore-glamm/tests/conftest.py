"""A tiny GLaMM in the published layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from pixcore_segtoken.testing import TINY_SAM, write_grounded

ADDED = ("<im_start>", "<im_end>", "<bbox>", "<point>", "[SEG]", "<p>", "</p>")


@pytest.fixture(scope="session")
def glamm_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Config of an adapter on the tiny checkpoint."""
    return written(tmp_path_factory.mktemp("glamm") / "tiny", 84)


@pytest.fixture
def options_of_a_rest(tmp_path: Path) -> dict[str, object]:
    """Config of an adapter whose tower never reads the last 13 of its pixels."""
    return written(tmp_path / "tiny", 97)


def written(folder: Path, image_size: int) -> dict[str, object]:
    """Write the tiny checkpoint with a tower of that size, and give its config."""
    write_grounded(
        folder,
        sam_prefix="model.grounding_encoder.",
        projector={"model.mm_projector.0": ("clip", "language"), "model.mm_projector.2": ("language", "language")},
        added=ADDED,
        image_size=image_size,
        extra={"model.region_encoder.mlvl_fuse.fuse_convs.0.conv.weight": (4, 4, 3, 3)},
        seed=3,
    )
    return {"checkpoint": str(folder), "max_new_tokens": 12, "sam": TINY_SAM.model_dump()}
