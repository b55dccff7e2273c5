"""A tiny LISA in the published layout."""

from __future__ import annotations

import pytest
from pixcore_segtoken.testing import TINY_SAM, write_grounded

ADDED = ("[SEG]", "<im_start>", "<im_end>")


@pytest.fixture(scope="session")
def lisa_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Config of an adapter on the tiny checkpoint."""
    folder = write_grounded(
        tmp_path_factory.mktemp("lisa") / "tiny",
        sam_prefix="model.visual_model.",
        projector={"model.mm_projector": ("clip", "language")},
        added=ADDED,
        image_size=56,
        extra={"model.vision_tower.vision_tower.vision_model.embeddings.position_ids": (1, 17)},
    )
    return {"checkpoint": str(folder), "max_new_tokens": 12, "sam": TINY_SAM.model_dump()}
