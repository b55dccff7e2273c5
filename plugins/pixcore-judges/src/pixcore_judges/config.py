"""What the judge can be told."""

from __future__ import annotations

from pixcore.components import Config


class ExactMatchConfig(Config):
    """Options of `exact-match`.

    Attributes:
        bare_letters: Count an answer that is a letter and nothing else ("B", "(b)."), not the option's words.
    """

    bare_letters: bool = False

    def fingerprint(self) -> str:
        """Say which rule reads letters: counted up when it reads otherwise, so that no older verdict stays."""
        return "letters 7"
