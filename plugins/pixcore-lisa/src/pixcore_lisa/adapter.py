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
    """LISA-7B as PixFoundation's `inference/infer_lisa.py` runs it, without its 8-bit weights."""

    projector_depth = PROJECTOR_DEPTH
    published_dtype = torch.float16

    def rules(self, sizes: GroundedSizes) -> Sequence[Rule]:
        """LISA's key map."""
        return rules(sizes)

    def full_prompt(self, question: str) -> str:
        """Under `published` the question is escaped as HTML first."""
        return lisa_prompt(lisa_question(question) if self.context.published else question)

    def published_text(self, decoded: str) -> str:
        """With `</s>` and `[SEG]` in it."""
        return published_lisa_text(decoded)
