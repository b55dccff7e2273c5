"""Reading an option out of an answer: what the third probing's accuracy (A) is made of.

`published` is the released evaluator's rule (protocol2_accuracy.py), which knows a bare letter or the bare text of the
right option and takes "A. Open" for wrong. `corrected` reads the usual ways of naming an option and says when an
answer names none or several.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixcore.protocols import letter
from pixcore.records import Fidelity, Verdict

_LEADS = ("answer is", "answer is:", "answer:")
_LEAD = re.compile(r"\b(?:answer|option|choice)\b(?:\s+is)?\s*[:=]?\s*", re.IGNORECASE)
_WRAP = " \t\r\n\"'`*_[](){}<>.,:;!?"


def published_letter(answer: str) -> str:
    """Extract what the released evaluator compares: lower case, behind the last "answer is" or "answer:"."""
    text = answer.lower().strip()
    for lead in _LEADS:
        if lead in text:
            text = text.split(lead)[-1]
    return text.strip().rstrip(".:,").lstrip("(").rstrip(")")


def published_options(options: str) -> tuple[str, ...]:
    """Cut "(a) X (b) Y" into its texts as the released evaluator does: at everything in parentheses."""
    return tuple(part.strip() for part in re.split(r"\([^()]*\)", options)[1:])


def grade_letter(
    response: str,
    options: Sequence[str],
    answer: int,
    fidelity: Fidelity,
    *,
    released_options: str | None = None,
) -> Verdict:
    """Grade an answer to the `letter` probing.

    Args:
        response: What the model said.
        options: The options' texts.
        answer: Index of the right one.
        fidelity: Whose rule.
        released_options: The options as the released files have them, for the `published` rule.
    """
    if fidelity is Fidelity.PUBLISHED:
        texts = published_options(released_options) if released_options else tuple(options)
        extracted = published_letter(response)
        right = {letter(answer)} | ({texts[answer].lower()} if answer < len(texts) else set())
        return Verdict(extracted in right, f"released rule: read {extracted!r}")
    named = read_options(response, options)
    if len(named) != 1:
        said = "no option" if not named else "several options"
        return Verdict(False, f"names {said}")
    (index,) = named
    return Verdict(index == answer, f"names option {letter(index)}")


def read_options(response: str, options: Sequence[str]) -> frozenset[int]:
    """Find which options an answer names.

    In this order, the first rule that finds something decides: the whole answer is a letter ("(B).", "**b**"); it
    starts with a letter that is set off ("B. Closed", "(b) it is closed"); a letter stands behind "answer", "option" or
    "choice"; the whole answer is an option's text; a text of an option occurs in it.
    """
    letters = {letter(index): index for index in range(len(options))}
    bare = response.strip(_WRAP).lower()
    if bare in letters:
        return frozenset({letters[bare]})
    names = "".join(letters)
    set_off = re.match(rf"\s*[\"'`*_\[({{<]*([{names}])[*_]*[)\]}}>.:,]", response, re.IGNORECASE)
    if set_off:
        return frozenset({letters[set_off.group(1).lower()]})
    led = [response[found.end() :] for found in _LEAD.finditer(response)]
    behind = [re.match(rf"[\"'`*_\[({{<]*([{names}])\b(?!')", rest, re.IGNORECASE) for rest in led]
    found_letters = [letters[match.group(1).lower()] for match in behind if match]
    if found_letters:
        return frozenset({found_letters[-1]})
    texts = [option.strip(_WRAP).lower() for option in options]
    exact = frozenset(index for index, text in enumerate(texts) if text and text == bare)
    if exact:
        return exact
    said = response.lower()
    within = {index for index, text in enumerate(texts) if text and re.search(rf"(?<!\w){re.escape(text)}(?!\w)", said)}
    # "OK" inside "OK/SELECT": the longer text is what was said
    return frozenset(i for i in within if not any(j != i and texts[i] in texts[j] for j in within))
