"""Read attention rows while the model's own kernel runs: the tap.

`install` puts a model's decoder on a kernel of pixcore's own name, registered through transformers' public
`AttentionInterface` together with the *same name* in the mask interface (without the second the mask would silently be
None, and causality lost). That kernel calls the one that the model would have used and returns what it returned. Only
while a `Tap` on this model is open in this thread does it also compute the rows that the tap wants: softmax(q·Kᵀ) over
all keys in float32, cut to the visual tokens, for one query row a token. Nothing square is ever held. While an answer
is written, the queries of some steps wait, and their rows are computed together (`pixcore_transformers.waiting`).

The open tap is a context variable: threads and nested taps do not see each other, and a tap that is left by an
exception is as closed as any other.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

from pixcore.errors import ModelError
from pixcore_transformers.rows import Tensor, allowed_keys, attention_rows, take_columns
from pixcore_transformers.waiting import Waiting

PREFIX = "pixcore_"
KERNELS = ("sdpa", "eager", "flash_attention_2", "flash_attention_3")
"""The kernels that the tap can sit on; a flex-attention block mask can't be read row by row."""

KEEPS_PROMPT = "reference_sliding_attention"
"""What transformers calls layers whose cache keeps the prompt and drops the oldest of what was written."""

Kernel = Callable[..., tuple[Tensor, Tensor | None]]


class RowSink(Protocol):
    """Whoever rows go to: an extractor."""

    def observe(self, layer: int, rows: Any) -> None:
        """See (batch, heads, cells) of one layer."""

    def end_step(self) -> None:
        """Hear that all layers of one step were seen, or of the steps that were shown at once."""


@dataclass(frozen=True)
class Watch:
    """What a tap reads.

    Attributes:
        columns: (batch, cells) int64, where each sample's visual tokens lie in the padded sequence.
        valid: (batch, cells), False where a sample has fewer.
        first: Position of the first wanted query row in the padded sequence.
        after: All rows from this position on are wanted too.
        layers: Decoder layers, ascending, from 0.
        heads: Heads, or None for all.
    """

    columns: Tensor
    valid: Tensor
    first: int
    after: int
    layers: tuple[int, ...]
    heads: tuple[int, ...] | None = None

    def rows(self, start: int, stop: int) -> list[int]:
        """Pick the wanted ones of the query positions [start, stop), counted from `start`."""
        return [p - start for p in range(start, stop) if p == self.first or p >= self.after]


_open: ContextVar[Tap | None] = ContextVar("pixcore_tap", default=None)


