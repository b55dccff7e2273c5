"""The options of the generator."""

from __future__ import annotations

from pydantic import Field

from pixcore.components import Config


class RegionsConfig(Config):
    """Options of `regions`.

    Attributes:
        working_side: An image whose longer side exceeds this many pixels is segmented at this size; its masks are
            as large as the image all the same.
        fineness: Colour differences below this many times the image's own noise are no boundary. Less keeps more and
            smaller regions.
    """

    working_side: int = Field(default=384, ge=16)
    fineness: float = Field(default=1.5, gt=0)
