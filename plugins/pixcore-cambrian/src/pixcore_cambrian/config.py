"""Cambrian's options. Light: it imports neither torch nor transformers."""

from __future__ import annotations

from pathlib import Path

from pixcore_transformers.config import CHECKPOINT, TransformersConfig, place
from pydantic import Field


class CambrianConfig(TransformersConfig):
    """Options of `cambrian`: what to load and how to generate.

    Attributes:
        checkpoint: A folder in the published layout, or a name on the hub.
        towers: Where the vision towers are, in the order of the checkpoint's mm_vision_tower_aux_list: folders, or
            names on the hub. Left out, those that the list means.
        cache: A folder for a converted copy of the weights, which loads faster; without the towers', which are read
            from their own checkpoints.
    """

    without_effect = frozenset({"image_options", "lora_adapter", "trust_remote_code"})

    checkpoint: str = Field(default="nyu-visionx/cambrian-8b", validation_alias=CHECKPOINT)
    towers: tuple[str, ...] | None = None
    cache: Path | None = None

    def fingerprint(self) -> str:
        """Hash the checkpoint, and the towers where they are named."""
        towers = [place(name).fingerprint() for name in self.towers or ()]
        return " ".join([super().fingerprint(), *towers])
