"""Cambrian-1 as a model adapter: text, and attention through the tap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL.Image import Image as PILImage
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pixcore_segtoken.tokenizer import IMAGE, IMAGE_ID, encode_with_image
from pixcore_transformers.adapter import Adapter
from pixcore_transformers.config import place
from pixcore_transformers.families import Processed, VisualFamily
from pixcore_transformers.fitting import check_room
from pixcore_transformers.loading import Loaded, generation_settings, prepare_model, read_json, resolve
from pixcore_transformers.placing import Placement, check_placing, dtype_of, offload, quantize
from pixcore_transformers.spans import Decoder, clean_up_spaces
from transformers import PreTrainedTokenizerFast

from pixcore.errors import ModelError
from pixcore.geometry import VisualLayout
from pixcore_cambrian.config import CambrianConfig
from pixcore_cambrian.generation import CambrianForGeneration
from pixcore_cambrian.geometry import kept_cells, layout
from pixcore_cambrian.model import Cambrian
from pixcore_cambrian.prompt import llama_3
from pixcore_cambrian.towers import build_tower, hub_name
from pixcore_cambrian.weights import rules, sizes_of, weights_of


class _Grid(VisualFamily):
    """Cambrian's cells and newlines, as the general adapter asks for them."""

    def __init__(self, side: int, read: float, *, published: bool) -> None:
        self._side = side
        self._read = read
        self._published = published

    def layout(self, processed: Processed) -> VisualLayout:
        return layout(self._side, *processed.size, published=self._published, read=self._read)

    def visual(self, processed: Processed) -> NDArray[np.bool_]:
        return np.asarray(processed.input_ids == IMAGE_ID)


