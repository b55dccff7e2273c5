"""Know what a model thinks before it answers, where it is left in a text: no answer, and nothing said in one."""

from __future__ import annotations

import re

_THINKING = r"(?:think|thinking|thought|reasoning|reflection|scratchpad|analysis)"
# <think>, <seed:think>, <|begin_of_thought|>, <|START_THINKING|> and their ends; <|channel>thought, <|channel|>analysis
_BEGINS = (
    rf"(?:[<◁]\|?(?:(?:begin|start)_(?:of_)?|\w+:)?{_THINKING}\|?[>▷]|\[think(?:ing)?\]"  # "[Analysis]" is a heading
    rf"|<\|channel\|?>\s*{_THINKING}\b)"
)
_ENDS = (
    rf"(?:[<◁\[](?:/(?:\w+:)?|\|(?:/|end_(?:of_)?)){_THINKING}\|?[>▷\]]|<channel\|>"
    r"|<\|channel\|>\s*final\s*(?:<\|constrain\|>\s*(?:\w+\s*)?)?<\|message\|>)"
)
_UNTAGGED = rf"(?:[^<◁\[]++|(?!{_BEGINS}|{_ENDS})[<◁\[])*+"
THOUGHT = re.compile(
    rf"{_BEGINS}{_UNTAGGED}(?:{_BEGINS}{_UNTAGGED}{_ENDS}{_UNTAGGED})++{_ENDS}"  # a thought that speaks of its tags
    rf"|{_BEGINS}.*?(?:{_ENDS}(?:\s*{_ENDS})*|(?P<open>\Z))|\A.*{_ENDS}",
    re.I | re.S,
)
"""A thought with its tags; `open` is None unless it breaks off, and no answer is behind it."""
