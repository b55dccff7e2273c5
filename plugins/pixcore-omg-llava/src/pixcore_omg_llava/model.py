"""Build OMG-LLaVA: perception, projectors, language model."""

from __future__ import annotations

from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from pixcore_omg_llava.internlm2 import Adapters, LoraMode, add_adapters
from pixcore_omg_llava.perception import Perception
from pixcore_omg_llava.projector import VisualProjector, state_projector
from pixcore_omg_llava.sizes import PerceptionSizes


class Eye(nn.Module):
    """Sees: perception and the two projectors, which the release keeps in float32."""

    def __init__(self, sizes: PerceptionSizes, *, hidden: int) -> None:
        super().__init__()
        self.perception = Perception(sizes)
        self.projector = VisualProjector(
            token_channels=sizes.token_channels, query_channels=2 * sizes.dim, hidden=hidden
        )
        self.state_projector = state_projector(hidden=hidden, channels=2 * sizes.dim)


def language_model(config: LlamaConfig, adapters: Adapters, lora: LoraMode) -> LlamaForCausalLM:
    """Build InternLM2 as a Llama, with layers for the adapters where they stay beside the weights."""
    model = LlamaForCausalLM(config)
    if lora == "beside":
        add_adapters(model, adapters)
    return model
