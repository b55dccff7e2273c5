"""Segment several places that stand for one thing, and unite their masks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np

from pixcore.components import Context, MaskGenerator
from pixcore.masks import resized
from pixcore.plugins import Kind
from pixcore.records import Image, MaskProposal, PointPrompt
from pixcore_places.config import UnitedConfig, inner

MANY, SEVERAL = 10, 5
"""Above so many places one mask of each is combined, and above so many two: the released script's bounds."""


class United(MaskGenerator[UnitedConfig]):
    """Segments each place of a prompt with another generator, and gives the unions of their masks."""

    several_places = True

    def __init__(self, config: UnitedConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._inner: MaskGenerator[Any] = inner(Kind.MASKS, config.of).create(self.context)
        self.text_prompts = self._inner.text_prompts  # type: ignore[misc]

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        """Give the united masks of each prompt, scored by the mean of their parts; a place without a mask adds none."""
        parts = [[replace(prompt, also=()), *prompt.also] for prompt in prompts]
        found = iter(self._inner.segment(image, [one for places in parts for one in places]) if parts else [])
        return [self._united([next(found) for _ in places]) for places in parts]

    def _united(self, proposals: Sequence[MaskProposal]) -> MaskProposal:
        found = [proposal for proposal in proposals if len(proposal.masks)]
        if not found:
            return proposals[0]
        if len({(proposal.size, proposal.masks.shape[1:]) for proposal in found}) > 1:  # of several generators
            found = [_whole(proposal) for proposal in found]
        kept = [self._kept(proposal) for proposal in found]
        fewest = min(len(scores) for _, scores in kept)
        if self.config.how == "union":
            choices = [(number,) * len(kept) for number in range(fewest)]
        else:
            most = 1 if len(kept) > MANY else 2 if len(kept) > SEVERAL else fewest
            choices = list(product(range(min(most, fewest)), repeat=len(kept)))
        masks = [
            np.logical_or.reduce([each[number] for (each, _), number in zip(kept, choice, strict=True)])
            for choice in choices
        ]
        scores = [np.mean([each[number] for (_, each), number in zip(kept, choice, strict=True)]) for choice in choices]
        return MaskProposal(np.stack(masks), np.asarray(scores, np.float32), size=found[0].size)

    def _kept(self, proposal: MaskProposal) -> tuple[Any, Any]:
        masks, scores = proposal.masks, proposal.scores
        if self.config.mask == "all":
            return masks, scores
        at = len(scores) - 1 if self.config.mask == "last" else int(np.argmax(scores))
        return masks[at : at + 1], scores[at : at + 1]

    def close(self) -> None:
        """Close the generator inside."""
        self._inner.close()


def _whole(proposal: MaskProposal) -> MaskProposal:
    """The same with masks of the image's own size."""
    if proposal.size is None:
        return proposal
    return replace(proposal, masks=np.stack([resized(mask, proposal.size) for mask in proposal.masks]), size=None)
