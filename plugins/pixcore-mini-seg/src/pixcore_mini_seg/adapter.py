"""The model adapter: mini's, with a mask for every [SEG] that the model says."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from pixcore_mini.adapter import Mini
from pixcore_segtoken.mask_adapter import finite
from pixcore_segtoken.text import mask_spans
from pixcore_transformers.loading import Loaded
from pixcore_transformers.placing import working_device
from pixcore_transformers.tap import untapped

from pixcore import masks
from pixcore.components import AttentionExtractor, Capability
from pixcore.records import Request, Response
from pixcore_mini_seg.config import MiniSegConfig
from pixcore_mini_seg.decoder import MaskDecoder, at_size
from pixcore_mini_seg.network import change, new_decoder, widen
from pixcore_mini_seg.weights import read
from pixcore_mini_seg.words import SEG, build_tokenizer


class MiniSeg(Mini[MiniSegConfig]):
    """Answers in the words of mini-world, with masks; or, under an extractor, shows where it looks and gives no mask.

    Under `published` the first mask is the response's, as the paper's scripts save it; under `corrected` all of them
    are united, and each knows the phrase that it belongs to.
    """

    _decoder: MaskDecoder

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Text, and masks or attention."""
        return frozenset({"text", "attention", "masks"})

    def load(self) -> Loaded:
        """Read mini, and put what differs into it.

        Raises:
            ModelError: A folder does not hold what the training wrote.
        """
        difference = read(self.config.own_folder)
        loaded = super().load()
        tokenizer, llava = build_tokenizer(), loaded.model
        if difference.base:
            widen(llava, len(tokenizer))
            change(llava, difference.tensors)
        decoder = new_decoder(llava)
        decoder.load_state_dict(difference.decoder)
        self._decoder = decoder.eval().to(working_device(llava.get_input_embeddings()))
        return Loaded(llava, tokenizer, None)

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Answer a batch: with masks, or with attention maps where there is an extractor."""
        responses = super().answer(requests, extractor)
        if extractor is not None:
            return responses
        return [self._masked(request, response) for request, response in zip(requests, responses, strict=True)]

    def _looked(self, request: Request, response: Response) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Look once more at prompt and answer, in one pass.

        Returns:
            The states that predict each token of the response, (tokens, width); the image's patches as the tower leaves
            them, (1, patches, width); and its pixels, (1, 3, height, width).
        """
        seen: list[torch.Tensor] = []
        batch, model = self.prepare([request]), self.loaded.model
        handles = [
            model.model.vision_tower.register_forward_hook(
                lambda module, given, out: seen.append(out.last_hidden_state)
            ),
            model.lm_head.register_forward_pre_hook(lambda module, given: seen.append(given[0])),
        ]
        try:
            with untapped():
                model(**batch.with_text([[token.id for token in response.tokens]]))
        finally:
            for handle in handles:
                handle.remove()
        patches, states = seen
        return states[0, batch.length - 1 : -1], patches[:, 1:], batch.inputs["pixel_values"]

    @torch.no_grad()
    def _masked(self, request: Request, response: Response) -> Response:
        """Give a response its masks."""
        tokenizer = self.loaded.tokenizer
        seg = tokenizer.convert_tokens_to_ids(SEG)
        places = [place for place, token in enumerate(response.tokens) if token.id == seg]
        size = request.image.size
        if not places:
            return replace(response, mask=masks.empty(size))
        states, patches, pixels = self._looked(request, response)
        owners = torch.zeros(len(places), dtype=torch.long, device=states.device)
        logits = finite(self._decoder(states[places].float(), owners, patches.float(), pixels.float()), patches.dtype)
        found = masks.encode_many((at_size(logits, size[::-1]) > 0).cpu().numpy())
        return replace(
            response,
            mask=found[0] if self.context.published else masks.union(found, size),
            masks=tuple(found),
            mask_spans=mask_spans(tokenizer.get_vocab(), response.text, response.tokens, places),
        )
