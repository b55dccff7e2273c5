"""LLaVA-Grounding as a model adapter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_segtoken.attending import Shown
from pixcore_segtoken.clip import centre_crop
from pixcore_segtoken.language import Generation, splice
from pixcore_segtoken.mask_adapter import MaskAdapter, finite
from pixcore_segtoken.text import mask_spans, spoken
from pixcore_segtoken.tokenizer import IMAGE_ID
from pixcore_transformers.spans import written_tokens
from torch import Tensor

from pixcore import masks
from pixcore.geometry import VisualLayout
from pixcore.records import Image, Request, Response, Token
from pixcore_llava_grounding.checkpoint import Loaded, load
from pixcore_llava_grounding.config import LlavaGroundingConfig
from pixcore_llava_grounding.masks import Mask, smooth_to_image, to_image
from pixcore_llava_grounding.openseed import StateRegions, regions_of_states
from pixcore_llava_grounding.preprocessing import padded_square
from pixcore_llava_grounding.query_decoder import Detections
from pixcore_llava_grounding.states import seg_places, seg_states
from pixcore_llava_grounding.text import PHRASE, PHRASE_END, SEG, chat, published_text


class LlavaGrounding(MaskAdapter[LlavaGroundingConfig, Loaded]):
    """Runs LLaVA-Grounding 7B as PixFoundation's `inference/infer_llavag.py` does.

    Each `<seg>` may match several regions or none; the response's mask unites them all under both fidelities. Under
    `published` masks are resized by nearest neighbour after they have been cut at zero, phrases without a region lose
    their markers and the others keep them. Under `corrected` logits are resized, and the text has no markers.
    """

    def load(self) -> Loaded:
        """Read the checkpoint."""
        return load(self.config)

    @torch.inference_mode()
    def show(self, requests: Sequence[Request]) -> list[Shown]:
        """Put CLIP's tokens into the prompts; OpenSeeD sees nothing."""
        speaker = self.loaded.speaker
        pixels = torch.stack([centre_crop(request.image.pil(), self._clip_size) for request in requests])
        found = []
        for request, tokens in zip(requests, speaker.project(pixels.to(speaker.device)), strict=True):
            ids = self.loaded.tokenizer.encode_with_image(chat(request.prompt))
            embedded = splice(self.language.model.embed_tokens, ids, [tokens])
            found.append(Shown(embedded, ids.index(IMAGE_ID), self.layout(request.image)))
        return found

    def begun(self, shown: Shown, token_ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
        """Write the beginning of an answer; nothing under `published`, where regions change what a phrase is."""
        return ("", ()) if self.context.published else self.spoken(token_ids)

    def layout(self, image: Image) -> VisualLayout:
        """Lay out CLIP's grid over the part of the image that its centre crop keeps."""
        return self.loaded.speaker.clip.layout(image.size)

    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        """Project an image's patches: (visual tokens, width)."""
        speaker = self.loaded.speaker
        pixels = centre_crop(image.pil(), self._clip_size)[None].to(speaker.device)
        return np.asarray(speaker.project(pixels)[0].float().cpu().numpy())

    @property
    def _clip_size(self) -> int:
        return int(self.loaded.speaker.clip.model.config.image_size)

    @torch.inference_mode()
    def segment(self, request: Request, shown: Shown, generation: Generation) -> Response:
        """Give what was said, and OpenSeeD's masks of it; see the class for what the fidelity changes."""
        image = request.image
        tokenizer = self.loaded.tokenizer
        ids = generation.token_ids
        places = seg_places(ids, tokenizer.added[SEG])
        found, regions = self._segment(image, seg_states(places, generation.states))
        size = image.size
        if self.context.published:
            empty = [not len(state.matched) for state in regions]
            text, tokens = written_tokens(partial(published_text, tokenizer, empty), ids)
            # Phrases without a region are dropped with their empty masks.
            kept = [index for index, nothing in enumerate(empty) if not nothing]
            drawn = [to_image(regions[index].masks, size) for index in kept]
        else:
            text, tokens = spoken(tokenizer, ids)
            kept = list(range(len(regions)))
            drawn = [self._smooth(found, state, size) for state in regions]
        encoded = [masks.encode(mask) for mask in drawn]
        return Response(
            text,
            tokens,
            mask=masks.union(encoded, size),
            masks=tuple(encoded),
            mask_spans=mask_spans(
                tokenizer.added, text, tokens, [places[index] for index in kept], markers=(PHRASE, PHRASE_END)
            ),
            extra={
                "finish": "stop" if ids[-1] == tokenizer.eos else "length",
                "regions": [len(state.matched) for state in regions],
            },
        )

    def _segment(self, image: Image, states: Tensor) -> tuple[Detections | None, list[StateRegions]]:
        """All `<seg>` states of one answer at once: what the first stage keeps depends on all of them."""
        if not len(states):
            return None, []
        pixels = padded_square(image.pil(), self.config.image_size)[None].to(self.loaded.speaker.device)
        found: Detections = self.loaded.segmenter(pixels, states[None].float().to(pixels.device))
        for logits in (found.class_logits, found.masks):  # a softmax of no numbers matches nothing, as if all were well
            finite(logits, logits.dtype)
        return found, regions_of_states(found, threshold=self.config.threshold)

    @staticmethod
    def _smooth(found: Detections | None, state: StateRegions, size: tuple[int, int]) -> Mask:
        assert found is not None
        return smooth_to_image(found.masks[0, state.matched], size)