class Tap:
    """Reads rows from one model while it is open; used as a context manager, once.

    It counts positions: what runs while it is open is one sequence (a batch of them) from its start, in as many forward
    passes as the caller likes, with a cache of any kind.

    Args:
        model: The model, prepared by `install`.
        watch: What to read.
        sink: Gets the rows, layer by layer, step by step.
        connected: The model's output is computed from the rows, so that gradients flow back to them. Each forward pass
            then has a wanted row alone, and the caller ends the steps.

    Attributes:
        graph: With `connected`, each layer's whole rows (batch, heads, 1, keys) of the last step.
        offsets: Likewise, the position of each layer's first key.
        alone: A pass ends with the last wanted layer's rows, as in `rows_alone`.
    """

    def __init__(self, model: PreTrainedModel, watch: Watch, sink: RowSink, *, connected: bool = False) -> None:
        self.watch = watch
        self.sink = sink
        self.connected = connected
        self.alone = False
        self.graph: dict[int, Tensor] = {}
        self.offsets: dict[int, int] = {}
        layers = ((module, getattr(module, "layer_idx", None)) for module in model.get_decoder().modules())
        self._wanted = {id(module): layer for module, layer in layers if layer in watch.layers}
        kinds = getattr(model.config.get_text_config(decoder=True), "layer_types", None) or ()
        self._keeping = {layer for layer, kind in enumerate(kinds) if kind == KEEPS_PROMPT}
        self._backward = _look_back(model, kinds) - self._keeping
        self._waiting = Waiting(self._computed)
        self._span: slice | None = None
        self._seen: dict[int, int] = {}
        self._held: dict[int, Tensor] = {}
        self._see_steps: Callable[[int, Tensor], None] | None = getattr(sink, "observe_steps", None)
        self._token: Token[Tap | None] | None = None
        self.look(watch.columns, watch.valid)

    def __enter__(self) -> Self:
        self._token = _open.set(self)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._token is not None:
            _open.reset(self._token)
        self._token = None
        if exception == (None, None, None):
            self.flush()
        self._waiting.clear()
        self._held.clear()
        self.graph.clear()

    def look(self, columns: Tensor, valid: Tensor) -> None:
        """Look for visual tokens at these places from here on, as in `Watch`; neighbours in all samples are a slice."""
        self.columns, self.valid = columns, valid
        first, cells = int(columns[0, 0]) if columns.numel() else 0, columns.shape[1]
        whole = torch.arange(first, first + cells, device=columns.device)
        self._span = slice(first, first + cells) if bool((valid & (columns == whole)).all()) else None

    def layer_of(self, module: torch.nn.Module) -> int | None:
        """Give an attention module's layer; None if it is not of the tapped model, or not of a wanted layer."""
        return self._wanted.get(id(module))

    def advance(self, layer: int, query: Tensor, key: Tensor) -> tuple[list[int], int]:
        """Count the positions of one call.

        Returns:
            The wanted query rows of this call, and the position of its first key.

        Raises:
            ModelError: The batch is not the one that the tap was opened for (beam search, for one).
        """
        if query.shape[0] != len(self.columns):
            raise ModelError(
                f"attention of a batch of {query.shape[0]} can't be read by a tap for {len(self.columns)}",
                hint="beam search and other ways that change the batch while generating are not supported",
            )
        seen, queries, keys = self._seen.get(layer, 0), query.shape[2], key.shape[2]
        # without a cache every pass begins again: its keys are its queries'
        start = 0 if keys == queries else seen
        stop = start + queries
        self._seen[layer] = stop
        # a sliding window's cache holds the newest keys; a static one has room after them
        offset = 0 if layer in self._keeping else max(0, stop - keys)
        return [row for row in self.watch.rows(start, stop) if row + start >= seen], offset

    def scores(self, call: Mapping[str, Any]) -> dict[str, Any]:
        """Say how scores are made of queries and keys, as `attention_rows` takes it, from what the kernel got."""
        of_heads = call.get("s_aux")  # GPT-OSS: the same for every query
        return {
            "scaling": call.get("scaling"),
            "softcap": call.get("softcap"),
            "bias": call.get("position_bias"),
            "sinks": call.get("sinks") if of_heads is None else of_heads.reshape(1, -1, 1, 1),
            "heads": self.watch.heads if not self.connected else None,
        }

    def cut(self, rows: Tensor, offset: int) -> Tensor:
        """Cut (batch, heads, rows, keys) to (batch, heads, rows, cells), on the tap's device."""
        if self._span is not None and not offset:
            return rows[..., self._span].to(self.columns.device)
        cut = take_columns(rows, self.columns.to(rows.device), self.valid.to(rows.device), offset)
        return cut.to(self.columns.device)

    def holds_all(self, layer: int, key: Tensor) -> bool:
        """Whether a layer's keys are those of all positions so far, and stay so."""
        return layer in self._backward and key.shape[2] == self._seen[layer]

    def wait(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, call: Mapping[str, Any]) -> bool:
        """Let the row of one step's query (batch, heads, 1, width) wait for later ones'; False where it can't."""
        if not self.holds_all(layer, key) or call.get("position_bias") is not None or call.get("sinks") is not None:
            return False
        if mask is not None and mask.dim() == 2:
            mask = mask[:, None, None, -key.shape[2] :].bool()
        if mask is not None and mask.dim() != 4:
            return False
        waits = self._waiting.query(layer, query, key, mask, call)
        if waits:
            self._end_step(layer)
        return waits

    def step(self, layer: int, cells: Tensor) -> None:
        """Take one step's (batch, heads, 1, cells) of one layer; they go on with those that wait before them."""
        self._waiting.cells(layer, cells)
        self._end_step(layer)

    def flush(self) -> None:
        """Compute the rows that wait, and hand them on. Keys that they need may change after it."""
        for layer, cells in self._waiting.taken():
            self.deliver(layer, cells)

    def _end_step(self, layer: int) -> None:
        if layer == self.watch.layers[-1] and self._waiting.due:
            self.flush()

    def _computed(self, query: Tensor, key: Tensor, allowed: Tensor, call: Mapping[str, Any]) -> Tensor:
        rows = attention_rows(query, key, allowed, range(query.shape[2]), **self.scores(call))
        return self.cut(rows.detach(), 0)

    def deliver(self, layer: int, cells: Tensor) -> None:
        """Hand (batch, heads, rows, cells) of one layer on.

        Several rows go to a sink that takes a layer's steps at once; to another they wait until the pass has shown all
        layers.
        """
        last = layer == self.watch.layers[-1]
        if cells.shape[2] > 1 and self._see_steps is not None:
            self._see_steps(layer, cells)
            if last:
                self.sink.end_step()
            return
        if cells.shape[2] == 1:
            self.sink.observe(layer, cells[:, :, 0])
            if last and not self.connected:
                self.sink.end_step()
            return
        self._held[layer] = cells
        if last:
            for row in range(cells.shape[2]):
                for index in self.watch.layers:
                    self.sink.observe(index, self._held[index][:, :, row])
                self.sink.end_step()
            self._held.clear()


