"""Registers the grouper and the strategy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_token_groupers(register: Register) -> None:
    """Offer the grouper."""
    register(
        "noun-phrases",
        "pixcore_spacy.grouper:NounPhrases",
        config="pixcore_spacy.config:NounPhrasesConfig",
        summary="the tokens of each noun phrase (attend-and-segment)",
    )


@hookimpl
def register_selection_strategies(register: Register) -> None:
    """Offer the strategy."""
    register(
        "spacy-similarity",
        "pixcore_spacy.similarity:SpacySimilarity",
        config="pixcore_spacy.config:SpacySimilarityConfig",
        summary="the phrase most similar to the expression (attend-and-segment)",
    )
