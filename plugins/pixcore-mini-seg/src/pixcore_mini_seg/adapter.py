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

    def _states(self, request: Request, response: Response) -> torch.Tensor:
        """Give the states that predict each token of a response, (tokens, width): one pass over prompt and answer."""
        seen: list[torch.Tensor] = []
        batch, model = self.prepare([request]), self.loaded.model
        handle = model.lm_head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
        try:
            with untapped():
                model(**batch.with_text([[token.id for token in response.tokens]]))
        finally:
            handle.remove()
        return seen[0][0, batch.length - 1 : -1]

    @torch.no_grad()
    def _masked(self, request: Request, response: Response) -> Response:
        """Give a response its masks."""
        tokenizer = self.loaded.tokenizer
        seg = tokenizer.convert_tokens_to_ids(SEG)
        places = [place for place, token in enumerate(response.tokens) if token.id == seg]
        size = request.image.size
        if not places:
            return replace(response, mask=masks.empty(size))
        tower, states = self.loaded.model.model.vision_tower, self._states(request, response)
        pixels = self.encode([request.image.pil()], [""])["pixel_values"].to(states.device, tower.dtype)
        patches = tower(pixel_values=pixels).last_hidden_state[:, 1:].float()
        owners = torch.zeros(len(places), dtype=torch.long, device=states.device)
        logits = finite(self._decoder(states[places].float(), owners, patches, pixels.float()), tower.dtype)
        found = masks.encode_many((at_size(logits, size[::-1]) > 0).cpu().numpy())
        return replace(
            response,
            mask=found[0] if self.context.published else masks.union(found, size),
            masks=tuple(found),
            mask_spans=mask_spans(_Marked(tokenizer.get_vocab()), response.text, response.tokens, places),
        )


class _Marked:
    """What `mask_spans` asks of a tokenizer."""

    def __init__(self, added: dict[str, int]) -> None:
        self.added = added