class _Enough(Exception):  # a signal, not a failure
    """All that a pass was for is read."""


@contextmanager
def rows_alone(tap: Tap) -> Iterator[None]:
    """Open a tap for one pass of which nobody wants more: it ends with the last wanted layer's rows, the block too."""
    tap.alone = True
    with suppress(_Enough), tap:
        yield


@contextmanager
def keys_alone(model: PreTrainedModel) -> Iterator[None]:
    """End one sample's pass, and the block, as soon as the last layer's keys and values are in the cache."""
    nowhere = torch.zeros(1, 0, dtype=torch.long)
    last = int(model.config.get_text_config(decoder=True).num_hidden_layers) - 1
    with rows_alone(Tap(model, Watch(nowhere, nowhere.bool(), -1, sys.maxsize, (last,)), _Nobody())):
        yield


class _Nobody:
    """A sink for no rows."""

    def observe(self, layer: int, rows: Any) -> None:
        """Never called."""

    def end_step(self) -> None:
        """Never called."""


@contextmanager
def untapped() -> Iterator[None]:
    """Keep an open tap from seeing what runs inside: another use of its model in the middle of a generation."""
    token = _open.set(None)
    try:
        yield
    finally:
        _open.reset(token)


class _Name(str):
    """The name of a tapped kernel, which is found by it, and passes for the plain one's where a model asks for that.

    Decoders that choose their keys (Mistral Large 4, MiniMax M3) write the choice into the mask for the kernels that
    they know by name, and would attend to everything under another.
    """

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, str) and str(other) in (str(self), self.removeprefix(PREFIX))

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = str.__hash__


def install(model: PreTrainedModel, kernel: str = "sdpa") -> None:
    """Put a model's decoder on the tapped form of a kernel; its vision tower stays as it is.

    Args:
        model: An image-text-to-text model whose text part is a sub-config, or a text model.
        kernel: One of `KERNELS`.

    Raises:
        ModelError: The kernel can't be tapped, or the architecture does not use transformers' attention interface.
    """
    if str(kernel) not in KERNELS:  # of a model that is tapped already, the name passes for the plain one
        raise ModelError(f"attention can't be read beside kernel {kernel!r}", hint=f"allowed: {', '.join(KERNELS)}")
    name = PREFIX + kernel
    AttentionInterface.register(name, _tapped(kernel))
    AttentionMaskInterface.register(name, AttentionMaskInterface()[kernel])
    text = model.config.get_text_config(decoder=True)
    keys = [key for key in model.config.sub_configs if getattr(model.config, key, None) is text]
    try:
        model.set_attn_implementation({keys[0]: name} if keys else name)
    except (ValueError, ImportError) as error:
        raise ModelError(f"{type(model).__name__} can't run on kernel {kernel!r}", hint=str(error)) from error
    if text._attn_implementation != name:
        raise ModelError(
            f"the attention of {type(model).__name__} can't be read",
            hint="its code does not use transformers' AttentionInterface; a server may answer (model: served)",
        )
    for part in (text, *(getattr(module, "config", None) for module in model.get_decoder().modules())):
        if getattr(part, "_attn_implementation", None) == name:
            part._attn_implementation = {"": _Name(name)}  # its own alone, and none of its parts'


