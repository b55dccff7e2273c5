"""The probings `point` and `box`: how the model at hand is asked for a place."""

from __future__ import annotations

from pixcore.components import Config, ModelConfig
from pixcore.errors import ConfigError
from pixcore.records import Fidelity
from pixcore_places.conventions import CONVENTIONS, Convention, convention_of

_RELEASED = {
    "qwen2.5-vl": (
        "Point to the {expression}, output its coordinates in point-format as JSON",
        "Locate the {expression} and output all the coordinates in JSON format for a tight bounding box surrounding "
        "the object. If the object does not exist in the image dont generate any boxes.",
    ),
    "llava-1.5": (None, "Output bounding box for the {expression}."),
    "cambrian": (None, "Output bounding box for the {expression}."),
}
"""PixFoundation's own prompts for points and boxes, where it has them."""


def point(model: Config, fidelity: str) -> str:
    """Say how a model is asked to point at something.

    Raises:
        ConfigError: Its family writes boxes alone.
    """
    convention = _of(model)
    return _template(convention, convention.point, fidelity, 0, "points", "box")


def box(model: Config, fidelity: str) -> str:
    """Say how a model is asked for something's box.

    Raises:
        ConfigError: Its family writes points alone.
    """
    convention = _of(model)
    return _template(convention, convention.box, fidelity, 1, "boxes", "point")


def _of(model: Config) -> Convention:
    found = convention_of(model.family) if isinstance(model, ModelConfig) else None
    return found or CONVENTIONS["thousandths"]


def _template(convention: Convention, own: str | None, fidelity: str, place: int, what: str, other: str) -> str:
    """The released prompt where there is one and the fidelity asks for it, or else the family's own."""
    released = _RELEASED.get(convention.name, (None, None))[place] if Fidelity(fidelity).released else None
    if found := released or own:
        return found
    raise ConfigError(
        f"protocols: models of the family {convention.name} write no {what}",
        hint=f"ask for a {other}, or give a template of your own",
    )
