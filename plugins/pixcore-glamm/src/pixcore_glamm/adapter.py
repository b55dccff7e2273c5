"""GLaMM as a model adapter."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from pixcore_segtoken.adapter import GroundedAdapter
from pixcore_segtoken.config import GroundedConfig
from pixcore_segtoken.grounded import GroundedSizes
from pixcore_segtoken.keymap import Rule
from pixcore_segtoken.text import glamm_prompt, glamm_question, published_glamm_text

from pixcore_glamm.weights import PROJECTOR_DEPTH, rules


class Glamm(GroundedAdapter[GroundedConfig]):
    """Runs GLaMM as PixFoundation's `inference/infer_glamm.py` does."""

    projector_depth = PROJECTOR_DEPTH
    published_dtype = torch.bfloat16

    def rules(self, sizes: GroundedSizes) -> Sequence[Rule]:
        """Give GLaMM's key map."""
        return rules(sizes)

    def full_prompt(self, question: str) -> str:
        """Write the whole prompt; under `published` an ampersand is escaped as HTML first."""
        return glamm_prompt(glamm_question(question) if self.context.published else question)

    def published_text(self, decoded: str) -> str:
        """Take markers, tags, and whatever else stands between < and > out of an answer."""
        return published_glamm_text(decoded)
