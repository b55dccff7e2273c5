"""Registers the generators."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_mask_generators(register: Register) -> None:
    """Offer the generators."""
    register(
        "sam",
        "pixcore_sam.official:Sam",
        config="pixcore_sam.config:SamConfig",
        summary="Segment Anything: the segment-anything package and its checkpoints",
        extra="official",
    )
    register(
        "sam-transformers",
        "pixcore_sam.hub:SamTransformers",
        config="pixcore_sam.config:SamTransformersConfig",
        summary="SAM, SAM-HQ, SAM 2, EdgeTAM and SAM 3's tracker from transformers",
        extra="edgetam",
    )
    register(
        "sam3-concept",
        "pixcore_sam.concept:SamConcept",
        config="pixcore_sam.config:SamConceptConfig",
        summary="SAM 3 told in words what to find: needs no point",
        extra="transformers",
    )
