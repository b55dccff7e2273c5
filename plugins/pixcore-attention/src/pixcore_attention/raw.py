"""Keep everything: for research on single heads."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray

from pixcore.components import AttentionExtractor, Context, Needs
from pixcore.geometry import VisualLayout
from pixcore.notices import notice
from pixcore.records import Request
from pixcore_attention.arrays import to_numpy
from pixcore_attention.config import RawConfig

_TOKENS = 256  # what the warning reckons with
_LONGEST_NAME = 255  # bytes: of a file, on the disks that most have


def file_name(sample_id: str, protocol: str) -> str:
    """Name the file that holds the rows of a sample under a probing; too long an id is cut, and its hash ends it."""
    name, end = quote(sample_id, safe=""), f"-{protocol}.npy"
    if len(name) + len(end) > _LONGEST_NAME:
        digest = hashlib.sha256(sample_id.encode()).hexdigest()[:16]
        name = f"{name[: _LONGEST_NAME - len(end) - len(digest) - 1]}-{digest}"
    return name + end


class Raw(AttentionExtractor[RawConfig]):
    """Keeps all rows of layers x heads, in float16; the maps that go on are their mean.

    A batch of LLaVA-1.5-7B takes 1.1 MiB a token and sample (32 layers x 32 heads x 576 cells x 2 bytes), with
    `reduce: heads` 36 KiB.

    Attributes:
        rows: After `maps`, for each sample of the batch (steps, layers, heads, cells) float16. A sample that ended
            before its neighbours has rows behind its last token, which mean nothing.
    """

    def __init__(self, config: RawConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.rows: list[NDArray[np.float16]] = []
        self._warned = False
        self._names: list[str] = []
        self._cells: list[int] = []
        self._shape = (0, 0)
        self._layers: list[NDArray[np.float16]] = []
        self._steps: list[NDArray[np.float16]] = []

    @property
    def needs(self) -> Needs:
        """The configured layers and heads."""
        return Needs(layers=self.config.layers, heads=self.config.heads, query=self.config.query)

    def prepare(self, requests: Sequence[Request], layouts: Sequence[VisualLayout]) -> None:
        """Take the files' names and each sample's number of cells."""
        self._names = [file_name(request.sample_id, request.protocol) for request in requests]
        self._cells = [layout.tokens for layout in layouts]

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Start a batch; warn, once, if its rows will be large."""
        self._shape = (batch, cells)
        self._layers, self._steps = [], []
        heads = 1 if self.config.reduce else heads
        size = 2 * batch * layers * heads * cells * _TOKENS / 2**30
        if size > self.config.warn_above and not self._warned:
            self._warned = True
            notice(
                f"extractor raw will keep {size:.1f} GiB for {_TOKENS} tokens of a batch of {batch} "
                f"({layers} layers x {heads} heads x {cells} cells): name fewer layers or heads, or a smaller batch"
            )

    def observe(self, layer: int, rows: Any) -> None:
        """Keep rows (batch, heads, cells), or their mean over heads as one head's."""
        kept = rows.mean(1)[:, None] if self.config.reduce else rows
        self._layers.append(to_numpy(kept).astype(np.float16))

    def end_step(self) -> None:
        """Keep one token's rows."""
        self._steps.append(np.stack(self._layers, axis=1))
        self._layers = []

    def maps(self) -> Sequence[NDArray[np.float32]]:
        """Give the mean over layers and heads; the rows are in `rows`, and in the folder if there is one."""
        batch, cells = self._shape
        if not self._steps:
            self.rows = [np.zeros((0, 0, 0, cells), np.float16)] * batch
            return [np.zeros((0, cells), np.float32)] * batch
        stacked = np.stack(self._steps, axis=1)
        counts = self._cells if len(self._cells) == batch else [cells] * batch
        self.rows = [np.ascontiguousarray(own[..., :count]) for own, count in zip(stacked, counts, strict=True)]
        if self.config.folder is not None:
            self.config.folder.mkdir(parents=True, exist_ok=True)
            for name, rows in zip(self._names, self.rows, strict=True):
                np.save(self.config.folder / name, rows, allow_pickle=False)
        return [own.mean(axis=(1, 2), dtype=np.float32) for own in stacked]