class _Tidying:
    """A tokenizer that closes the spaces before punctuation, as transformers 4 does for those that ask for it."""

    def __init__(self, tokenizer: Decoder) -> None:
        self._tokenizer = tokenizer

    def decode(self, token_ids: list[int], *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> str:
        return clean_up_spaces(
            self._tokenizer.decode(
                token_ids,
                skip_special_tokens=skip_special_tokens,
                clean_up_tokenization_spaces=clean_up_tokenization_spaces,
            )
        )


class CambrianAdapter(Adapter[CambrianConfig]):
    """Runs Cambrian-1 8B as PixFoundation's `inference/infer_pixfoundation_cambrian.py` does.

    Under `published` the cut grid is placed as if it covered the padded square, the samplers work from the configured
    image position, and the text is tidied up as Llama 3's tokenizer asks for (which transformers 5 ignores). Under
    `corrected` grid and image are where they are, and the text is what was said.
    """

    marks = (IMAGE,)

    def load(self) -> Loaded:
        """Read the checkpoint and its towers.

        Raises:
            ModelError: It is no Cambrian with a spatial vision aggregator, or the prompt puts the image elsewhere than
                the checkpoint was trained with.
        """
        check_placing(self.config, cache=self.config.cache)
        path = resolve(self.config, ("config.json",)) / "config.json"
        stored = read_json(path)
        if stored.get("mm_projector_type") != "sva":
            raise ModelError(
                f"{self.config.checkpoint} has no spatial vision aggregator", hint="cambrian-8b, -13b or -34b has one"
            )
        # what it says wrong, and what can't fit without a tower, is told before one is downloaded
        least = replace(sizes_of(stored, path=path), tower_widths=(1,) * len(stored["mm_vision_tower_aux_list"]))
        placement = Placement(self.config, towers=(), language="language")
        device = placement.device
        dtype = dtype_of(self.config.dtype, device, torch.float16)
        waiting = torch.device("cpu") if self.config.offload_towers else device
        names, tokens = stored["mm_vision_tower_aux_list"], stored["mm_vision_tower_aux_token_len_list"]
        check_room(self.config.checkpoint, weights_of(least, ()), self.config, dtype)
        folders = [self._tower_folder(index, name) for index, name in enumerate(names)]
        towers = [build_tower(*each) for each in zip(names, folders, tokens, strict=True)]
        sizes = sizes_of(stored, [tower.width for tower in towers], path)
        if self.config.kernel != "auto":
            sizes.language._attn_implementation = self.config.kernel
        check_room(self.config.checkpoint, weights_of(sizes, towers), self.config, dtype)
        with parameters_on_meta():
            cambrian = Cambrian(sizes).eval()
        folder = resolve(self.config)
        for tower, its_folder in zip(towers, folders, strict=True):
            tower.fill(its_folder)
            tower.to(waiting, dtype)
        quantize(cambrian.language, self.config, dtype)
        load_weights(
            cambrian,
            folder,
            rules(),
            dtype=dtype,
            device=placement,
            cache=self.config.cache,
            package="pixcore-cambrian",
        )
        placement.settle(cambrian)
        if self.config.offload_towers:
            for tower in towers:
                offload(tower, device)
        settings = generation_settings(folder)
        if settings is not None:
            cambrian.language.generation_config = settings
        tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        model = CambrianForGeneration(cambrian, towers, fixed_position=self.context.published)
        loaded = Loaded(prepare_model(model, self.config, placed=True), tokenizer, None)
        place = encode_with_image(tokenizer.encode, llama_3("")).index(IMAGE_ID)
        if place != cambrian.sizes.image_position:
            raise ModelError(
                f"the published prompt puts the image at {place}, the checkpoint expects it at "
                f"{cambrian.sizes.image_position}",
                hint="the tokenizer is not the checkpoint's own",
            )
        return loaded

    def _tower_folder(self, index: int, name: str) -> Path:
        if self.config.towers is not None and index >= len(self.config.towers):
            raise ModelError(f"no folder is given for tower {index}, {name}", hint="towers: one for each, or none")
        source = hub_name(name) if self.config.towers is None else self.config.towers[index]
        return resolve(place(source, offline=self.config.offline))

    def full_prompt(self, prompt: str) -> str:
        """Put a question into the published conversation `llama_3`, or into the config's template."""
        framed = self.config.framed(prompt)
        return llama_3(prompt) if framed is None else framed

    def encode(self, images: Sequence[PILImage], prompts: Sequence[str]) -> dict[str, Any]:
        """Encode prompts to token ids, -200 for each cell and newline, padded on the left, and images to pixels."""
        model: Any = self.loaded.model
        tokenizer: Any = self.loaded.tokenizer
        sequences = []
        for image, prompt in zip(images, prompts, strict=True):
            ids = encode_with_image(tokenizer.encode, self.full_prompt(prompt))
            kept = kept_cells(model.cambrian.sizes.side, *image.size)
            place = ids.index(IMAGE_ID)
            sequences.append([*ids[:place], *[IMAGE_ID] * (kept.rows * (kept.cols + 1)), *ids[place + 1 :]])
        longest = max(map(len, sequences))
        padded = [[0] * (longest - len(ids)) + ids for ids in sequences]
        mask = [[0] * (longest - len(ids)) + [1] * len(ids) for ids in sequences]
        pixels = [model.flatten([tower.prepare(image) for tower in model.towers]) for image in images]
        return {
            "input_ids": torch.tensor(padded),
            "attention_mask": torch.tensor(mask),
            "pixel_values": torch.stack(pixels),
            "image_sizes": torch.tensor([image.size for image in images]),
        }

    @property
    def decoder(self) -> Decoder:
        """The tokenizer that turns tokens into text."""
        tokenizer: Any = self.loaded.tokenizer
        return _Tidying(tokenizer) if self.context.published and tokenizer.clean_up_tokenization_spaces else tokenizer

    @cached_property
    def family(self) -> VisualFamily:
        """Where the visual tokens lie."""
        model: Any = self.loaded.model
        read = max(tower.read for tower in model.towers)
        return _Grid(model.cambrian.sizes.side, read, published=self.context.published)
