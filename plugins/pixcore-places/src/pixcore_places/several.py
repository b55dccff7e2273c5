"""Look in several ways in one run: a grouper for each probing, and a generator for places and one for words.

Each probing then is a way of its own, and its mean IoU a column of the run's one table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pixcore.components import Context, MaskGenerator, TokenGrouper
from pixcore.errors import ConfigError
from pixcore.plugins import Kind
from pixcore.records import Image, MaskProposal, PointPrompt, Request, Response, Token, TokenGroup
from pixcore_places.config import ByProbingConfig, ByPromptConfig, check_texts, inner, words_alone


class ByProbing(TokenGrouper[ByProbingConfig]):
    """Hands each response to the grouper of the probing that it answers."""

    gives_prompts = True

    def __init__(self, config: ByProbingConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._inner: dict[str, TokenGrouper[Any]] = {
            name: inner(Kind.GROUPER, one).create(self.context) for name, one in config.of.items()
        }

    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        """Make no group: the text does not say what was asked."""
        return []

    def group_asked(self, asked: Sequence[tuple[Request, Response]]) -> list[list[TokenGroup]]:
        """Group several responses, those of one probing together.

        Raises:
            ConfigError: A probing has no grouper.
        """
        found: list[list[TokenGroup]] = [[] for _ in asked]
        for name in dict.fromkeys(request.protocol for request, _ in asked):
            if name not in self._inner:
                listed = ", ".join(self._inner)
                raise ConfigError(f"grouper: by-probing has none for {name!r}", hint=f"it has: {listed}; add one")
            mine = [index for index, (request, _) in enumerate(asked) if request.protocol == name]
            for index, groups in zip(mine, self._inner[name].group_asked([asked[at] for at in mine]), strict=True):
                found[index] = groups
        return found

    def close(self) -> None:
        """Close the groupers inside."""
        for one in self._inner.values():
            one.close()


class ByPrompt(MaskGenerator[ByPromptConfig]):
    """Hands places to one generator, and words to another."""

    text_prompts = True

    def __init__(self, config: ByPromptConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._places: MaskGenerator[Any] = inner(Kind.MASKS, config.places).create(self.context)
        self._texts: MaskGenerator[Any] = inner(Kind.MASKS, config.texts).create(self.context)
        self.several_places = self._places.several_places  # type: ignore[misc]

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        """Segment each prompt by the generator of its kind, those of one kind together.

        Raises:
            ConfigError: A prompt has a text, and the generator of its kind takes none.
        """
        found: dict[int, MaskProposal] = {}
        for generator, of_words in ((self._places, False), (self._texts, True)):
            mine = [index for index, prompt in enumerate(prompts) if words_alone(prompt) == of_words]
            if mine:
                given = [prompts[index] for index in mine]
                check_texts(generator, given)
                found |= zip(mine, generator.segment(image, given), strict=True)
        return [found[index] for index in range(len(prompts))]

    def close(self) -> None:
        """Close the generators inside."""
        self._places.close()
        self._texts.close()
