"""The three probings (paper, section 3.1): what a model is asked about a sample.

The released code numbers them 1 (`question`), 3 (`segment`) and 2 (`letter`). Under the `published` fidelity the
prompts are those of its scripts, character by character: the referring expression keeps the space that its column
starts with, so that `segment` prompts hold a double space, and options are cut in two at "(b)". Under `corrected` they
say the same in clean form, for any number of options.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase, ascii_uppercase

from pixcore.errors import ConfigError
from pixcore.records import Fidelity, Protocol, Sample

LETTER_INSTRUCTION = "Answer with the option's letter from the given choices directly."

_SEGMENT = "Identify {expression} in the scene."
_FIELDS = "fields: {question}, {options} and {expression}"


def build_prompt(
    sample: Sample,
    protocol: Protocol,
    fidelity: Fidelity,
    templates: Mapping[Protocol, str] | None = None,
) -> str | None:
    """Say what a model is asked about a sample.

    Args:
        sample: The sample.
        protocol: The probing.
        fidelity: `published` asks with the released files' own strings, `corrected` with the clean ones.
        templates: How a model is asked where that differs from the paper (`ModelAdapter.prompts`). Fields:
            {question}, {options} ("(a) X (b) Y"), {expression}.

    Returns:
        The user's text without any chat template, or None where the sample has nothing to ask: no question for
        `question` and `letter`, no expression for `segment`.

    Raises:
        ConfigError: A template has a field that does not exist.
    """
    published = fidelity is Fidelity.PUBLISHED
    if protocol is Protocol.SEGMENT:
        expression = _expression(sample, published)
        if expression is None:
            return None
        template = (templates or {}).get(protocol, _SEGMENT)
        return _fill(template, question=sample.question or "", options="", expression=expression)
    if sample.question is None:
        return None
    options = _options(sample, published)
    template = (templates or {}).get(protocol, "")
    if template:
        return _fill(template, question=sample.question, options=options, expression=sample.expression or "")
    if protocol is Protocol.QUESTION:
        return f"{sample.question} {options}" if options else sample.question
    if not sample.options and not sample.released_options:
        return None
    released = published and sample.released_options is not None
    listing = _published_listing(options) if released else _listing(sample.options)
    return f"{sample.question} Options:\n{listing}\n{LETTER_INSTRUCTION}"


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


def _expression(sample: Sample, published: bool) -> str | None:
    if published and sample.released_expression is not None:
        return sample.released_expression
    return sample.expression


def _options(sample: Sample, published: bool) -> str:
    if published and sample.released_options is not None:
        return sample.released_options
    return inline_options(sample.options)


def _listing(options: Sequence[str]) -> str:
    letter(len(options) - 1)
    return "\n".join(f"{ascii_uppercase[index]}. {text}" for index, text in enumerate(options))


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
