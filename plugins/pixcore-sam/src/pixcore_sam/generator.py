"""Generate masks with any promptable segmenter: an image is encoded once, its prompts are decoded together."""

from __future__ import annotations

from abc import abstractmethod
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from torch import Tensor

from pixcore.components import Context, MaskGenerator
from pixcore.errors import ModelError, NotFiniteError, first_line
from pixcore.records import Image, MaskProposal, PointPrompt
from pixcore.stages.memory import Room
from pixcore_sam.config import GeneratorConfig

STABILITY_OFFSET = 1.0
"""How far the threshold is moved up and down, in logits, to see how stable a mask is; segment-anything's default."""

_GPU_MB, _CPU_MB = 2048, 64
"""For a batch of prompts where the config does not say."""

ConfigT = TypeVar("ConfigT", bound=GeneratorConfig)


@dataclass(frozen=True, eq=False)
class Encoded:
    """An encoded image.

    Attributes:
        features: What the encoder gave, on the CPU.
        frame: (height, width) that the image has inside the model's input, without padding.
        size: (height, width) of the original.
    """

    features: tuple[Tensor, ...]
    frame: tuple[int, int]
    size: tuple[int, int]

    @property
    def bytes(self) -> int:
        """Memory of the features."""
        return sum(feature.nbytes for feature in self.features)


@dataclass(frozen=True, eq=False)
class PromptBatch:
    """Prompts of one shape, in the coordinates of the model's input.

    Attributes:
        indices: Which prompts these are.
        points: (n, k, 2) float32, or None.
        labels: (n, k) int, or None.
        boxes: (n, 4) float32, or None.
    """

    indices: tuple[int, ...]
    points: Tensor | None
    labels: Tensor | None
    boxes: Tensor | None


_encoded: OrderedDict[tuple[str, ...], Encoded] = OrderedDict()
"""Encoded images by model and content, for the whole process: each stage of a run makes a generator anew, and the next
one's images are the last one's. What was asked for last stands last."""

_rooms: dict[tuple[str, ...], Room] = {}
"""By model: what does not fit in one stage does not in the next."""


