"""Options of mini-world: how much of it, and which side."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pixcore.components import Config


class MiniWorldConfig(Config):
    """The benchmark's options.

    Attributes:
        pairs: How many pairs; every pair is two samples.
        seed: Another seed is another set of pictures on the same side.
        split: The side; `train` is what the `mini` model was trained on.
        image_size: The pictures' side in pixels.
    """

    pairs: int = Field(150, ge=1)
    seed: int = Field(0, ge=0)
    split: Literal["train", "validation", "test"] = "test"
    image_size: int = Field(112, ge=32, le=2048)
