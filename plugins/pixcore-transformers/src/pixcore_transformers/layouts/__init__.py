"""The architectures whose visual tokens have a known place, by the `model_type` of a checkpoint's config."""

from __future__ import annotations

from importlib import import_module

from pixcore.errors import ModelError
from pixcore_transformers.families import VisualFamily

FAMILIES: dict[str, str] = {
    "llava": "pixcore_transformers.layouts.llava:Llava",
}
"""`model_type` to "module:Class", imported when first needed."""

REFUSED: dict[str, str] = {}
"""`model_type`s that can't be served, each with the reason and what would be needed."""


def family_for(model_type: str) -> VisualFamily:
    """The family of a checkpoint.

    Raises:
        ModelError: The architecture is not known, or refused on purpose; pixcore does not guess where tokens lie.
    """
    if model_type in REFUSED:
        raise ModelError(f"models of type {model_type!r} are not supported", hint=REFUSED[model_type])
    if model_type not in FAMILIES:
        raise ModelError(
            f"where the visual tokens of a {model_type!r} model lie is not known",
            hint="implement pixcore_transformers.families.VisualFamily (layout, and visual if the placeholder is not "
            f"config.image_token_id) and name it in an adapter of your own; known: {', '.join(sorted(FAMILIES))}",
        )
    module, _, name = FAMILIES[model_type].partition(":")
    family: VisualFamily = getattr(import_module(module), name)()
    return family