def _tapped(kernel: str) -> Kernel:
    """The kernel, with the tap beside it."""
    base = _base(kernel)

    def attention(
        module: torch.nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor | None, **kwargs: Any
    ) -> tuple[Tensor, Tensor | None]:
        tap = _open.get()
        if tap is not None and (layer := tap.layer_of(module)) is not None:
            output = _read(tap, layer, kernel, module, query, key, value, attention_mask, kwargs)
            if tap.alone and layer == tap.watch.layers[-1]:
                raise _Enough
            if output is not None:
                return output, None
        return base(module, query, key, value, attention_mask, **kwargs)

    return attention


def _base(kernel: str) -> Kernel:
    if kernel == "eager":
        return lambda module, *args, **kwargs: sys.modules[type(module).__module__].eager_attention_forward(
            module, *args, **kwargs
        )
    base: Kernel = AttentionInterface()[kernel]
    if kernel.startswith("flash"):
        return lambda module, *args, **kwargs: base(_Named(module, kernel), *args, **kwargs)
    return base


class _Named:
    """An attention module whose config names the plain kernel: flash attention picks its library by that name."""

    def __init__(self, module: Any, kernel: str) -> None:
        self._module = module
        self.config = _Config(module.config, kernel)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


class _Config:
    def __init__(self, config: Any, kernel: str) -> None:
        self._config = config
        self._attn_implementation = kernel

    def __getattr__(self, name: str) -> Any:
        return getattr(self._config, name)


def _read(
    tap: Tap,
    layer: int,
    kernel: str,
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    mask: Tensor | None,
    kwargs: dict[str, Any],
) -> Tensor | None:
    """Read the wanted rows of one call; returns what the kernel would give, computed from the rows, if connected."""
    if kwargs.get("cache") is not None:
        raise ModelError("the tap can't read attention with a paged cache", hint="a server may answer (model: served)")
    rows, offset = tap.advance(layer, query, key)
    if not rows:
        return None
    single = query.shape[2] == 1 and not tap.connected and not tap.alone
    if single and tap.wait(layer, query, key, mask, kwargs):
        return None
    flash = kernel.startswith("flash")
    causal = kwargs.get("is_causal")
    allowed = allowed_keys(
        mask,
        rows,
        query.shape[2],
        key.shape[2],
        # eager attention masks nothing by itself
        causal=kernel != "eager" and bool(getattr(module, "is_causal", True) if causal is None else causal),
        lower_right=flash,
        window=kwargs.get("sliding_window") if flash else None,
    )
    probabilities = attention_rows(query, key, allowed, rows, **tap.scores(kwargs))
    output = None
    if tap.connected:
        if not probabilities.requires_grad:
            probabilities.requires_grad_(True)
        tap.graph[layer], tap.offsets[layer] = probabilities, offset
        group = query.shape[1] // value.shape[1]
        mixed = probabilities.to(value.dtype) @ value.repeat_interleave(group, dim=1)
        output = mixed.transpose(1, 2).contiguous()
    cells = tap.cut(probabilities.detach(), offset)
    if tap.connected and tap.watch.heads is not None:
        cells = cells[:, list(tap.watch.heads)]
    if single:
        tap.step(layer, cells)
    else:
        tap.flush()
        tap.deliver(layer, cells)
    return output


def _look_back(model: PreTrainedModel, kinds: Sequence[str]) -> set[int]:
    """The decoder layers that look back at everything."""
    text = model.config.get_text_config(decoder=True)
    if not kinds:
        return set() if getattr(text, "sliding_window", None) else set(range(int(text.num_hidden_layers)))
    return {layer for layer, kind in enumerate(kinds) if kind == "full_attention"}
