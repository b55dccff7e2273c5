"""A folder of pictures, as a person would have it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PILImage

Painted = Callable[..., Path]


@pytest.fixture
def paint(tmp_path: Path) -> Painted:
    """Give what saves an 8 bit picture of one value, with boxes of others, below a folder."""

    def painted(
        name: str,
        *boxes: tuple[int, int, int, int, int],
        size: tuple[int, int] = (40, 30),
        colour: int | tuple[int, int, int] = 0,
    ) -> Path:
        path = tmp_path / "d" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(colour, tuple):
            PILImage.new("RGB", size, colour).save(path)
        else:
            values = np.full(size[::-1], colour, np.uint8)
            for value, left, top, right, bottom in boxes:
                values[top:bottom, left:right] = value
            PILImage.fromarray(values).save(path)
        return path

    return painted
