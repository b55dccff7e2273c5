"""Group tokens by the text's characters alone."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pixcore.components import NoConfig, TokenGrouper
from pixcore.records import Token, TokenGroup, word_of

_SAYS_SOMETHING = re.compile(r"\w")


class Tokens(TokenGrouper[NoConfig]):
    """Puts every token in a group of its own; one without any letter or digit in none."""

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        """Make one group for each token that says something; its phrase is the token's text without outer spaces."""
        groups = []
        for index, token in enumerate(tokens):
            said = text[token.start : token.end]
            if _SAYS_SOMETHING.search(said):
                start = token.start + len(said) - len(said.lstrip())
                phrase = said.strip()
                groups.append(TokenGroup((index,), phrase, start, start + len(phrase)))
        return groups


class Words(TokenGrouper[NoConfig]):
    """Puts the tokens of each word together.

    A word is a run of letters with their marks, digits and underscores, joined by apostrophes and hyphens ("boat's",
    "T-shirt"). A token that reaches over two words belongs to both. In scripts without spaces a word is the whole run.
    """

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        """Make one group for each word that a token holds a part of."""
        groups = []
        run = word_of(text)
        for word in re.finditer(rf"{run}(?:['’\-]{run})*", text):
            start, end = word.span()
            inside = tuple(
                index
                for index, token in enumerate(tokens)
                if token.start < token.end and token.start < end and token.end > start
            )
            if inside:
                groups.append(TokenGroup(inside, word.group(), start, end, root=word.group()))
        return groups
