"""What all prompts of an image share, and how masks come to the image's size: for both layouts of SAM's weights."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from pixcore.components import Context
from pixcore.records import MaskProposal
from pixcore_sam.decoder import FewTokens
from pixcore_sam.generator import ConfigT, Encoded, Promptable, PromptBatch


class SharedWork(Promptable[ConfigT]):
    """A segmenter whose prompts of one image share what `FewTokens` shares, where its decoder is of that kind.

    Whoever derives from it sets the attributes.

    Attributes:
        _few_tokens: The decoder; None where the model decodes by itself.
        _side: Of the square that the model sees, in pixels.
        _padded: Whether an image keeps its aspect in it, with padding below or beside.
    """

    _few_tokens: FewTokens | None
    _side: int
    _padded: bool

    def __init__(self, config: ConfigT, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._resizings: dict[tuple[int, int, int, int], Tensor] = {}

    @abstractmethod
    def _bytes_of_others(self) -> int:
        """What decoding holds for each prompt where the model decodes by itself."""

    def _bytes_per_prompt(self, points: int) -> int:
        return self._few_tokens.bytes_per_prompt(points) if self._few_tokens is not None else self._bytes_of_others()

    @property
    def _workers(self) -> int:
        """On a CPU every core decodes prompts of its own; sharing one prompt's small products, they would wait."""
        return torch.get_num_threads() if self.device.type == "cpu" else 1

    def _all_decoded(
        self, decoded: Callable[[PromptBatch], list[MaskProposal]], batches: Sequence[PromptBatch]
    ) -> Iterable[list[MaskProposal]]:
        cores, workers = torch.get_num_threads(), min(self._workers, len(batches))
        if workers == 1:
            return super()._all_decoded(decoded, batches)
        try:
            with ThreadPoolExecutor(workers, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return list(pool.map(decoded, batches))
        finally:
            torch.set_num_threads(cores)  # what a worker sets holds for threads that start later, too

    def _prepared(self, features: Sequence[Tensor], encoded: Encoded) -> Any:
        if self._few_tokens is None:
            return features
        # a cell becomes four pixels of a mask each way; those beyond the picture's edge are never looked at
        down, across = self._resizings_of(encoded, 4 * features[0].shape[-1])
        rows, columns = (int(resizing.indices()[1].max()) // 4 + 1 for resizing in (down, across))
        return self._few_tokens.shared(features[0], (rows, columns))

    def _restore(self, logits: Tensor, encoded: Encoded) -> Tensor:
        n, masks, height, width = logits.shape
        side = max(height, width) if self._few_tokens is None else 4 * encoded.features[0].shape[-1]
        down, across = self._resizings_of(encoded, side, (height, width))
        tall = down @ logits.flatten(0, 1).transpose(0, 1).flatten(1)
        wide = across @ tall.reshape(-1, n * masks, width).permute(2, 1, 0).flatten(1)
        # the columns are whole in memory, as run lengths have them
        return wide.reshape(-1, n, masks, len(down)).permute(1, 2, 3, 0)

    def _resizings_of(self, encoded: Encoded, side: int, kept: tuple[int, int] | None = None) -> tuple[Tensor, Tensor]:
        """How masks are resized downwards and across.

        Args:
            encoded: The image.
            side: Of the whole mask, padding included.
            kept: (height, width) of it that are there, from the upper left; None for all.
        """
        height, width = kept or (side, side)
        return (
            self._resizing(side, height, encoded.frame[0], encoded.size[0]),
            self._resizing(side, width, encoded.frame[1], encoded.size[1]),
        )

    def _resizing(self, side: int, kept: int, frame: int, pixels: int) -> Tensor:
        """The (pixels, kept) weights of resizing along one axis, sparse: three in a row at most.

        The padding models' masks are resized to the padded square, cut, and resized to the image: both are linear, so
        one matrix does what two resized pictures and a copy do.
        """
        key = (side, kept, frame, pixels)
        if key not in self._resizings:
            weights = torch.eye(side, device=self.device)[None]
            if self._padded:
                weights = interpolate(weights, self._side, mode="linear", align_corners=False)[..., :frame]
            weights = interpolate(weights, pixels, mode="linear", align_corners=False)
            self._resizings[key] = weights[0, :kept].T.to_sparse()
        return self._resizings[key]
