"""OMG-LLaVA as a model adapter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_segtoken.attending import Shown
from pixcore_segtoken.language import Generation, splice
from pixcore_segtoken.mask_adapter import MaskAdapter, finite
from pixcore_segtoken.text import mask_spans
from pixcore_segtoken.tokenizer import IMAGE, IMAGE_ID
from pixcore_transformers.placing import working_device
from pixcore_transformers.spans import written_tokens
from torch import Tensor

from pixcore import masks
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Image, Request, Response, Token
from pixcore_omg_llava.checkpoint import Loaded, load
from pixcore_omg_llava.config import OmgLlavaConfig
from pixcore_omg_llava.masks import content_crop, corner_crop, cut, square_logits
from pixcore_omg_llava.perception import VisualTokens
from pixcore_omg_llava.preprocessing import model_input
from pixcore_omg_llava.query_decoder import ImageMemory
from pixcore_omg_llava.segrule import seg_places, states_at
from pixcore_omg_llava.text import answer_text, chat
from pixcore_omg_llava.tokenizer import SEG


class OmgLlava(MaskAdapter[OmgLlavaConfig, Loaded]):
    """Runs OMG-LLaVA 7B as PixFoundation's `inference/infer_omgllava.py` does, without its 4-bit weights.

    Under `published` the first [SEG]'s mask is the response's, all masks are cut from the top left of the padded
    square although the image lies in its middle, and the text is cleaned as the script cleans it. Under `corrected`
    masks are cut where the image is and united, and the text is what was said.
    """

    def load(self) -> Loaded:
        """Read the release."""
        return load(self.config)

    @property
    def ends(self) -> Sequence[int]:
        """The end token, and that of a turn."""
        return list(self.loaded.tokenizer.ends)

    @torch.inference_mode()
    def show(self, requests: Sequence[Request]) -> list[Shown]:
        """Put pixel and query tokens into the prompts; attention is read to the pixel tokens."""
        found = []
        for request in requests:
            # One image at a time: a batch of 1024 x 1024 images is no faster, and one image must not change another.
            tokens, memory = self._look(request.image)
            # A question that spells the placeholder would ask for a second image.
            ids = self.loaded.tokenizer.encode_with_image(chat(request.prompt.replace(IMAGE, "")))
            embedded = splice(self.language.model.embed_tokens, ids, self.loaded.eye.projector(tokens))
            kept = memory if "masks" in self.capabilities else None
            found.append(Shown(embedded, ids.index(IMAGE_ID), self.layout(request.image), kept))
        return found

    def spoken(self, token_ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
        """Write an answer as the fidelity asks for."""
        return written_tokens(partial(answer_text, self.loaded.tokenizer, published=self.context.published), token_ids)

    def layout(self, image: Image) -> VisualLayout:
        """Lay the pixel tokens' grid over the padded square; the query tokens that follow lie nowhere."""
        side = self.config.image_size // 64
        return VisualLayout.single(VisualGrid.padded_to_square(side, side, image.size))

    @torch.inference_mode()
    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        """Project an image's pixel tokens: (pixel tokens, width)."""
        tokens, _ = self._look(image)
        (embedded,) = self.loaded.eye.projector(tokens)
        return np.asarray(embedded[: tokens.pixels.shape[1]].cpu().numpy())

    @property
    def _device(self) -> torch.device:
        return working_device(self.loaded.eye.projector)

    def _look(self, image: Image) -> tuple[VisualTokens, ImageMemory]:
        pixels = model_input(image.pil(), self.config.image_size)[None]
        seen: tuple[VisualTokens, ImageMemory] = self.loaded.eye.perception(pixels.to(self._device))
        return seen

    @torch.inference_mode()
    def segment(self, request: Request, shown: Shown, generation: Generation) -> Response:
        """Give what was said, and OMG-Seg's masks of it; see the class for what the fidelity changes."""
        tokenizer = self.loaded.tokenizer
        published = self.context.published
        text, tokens = self.spoken(generation.token_ids)
        places = seg_places(generation.token_ids, tokenizer.added[SEG])
        found = masks.encode_many(self._masks(request.image.size, shown.beside, states_at(places, generation.states)))
        # The released script saves the first mask only.
        chosen = masks.union(found[:1] if published else found, request.image.size)
        stopped = generation.token_ids[-1] in tokenizer.ends
        return Response(
            text,
            tokens,
            mask=chosen,
            masks=tuple(found),
            mask_spans=mask_spans(tokenizer.added, text, tokens, places),
            extra={"finish": "stop" if stopped else "length"},
        )

    def _masks(self, size: tuple[int, int], memory: ImageMemory, states: Tensor) -> NDArray[np.bool_]:
        """One mask for each state, (n, height, width)."""
        width, height = size
        if not len(states):
            return np.zeros((0, height, width), dtype=bool)
        eye = self.loaded.eye
        images = torch.zeros(len(states), dtype=torch.long, device=memory.mask_features.device)
        projected = eye.state_projector(states.to(memory.mask_features))
        logits = eye.perception.query_decoder.masks_of_states(projected, memory.select(images))[-1]
        crop = corner_crop(width, height) if self.context.published else content_crop(width, height)
        return cut(square_logits(finite(logits, self.loaded.language.dtype), max(size)), crop)
