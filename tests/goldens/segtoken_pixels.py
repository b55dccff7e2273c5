"""Golden preprocessing of CLIP and SAM: `python -m tests.goldens.runner preprocess FOLDER`.

The images are given by a formula; of each result the set holds a hash of the resized image, its statistics, and the
model's input on a 16 x 16 grid of pixels.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pixcore_segtoken.clip import centre_crop, denormalise
from pixcore_segtoken.sam import longest_side

from tests.goldens.runner import Check, GoldenSet, attempt, load_arrays

_SAMPLED = 16


def prepare(folder: Path) -> GoldenSet:
    """The set in a folder with `preprocess.json` and `preprocess.npz`."""
    images = json.loads((folder / "preprocess.json").read_text())["images"]
    expected: dict[str, Any] = dict(load_arrays(folder / "preprocess.npz"))
    for name, facts in images.items():
        if "sha256_rgb_hwc_uint8" in facts:
            expected[f"{name}/sha256"] = facts["sha256_rgb_hwc_uint8"]
        for kind, numbers in facts.items():
            if isinstance(numbers, dict):
                expected |= {f"{name}/{kind}_{key}": value for key, value in numbers.items()}
    return GoldenSet(_checks(images, expected), _keys(images), expected, {"*_dtype": "is the array's own"})


def _keys(images: Mapping[str, Any]) -> list[str]:
    keys = []
    for name, facts in images.items():
        for kind in facts:
            if kind.startswith("clip"):
                keys += [f"{name}/{kind}_grid", f"{name}/{kind}_sha256_cropped_hwc_uint8"]
            elif kind.startswith("sam"):
                keys += [f"{name}/{kind}_{key}" for key in ("grid", "content_grid", "sha256_resized_hwc_uint8")]
    return keys


def formula_image(height: int, width: int, variant: int) -> NDArray[np.uint8]:
    """The set's images, (height, width, 3), in integers alone."""
    y, x, c = np.ogrid[:height, :width, :3]
    triangle = np.abs((x * (3 + c + variant) + y * (5 - c + 2 * variant)) % 512 - 256)
    blocks = ((x // 16 + y // 24 + c) % 3) * 30
    return np.asarray(np.minimum(255, triangle * 3 // 4 + blocks), np.uint8)


def _checks(images: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Check]:
    for name, facts in images.items():
        yield from attempt(name, (check for check in _image_checks(name, facts) if check.name in expected))


def _image_checks(name: str, facts: Mapping[str, Any]) -> Iterator[Check]:
    pixels = formula_image(facts["h"], facts["w"], facts["variant"])
    yield Check(f"{name}/sha256", _hash(pixels))
    image = Image.fromarray(pixels)
    for kind in facts:
        if match := re.fullmatch(r"clip(\d+)", kind):
            yield from _clip(f"{name}/{kind}", image, int(match[1]))
        elif match := re.fullmatch(r"sam(\d+)", kind):
            yield from _sam(f"{name}/{kind}", image, int(match[1]))


def _clip(name: str, image: Image.Image, size: int) -> Iterator[Check]:
    pixels = centre_crop(image, size)
    short = min(image.size)
    # The long side is cut to a whole pixel, not rounded.
    yield Check(f"{name}_resized_hw_before_crop", [int(size * side / short) for side in image.size[::-1]])
    yield Check(f"{name}_sha256_cropped_hwc_uint8", _hash(denormalise(pixels)))
    yield from _statistics(name, pixels.numpy())
    yield Check(f"{name}_grid", _sample(pixels.numpy(), size, size), atol=1e-6)


def _sam(name: str, image: Image.Image, size: int) -> Iterator[Check]:
    resized, padded = longest_side(image, size)
    yield Check(f"{name}_resized_hw", list(resized.shape[:2]))
    yield Check(f"{name}_sha256_resized_hwc_uint8", _hash(resized))
    yield from _statistics(name, padded.numpy())
    yield Check(f"{name}_grid", _sample(padded.numpy(), size, size), atol=1e-6)
    yield Check(f"{name}_content_grid", _sample(padded.numpy(), *resized.shape[:2]), atol=1e-6)


def _statistics(name: str, pixels: NDArray[np.float32]) -> Iterator[Check]:
    wide = pixels.astype(np.float64)
    yield Check(f"{name}_shape", list(pixels.shape))
    yield Check(f"{name}_mean", wide.mean((1, 2)), atol=1e-6, unpack=np.asarray)
    yield Check(f"{name}_std", wide.std((1, 2)), atol=1e-6, unpack=np.asarray)


def _sample(pixels: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    rows = np.rint(np.linspace(0, height - 1, _SAMPLED)).astype(int)
    columns = np.rint(np.linspace(0, width - 1, _SAMPLED)).astype(int)
    return pixels[:, rows][:, :, columns]


def _hash(pixels: NDArray[np.uint8]) -> str:
    return hashlib.sha256(np.ascontiguousarray(pixels).tobytes()).hexdigest()
