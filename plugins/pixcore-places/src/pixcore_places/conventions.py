"""How families of models write places, and what they are asked for them.

A text does not say what its numbers mean: `[100, 200]` is a pixel of the resized image to Qwen2.5-VL, thousandths to
Qwen3-VL, and row before column to Gemini. So nothing is guessed from numbers; a model's family says it, or the config.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from pixcore.errors import ConfigError, nearest

Unit = Literal["resized", "thousandths", "percent", "1023rds", "fraction", "padded", "pixels"]
"""What 1 is: a pixel of the resized image; a thousandth, a hundredth, a 1023rd or the whole of its width or height; the
whole of the square that it was padded to; or one of its pixels."""


@dataclass(frozen=True)
class Convention:
    """How a family writes places, and how it is asked for them.

    Attributes:
        name: What a config calls it.
        families: Which names of models it is for, as a regular expression.
        unit: Of numbers whose own form does not say (JSON, tags that families share, numbers in brackets).
        tag_unit: Of those in a tag such as `<point x="1" y="2">`; None: likewise.
        rows_first: Whether of each pair the row comes first.
        point: How it is asked to point at {expression}; None: it writes boxes alone.
        box: How it is asked for its box; None: it writes points alone.
    """

    name: str
    families: str
    unit: Unit
    rows_first: bool = False
    tag_unit: Unit | None = None
    point: str | None = None
    box: str | None = None


_JSON_POINT = "Point to {expression}, output its coordinates in point-format as JSON."
_JSON_BOX = "Locate {expression} and output its bbox coordinates in JSON format. If it is not in the image, output []."

CONVENTIONS = {
    one.name: one
    for one in (
        Convention("qwen2.5-vl", r"qwen-?2[._]5-?_?(vl|omni)", "resized", point=_JSON_POINT, box=_JSON_BOX),
        Convention("qwen3-vl", r"qwen-?3|glm-?4?(\.?\d+)?v", "thousandths", point=_JSON_POINT, box=_JSON_BOX),
        Convention("kimi-vl", r"kimi", "fraction", point=_JSON_POINT, box=_JSON_BOX),
        Convention(
            "qwen2-vl",
            r"qwen-?2?-?_?vl",
            "thousandths",
            box="Find the bounding box of <|object_ref_start|>{expression}<|object_ref_end|>.",
        ),
        Convention("molmo2", r"molmo-?_?2", "thousandths", tag_unit="percent", point="Point to {expression}."),
        Convention("molmo", r"molmo", "percent", point="Point to {expression}."),
        Convention("paligemma", r"paligemma", "1023rds", rows_first=True, box="detect {expression}\n"),
        Convention(
            "gemma",
            r"gemma|gemini",
            "thousandths",
            rows_first=True,
            point=(
                "Point to {expression}. Answer as JSON: "
                '[{{"point": [y, x], "label": "{expression}"}}], in thousandths; [] if it is not there.'
            ),
            box=(
                "Detect {expression}. Answer as JSON: "
                '[{{"box_2d": [y0, x0, y1, x1], "label": "{expression}"}}], in thousandths; [] if it is not there.'
            ),
        ),
        Convention(
            "internvl",
            r"internvl",
            "thousandths",
            box="Please provide the bounding box coordinate of the region this sentence describes: "
            "<ref>{expression}</ref>",
        ),
        Convention("llava-1.5", r"llava", "padded", box="Output the bounding box for {expression}."),
        Convention("cambrian", r"cambrian", "fraction", box="Output the bounding box for {expression}."),
        Convention("kosmos-2", r"kosmos", "fraction", box="<grounding><phrase>{expression}</phrase>"),
        Convention("florence-2", r"florence", "thousandths", box="<CAPTION_TO_PHRASE_GROUNDING>{expression}"),
        Convention("thousandths", r"(?!)", "thousandths", point=_JSON_POINT, box=_JSON_BOX),
        Convention("pixels", r"(?!)", "pixels", point=_JSON_POINT, box=_JSON_BOX),
    )
}
"""By name; of those that a model's name fits the first."""


def convention_of(family: str) -> Convention | None:
    """Find the convention of a model, by its `model_type` or its name.

    >>> convention_of("qwen2_5_vl").name, convention_of("Qwen/Qwen3-VL-8B-Instruct").name, convention_of("opt")
    ('qwen2.5-vl', 'qwen3-vl', None)
    """
    name = family.lower()
    return next((one for one in CONVENTIONS.values() if re.search(one.families, name)), None)


def chosen(name: str, family: str) -> Convention:
    """Give the convention that a config names, or that of its model.

    Args:
        name: A convention's; "auto": the model's.
        family: The model's `model_type` or name.

    Raises:
        ConfigError: The name is unknown, or the model's is.
    """
    if name != "auto":
        if name not in CONVENTIONS:
            raise ConfigError(f"no convention is called {name!r}", hint=nearest(name, CONVENTIONS))
        return CONVENTIONS[name]
    found = convention_of(family)
    if found is None:
        who = f"a model of the family {family!r}" if family else "this model"
        raise ConfigError(
            f"nobody knows how {who} writes places", hint=f"grouper: convention: {', '.join(CONVENTIONS)}"
        )
    return found
