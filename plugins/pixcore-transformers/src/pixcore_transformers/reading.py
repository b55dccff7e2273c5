"""Get an extractor what it needs: rows while generating, or from one pass over prompt and text."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import DynamicCache, PreTrainedConfig, PreTrainedModel

from pixcore.components import AttentionExtractor, Needs
from pixcore.errors import ModelError
from pixcore_transformers.batch import Batch
from pixcore_transformers.generation import Settings, generate
from pixcore_transformers.prompts import Prompts
from pixcore_transformers.slots import Slots
from pixcore_transformers.streaming import in_making
from pixcore_transformers.tap import KEEPS_PROMPT, Tap, rows_alone
from pixcore_transformers.unembedding import check_logits, states_of, unembedding
from pixcore_transformers.writing import SlotTap, Writer, texts_of

Tensor = torch.Tensor
Extractor = AttentionExtractor[Any]
Maps = NDArray[np.float32]

_WITHOUT = frozenset({"linear_attention", "conv", "mlp", "moe"})
"""Kinds of decoder layers that have no attention, as transformers names them."""

_MARKS = re.compile(
    r"(?:\w+_)?(?:image|video|audio|vision|visual|frame|boi|eoi|boa|eoa)_(?:\w+_)?(?:token_ids?|token_index)"
)
"""What configs call the ids of placeholders, and of what stands around an image, a video or a sound."""

LARGEST_PASS = 1 << 29
"""Bytes of rows that one pass may hold at once; a longer text is replayed token by token."""


class Reader:
    """Shows one extractor what it needs of one model.

    Args:
        model: Prepared by `pixcore_transformers.tap.install`.
        extractor: Gets the rows.
        own_row: A token's map is its own row, from the step that follows it; else the row that predicts it.
        one_pass: Text after the prompt is causal in one pass too (not so where the whole prompt sees itself).

    Raises:
        ModelError: A layer or head is asked for that the model does not have.
    """

    def __init__(self, model: PreTrainedModel, extractor: Extractor, *, own_row: bool, one_pass: bool = True) -> None:
        text = text_config(model.config)
        self.model, self.extractor, self.own_row, self.one_pass = model, extractor, own_row, one_pass
        self.needs: Needs = extractor.needs
        self.layers, self.heads, self.states = read_of(self.needs, text)
        dropping = KEEPS_PROMPT in (getattr(text, "layer_types", None) or ())
        self.longest = int(text.sliding_window) if dropping else None  # of a text, before its first tokens are dropped
        self.mixed = len(attention_layers(text)) < int(text.num_hidden_layers)
        self.head_count = int(text.num_attention_heads) if self.heads is None else len(self.heads)

    @property
    def live(self) -> bool:
        """Whether rows can be read while generating."""
        return not (self.needs.gradients or self.needs.hidden_states)

    @property
    def stepwise(self) -> bool:
        """Whether a slot's next steps may be another answer's."""
        return bool(getattr(self.extractor, "stepwise", False))

    def generate(
        self, batch: Batch | Prompts, settings: Settings, seeds: Sequence[int]
    ) -> tuple[list[list[int]], list[Maps]]:
        """Generate with the tap open: each sample's tokens, and its maps (steps, cells).

        Args:
            batch: What is asked.
            settings: How to generate.
            seeds: One a sample.
        """
        if isinstance(batch, Prompts):
            with self._slot_tap(batch, min(len(batch.each), batch.at_once)) as slots:
                row = None if self.own_row else self.needs.prefill_row
                writer = Writer(self.model, batch, settings, seeds, slots, row, stay=not self.stepwise)

                def maps() -> list[Maps]:
                    slots.flush()
                    return writer.maps(self.extractor.maps())

                with self._in_making(batch, maps):
                    return writer.write(), maps()
        self._begin(len(batch.layouts), batch.cells)
        if self.own_row:
            settings = replace(settings, extra_steps=1)
        tap = self._tap(batch)
        with tap, self._in_making(batch, lambda: self._by_now(batch, tap)):
            tokens = generate(self.model, batch.inputs, settings, seeds)
        return tokens, self._finish(batch, [len(answer) for answer in tokens])

    def during(
        self, batch: Batch, write: Callable[[], Sequence[Sequence[int]]], *, first: int | None = None
    ) -> list[Maps]:
        """Read while something else generates with the same model, from embeddings say.

        Args:
            batch: Where its prompts' visual tokens lie.
            write: Generates, one more step than it has tokens where `own_row`; gives each sample's tokens.
            first: Which row of the prompts is read, from their end, which makes no answer; None: as the extractor
                needs it.
        """
        self._begin(len(batch.layouts), batch.cells)
        place = first if first is not None else 0 if self.own_row else self.needs.prefill_row
        tap = Tap(self.model, batch.watch(place, self.layers, self.heads), self.extractor)
        told = self._in_making(batch, lambda: self._by_now(batch, tap)) if first is None else nullcontext()
        with tap, told:
            tokens = write()
        return self._finish(batch, [len(answer) for answer in tokens])

    def replay(self, batch: Batch | Prompts, tokens: Sequence[Sequence[int]]) -> list[Maps]:
        """Give the maps of given tokens: those that generating them would have shown."""
        if self.needs.gradients:
            raise ValueError("gradients are replayed one sample at a time")
        if isinstance(batch, Prompts):
            ids, places = texts_of(batch.each, tokens)
            own = ids.shape[1] - max(map(len, tokens))
            rows = [*([] if self.own_row else [own + self.needs.prefill_row]), *range(own, ids.shape[1])]
            self._pass(batch, ids, places, rows)
            return self._finish(batch, [len(answer) for answer in tokens])
        self._begin(len(batch.layouts), batch.cells)
        if self.needs.hidden_states:
            self._show_hidden(batch, tokens)
        if self.layers:
            self._replay_rows(batch, tokens)
        return self._finish(batch, [len(answer) for answer in tokens])

    def reference(self, batch: Batch | Prompts) -> list[Maps]:
        """Give the map (cells,) of the last row of each prompt."""
        if isinstance(batch, Prompts):
            self._pass(batch, *texts_of(batch.each), (-1,))
            return [maps[0] for maps in self._finish(batch, [1] * len(batch.layouts))]
        self._begin(len(batch.layouts), batch.cells)
        with rows_alone(Tap(self.model, batch.watch(-1, self.layers, self.heads), self.extractor)):
            generate(self.model, batch.inputs, Settings(max_new_tokens=1, end=()), [0] * len(batch.layouts))
        return [maps[0] for maps in self._finish(batch, [1] * len(batch.layouts))]

    def gradients(self, batch: Batch, tokens: Sequence[int]) -> Maps:
        """Give the maps of one sample, its rows with gradients of each token's log probability.

        The text is fed token by token behind a cache that keeps no graph, so that one step's gradient costs one step's
        memory. A row reaches its token's probability through that one position alone, so the gradient is whole.
        """
        if not self.one_pass or self.own_row:
            raise ModelError(
                f"gradients of {type(self.model).__name__}'s attention can't be read",
                hint="extractor `gradient` needs a causal prompt and query: predicting",
            )
        self._begin(1, batch.cells)
        cache = DynamicCache(config=self.model.config.get_text_config(decoder=True))
        for layer in cache.layers:
            if hasattr(layer, "set_prefill_length"):  # it would take what comes first for the whole prompt
                layer.set_prefill_length(batch.length)
        inputs = dict(batch.inputs)
        ids = batch.with_text([list(tokens)])["input_ids"]
        for name, value in inputs.items():
            if value.shape[:2] == batch.inputs["input_ids"].shape:
                inputs[name] = value[:, :-1]
        with Tap(self.model, batch.watch(-1, self.layers, self.heads), self.extractor, connected=True) as tap:
            with torch.no_grad():
                self.model(**inputs, past_key_values=cache, use_cache=True)
            for step, token in enumerate(tokens):
                position = batch.length - 1 + step
                with torch.enable_grad():
                    # one sample is not padded, so that the positions follow from the cache
                    now = ids[:, position : position + 1]
                    logits = self.model(input_ids=now, past_key_values=cache, use_cache=True).logits
                    chosen = torch.log_softmax(logits[0, -1].float(), dim=-1)[token]
                    gradients = torch.autograd.grad(chosen, [tap.graph[layer] for layer in self.layers])
                for layer, gradient in zip(self.layers, gradients, strict=True):
                    selected = gradient if self.heads is None else gradient[:, list(self.heads)]
                    self.extractor.observe_gradients(layer, tap.cut(selected, tap.offsets[layer])[:, :, 0])
                self.extractor.end_step()
                for kept in (layer for layer in cache.layers if layer.keys is not None):  # None: another layer has its
                    kept.keys, kept.values = kept.keys.detach(), kept.values.detach()
        return self._finish(batch, [len(tokens)])[0]

    def _in_making(self, batch: Batch | Prompts, maps: Callable[[], Sequence[Maps]]) -> AbstractContextManager[None]:
        shifted = self.needs.query == "emitted" and not self.own_row
        return in_making(batch.layouts, maps if self.stepwise else None, shifted=shifted)

    def _tap(self, batch: Batch) -> Tap:
        first = 0 if self.own_row else self.needs.prefill_row
        return Tap(self.model, batch.watch(first, self.layers, self.heads), self.extractor)

    def _slot_tap(self, prompts: Prompts, count: int) -> SlotTap:
        self._begin(count, prompts.cells)
        return SlotTap(self.model, self.layers, self.heads, self.extractor, count, prompts.cells)

    def _pass(self, prompts: Prompts, ids: Tensor, places: Tensor, rows: Sequence[int]) -> None:
        """Read some rows of one pass over all the prompts' texts."""
        seen = [prompts.seen[prompt.image] for prompt in prompts.each]
        slots = Slots(self.model, len(seen), seen[0], int(places.max()) + 1)
        for slot, own in enumerate(seen):
            slots.begin(slot, own)
        tap = self._slot_tap(prompts, len(seen))
        tap.turn(prompts.each, rows)
        with rows_alone(tap):
            slots.run(0, ids, places)

    def _begin(self, samples: int, cells: int) -> None:
        self.extractor.begin(samples, len(self.layers), self.head_count, cells)

    def _by_now(self, batch: Batch, tap: Tap) -> list[Maps]:
        tap.flush()
        return self._finish(batch)

    def _finish(self, batch: Batch | Prompts, steps: Sequence[int] | None = None) -> list[Maps]:
        """Each sample's maps of its steps; None: of those by now."""
        maps = self.extractor.maps()
        counts: Sequence[int | None] = steps or [None] * len(maps)
        return [
            np.ascontiguousarray(own[:count, : layout.tokens])
            for own, count, layout in zip(maps, counts, batch.layouts, strict=True)
        ]

    def _replay_rows(self, batch: Batch, tokens: Sequence[Sequence[int]]) -> None:
        longest = max(len(answer) for answer in tokens)
        seeds = [0] * len(tokens)
        whole = batch.with_text(tokens)
        if self.in_one_pass(batch, tokens):
            with rows_alone(self._tap(batch)):
                generate(self.model, whole, Settings(max_new_tokens=1, end=(), cache=False), seeds)
        else:
            forced = whole["input_ids"][:, batch.length :]
            settings = Settings(longest, end=(), extra_steps=int(self.own_row))
            with self._tap(batch):
                generate(self.model, batch.inputs, settings, seeds, forced=forced)

    def in_one_pass(self, batch: Batch | Prompts, tokens: Sequence[Sequence[int]]) -> bool:
        """Whether the rows of given tokens can be read in one pass: they are not too many at once.

        Nor may a layer drop keys while writing, or an answer hold a placeholder, or what stands around an image or a
        sound, which one pass would take for another one.
        """
        at_once = 1 if hasattr(self.extractor, "observe_steps") else len(self.layers)
        longest = max(len(answer) for answer in tokens)
        held = 4 * at_once * len(tokens) * self.head_count * batch.cells * (longest + 1)
        named = (value for name, value in vars(self.model.config).items() if _MARKS.fullmatch(name))
        marks = {number for value in named for number in (value if isinstance(value, (list, tuple)) else (value,))}
        whole = self.one_pass and (self.longest is None or longest <= self.longest)
        return whole and held <= LARGEST_PASS and all(marks.isdisjoint(answer) for answer in tokens)

    def _show_hidden(self, batch: Batch, tokens: Sequence[Sequence[int]]) -> None:
        """Show the visual tokens' states after some layers; they do not depend on the text, which comes later."""
        unembed, layers = unembedding(self.model), self.model.get_decoder().layers
        last: list[Tensor] = []
        scores: list[Tensor] = []

        def keep_last(module: object, arguments: object, output: Any) -> None:
            last.append(states_of(self.model, output)[:, -1])

        def show(layer: int) -> Callable[..., None]:
            def hook(module: object, arguments: object, output: Any) -> None:
                states = states_of(self.model, output)
                width = states.shape[-1]
                columns = batch.columns.to(states.device)[:, :, None].expand(-1, -1, width)
                self.extractor.observe_hidden(layer, states.gather(1, columns).detach())

            return hook

        self.extractor.observe_tokens(tokens, unembed)
        with ExitStack() as stack, torch.no_grad():
            for index in self.states:
                handle = layers[index].register_forward_hook(show(index))
                stack.callback(handle.remove)
            stack.callback(layers[-1].register_forward_hook(keep_last).remove)
            generate(self.model, batch.inputs, Settings(max_new_tokens=1, end=()), [0] * len(tokens), scores=scores)
            check_logits(self.model, unembed(last[0]), scores[0])


