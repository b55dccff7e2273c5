"""The model adapter: the small LLaVA behind pixcore's adapter for models of transformers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL.Image import Image as PILImage
from PIL.Image import Resampling
from pixcore_transformers.adapter import Adapter
from pixcore_transformers.families import Processed
from pixcore_transformers.loading import Loaded, check_size, model_arguments, prepare_model, read_weights
from transformers import LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast

from pixcore.errors import ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore_mini.config import MiniConfig
from pixcore_mini.network import IMAGE_SIZE, pixels
from pixcore_mini.tokenizer import GRID, Encoder


class Mini(Adapter[MiniConfig]):
    """Answers in the words of mini-world; any other word is unknown to it.

    An image of any size and shape is stretched to the network's 112 pixels squared. Weights are float32 in memory
    unless the config says otherwise, so that an answer does not depend on the batch it is in.
    """

    def load(self) -> Loaded:
        """Read the weights and the tokenizer; nothing is downloaded.

        Raises:
            ModelError: The folder does not hold what the training wrote.
        """
        folder = self.config.folder
        dtype = torch.float32 if self.config.dtype == "auto" else getattr(torch, self.config.dtype)
        try:
            stored = LlavaConfig.from_json_file(folder / "config.json")
            check_size(LlavaForConditionalGeneration, stored, self.config)
            arguments = model_arguments(self.config, stored) | {"dtype": dtype}
            model = read_weights(LlavaForConditionalGeneration, folder, self.config, arguments)
            tokenizer = PreTrainedTokenizerFast.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            raise ModelError(
                f"can't load mini from {folder}: {str(error).splitlines()[0]}",
                hint="checkpoint: shipped, or the folder OUT/model that `python -m pixcore_mini.train` wrote",
            ) from error
        return Loaded(prepare_model(model, self.config), tokenizer, None)

    def encode(self, images: Sequence[PILImage], prompts: Sequence[str]) -> dict[str, Any]:
        """Prepare a batch: prompts padded on the left, images as the network takes them."""
        encoder = Encoder(self.loaded.tokenizer)
        rows = [encoder.full_prompt(prompt) for prompt in prompts]
        length = max(map(len, rows))
        stretched = [
            np.asarray(image.resize((IMAGE_SIZE, IMAGE_SIZE), Resampling.BICUBIC), np.uint8) for image in images
        ]
        return {
            "input_ids": torch.tensor([[encoder.pad] * (length - len(row)) + row for row in rows]),
            "attention_mask": torch.tensor([[0] * (length - len(row)) + [1] * len(row) for row in rows]),
            "pixel_values": pixels(torch.from_numpy(np.stack(stretched))),
        }

    def layout_of(self, processed: Processed) -> VisualLayout:
        """Lay one grid over the whole image."""
        return VisualLayout.single(VisualGrid.stretched(GRID, GRID, processed.size))
