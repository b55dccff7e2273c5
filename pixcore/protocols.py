"""The probings: what each asks about a sample, what is looked at, who grades, and which figures it feeds.

The paper has three (section 3.1); the released code numbers them 1 (`question`), 3 (`segment`) and 2 (`letter`). Under
the `published` fidelity their prompts are those of its scripts, character by character: the referring expression keeps
the space that its column starts with, so that `segment` prompts hold a double space, and options are cut in two at
"(b)". Under `corrected` they say the same in clean form, for any number of options. A config can add its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from string import Formatter, ascii_lowercase
from typing import Literal

from pixcore.errors import ConfigError
from pixcore.records import Fidelity, Protocol, Sample

LETTER_INSTRUCTION = "Answer with the option's letter from the given choices directly."

FIELDS = ("question", "options", "expression")
"""What the template of a prompt may hold; a sample has each or not."""

_FIELDS = "fields: {question}, {options} and {expression}"

Judged = Literal["judge", "letter_judge"]


@dataclass(frozen=True)
class Probing:
    """One way to ask a model about a sample.

    Attributes:
        name: What configs, records and files call it.
        template: The prompt, with the fields {question}, {options} ("(a) X (b) Y") and {expression}; the paper's may
            hold {listing} too, the options below one another.
        asks: What a sample must have to be asked.
        shows_options: Whether {options} are shown; they are left empty otherwise.
        masks: Whether its answer is looked at for masks.
        judge: The config's section that grades its answer; None: nobody does.
        accuracy: The accuracy that it feeds.
        mean_iou: The mean IoU that it feeds.
    """

    name: str
    template: str
    asks: tuple[str, ...]
    shows_options: bool
    masks: bool
    judge: Judged | None = None
    accuracy: str | None = None
    mean_iou: str | None = None

    @classmethod
    def own(cls, name: str, template: str, *, masks: bool = True, judge: Judged | None = None) -> Probing:
        """Make a config's own: it asks for what its template holds, and feeds figures of its own."""
        held = {re.split(r"[.\[]", field)[0] for _, field, _, _ in Formatter().parse(template) if field}
        asks = tuple(field for field in FIELDS if field in held)
        fed = own_accuracy(name) if judge else None, own_mean_iou(name) if masks else None
        return cls(name, template, asks, "options" in held, masks, judge, *fed)


_TABLE = (
    Probing(
        Protocol.QUESTION.value,
        template="{question} {options}",
        asks=("question",),
        shows_options=True,
        masks=True,
        judge="judge",
        accuracy="A†",
        mean_iou="M†",
    ),
    Probing(
        Protocol.SEGMENT.value,
        template="Identify {expression} in the scene.",
        asks=("expression",),
        shows_options=False,
        masks=True,
        mean_iou="M",
    ),
    Probing(
        Protocol.LETTER.value,
        template=f"{{question}} Options:\n{{listing}}\n{LETTER_INSTRUCTION}",
        asks=("question", "options"),
        shows_options=True,
        masks=False,
        judge="letter_judge",
        accuracy="A",
    ),
)

PROBINGS: Mapping[str, Probing] = {probing.name: probing for probing in _TABLE}
"""The paper's three, in its order."""

LOOKED_AT = tuple(one.name for one in sorted(_TABLE, key=lambda one: "expression" not in one.asks) if one.masks)
"""Those whose answers are looked at for masks, the one that asks for the object first."""


def own_mean_iou(name: str) -> str:
    """Name the mean IoU of a config's own probing."""
    return f"M {name}"


def own_accuracy(name: str) -> str:
    """Name the accuracy of a config's own probing."""
    return f"A {name}"


def in_order(names: Iterable[str]) -> list[str]:
    """Put names of probings in order, each once: the paper's in its order, then a config's own as they come."""
    given = dict.fromkeys(names)
    return [*(name for name in PROBINGS if name in given), *(name for name in given if name not in PROBINGS)]


def build_prompt(
    sample: Sample, probing: Probing | str, fidelity: Fidelity, templates: Mapping[Protocol, str] | None = None
) -> str | None:
    """Say what a model is asked about a sample.

    Args:
        sample: The sample.
        probing: The probing, or the name of one of the paper's.
        fidelity: `published` asks with the released files' own strings, `corrected` with the clean ones.
        templates: How a model is asked where that differs from the paper (`ModelAdapter.prompts`). Fields:
            {question}, {options} ("(a) X (b) Y"), {expression}.

    Returns:
        The user's text without any chat template, or None where the sample lacks what the probing asks of it.

    Raises:
        ConfigError: A template has a field that does not exist.
    """
    probing = PROBINGS[probing] if isinstance(probing, str) else probing
    said, listed = (sample.released_expression, sample.released_options) if fidelity.released else (None, None)
    expression = sample.expression if said is None else said
    options = inline_options(sample.options) if listed is None else listed
    held = {"question": sample.question, "options": options or None, "expression": expression}
    if any(held[field] is None for field in probing.asks):
        return None
    fields = {name: text or "" for name, text in held.items()}
    if not probing.shows_options:
        fields["options"] = ""
    given = {str(name): template for name, template in (templates or {}).items()}.get(probing.name, "")
    if given:
        return _fill(given, **fields)
    if "{listing}" in probing.template:
        lines = (f"{letter(index).upper()}. {text}" for index, text in enumerate(sample.options))
        fields["listing"] = "\n".join(lines) if listed is None else _published_listing(options)
    return _fill(probing.template if fields["options"] else probing.template.replace(" {options}", ""), **fields)


def inline_options(options: Sequence[str]) -> str:
    """Write options in one line: "(a) X (b) Y"."""
    return " ".join(f"({letter(index)}) {text}" for index, text in enumerate(options))


def letter(index: int) -> str:
    """Name an option by its place: 0 is "a".

    Raises:
        ConfigError: There are more options than letters.
    """
    if not 0 <= index < len(ascii_lowercase):
        raise ConfigError(f"option {index + 1} has no letter", hint=f"at most {len(ascii_lowercase)} options")
    return ascii_lowercase[index]


def _published_listing(options: str) -> str:
    """Write options below one another as the released scripts do (inference/infer_lisa.py); they know two of them."""
    first, *rest = (part.strip() for part in options.replace("(a)", "A.").split("(b)"))
    if rest:
        rest[0] = f"B. {rest[0]}"
    return "\n".join((first, *rest))


def _fill(template: str, **fields: str) -> str:
    try:
        return template.format(**fields)
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(f"prompt template {template!r} can't be filled: {error}", hint=_FIELDS) from error
