"""LISA's options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from pixcore_segtoken.config import GroundedConfig
from pixcore_transformers.config import CHECKPOINT
from pydantic import Field

from pixcore.records import Protocol


class LisaConfig(GroundedConfig):
    """Options of `lisa`.

    Attributes:
        checkpoint: A folder in the published layout, or a name on the hub.
    """

    prompts: ClassVar[Mapping[Protocol, str]] = {Protocol.SEGMENT: "Can you segment {expression} in this image?"}

    checkpoint: str = Field(default="xinlai/LISA-7B-v1-explanatory", validation_alias=CHECKPOINT)
