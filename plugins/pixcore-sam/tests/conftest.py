"""Small SAMs with random weights, in the official layout and in transformers'."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_sam.testing import as_transformers, save_small_concept, save_small_sam, segment_anything, small_sam

from pixcore.records import Image


@pytest.fixture(scope="session")
def official() -> ModuleType:
    """The segment-anything package, whatever the state of torchvision."""
    if importlib.util.find_spec("segment_anything") is None:
        pytest.skip("segment-anything absent")
    return segment_anything()


@pytest.fixture(scope="session")
def make_official(official: ModuleType) -> Callable[..., Any]:
    """A small model made by the package's own classes."""
    return small_sam


@pytest.fixture(scope="session")
def checkpoint(official: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An official checkpoint file."""
    return save_small_sam(tmp_path_factory.mktemp("official") / "sam_vit_tiny.pth")


@pytest.fixture(scope="session")
def converted(make_official: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights as `checkpoint`, as a folder of transformers."""
    pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("converted")
    as_transformers(make_official()).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def concept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SAM 3's detector with random weights, and a tokenizer of a few words."""
    pytest.importorskip("transformers")
    return save_small_concept(tmp_path_factory.mktemp("concept"))


@pytest.fixture(scope="session")
def picture() -> Callable[[int, int], Image]:
    """An image of soft colours, of a given width and height."""

    def make(width: int, height: int, seed: int = 0) -> Image:
        small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        pixels = np.asarray(PILImage.fromarray(small).resize((width, height), PILImage.Resampling.BICUBIC))
        return Image.from_pixels(pixels)

    return make
