"""List what there is in mini-world: eight kinds of composite things, their parts, colours and states."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Category = Literal["state", "colour", "part", "position", "orientation", "presence"]
Colour = tuple[int, int, int]

CATEGORIES: tuple[Category, ...] = ("state", "colour", "part", "position", "orientation", "presence")

#: The ten colours that text can name, as RGB. A thing is drawn in a slight tint of them.
COLOURS: dict[str, Colour] = {
    "red": (208, 44, 44),
    "orange": (240, 134, 36),
    "yellow": (244, 212, 58),
    "green": (58, 156, 74),
    "blue": (48, 94, 206),
    "purple": (128, 66, 172),
    "pink": (242, 144, 190),
    "brown": (124, 78, 42),
    "white": (244, 244, 242),
    "black": (42, 42, 46),
}


@dataclass(frozen=True)
class Attribute:
    """A two-valued property of a thing other than its colours.

    Attributes:
        part: the part that the property is about; None when it is the thing as a whole.
        values: the two values, in the words that text uses.
        category: the benchmark category of a question about it.
        question: the question's text with ``{ref}`` for the thing.
        sentence: an answer in a sentence, with ``{ref}`` and ``{value}``.
        clause: what a description of the thing says of it, with ``{value}``.
        part_clause: what a description of the part itself says, with ``{value}``.
    """

    part: str | None
    values: tuple[str, str]
    category: Category
    question: str
    sentence: str
    clause: str
    part_clause: str = ""

    def other(self, value: str) -> str:
        """Give the value that ``value`` is not."""
        first, second = self.values
        return second if value == first else first


@dataclass(frozen=True)
class Kind:
    """One kind of thing, such as a house.

    Attributes:
        name: the noun.
        parts: its parts with a colour of their own; the first one's colour is "the colour of the thing".
        attributes: its states and orientations.
        half_width: half the drawn width, in units of the thing's size, whatever its state.
        half_height: half the drawn height, likewise.
        uncoloured: parts that have a state and no colour of their own.
    """

    name: str
    parts: tuple[str, ...]
    attributes: tuple[Attribute, ...]
    half_width: float
    half_height: float
    uncoloured: tuple[str, ...] = ()

    @property
    def all_parts(self) -> tuple[str, ...]:
        """Every part that has a name and a mask."""
        return self.parts + self.uncoloured


def _of_part(part: str, values: tuple[str, str], verb: str = "is") -> Attribute:
    return Attribute(
        part,
        values,
        "state",
        f"{'Are' if verb == 'are' else 'Is'} the {part} of {{ref}} {values[0]} or {values[1]}?",
        f"The {part} of {{ref}} {verb} {{value}}.",
        f"its {part} {verb} {{value}}",
        f"and {'they are' if verb == 'are' else 'it is'} {{value}}",
    )


_FACING = Attribute(
    None,
    ("left", "right"),
    "orientation",
    "Is {ref} facing left or right?",
    "{Ref} is facing {value}.",
    "it is facing {value}",
)

_HANDLE = Attribute(
    "handle",
    ("left", "right"),
    "orientation",
    "Is the handle of {ref} on the left or on the right?",
    "The handle of {ref} is on the {value}.",
    "the handle is on the {value}",
    "and it is on the {value}",
)

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind(
            "house",
            ("wall", "roof", "door"),
            (_of_part("door", ("open", "closed")), _of_part("window", ("lit", "dark"))),
            0.52,
            0.54,
            uncoloured=("window",),
        ),
        Kind("car", ("body", "wheels", "cabin"), (_FACING,), 0.52, 0.36),
        Kind("fish", ("body", "tail", "fin"), (_FACING,), 0.52, 0.40),
        Kind("tree", ("crown", "trunk"), (_of_part("crown", ("round", "pointed")),), 0.38, 0.52),
        Kind("flower", ("petals", "stem"), (_of_part("petals", ("open", "closed"), "are"),), 0.33, 0.52),
        Kind("boat", ("hull", "sail"), (_of_part("sail", ("up", "down")),), 0.47, 0.52),
        Kind("cup", ("body", "handle"), (_HANDLE,), 0.46, 0.38),
        Kind(
            "lamp",
            ("shade", "stand"),
            (_of_part("bulb", ("on", "off")),),
            0.34,
            0.52,
            uncoloured=("bulb",),
        ),
    )
}

#: Parts whose noun is plural.
PLURAL_PARTS = frozenset({"wheels", "petals"})


def verb_of(part: str) -> str:
    """Give ``are`` for a plural part, else ``is``."""
    return "are" if part in PLURAL_PARTS else "is"
