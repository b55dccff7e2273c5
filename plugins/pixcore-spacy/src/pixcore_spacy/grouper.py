"""Group tokens by spaCy's noun chunks: the grouper `noun-phrases`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixcore.components import Context, TokenGrouper
from pixcore.records import Token, TokenGroup
from pixcore_spacy.config import NounPhrasesConfig
from pixcore_spacy.pipelines import load_for_phrases


class NounPhrases(TokenGrouper[NounPhrasesConfig]):
    """Groups the tokens of each of spaCy's noun chunks, in the order of the text.

    attend-and-segment (paper section 3.2; groundLMM `aas/utils.py`): a token belongs to a phrase if their character
    spans overlap. A group's phrase and span are the whole chunk's even where its tokens are the root's alone.

    Under `published` spans are taken as they are, also where they are empty or run backwards, as the lengths of decoded
    prefixes do inside a character of several tokens: such a token joins a phrase that it lies strictly inside of. Under
    `corrected` a token without text of its own joins none. A phrase without any token (nothing to average) is left out
    under both.
    """

    def __init__(self, config: NounPhrasesConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._pipeline = load_for_phrases(config.pipeline)

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        """Make one group for each noun chunk with tokens."""
        return self._groups(self._pipeline(text), tokens)

    def group_many(self, responses: Sequence[tuple[str, Sequence[Token]]]) -> list[list[TokenGroup]]:
        """Group several responses, which spaCy parses in batches."""
        documents = self._pipeline.pipe([text for text, _ in responses])
        return [self._groups(document, tokens) for document, (_, tokens) in zip(documents, responses, strict=True)]

    def _groups(self, document: Any, tokens: Sequence[Token]) -> list[TokenGroup]:
        groups = []
        for chunk in document.noun_chunks:
            root = chunk.root
            whole = self.config.span == "phrase"
            start, end = (chunk.start_char, chunk.end_char) if whole else (root.idx, root.idx + len(root.text))
            inside = tuple(index for index, token in enumerate(tokens) if self._overlaps(token, start, end))
            if inside:
                groups.append(TokenGroup(inside, chunk.text, chunk.start_char, chunk.end_char, root=root.text))
        return groups

    def _overlaps(self, token: Token, start: int, end: int) -> bool:
        if not self.context.published and token.start >= token.end:
            return False
        return token.start < end and token.end > start
