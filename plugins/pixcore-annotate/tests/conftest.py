"""A folder of annotation work with drawn images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_annotate.project import Instance, Item, write_tasks

from pixcore.masks import encode

SIZE = (200, 120)


def box(x0: int, y0: int, x1: int, y1: int) -> np.ndarray:
    mask = np.zeros((SIZE[1], SIZE[0]), bool)
    mask[y0:y1, x0:x1] = True
    return mask


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "work"
    items = []
    for number in range(3):
        pixels = np.full((SIZE[1], SIZE[0], 3), 230, np.uint8)
        big, small = box(20, 20, 120, 100), box(50, 40, 80, 70)
        pixels[big], pixels[small] = (90, 140, 90), (200, 90, 60)
        root.mkdir(exist_ok=True)
        PILImage.fromarray(pixels).save(root / f"{number}.png")
        items.append(
            Item(
                id=f"item-{number}",
                image=f"{number}.png",
                size=SIZE,
                expression=f"the door of house {number}",
                question=f"How many doors are in picture {number}? <b>bold</b>",
                instances=(Instance("17", "house", encode(big)), Instance("23", "door", encode(small))),
            )
        )
    write_tasks(root, items)
    return root
