"""A tiny GLaMM in the published layout."""

from __future__ import annotations

import pytest
from pixcore_segtoken.testing import TINY_SAM, write_grounded

ADDED = ("<im_start>", "<im_end>", "<bbox>", "<point>", "[SEG]", "<p>", "</p>")


@pytest.fixture(scope="session")
def glamm_options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Config of an adapter on the tiny checkpoint."""
    folder = write_grounded(
        tmp_path_factory.mktemp("glamm") / "tiny",
        sam_prefix="model.grounding_encoder.",
        projector={"model.mm_projector.0": ("clip", "language"), "model.mm_projector.2": ("language", "language")},
        added=ADDED,
        image_size=84,
        extra={"model.region_encoder.mlvl_fuse.fuse_convs.0.conv.weight": (4, 4, 3, 3)},
        seed=3,
    )
    return {"checkpoint": str(folder), "max_new_tokens": 12, "sam": TINY_SAM.model_dump()}
