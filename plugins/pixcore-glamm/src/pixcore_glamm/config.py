"""GLaMM's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pixcore_segtoken.config import GroundedConfig
from pixcore_transformers.config import CHECKPOINT
from pydantic import Field

from pixcore.records import Protocol

_PROMPTS: Mapping[Protocol, str] = {Protocol.SEGMENT: "Can you please segment {expression} in the given image"}


class GlammConfig(GroundedConfig):
    """Options of `glamm`.

    Attributes:
        checkpoint: A folder in the published layout, or a name on the hub.
    """

    prompts: ClassVar[Mapping[Protocol, str]] = _PROMPTS

    checkpoint: str = Field(default="MBZUAI/GLaMM-FullScope", validation_alias=CHECKPOINT)


class RegcapConfig(GroundedConfig):
    """Options of `glamm-regcap`.

    Attributes:
        checkpoint: A folder in the published layout, or a name on the hub.
    """

    prompts: ClassVar[Mapping[Protocol, str]] = _PROMPTS

    checkpoint: str = Field(default="MBZUAI/GLaMM-RegCap-RefCOCOg", validation_alias=CHECKPOINT)
