"""LISA's options."""

from __future__ import annotations

from pixcore_segtoken.config import GroundedConfig
from pydantic import Field


class LisaConfig(GroundedConfig):
    """`lisa`."""

    checkpoint: str = Field(
        default="xinlai/LISA-7B-v1-explanatory", description="A folder in the published layout, or a name on the hub."
    )
