"""A checkpoint's folder: its configs, what it says about generating, its index, its weights; loaded, and asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from pixcore.components import Context
from pixcore.errors import DataError, UserError, describe
from pixcore.records import Image, Request
from tests.fuzz.forms import BYTES, json_form
from tests.fuzz.kinds import Act, Kind

FOLDER = "tiny"
_JSON = json_form(None, marked=False)


def _make(folder: Path) -> None:
    """Make a LLaVA of a few thousand weights, in three files and their index."""
    from pixcore_transformers.testing import save_checkpoint
    from transformers import AutoModelForImageTextToText
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()
    path = save_checkpoint("llava", folder / FOLDER)
    model = AutoModelForImageTextToText.from_pretrained(path)
    for weights in path.glob("*.safetensors"):
        weights.unlink()
    model.save_pretrained(path, max_shard_size="100KB")
    assert (path / "model.safetensors.index.json").exists()


def _answer() -> tuple[Any, ...]:
    from pixcore_transformers.adapter import TransformersAdapter
    from pixcore_transformers.config import TransformersConfig

    options = {"checkpoint": f"./{FOLDER}", "max_new_tokens": 3, "dtype": "float32", "offline": True}
    config = TransformersConfig.model_validate(options)
    image = Image.from_pixels(np.full((24, 24, 3), 90, np.uint8))
    adapter = TransformersAdapter(config, Context())
    _ = adapter.loaded
    try:
        (response,) = adapter.answer([Request("one", "segment", image, "Where is it?")])
    except UserError:
        raise
    except Exception as error:  # what fails once it is loaded is a sample's failure, which its run tells like this
        raise DataError(f"{FOLDER}: sample one failed: {describe(error)}") from error
    return response.text, tuple(token.id for token in response.tokens)


KINDS = (
    Kind(
        "checkpoint",
        _make,
        {
            f"{FOLDER}/model.safetensors.index.json": _JSON,
            f"{FOLDER}/generation_config.json": _JSON,
            f"{FOLDER}/config.json": _JSON,
            f"{FOLDER}/preprocessor_config.json": _JSON,
            f"{FOLDER}/tokenizer_config.json": _JSON,
            f"{FOLDER}/model-00001-of-00003.safetensors": BYTES,
        },
        (Act(_answer),),
        share=3,
        names=(FOLDER, "visual tokens"),
    ),
)
