"""Places for requests that are answered together: each holds one request's keys and values, whoever had it before."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import Cache, PreTrainedModel
from transformers.cache_utils import DynamicLayer

Tensor = torch.Tensor
_MORE = 64  # tokens that room is made for at once


class _Layer(DynamicLayer):  # type: ignore[misc]  # transformers is untyped here
    """One layer: keys and values (slots, heads, room, width), a request's side by side from its first token on."""

    keys: Tensor
    values: Tensor

    def __init__(self, slots: Slots, like: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self._slots = slots
        self.keys, self.values = (own.new_zeros(slots.count, own.shape[0], 0, own.shape[2]) for own in like)
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        """Put the new tokens (batch, heads, tokens, width) where the slots say; give all of the slots at work."""
        slots = self._slots
        rows, places = slots.rows.to(key_states.device), slots.places.to(key_states.device)
        self.keys[rows, :, places] = key_states.transpose(1, 2)
        self.values[rows, :, places] = value_states.transpose(1, 2)
        return self.keys[slots.working, :, : slots.width], self.values[slots.working, :, : slots.width]

    def get_seq_length(self) -> int:
        """Tokens that are looked back at."""
        return self._slots.width

    def hold(self, slot: int, keys: Tensor, values: Tensor) -> None:
        """Begin a slot anew with (heads, tokens, width)."""
        self.keys[slot, :, : keys.shape[1]] = keys
        self.values[slot, :, : values.shape[1]] = values

    def grow(self, room: int) -> None:
        """Make room for so many tokens; zeros, as what is masked is still multiplied."""
        more = room - self.keys.shape[2]
        self.keys, self.values = (torch.nn.functional.pad(own, (0, 0, 0, more)) for own in (self.keys, self.values))


class Slots:
    """Runs a model on several requests of any lengths, each in its slot.

    Args:
        model: The model.
        count: How many slots there are.
        like: The keys and values of any image, one pair a layer, whose shapes and places the slots have.
        room: Tokens that a request has at first.

    Attributes:
        rows: (batch, 1), the slots at work.
        places: (batch, tokens), where their new tokens go.
        working: The slots at work.
        width: The longest of them, in tokens.
    """

    def __init__(self, model: PreTrainedModel, count: int, like: Sequence[tuple[Tensor, Tensor]], room: int) -> None:
        self.model, self.count, self._room = model, count, 0
        self._layers = [_Layer(self, pair) for pair in like]
        self._cache = Cache(layers=self._layers)
        self.rows = self.places = torch.zeros(0, 1, dtype=torch.long)
        self.working, self.width = slice(0), 0
        self._reserve(room)

    def begin(self, slot: int, seen: Sequence[tuple[Tensor, Tensor]]) -> None:
        """Give a slot to a request: what its image left."""
        self._reserve(seen[0][0].shape[1])
        for layer, pair in zip(self._layers, seen, strict=True):
            layer.hold(slot, *pair)

    def move(self, slot: int, to: int, length: int) -> None:
        """Move a request of so many tokens into another slot."""
        for layer in self._layers:
            layer.hold(to, layer.keys[slot, :, :length], layer.values[slot, :, :length])

    def run(self, first: int, ids: Tensor, places: Tensor) -> Tensor:
        """Run one pass over new tokens of neighbouring slots.

        Args:
            first: The first slot.
            ids: (slots, tokens); what stands before the first token of a shorter text is any id.
            places: (slots, tokens), each token's position in its request; negative before a shorter text.

        Returns:
            (slots, vocabulary) float32, the last tokens' scores.
        """
        self.width = int(places.max()) + 1
        self._reserve(self.width)
        self.working = slice(first, first + len(ids))
        device, dtype = ids.device, self.model.dtype
        self.rows = torch.arange(first, first + len(ids), device=device)[:, None]
        # what is no token goes where none ever is
        self.places = torch.where(places < 0, self._room - 1, places)
        places = places.clamp(min=0)
        unseen = torch.arange(self.width, device=device) > places[:, None, :, None]
        mask = torch.zeros(unseen.shape, dtype=dtype, device=device).masked_fill_(unseen, torch.finfo(dtype).min)
        with torch.no_grad():
            output = self.model(
                input_ids=ids,
                position_ids=places,
                attention_mask=mask,
                past_key_values=self._cache,
                use_cache=True,
                logits_to_keep=1,
            )
        scores: Tensor = output.logits[:, -1].float()
        return scores

    def _reserve(self, tokens: int) -> None:
        if tokens < self._room:
            return
        self._room = tokens + _MORE
        for layer in self._layers:
            layer.grow(self._room)
