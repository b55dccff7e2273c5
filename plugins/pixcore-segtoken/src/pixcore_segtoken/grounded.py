"""Put a [SEG] token and a promptable decoder on LLaVA: LISA and GLaMM.

The two differ in the size of the CLIP input, the depth of the projector and in names; the arithmetic is
one. Each [SEG] gives one mask, prompted by the state that *predicted* it, one position earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from pixcore_transformers.placing import working_device
from torch import Tensor, nn
from transformers import CLIPVisionConfig, LlamaConfig, LlamaForCausalLM

from pixcore_segtoken.clip import ClipPatches
from pixcore_segtoken.config import SamSizes
from pixcore_segtoken.language import Generation, generate, splice
from pixcore_segtoken.sam import PromptableSam, upscale


@dataclass(frozen=True)
class GroundedSizes:
    """The sizes of every part of a model.

    Args:
        language: The Llama's config.
        clip: The CLIP tower's config.
        sam: The mask decoder's sizes.
        projector_depth: Linear layers between tower and language model, with GELU between them.
        select_layer: CLIP hidden state that is projected.
    """

    language: LlamaConfig
    clip: CLIPVisionConfig
    sam: SamSizes
    projector_depth: int
    select_layer: int = -2


@dataclass(frozen=True)
class Prompt:
    """One sample for `GroundedLlava.answer`.

    Args:
        token_ids: The prompt, the placeholder (-200) standing for the image.
        clip_pixels: (3, S, S) float32, normalised.
        sam_pixels: (3, M, M) float32, normalised and padded; None where nothing is segmented.
        resized: (H, W) of the image inside `sam_pixels`; None likewise.
        original: (H, W) of the image as it was.
    """

    token_ids: Sequence[int]
    clip_pixels: Tensor
    sam_pixels: Tensor | None
    resized: tuple[int, int] | None
    original: tuple[int, int]


@dataclass(frozen=True)
class Answer:
    """What `GroundedLlava.answer` gives for one sample.

    Args:
        generation: Tokens and states.
        seg_positions: Index of each [SEG] in prompt + answer, images counting as one token; n of them.
        seg_states: (n, D) states that the masks were made of.
        seg_embeds: (n, P) the same as prompts.
        low_res: (n, 1, m, m) mask logits of the decoder.
        iou: (n, 1) predicted by the decoder.
        mask_logits: (n, H, W) float32 in the image's pixels; a mask is where it is above 0.
    """

    generation: Generation
    seg_positions: tuple[int, ...]
    seg_states: Tensor
    seg_embeds: Tensor
    low_res: Tensor
    iou: Tensor
    mask_logits: Tensor


TOWERS = ("clip", "sam.model.vision_encoder")
"""The parts of `GroundedLlava` that look at the image."""


class GroundedLlava(nn.Module):
    """Speaks and segments: CLIP, projector, Llama, state projection, SAM."""

    def __init__(self, sizes: GroundedSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.clip = ClipPatches(sizes.clip, sizes.select_layer)
        width = sizes.language.hidden_size
        layers: list[nn.Module] = [nn.Linear(sizes.clip.hidden_size, width)]
        for _ in range(sizes.projector_depth - 1):
            layers += [nn.GELU(), nn.Linear(width, width)]
        self.projector = nn.Sequential(*layers)
        self.language = LlamaForCausalLM(sizes.language)
        self.seg_projection = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, sizes.sam.prompt_dim))
        self.sam = PromptableSam(sizes.sam)

    @property
    def device(self) -> torch.device:
        """Where inputs go; towers come to it when they work."""
        return working_device(self.projector)

    @torch.no_grad()
    def project(self, clip_pixels: Tensor) -> Tensor:
        """Turn pixels (B, 3, S, S) into the language model's image tokens (B, t, D)."""
        tokens: Tensor = self.projector(self.clip(clip_pixels))
        return tokens

    @torch.no_grad()
    def embed(self, prompts: Sequence[Prompt]) -> list[Tensor]:
        """Make what the language model is given of each prompt, (L, D): the image's tokens stand in their place."""
        image_tokens = self.project(torch.stack([prompt.clip_pixels for prompt in prompts]).to(self.device))
        return [
            splice(self.language.model.embed_tokens, prompt.token_ids, [tokens])
            for prompt, tokens in zip(prompts, image_tokens, strict=True)
        ]

    @torch.no_grad()
    def answer(
        self,
        prompts: Sequence[Prompt],
        *,
        seg_id: int,
        stop_ids: Sequence[int],
        max_new_tokens: int,
        published_positions: bool = True,
        use_cache: bool = True,
        forced: Sequence[Sequence[int]] | None = None,
        keep_logits: bool = False,
    ) -> list[Answer]:
        """Answer a batch of images with text and masks.

        Args:
            prompts: The samples.
            seg_id: Token id of [SEG].
            stop_ids: Tokens that end an answer.
            max_new_tokens: The published limit is 512.
            published_positions: How a [SEG] *before* the image is located: the published code shifts
                every [SEG] by the image's length, also those. False shifts only what follows the image.
            use_cache: See `language.generate`.
            forced: See `language.generate`.
            keep_logits: See `language.generate`.
        """
        generations = generate(
            self.language,
            self.embed(prompts),
            max_new_tokens=max_new_tokens,
            stop_ids=stop_ids,
            forced=forced,
            use_cache=use_cache,
            keep_logits=keep_logits,
        )
        return [
            self.segment(prompt, generation, seg_id=seg_id, published_positions=published_positions)
            for prompt, generation in zip(prompts, generations, strict=True)
        ]

    @torch.no_grad()
    def segment(self, prompt: Prompt, generation: Generation, *, seg_id: int, published_positions: bool) -> Answer:
        """Make the masks of what was generated for a prompt; see `answer`."""
        assert prompt.sam_pixels is not None
        assert prompt.resized is not None
        sequence = [*prompt.token_ids, *generation.token_ids]
        # The first token has no state before it; the published search leaves it out as well.
        positions = tuple(index for index, token in enumerate(sequence) if token == seg_id and index > 0)
        image_at = list(prompt.token_ids).index(-200)
        states = torch.cat([generation.prompt_states, generation.states[1:]]).to(self.device)
        extra = len(generation.prompt_states) - len(prompt.token_ids)
        rows = [index - 1 + (extra if published_positions or index > image_at else 0) for index in positions]
        seg_states = states[rows]
        seg_embeds = self.seg_projection(seg_states)
        # Encoding is the dearest step, and an answer without [SEG] needs none of it.
        if positions:
            embedding = self.sam.encode(prompt.sam_pixels[None].to(self.device))
        else:
            side = self.sizes.sam.image_size // self.sizes.sam.patch_size
            embedding = seg_states.new_zeros(1, self.sizes.sam.prompt_dim, side, side)
        low_res, iou = self.sam.decode(embedding, seg_embeds)
        logits = upscale(low_res, self.sizes.sam.image_size, prompt.resized, prompt.original)
        return Answer(generation, positions, seg_states, seg_embeds, low_res, iou, logits)
