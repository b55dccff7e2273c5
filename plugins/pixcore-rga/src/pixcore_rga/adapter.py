"""RGA as a model adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_segtoken.attending import Shown
from pixcore_segtoken.language import Generation
from pixcore_segtoken.loading import LoadReport, load_weights, parameters_on_meta
from pixcore_segtoken.mask_adapter import MaskAdapter, finite
from pixcore_segtoken.sam import upscale
from pixcore_segtoken.text import mask_spans
from pixcore_segtoken.tokenizer import added_tokens
from pixcore_transformers.config import place
from pixcore_transformers.fitting import Weights, check_room, on_meta
from pixcore_transformers.generation import penalised
from pixcore_transformers.loading import generation_settings, model_type, read_config, resolve
from pixcore_transformers.placing import Placement, check_placing, dtype_of, quantize
from pixcore_transformers.processors import load_processor
from pixcore_transformers.spans import written_tokens
from torch import Tensor

from pixcore import masks
from pixcore.errors import DataError, ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Image, Protocol, Request, Response, Token
from pixcore_rga.config import RgaConfig
from pixcore_rga.model import TOWERS, Sizes, Speaker, Unigr, positions, rules
from pixcore_rga.sam2 import squeezed
from pixcore_rga.text import ChatTokenizer

FRAMES, SECONDS = 4, 1
"""How often PixFoundation's script shows an image, and how many seconds it says lie between two pairs of frames."""

