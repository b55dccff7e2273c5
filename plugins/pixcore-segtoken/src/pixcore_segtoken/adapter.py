"""The adapter that LISA and GLaMM share: requests in, text and masks out."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_transformers.config import place
from pixcore_transformers.fitting import Weights, check_room, on_meta
from pixcore_transformers.loading import own_generation, read_json, resolve
from pixcore_transformers.placing import Placement, check_placing, dtype_of, quantize
from transformers import CLIPVisionConfig, LlamaForCausalLM

from pixcore import masks
from pixcore.errors import ModelError
from pixcore.geometry import VisualLayout
from pixcore.records import Image, Request, Response, Token
from pixcore_segtoken.attending import Shown
from pixcore_segtoken.clip import centre_crop, tower_rules
from pixcore_segtoken.config import GroundedConfig
from pixcore_segtoken.grounded import TOWERS, Answer, GroundedLlava, GroundedSizes, Prompt
from pixcore_segtoken.keymap import Ignore, Rule
from pixcore_segtoken.language import Generation
from pixcore_segtoken.loading import LoadReport, Source, load_weights, parameters_on_meta
from pixcore_segtoken.mask_adapter import MaskAdapter, finite
from pixcore_segtoken.sam import longest_side
from pixcore_segtoken.sizes import llama_config, named_tower, tower_config
from pixcore_segtoken.text import mask_spans, spoken
from pixcore_segtoken.tokenizer import IMAGE, IMAGE_ID, PublishedTokenizer

ConfigT = TypeVar("ConfigT", bound=GroundedConfig)

_TOWER = "tower:"


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer.

    Attributes:
        model: In evaluation mode, on its device.
        tokenizer: The published one.
        seg_id: Token id of [SEG].
        report: What became of the checkpoint's tensors.
    """

    model: GroundedLlava
    tokenizer: PublishedTokenizer
    seg_id: int
    report: LoadReport

    @property
    def language(self) -> LlamaForCausalLM:
        """The Llama that speaks."""
        return self.model.language


