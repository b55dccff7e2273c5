"""A tiny LISA in the published layout."""

from __future__ import annotations

from pathlib import Path

import pytest
from pixcore_segtoken.testing import TINY_SAM, write_grounded

ADDED = ("[SEG]", "<im_start>", "<im_end>")


@pytest.fixture(scope="session")
def lisa_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Config of an adapter on the tiny checkpoint."""
    return written(tmp_path_factory.mktemp("lisa") / "tiny", 56)


@pytest.fixture
def options_of_a_rest(tmp_path: Path) -> dict[str, object]:
    """Config of an adapter whose tower never reads the last 13 of its pixels."""
    return written(tmp_path / "tiny", 69)


def written(folder: Path, image_size: int) -> dict[str, object]:
    """Write the tiny checkpoint with a tower of that size, and give its config."""
    write_grounded(
        folder,
        sam_prefix="model.visual_model.",
        projector={"model.mm_projector": ("clip", "language")},
        added=ADDED,
        image_size=image_size,
        extra={"model.vision_tower.vision_tower.vision_model.embeddings.position_ids": (1, 17)},
    )
    return {"checkpoint": str(folder), "max_new_tokens": 12, "sam": TINY_SAM.model_dump()}
