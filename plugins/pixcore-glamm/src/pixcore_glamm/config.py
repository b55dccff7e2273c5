"""GLaMM's options."""

from __future__ import annotations

from pixcore_segtoken.config import GroundedConfig
from pydantic import Field


class GlammConfig(GroundedConfig):
    """`glamm`."""

    checkpoint: str = Field(
        default="MBZUAI/GLaMM-FullScope", description="A folder in the published layout, or a name on the hub."
    )


class RegcapConfig(GroundedConfig):
    """`glamm-regcap`."""

    checkpoint: str = Field(
        default="MBZUAI/GLaMM-RegCap-RefCOCOg", description="A folder in the published layout, or a name on the hub."
    )