def text_config(config: PreTrainedConfig) -> PreTrainedConfig:
    """Give the decoder's part of a model's config."""
    return config.get_text_config(decoder=True)


def attention_layers(text: PreTrainedConfig) -> list[int]:
    """Find the decoder layers that have attention; in a hybrid the others convolve, scan or route."""
    kinds = getattr(text, "layer_types", None)
    return [index for index in range(int(text.num_hidden_layers)) if kinds is None or kinds[index] not in _WITHOUT]


class ReadOf(NamedTuple):
    """What is read of a decoder, counted from 0.

    Attributes:
        layers: Those whose rows are read.
        heads: Of each of them; None for all.
        states: The layers after which the visual tokens' states are read.
    """

    layers: tuple[int, ...]
    heads: tuple[int, ...] | None
    states: tuple[int, ...]


def read_of(needs: Needs, text: PreTrainedConfig) -> ReadOf:
    """List what an extractor gets of a decoder: what it asks for, or all that there is.

    Raises:
        ModelError: Some of it is not there, or a layer has no attention; or gradients are asked for and some have none.
    """
    depth, heads, states = int(text.num_hidden_layers), needs.heads, needs.hidden_states
    return ReadOf(
        layers=_layers_read(needs, text),
        heads=None if heads is None else _counted("attention head", heads, range(int(text.num_attention_heads))),
        states=_counted("layer", range(depth) if states is True else states or (), range(depth)),
    )


