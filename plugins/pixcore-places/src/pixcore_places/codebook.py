"""Decode PaliGemma's sixteen mask codes: the decoder that Google publishes beside the models, in NumPy.

`vae-oid.npz` holds PyTorch's names and shapes: a codebook of 128 vectors, a 1x1 convolution, two residual blocks at
4x4, and four transposed convolutions up to 64x64. A mask is where the result, which reaches from -1 to 1, is above 0.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from pixcore.errors import DataError

CODES = 16
"""How many codes a mask has: a square of four by four."""

FILE = "vae-oid.npz"

_SIDE = 4
_BOOK = "_vq_vae._embedding"
_LAYERS = (
    "decoder.0",
    *(f"decoder.{block}.net.{layer}" for block in (2, 3) for layer in (0, 2, 4)),
    *(f"decoder.{layer}" for layer in (4, 6, 8, 10, 12)),
)

Floats = NDArray[np.float32]


class MaskDecoder:
    """Turns codes into masks.

    Args:
        path: The file of weights.

    Raises:
        DataError: It can't be read, or lacks a layer.
    """

    def __init__(self, path: Path) -> None:
        hint = f"{FILE} of big_vision's PaliGemma"
        try:
            with np.load(path, allow_pickle=False) as file:
                weights = {name: np.asarray(file[name], np.float32) for name in file.files}
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"can't read the mask decoder {path}: {error}", hint=hint) from error
        needed = [_BOOK, *(f"{layer}.{part}" for layer in _LAYERS for part in ("weight", "bias"))]
        lacking = [name for name in needed if name not in weights]
        if lacking:
            raise DataError(f"the mask decoder {path} has no {lacking[0]}", hint=hint)
        self._weights: Mapping[str, Floats] = weights

    def decode(self, codes: Sequence[int]) -> Floats:
        """Decode one mask: (64, 64), inside above 0.

        Raises:
            ValueError: There are not sixteen codes, or one is not in the codebook.
        """
        book = self._weights[_BOOK]
        if len(codes) != CODES or not all(0 <= code < len(book) for code in codes):
            raise ValueError(f"a mask has {CODES} codes below {len(book)}, got {list(codes)}")
        values = book[list(codes)].reshape(_SIDE, _SIDE, -1).transpose(2, 0, 1)
        values = np.maximum(self._convolved(values, "decoder.0"), 0)
        for block in (2, 3):
            inside = np.maximum(self._convolved(values, f"decoder.{block}.net.0"), 0)
            inside = np.maximum(self._convolved(inside, f"decoder.{block}.net.2"), 0)
            values = values + self._convolved(inside, f"decoder.{block}.net.4")
        for layer in (4, 6, 8, 10):
            values = np.maximum(self._enlarged(values, f"decoder.{layer}"), 0)
        return np.asarray(self._convolved(values, "decoder.12")[0])

    def _convolved(self, values: Floats, layer: str) -> Floats:
        """Convolve (channels, height, width) with an odd kernel; the size stays."""
        weight, bias = self._weights[f"{layer}.weight"], self._weights[f"{layer}.bias"]
        around = weight.shape[-1] // 2
        padded = np.pad(values, ((0, 0), (around, around), (around, around)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, weight.shape[-2:], axis=(1, 2))
        return np.asarray(np.einsum("chwij,ocij->ohw", windows, weight, optimize=True) + bias[:, None, None])

    def _enlarged(self, values: Floats, layer: str) -> Floats:
        """Transposed convolution with a kernel of 4, a stride of 2 and a padding of 1: twice the size."""
        weight, bias = self._weights[f"{layer}.weight"], self._weights[f"{layer}.bias"]
        _, height, width = values.shape
        drawn = np.zeros((weight.shape[1], 2 * height + 2, 2 * width + 2), np.float32)
        for row, column in np.ndindex(weight.shape[2:]):
            part = np.einsum("chw,co->ohw", values, weight[:, :, row, column])
            drawn[:, row : row + 2 * height : 2, column : column + 2 * width : 2] += part
        return np.asarray(drawn[:, 1:-1, 1:-1] + bias[:, None, None])
