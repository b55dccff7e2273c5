"""LLaVA with one linear projector: what LLaVA-Grounding speaks with."""

from __future__ import annotations

import torch
from pixcore_segtoken.clip import ClipPatches
from torch import Tensor, nn
from transformers import CLIPVisionConfig, LlamaConfig, LlamaForCausalLM


class Speaker(nn.Module):
    """Speaks: CLIP, projector and Llama."""

    def __init__(self, language: LlamaConfig, clip: CLIPVisionConfig, select_layer: int = -2) -> None:
        super().__init__()
        self.clip = ClipPatches(clip, select_layer)
        self.projector = nn.Linear(clip.hidden_size, language.hidden_size)
        self.language = LlamaForCausalLM(language)

    @property
    def device(self) -> torch.device:
        """Where inputs go; the tower comes to it when it works."""
        return self.projector.weight.device

    @torch.inference_mode()
    def project(self, pixels: Tensor) -> Tensor:
        """Turn CLIP's pixels (batch, 3, S, S) into the language model's image tokens (batch, t, hidden)."""
        tokens: Tensor = self.projector(self.clip(pixels))
        return tokens
