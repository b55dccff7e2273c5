"""Cambrian as transformers' `generate`, the tap and the replay take a model: token ids and pixels in, logits out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from pixcore_segtoken.tokenizer import IMAGE_ID
from torch import Tensor, nn
from transformers import Cache, GenerationMixin, LlamaConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

from pixcore_cambrian.model import Cambrian
from pixcore_cambrian.towers import Tower


class CambrianForGeneration(PreTrainedModel, GenerationMixin):  # type: ignore[misc]  # transformers is untyped
    """Puts the towers and the model behind one call that takes token ids and pixels.

    Args:
        cambrian: Connector, language model and samplers, with their weights.
        towers: In the order of the sizes.
        fixed_position: The samplers rewrite the states from the configured index on, wherever the image is, as
            published; else from where the image is. With the published prompt both are one.
    """

    config: LlamaConfig
    config_class = LlamaConfig
    main_input_name = "input_ids"
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True

    def __init__(self, cambrian: Cambrian, towers: Sequence[Tower], *, fixed_position: bool) -> None:
        super().__init__(cambrian.sizes.language)
        self.cambrian = cambrian
        # In a tuple, which `modules()` does not look into: the tap's kernel is the decoder's alone.
        self.towers = tuple(tower.requires_grad_(False).eval() for tower in towers)
        self.fixed_position = fixed_position
        self.config.image_token_id = IMAGE_ID
        self.generation_config = cambrian.language.generation_config

    def get_decoder(self) -> nn.Module:
        """Give the Llama without its head."""
        decoder: nn.Module = self.cambrian.language.model
        return decoder

    def get_output_embeddings(self) -> nn.Module:
        """Give the language model's head."""
        head: nn.Module = self.cambrian.language.lm_head
        return head

    def get_input_embeddings(self) -> nn.Module:
        """Give the token embedding."""
        embedding: nn.Module = self.cambrian.language.model.embed_tokens
        return embedding

    def flatten(self, pixels: Sequence[Tensor]) -> Tensor:
        """Join one image's pixels for all towers to one vector: `generate` moves and keeps tensors, not lists."""
        return torch.cat([tower.flatten() for tower in pixels])

    def features(self, pixel_values: Tensor) -> list[Tensor]:
        """Run the towers on flattened pixels (B, n): one (B, t_i, c_i) each."""
        areas = [3 * tower.size**2 for tower in self.towers]
        return [
            tower(pixels.reshape(-1, 3, tower.size, tower.size))
            for tower, pixels in zip(self.towers, torch.split(pixel_values, areas, dim=1), strict=True)
        ]

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        use_cache: bool | None = None,
        pixel_values: Tensor | None = None,
        image_sizes: Tensor | None = None,
        logits_to_keep: int = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Run the model once, over a prompt or over one more token.

        Args:
            input_ids: (B, S), the image's tokens (its cells and newlines) marked with -200.
            attention_mask: (B, S) or longer; zeros before a shorter prompt.
            position_ids: As Llama takes them.
            past_key_values: The cache; while it is empty the images are looked at.
            use_cache: As Llama takes it.
            pixel_values: (B, n) of `flatten`.
            image_sizes: (B, 2), (width, height) of the original images.
            logits_to_keep: As Llama takes it.
            kwargs: Further arguments of Llama.
        """
        language = self.cambrian.language
        arguments = {
            "attention_mask": attention_mask,
            "position_ids": position_ids,
            "past_key_values": past_key_values,
            "use_cache": use_cache,
            "logits_to_keep": logits_to_keep,
            **kwargs,
        }
        embeds = language.model.embed_tokens(input_ids.clamp(min=0))
        first = past_key_values is None or past_key_values.get_seq_length() == 0
        if not first or pixel_values is None or image_sizes is None:
            output: CausalLMOutputWithPast = language(inputs_embeds=embeds, **arguments)
            return output
        sizes = [(int(width), int(height)) for width, height in image_sizes.tolist()]
        seen = self.cambrian.see(self.features(pixel_values), sizes)
        marked = input_ids == IMAGE_ID
        embeds = embeds.masked_scatter(marked[..., None], torch.cat(seen.tokens).to(embeds.dtype))
        starts = marked.int().argmax(dim=1)
        if self.fixed_position:
            padding = 0 if attention_mask is None else attention_mask[:, : input_ids.shape[1]].int().argmax(dim=1)
            starts = torch.zeros_like(starts) + padding + self.cambrian.sizes.image_position
        with self.cambrian.sampling(seen, starts.tolist()):
            output = language(inputs_embeds=embeds, **arguments)
        return output
