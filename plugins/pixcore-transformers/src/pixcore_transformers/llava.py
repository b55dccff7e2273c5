"""Run LLaVA-1.5 7B and 13B, prepared as the published runs prepare it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from PIL.Image import Image as PILImage
from transformers import AutoTokenizer

from pixcore.errors import ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_transformers.adapter import Adapter
from pixcore_transformers.config import Llava15Config
from pixcore_transformers.families import Processed
from pixcore_transformers.generation import Settings
from pixcore_transformers.layouts.tiles import part_read, reach
from pixcore_transformers.loading import Loaded, check_first, load_model, model_type, prepare_model, resolve
from pixcore_transformers.original_llava import is_original, load_original
from pixcore_transformers.slow_decoder import SlowDecoder
from pixcore_transformers.spans import Decoder

_BEFORE = (
    "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the human's questions. USER: "
)
_AFTER = "\n{prompt} ASSISTANT:"
_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_PUBLISHED_TEMPERATURE = 0.2  # PixFoundation `pixmmvp/inference/infer_pixfoundation.py:62,76,188`
_PUBLISHED_TOP_K = 50  # transformers' default, which the script does not set


class Llava15(Adapter[Llava15Config]):
    """Runs LLaVA-1.5 with the template `llava_v1` and the padded image of its training and of the published runs.

    The image is padded to a square with CLIP's mean colour, centred, and resized; the Hugging Face processor of the
    same checkpoints crops the centre instead and loses the sides (the adapter `transformers` does that). Under
    `published` a token is drawn at temperature 0.2, among the 50 likeliest, by each request's seed, and spans come from
    the slow tokenizer's prefixes; under `corrected` it is the likeliest one. The published draws themselves can't be
    reproduced: they hang on the device.
    """

    marks = ("<image>",)  # no token of the original layout's

    @cached_property
    def folder(self) -> Path:
        """The checkpoint's folder."""
        return resolve(self.config)

    def load(self) -> Loaded:
        """Read a checkpoint of either layout, once its config.json says that it is one and fits."""
        if is_original(resolve(self.config, ("config.json",))):
            return load_original(self.config)
        kind = model_type(self.config)
        if kind != "llava":
            raise ModelError(f"{self.config.checkpoint} is a {kind!r}, no LLaVA-1.5", hint="try model: transformers")
        check_first(self.config)
        tokenizer = AutoTokenizer.from_pretrained(self.folder, local_files_only=True)
        return Loaded(prepare_model(load_model(self.folder, self.config), self.config), tokenizer, None)

    def encode(self, images: Sequence[PILImage], prompts: Sequence[str]) -> dict[str, Any]:
        """Prepare a batch as LLaVA's `tokenizer_image_token` and `process_images` do."""
        rows = [self.prompt_ids(prompt) for prompt in prompts]
        longest = max(len(row) for row in rows)
        ids = torch.full((len(rows), longest), self.end[0])
        mask = torch.zeros_like(ids)
        for index, row in enumerate(rows):
            ids[index, longest - len(row) :] = torch.tensor(row)
            mask[index, longest - len(row) :] = 1
        pixels = np.stack([self.pixels(image) for image in images])
        return {"input_ids": ids, "attention_mask": mask, "pixel_values": torch.from_numpy(pixels)}

    def prompt_ids(self, prompt: str) -> list[int]:
        """Encode a whole prompt: the text before and after the image, each on its own, the image between them."""
        tokenizer, config = self.loaded.tokenizer, self.loaded.model.config
        before, after = _BEFORE, _AFTER.format(prompt=prompt)
        framed = self.config.framed(prompt)
        if framed is not None:
            before, _, after = framed.partition("<image>")
        start = tokenizer.bos_token  # a template may write it itself
        return [
            *tokenizer.encode(before, add_special_tokens=not (start and before.startswith(start))),
            *[config.image_token_id] * self._side**2,
            *tokenizer.encode(after, add_special_tokens=False),
        ]

    def pixels(self, image: PILImage) -> NDArray[np.float32]:
        """Prepare an image, (3, side, side) float32: padded to a square, resized bicubically in 8 bits, normalised."""
        mean, std = self._normalisation
        side = self.loaded.model.config.vision_config.image_size
        square = padded_to_square(image, tuple(int(value * 255) for value in mean))
        resized = np.asarray(square.resize((side, side), Image.Resampling.BICUBIC), np.float64)
        normalised = (resized / 255 - mean) / std
        return np.ascontiguousarray(normalised.transpose(2, 0, 1), np.float32)

    def layout_of(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the padded square."""
        square = VisualGrid.padded_to_square(1, 1, processed.size).box
        share = reach(self.loaded.model.config.vision_config)
        return VisualLayout.single(VisualGrid(self._side, self._side, part_read(square, share)))

    def settings(self) -> Settings:
        """Say how to generate: greedily, or with the published temperature."""
        temperature, top_k = self.config.temperature, self.config.top_k
        if temperature is None:
            temperature = _PUBLISHED_TEMPERATURE if self.context.published else 0.0
        if top_k is None and self.context.published:
            top_k = _PUBLISHED_TOP_K
        return replace(super().settings(), temperature=temperature, top_k=top_k)

    @cached_property
    def decoder(self) -> Decoder:
        """The tokenizer; under `published` the slow one, where the checkpoint has its model."""
        model = self.folder / "tokenizer.model"
        if self.context.published and model.is_file():
            return SlowDecoder(model, self.loaded.tokenizer.all_special_ids)
        decoder: Decoder = self.loaded.tokenizer
        return decoder

    @cached_property
    def _side(self) -> int:
        vision = self.loaded.model.config.vision_config
        return int(vision.image_size // vision.patch_size)

    @cached_property
    def _normalisation(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        stored = self.folder / "preprocessor_config.json"
        settings = json.loads(stored.read_text(encoding="utf-8")) if stored.is_file() else {}
        return tuple(settings.get("image_mean", _CLIP_MEAN)), tuple(settings.get("image_std", _CLIP_STD))


def padded_to_square(image: PILImage, colour: tuple[int, ...]) -> PILImage:
    """Put the image in the middle of a square of one colour, offsets floored (LLaVA's `expand2square`)."""
    width, height = image.size
    if width == height:
        return image
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(image, ((side - width) // 2, (side - height) // 2))
    return square
