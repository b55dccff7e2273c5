"""Name the paper's six concept categories (section 3), and read what a judge says of a phrase.

The paper asks GPT-4o; `python -m pixcore_openai concepts` asks a server. `pixcore_emergence.rules` sorts phrases
offline, and `pixcore emergence --judged` reports how far the two agree.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from enum import StrEnum


class Concept(StrEnum):
    """The six concept categories in the paper's order, and one for what a person could not place either."""

    APPEARANCE = "color and appearance"
    LOCATION = "location and position"
    PART = "object part"
    CONTEXT = "context or setting"
    OBJECT = "objects and entities"
    STATE = "state"
    UNSURE = "unsure"

    @property
    def letter(self) -> str:
        """Its letter in the paper's prompt, (a) to (f); u, which the prompt lacks, where nobody could tell."""
        return "abcdefu"[list(Concept).index(self)]


def read_letters(answer: str) -> frozenset[Concept]:
    """Read a judge's answer to the paper's prompt: letters a to f, apart by commas, with or without parentheses."""
    found = set()
    for part in answer.lower().split(","):
        bare = part.strip().strip("().")
        if len(bare) == 1 and bare in "abcdef":
            found.add(list(Concept)["abcdef".index(bare)])
    if not found:
        first = re.match(r"\s*\(?([a-f])\b", answer.lower())
        if first:
            found.add(list(Concept)["abcdef".index(first.group(1))])
    return frozenset(found)


def agreement(rules: Sequence[Concept], judged: Sequence[frozenset[Concept]]) -> Mapping[str, float | None]:
    """Measure how far the rules agree with a judge, which may name several categories.

    Returns:
        "share": of the phrases that the judge could place, those whose category by rule is among its own; "kappa": the
        share beyond what chance gives, over the most that it could be. Chance is the share that the same rules would
        reach on another phrase's judgement, drawn at random: a judge that names two categories is agreed with more
        often by accident, and that counts nothing; None where chance alone would have them agree in everything. "n".
    """
    pairs = [(rule, named) for rule, named in zip(rules, judged, strict=True) if named]
    if not pairs:
        return {"share": None, "kappa": None, "n": 0}
    share = sum(rule in named for rule, named in pairs) / len(pairs)
    by_rule = Counter(rule for rule, _ in pairs)
    chance = sum(count * sum(rule in named for _, named in pairs) for rule, count in by_rule.items()) / len(pairs) ** 2
    kappa = (share - chance) / (1 - chance) if chance < 1 else None
    return {"share": share, "kappa": kappa, "n": len(pairs)}


def agreement_told(found: Mapping[str, float | None]) -> str:
    """Tell an `agreement` of some phrases: "86 % (kappa 0.81)"."""
    kappa = found["kappa"]
    return f"{100 * (found['share'] or 0):.0f} %" + ("" if kappa is None else f" (kappa {kappa:.2f})")


def judge_prompt(noun: str, text: str) -> str:
    """Write the paper's question to its judge, word by word (gpt_concept_when.py)."""
    return (
        "Can you classify the following noun phrase belongs to which of these 6 concepts: (a) Color and appearance, "
        "(b) Location and position, (c) Object part, (d) Context or setting, (e) Objects/entities, (f) State. Please "
        "respond with one or two letters and provide letters only. You will be given the noun phrase and the "
        f"correponding full context.: '{noun}', '{text}'. "
    )
