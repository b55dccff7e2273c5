"""LISA as a model adapter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pixcore_segtoken.adapter import GroundedAdapter
from pixcore_segtoken.grounded import GroundedSizes
from pixcore_segtoken.keymap import Rule
from pixcore_segtoken.text import lisa_prompt, lisa_question, published_lisa_text

from pixcore_lisa.config import LisaConfig
from pixcore_lisa.weights import PROJECTOR_DEPTH, rules


class Lisa(GroundedAdapter[LisaConfig]):
    """Runs LISA-7B as PixFoundation's `inference/infer_lisa.py` does, without its 8-bit weights."""

    projector_depth = PROJECTOR_DEPTH
    published_dtype = torch.float16

    def rules(self, sizes: GroundedSizes) -> Sequence[Rule]:
        """Give LISA's key map."""
        return rules(sizes)

    def full_prompt(self, question: str) -> str:
        """Write the whole prompt; under `published` the question is escaped as HTML first."""
        return lisa_prompt(lisa_question(question) if self.context.published else question)

    def published_text(self, decoded: str) -> str:
        """Keep `</s>` and `[SEG]` in an answer, as the script does."""
        return published_lisa_text(decoded)