_LONGEST = 200  # times its shorter side: Qwen2.5-VL's processor cuts no longer image
_SQUARE = 28 * 28
_PUBLISHED_PIXELS, _TRAINED_PIXELS = 384 * _SQUARE, 1280 * _SQUARE


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer.

    Attributes:
        model: In evaluation mode, on its device.
        tokenizer: The checkpoint's.
        image_processor: The checkpoint's, which cuts images into patches.
        ends: Token ids that end an answer.
        penalty: For repetition; 1 is none.
        report: What became of the checkpoint's tensors.
    """

    model: Unigr
    tokenizer: ChatTokenizer
    image_processor: Any
    ends: tuple[int, ...]
    penalty: float
    report: LoadReport

    @property
    def language(self) -> Speaker:
        """The Qwen that speaks."""
        return self.model.language


@dataclass(frozen=True)
class Seen:
    """An image as the language model gets it.

    Attributes:
        tokens: (cells, D).
        grid: Frames, rows and columns of the cells.
        layout: Where they lie in the image.
    """

    tokens: Tensor
    grid: tuple[int, int, int]
    layout: VisualLayout


class Rga(MaskAdapter[RgaConfig, Loaded]):
    """Runs UniGR-7B as PixFoundation's `inference/infer_rga.py` does.

    Under `published` an image is shown as a video of four equal frames. Asked to segment, the model is made to say
    "Sure, [SEG].", whether or not the object is there; asked anything else it gives no mask, and answers without being
    told that it is its turn. Under `corrected` an image is shown as an image, as in training, the model says what it
    likes, each [SEG] of it gives a mask, and all are united.
    """

    def load(self) -> Loaded:
        """Read the checkpoint."""
        config = self.config
        check_placing(config, cache=config.cache)
        sizes = self.sizes()
        placement = Placement(config, towers=TOWERS, language="language")
        dtype = dtype_of(config.dtype, placement.device, torch.bfloat16)
        check_room(config.checkpoint, weights_of(sizes), config, dtype)
        folder = self._folder()
        listed = added_tokens(folder)  # a damaged list is named before transformers trips over it
        processor = load_processor(folder, local_files_only=True)
        tokenizer = ChatTokenizer(processor, listed, int(sizes.qwen.text_config.vocab_size), folder)
        settings = generation_settings(folder)
        stored = None if settings is None else settings.eos_token_id
        with parameters_on_meta():
            model = Unigr(sizes).eval()
        quantize(model.language, config, dtype)
        package = type(self).__module__.partition(".")[0]
        report = load_weights(
            model, folder, rules(), dtype=dtype, device=placement, cache=config.cache, package=package
        )
        placement.settle(model)
        return Loaded(
            model,
            tokenizer,
            processor.image_processor,
            tuple({tokenizer.eos, *(stored if isinstance(stored, list) else [stored or tokenizer.eos])}),
            1.0 if settings is None else settings.repetition_penalty or 1.0,
            report,
        )

    def sizes(self) -> Sizes:
        """Read how large the model is from config.json alone.

        Raises:
            ModelError: It is missing or damaged, or of another architecture.
        """
        hub = place(self.config.checkpoint, self.config.revision, offline=self.config.offline)
        if (kind := model_type(hub)) != "qwen2_5_vl":
            message = f"config.json of {hub.checkpoint} is of a {kind}, not of a qwen2_5_vl"
            raise ModelError(message, hint="checkpoint: SurplusDeficit/UniGR-7B, or its folder")
        return Sizes(read_config(self._folder(only=("config.json",)), hub), self.config.sam)

    @property
    def ends(self) -> Sequence[int]:
        """The end of a turn, and what else ends an answer by the checkpoint."""
        return self.loaded.ends

    def spoken(self, token_ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
        """Write an answer as the fidelity asks for."""
        return written_tokens(partial(self.loaded.tokenizer.decode, published=self.context.published), token_ids)

    def dictated(self, requests: Sequence[Request]) -> Sequence[Sequence[int]] | None:
        """Give the published answer to who asks for a mask; every other one is the model's own."""
        answer = self.loaded.tokenizer.published_answer()
        return [answer if self._is_made_to_segment(request) else [] for request in requests]

    def adjust(self, shown: Sequence[Shown], written: Sequence[Sequence[int]], scores: Tensor) -> Tensor:
        """Penalise repetition as the checkpoint's generation_config.json asks for."""
        if self.loaded.penalty == 1:
            return scores
        used = torch.zeros_like(scores, dtype=torch.bool)
        for row, one, own in zip(used, shown, written, strict=True):
            row[[*one.beside, *own]] = True
        return penalised(scores, used, self.loaded.penalty)

    @torch.no_grad()
    def show(self, requests: Sequence[Request]) -> list[Shown]:
        """Put an image's tokens into each prompt; the prompt's own tokens are beside it."""
        model, shown = self.loaded.model, []
        for request in requests:
            # one image at a time: another in the batch must not change it
            seen = self._look(request.image)
            ids, start = self.loaded.tokenizer.prompt(
                request.prompt,
                "video" if self.context.published else "image",
                len(seen.tokens),
                answering=not self.context.published or self._is_made_to_segment(request),
            )
            embedded = model.language.model.embed_tokens(torch.tensor(ids, device=model.device))
            embedded[start : start + len(seen.tokens)] = seen.tokens.to(embedded)
            step = SECONDS * int(model.sizes.qwen.vision_config.tokens_per_second)
            places = positions(start, seen.grid, step, len(ids) - start - len(seen.tokens)).to(model.device)
            shown.append(Shown(embedded, start, seen.layout, ids, places))
        return shown

    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        """Give the language model's tokens for an image: (visual tokens, width)."""
        return np.asarray(self._look(image).tokens.float().cpu().numpy())

    def layout(self, image: Image) -> VisualLayout:
        """Lay a grid over the whole image, for each two of its frames."""
        return self._look(image).layout

    @torch.no_grad()
    def segment(self, request: Request, shown: Shown, generation: Generation) -> Response:
        """Give what was said, and SAM 2's masks of it; see the class for what the fidelity changes."""
        tokenizer, published = self.loaded.tokenizer, self.context.published
        text, tokens = self.spoken(generation.token_ids)
        asked = len(shown.beside)
        first = 1 if self._is_made_to_segment(request) else asked  # the script finds a [SEG] of the question too
        sequence = [*shown.beside, *generation.token_ids] if not published or first == 1 else []
        places = [index for index in range(first, len(sequence)) if sequence[index] == tokenizer.seg]
        states = torch.cat([generation.prompt_states, generation.states[1:]])
        logits, scores = self._masks(request.image, states[[index - 1 for index in places]])
        found = masks.encode_many((finite(logits, self.language.dtype) > 0).cpu().numpy())
        # the released script saves the first one
        mask = found[0] if published and found else masks.union(found, request.image.size)
        return Response(
            text,
            tokens,
            mask=mask,
            masks=tuple(found),
            mask_spans=() if published else mask_spans({}, text, tokens, [index - asked for index in places]),
            extra=self._extra(generation, scores),
        )

    def _masks(self, image: Image, states: Tensor) -> tuple[Tensor, Tensor]:
        """Make mask logits (n, height, width) of n states, and what SAM 2 expects of each, (n, 1)."""
        size = (image.size[1], image.size[0])
        if not len(states):
            return states.new_zeros(0, *size), states.new_zeros(0, 1)
        model, side = self.loaded.model, self.config.sam.image_size
        features = model.sam.encode(squeezed(image.pil(), side)[None].to(model.device))
        low_res, scores = model.sam.decode(features, model.seg_projection(states.to(model.device)))
        return upscale(low_res, side, (side, side), size), finite(scores, model.language.dtype)

    def _extra(self, generation: Generation, scores: Tensor) -> Mapping[str, Any]:
        finish = "stop" if generation.token_ids[-1] in self.ends else "length"
        return {"finish": finish, "mask_scores": [round(float(score), 4) for score in scores[:, 0]]}

    def _is_made_to_segment(self, request: Request) -> bool:
        return self.context.published and request.protocol == Protocol.SEGMENT and "masks" in self.capabilities

    def _look(self, image: Image) -> Seen:
        width, height = image.size
        if max(image.size) > _LONGEST * min(image.size):
            raise DataError(f"an image of {width}x{height} pixels is too long: over {_LONGEST} times its other side")
        processor, model, published = self.loaded.image_processor, self.loaded.model, self.context.published
        most = self.config.max_pixels or (_PUBLISHED_PIXELS if published else _TRAINED_PIXELS)
        size = {"shortest_edge": min(processor.size["shortest_edge"], most), "longest_edge": most}
        cut = processor(images=[image.pil().convert("RGB")], size=size, return_tensors="pt")
        merge = int(processor.merge_size)
        rows, cols = (int(count) // merge for count in cut["image_grid_thw"][0, 1:])
        # the tower looks at each two frames by themselves, and they are equal
        pairs = FRAMES // int(processor.temporal_patch_size) if published else 1
        tokens = model.look(cut["pixel_values"], cut["image_grid_thw"]).repeat(pairs, 1)
        grid = VisualLayout.single(VisualGrid.stretched(rows, cols, image.size))
        return Seen(tokens, (pairs, rows, cols), VisualLayout.joined([grid] * pairs))

    def _folder(self, only: Sequence[str] | None = None) -> Path:
        return resolve(place(self.config.checkpoint, self.config.revision, offline=self.config.offline), only)


def weights_of(sizes: Sizes) -> Weights:
    """Count the weights of an RGA."""
    return Weights.of(on_meta(lambda: Unigr(sizes)), towers=TOWERS, language="language")