class GroundedAdapter(MaskAdapter[ConfigT, Loaded]):
    """Answers with text and one mask for each [SEG].

    Under `published` the first mask is the response's, as PixFoundation's scripts save it, and a [SEG] in the question
    counts; the text is cleaned as they clean it. Under `corrected` all masks of the answer are united, the text is what
    was said without any special token, and each mask knows the phrase that it belongs to.

    Attributes:
        projector_depth: Linear layers between the CLIP tower and the language model.
        published_dtype: What the published script runs in.
    """

    projector_depth: ClassVar[int]
    published_dtype: ClassVar[torch.dtype]

    @abstractmethod
    def rules(self, sizes: GroundedSizes) -> Sequence[Rule]:
        """Give the key map, without the CLIP tower."""

    @abstractmethod
    def full_prompt(self, question: str) -> str:
        """Put the user's text into the model's own frame, `<image>` included."""

    @abstractmethod
    def published_text(self, decoded: str) -> str:
        """Write the answer as the published script does, from prompt and answer decoded together."""

    def load(self) -> Loaded:
        """Read the checkpoint and its CLIP tower."""
        check_placing(self.config, cache=self.config.cache)
        sizes, named = self.sizes()
        placement = Placement(self.config, towers=TOWERS, language="language")
        dtype = dtype_of(self.config.dtype, placement.device, self.published_dtype)
        check_room(self.config.checkpoint, weights_of(sizes), self.config, dtype)
        with parameters_on_meta():
            model = GroundedLlava(sizes).eval()
        folder, tower = _folder(self.config.checkpoint, self.config), _folder(named, self.config)
        tokenizer = PublishedTokenizer.from_folder(folder)
        tokenizer.check(sizes.language.vocab_size, folder)
        if "[SEG]" not in tokenizer.added:
            raise ModelError(f"the tokenizer of {folder} has no [SEG]", hint="fetch added_tokens.json as well")
        quantize(model.language, self.config, dtype)
        rules = (
            Ignore(r"model\.vision_tower\..+", "the CLIP tower is read from its own checkpoint"),
            *self.rules(sizes),
            *tower_rules(_TOWER, "clip."),
        )
        sources = [Source(folder), Source(tower, _TOWER)]
        report = load_weights(
            model,
            sources,
            rules,
            dtype=dtype,
            device=placement,
            cache=self.config.cache,
            package=type(self).__module__.partition(".")[0],
        )
        placement.settle(model)
        own_generation(folder, [tokenizer.eos])
        return Loaded(model, tokenizer, tokenizer.added["[SEG]"], report)

    def sizes(self) -> tuple[GroundedSizes, str]:
        """Read how large the model is, and where its CLIP tower is, from the two config.json alone.

        Raises:
            ModelError: They are missing or damaged, or name no tower.
        """
        path = _folder(self.config.checkpoint, self.config, only=("config.json",)) / "config.json"
        content = read_json(path)
        tower = self.config.vision_tower or named_tower(content, path)
        sizes = GroundedSizes(
            language=llama_config(content, path),
            clip=tower_config(CLIPVisionConfig, _folder(tower, self.config, only=("config.json",))),
            sam=self.config.sam,
            projector_depth=self.projector_depth,
            select_layer=content.get("mm_vision_select_layer", -2),
        )
        return sizes, tower

    def segment(self, request: Request, shown: Shown, generation: Generation) -> Response:
        """Give what was said, and SAM's masks of it; see the class for what the fidelity changes."""
        answer = self.loaded.model.segment(
            shown.beside, generation, seg_id=self.loaded.seg_id, published_positions=self.context.published
        )
        respond = self._published if self.context.published else self._corrected
        return respond(shown.beside, answer, request.image.size)

    def begun(self, shown: Shown, token_ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
        """Write the beginning of an answer; the published script's text tells no tokens."""
        if not self.context.published:
            return self.spoken(token_ids)
        return self._published_text(shown.beside, token_ids) if token_ids else "", ()

    def show(self, requests: Sequence[Request]) -> list[Shown]:
        """Put CLIP's tokens into the prompts; what SAM would see is beside them."""
        prompts = [self._prompt(request.image, request.prompt) for request in requests]
        return [
            Shown(embedded, list(prompt.token_ids).index(IMAGE_ID), self.layout(request.image), prompt)
            for prompt, embedded, request in zip(prompts, self.loaded.model.embed(prompts), requests, strict=True)
        ]

    def layout(self, image: Image) -> VisualLayout:
        """Lay out CLIP's grid over the part of the image that its centre crop keeps."""
        return self.loaded.model.clip.layout(image.size)

    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        """Project an image's patches: (visual tokens, width)."""
        model = self.loaded.model
        pixels = centre_crop(image.pil(), int(model.clip.model.config.image_size))
        return np.asarray(model.project(pixels[None].to(model.device))[0].float().cpu().numpy())

    def _prompt(self, image: Image, question: str) -> Prompt:
        pil = image.pil()
        model = self.loaded.model
        segments = "masks" in self.capabilities
        resized, sam_pixels = longest_side(pil, self.config.sam.image_size) if segments else (None, None)
        # A question that spells the placeholder would ask for a second image.
        full = self.full_prompt(question.replace(IMAGE, ""))
        return Prompt(
            self.loaded.tokenizer.encode_with_image(full),
            centre_crop(pil, int(model.clip.model.config.image_size)),
            sam_pixels,
            None if resized is None else (resized.shape[0], resized.shape[1]),
            (pil.height, pil.width),
        )

    def _published(self, prompt: Prompt, answer: Answer, size: tuple[int, int]) -> Response:
        found = masks.encode_many(self._drawn(answer.mask_logits))
        return Response(
            self._published_text(prompt, answer.generation.token_ids),
            mask=found[0] if found else masks.empty(size),
            masks=tuple(found),
            extra=self._extra(answer),
        )

    def _published_text(self, prompt: Prompt, token_ids: Sequence[int]) -> str:
        ids = [*(index for index in prompt.token_ids if index != IMAGE_ID), *token_ids]
        return self.published_text(self.loaded.tokenizer.decode(ids))

    def _corrected(self, prompt: Prompt, answer: Answer, size: tuple[int, int]) -> Response:
        tokenizer = self.loaded.tokenizer
        text, tokens = spoken(tokenizer, answer.generation.token_ids)
        own = [index for index, place in enumerate(answer.seg_positions) if place >= len(prompt.token_ids)]
        found = masks.encode_many(self._drawn(answer.mask_logits[own]))
        places = [answer.seg_positions[index] - len(prompt.token_ids) for index in own]
        return Response(
            text,
            tokens,
            mask=masks.union(found, size),
            masks=tuple(found),
            mask_spans=mask_spans(tokenizer.added, text, tokens, places),
            extra=self._extra(answer),
        )

    def _drawn(self, logits: torch.Tensor) -> NDArray[np.bool_]:
        drawn: NDArray[np.bool_] = (finite(logits, self.loaded.model.language.dtype) > 0).cpu().numpy()
        return drawn

    def _extra(self, answer: Answer) -> Mapping[str, Any]:
        ids = answer.generation.token_ids
        finite(answer.iou, self.loaded.model.language.dtype)
        finish = "stop" if ids and ids[-1] == self.loaded.tokenizer.eos else "length"
        return {"finish": finish, "mask_scores": [round(float(score), 4) for score in answer.iou[:, 0]]}


def weights_of(sizes: GroundedSizes) -> Weights:
    """Count the weights of a LISA or a GLaMM."""
    return Weights.of(on_meta(lambda: GroundedLlava(sizes)), towers=TOWERS, language="language")


def _folder(name: str, config: GroundedConfig, only: Sequence[str] | None = None) -> Path:
    revision = config.revision if name == config.checkpoint else None
    return resolve(place(name, revision, offline=config.offline), only)
