"""Relative attention: what a prompt looks at that a general one does not."""

from __future__ import annotations

from pixcore.components import Context, Needs
from pixcore_attention.config import MeanConfig, RelativeConfig
from pixcore_attention.mean import Mean


class Relative(Mean):
    """Averages over the heads of one layer, and does the same on a general prompt for the response's reference.

    Zhang et al., "MLLMs know where to look" (ICLR 2025): `M = A(prompt) / A("Write a general description of the
    image.")`, one layer, the mean over heads, the prompt's last row (mllms_know `llava_methods.py:56-91`). The division
    is the transform `divide-by-reference`: put it in the config's `transforms`. Here every output token has its map;
    the published method's is the first token's, which that last row predicts.
    """

    def __init__(self, config: RelativeConfig, context: Context | None = None) -> None:
        super().__init__(MeanConfig.model_validate({"layers": config.layers}), context)
        self._reference_prompt = config.reference_prompt

    @property
    def needs(self) -> Needs:
        """One layer's last rows, and the reference prompt's."""
        return Needs(layers=self.config.layers, reference_prompt=self._reference_prompt)
