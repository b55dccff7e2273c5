"""A tiny LISA in the published layout, with random weights."""

from __future__ import annotations

from pathlib import Path

from pixcore_segtoken.testing import TINY_SAM, write_grounded

ADDED = ("[SEG]", "<im_start>", "<im_end>")


def write_tiny(folder: Path, image_size: int = 56) -> dict[str, object]:
    """Write the checkpoint with a tower of that size, and give the options of an adapter on it."""
    write_grounded(
        folder,
        sam_prefix="model.visual_model.",
        projector={"model.mm_projector": ("clip", "language")},
        added=ADDED,
        image_size=image_size,
        extra={"model.vision_tower.vision_tower.vision_model.embeddings.position_ids": (1, 17)},
    )
    return {"checkpoint": str(folder), "max_new_tokens": 12, "sam": TINY_SAM.model_dump()}