class Promptable(MaskGenerator[ConfigT]):
    """A segmenter with an image encoder and a prompt decoder."""

    def __init__(self, config: ConfigT, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.device = device_named(config.device)
        self.precision: torch.dtype = getattr(torch, config.resolved_precision())
        # the precision that `auto` came to is in the fingerprint
        which = config.model_dump_json(exclude={"device", "precision", "memory_mb", "cache_mb"})
        self._identity = (which, config.fingerprint(), self.device.type)
        self._room = _rooms.setdefault(self._identity, Room("point prompts"))

    @abstractmethod
    def _encode(self, pixels: NDArray[np.uint8]) -> Encoded:
        """Encode one (height, width, 3) RGB image."""

    def _to_frame(self, coordinates: NDArray[np.float64], encoded: Encoded) -> NDArray[np.float64]:
        """Move (n, 2) points, x first, from the image into the model's input."""
        scale = np.array([encoded.frame[1] / encoded.size[1], encoded.frame[0] / encoded.size[0]])
        return np.asarray(coordinates * scale, np.float64)

    def _prepared(self, features: Sequence[Tensor], encoded: Encoded) -> Any:
        """What all prompts of an image have in common, from its features on the device."""
        return features

    @abstractmethod
    def _decode(self, prepared: Any, batch: PromptBatch) -> tuple[Tensor, Tensor]:
        """Decode prompts: low-resolution logits (n, m, h, w) and predicted IoUs (n, m)."""

    @abstractmethod
    def _restore(self, logits: Tensor, encoded: Encoded) -> Tensor:
        """Low-resolution logits (n, m, h, w) to the original image's pixels (n, m, height, width)."""

    @abstractmethod
    def _bytes_per_prompt(self, points: int) -> int:
        """What decoding holds for each prompt of so many points, roughly."""

    @property
    def _workers(self) -> int:
        """How many batches are decoded at a time."""
        return 1

    def encoded(self, image: Image) -> Encoded:
        """Encode an image; the same content once a run, within `cache_mb`."""
        key = (*self._identity, image.digest)
        if key not in _encoded:
            with torch.inference_mode(), self._reduced_precision():
                _encoded[key] = self._encode(image.pixels())
        _encoded.move_to_end(key)
        self._evict()
        return _encoded[key]

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        """Give masks above the logit 0, predicted IoUs as scores, and how stable the masks are."""
        if not prompts:
            return []
        encoded = self.encoded(image)
        # several phrases often peak at one place, and what is asked twice is answered once
        numbers: dict[bytes, int] = {}
        places = [numbers.setdefault(_content(prompt), len(numbers)) for prompt in prompts]
        different = [prompts[places.index(number)] for number in range(len(numbers))]
        with torch.inference_mode():
            prepared = self._prepared([feature.to(self.device).float() for feature in encoded.features], encoded)

        def decoded(batch: PromptBatch) -> list[MaskProposal]:
            with torch.inference_mode():
                low, scores = self._decode(prepared, batch)
                if not bool(low.isfinite().all() & scores.isfinite().all()):
                    raise NotFiniteError("the mask logits and scores", str(self.precision).removeprefix("torch."))
                # one prompt's at a time: whole pictures of logits are the largest arrays of all
                masks = [_threshold(self._restore(logits, encoded)[0].cpu().numpy()) for logits in torch.split(low, 1)]
            each = zip(masks, scores.float().cpu().numpy(), strict=True)
            return [MaskProposal(found, predicted, stability) for (found, stability), predicted in each]

        found: dict[int, MaskProposal] | None = None
        while found is None:
            batches = list(self._batches(different, encoded))
            try:
                each = zip(batches, self._all_decoded(decoded, batches), strict=True)
                found = {index: one for batch, own in each for index, one in zip(batch.indices, own, strict=True)}
            except Exception as error:
                if not self._room.shrinks(error, max(len(batch.indices) for batch in batches)):
                    raise
        return [found[place] for place in places]

    def _all_decoded(
        self, decoded: Callable[[PromptBatch], list[MaskProposal]], batches: Sequence[PromptBatch]
    ) -> Iterable[list[MaskProposal]]:
        """The batches' proposals, in order."""
        return map(decoded, batches)

    def _evict(self) -> None:
        kept = sum(encoded.bytes for encoded in _encoded.values())
        while len(_encoded) > 1 and kept > self.config.cache_mb << 20:
            kept -= _encoded.popitem(last=False)[1].bytes

    def _batches(self, prompts: Sequence[PointPrompt], encoded: Encoded) -> Iterator[PromptBatch]:
        """Prompts with as many points, and a box or none, go together, as many as memory allows."""
        height, width = encoded.size
        memory_mb = self.config.memory_mb or (_CPU_MB if self.device.type == "cpu" else _GPU_MB)
        room = (memory_mb << 20) - 3 * 2 * 4 * height * width  # one prompt's logits on their way to the image's size
        alike: dict[tuple[int, bool], list[int]] = {}
        for index, prompt in enumerate(prompts):
            alike.setdefault((len(prompt.points), prompt.box is not None), []).append(index)
        for (count, boxed), indices in alike.items():
            most = room // (self._bytes_per_prompt(count) + 3 * height * width)  # with its masks
            size = self._room.of(max(1, min(most, -(-len(indices) // self._workers))))
            for start in range(0, len(indices), size):
                chosen = tuple(indices[start : start + size])
                points = np.stack([prompts[index].points for index in chosen]).astype(np.float64)
                labels = np.stack([prompts[index].labels for index in chosen])
                corners = np.array([prompts[index].box or (0, 0, 0, 0) for index in chosen], np.float64)
                yield PromptBatch(
                    chosen,
                    self._tensor(self._to_frame(points.reshape(-1, 2), encoded), (-1, count, 2)) if count else None,
                    torch.as_tensor(labels, dtype=torch.int, device=self.device) if count else None,
                    self._tensor(self._to_frame(corners.reshape(-1, 2), encoded), (-1, 4)) if boxed else None,
                )

    def _tensor(self, values: NDArray[np.float64], shape: tuple[int, ...]) -> Tensor:
        return torch.as_tensor(values, dtype=torch.float, device=self.device).reshape(shape)

    def _reduced_precision(self) -> Any:
        return torch.autocast(self.device.type, self.precision, enabled=self.precision is not torch.float32)


def bytes_repeated(width: int, grid: int) -> int:
    """Estimate what a decoder that repeats the image for each prompt holds for it: a dozen arrays of that size.

    Args:
        width: Channels of the image's embedding.
        grid: Its rows, and its columns.
    """
    return 12 * 4 * width * grid**2


def fitted(size: tuple[int, int], side: int) -> tuple[int, int]:
    """Fit an image: its (height, width) when the longer side becomes ``side``.

    As segment-anything's `ResizeLongestSide` rounds them, except that an image far longer than wide keeps one pixel of
    its shorter side.
    """
    scale = side / max(size)
    height, width = (max(1, int(length * scale + 0.5)) for length in size)
    return height, width


def resized(pixels: NDArray[np.uint8], frame: tuple[int, int]) -> NDArray[np.uint8]:
    """Bring pixels (height, width, 3) to another size, as torchvision resizes pictures: by Pillow."""
    height, width = frame
    return np.array(PILImage.fromarray(pixels).resize((width, height), PILImage.Resampling.BILINEAR))


def _content(prompt: PointPrompt) -> bytes:
    return b"|".join((prompt.points.tobytes(), prompt.labels.tobytes(), repr(prompt.box).encode()))


def _threshold(logits: NDArray[np.float32]) -> tuple[NDArray[np.bool_], NDArray[np.float32]]:
    """Masks (m, height, width) of logits of that shape, and their stability (m,).

    Stability is the IoU of the masks at thresholds a little above and below: segment-anything's
    `calculate_stability_score`. NumPy compares and counts some times faster than torch does on a CPU.
    """
    inner = np.count_nonzero(logits > STABILITY_OFFSET, axis=(-1, -2))
    outer = np.count_nonzero(logits > -STABILITY_OFFSET, axis=(-1, -2))
    # where even the larger one is empty that function divides 0 by 0; here such a mask is the least stable of all
    stability = inner / np.maximum(outer, 1)
    return logits > 0, stability.astype(np.float32)


def device_named(name: str) -> torch.device:
    """Give the device that a config names; "auto" takes a GPU if there is one.

    Raises:
        ModelError: torch knows none of that name, or this machine has none.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError, NotImplementedError) as error:  # a torch without CUDA asserts that it has it
        raise ModelError(f"device {name!r}: {first_line(error)}", hint="auto, cpu, cuda or cuda:1") from error