def _layers_read(needs: Needs, text: PreTrainedConfig) -> tuple[int, ...]:
    there = attention_layers(text)
    if not there and needs.layers != ():
        raise ModelError("no layer of the model's decoder has attention", hint="set extractor: null for this model")
    count = int(text.num_hidden_layers)
    if needs.gradients and len(there) < count:  # a layer that scans overwrites its state in place
        kinds = ", ".join(sorted(_WITHOUT.intersection(text.layer_types)))
        raise ModelError(
            f"gradients of attention can't be read through layers of another kind ({kinds})",
            hint="extractor `gradient` needs a decoder whose layers all have attention",
        )
    if needs.layers is None:
        return tuple(there)
    found = _counted("attention layer", needs.layers, range(count))
    for index, given in zip(found, needs.layers, strict=True):
        if index not in there:
            listing = ", ".join(map(str, there))
            kind = text.layer_types[index]
            raise ModelError(f"decoder layer {given} has no attention ({kind})", hint=f"layers that have: {listing}")
    return tuple(sorted(set(found)))


def _counted(what: str, asked: Sequence[int], there: range) -> tuple[int, ...]:
    """Indices with the negative ones counted from the end."""
    count = len(there)
    found = tuple(index + count if index < 0 else index for index in asked)
    for index, given in zip(found, asked, strict=True):
        if index not in there:
            raise ModelError(f"the model has no {what} {given}", hint=f"it has {count}, counted from 0")
    return found
