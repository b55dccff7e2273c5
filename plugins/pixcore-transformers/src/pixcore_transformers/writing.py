"""Answer requests whose images are seen once, some at a time: where an answer ends, another takes its slot."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import PreTrainedModel

from pixcore.errors import NotFiniteError
from pixcore_transformers.generation import Checked, Sampler, Settings, penalised, sayable
from pixcore_transformers.prompts import Prompt, Prompts
from pixcore_transformers.slots import Slots
from pixcore_transformers.streaming import tell
from pixcore_transformers.tap import RowSink, Tap, Watch

Tensor = torch.Tensor


class SlotTap(Tap):
    """Reads one row of every pass, whoever is in the slots.

    Args:
        model: The model, prepared by `pixcore_transformers.tap.install`.
        layers: Decoder layers, ascending.
        heads: Heads, or None for all.
        sink: Gets the rows, of as many samples as there are slots: zeros where a slot is empty.
        slots: How many there are.
        cells: Visual tokens, the most of any request.

    Attributes:
        steps: Passes whose rows were read.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        layers: tuple[int, ...],
        heads: tuple[int, ...] | None,
        sink: RowSink,
        slots: int,
        cells: int,
    ) -> None:
        nowhere = torch.zeros(slots, cells, dtype=torch.long)
        super().__init__(model, Watch(nowhere, nowhere.bool(), 0, 0, layers, heads), sink)
        self.steps = 0
        self._slots, self._cells = slots, cells
        self._rows: Sequence[int] = ()
        self._prompts: list[Prompt] = []

    def turn(self, prompts: Sequence[Prompt], rows: Sequence[int]) -> None:
        """Look at these requests in the next passes, at some rows of each pass, counted from its end if negative."""
        self._rows = rows
        if prompts == self._prompts:
            return
        self._prompts = list(prompts)
        device = prompts[0].columns.device
        columns = torch.zeros(len(prompts), self._cells, dtype=torch.long, device=device)
        valid = torch.zeros_like(columns, dtype=torch.bool)
        for index, prompt in enumerate(prompts):
            columns[index, : len(prompt.columns)] = prompt.columns
            valid[index, : len(prompt.columns)] = True
        self.look(columns, valid)

    def advance(self, layer: int, query: Tensor, key: Tensor) -> tuple[list[int], int]:
        """Tell the rows that are wanted."""
        if layer == self.watch.layers[-1]:
            self.steps += len(self._rows)
        return [row % query.shape[2] for row in self._rows], 0

    def holds_all(self, layer: int, key: Tensor) -> bool:
        """A slot's keys stay until another takes it; who lets it do so has the rows computed before."""
        return True

    def deliver(self, layer: int, cells: Tensor) -> None:
        """Hand the cells of some rows on."""
        if empty := self._slots - len(cells):
            cells = torch.nn.functional.pad(cells, (0, 0, 0, 0, 0, 0, 0, empty))
        super().deliver(layer, cells)


@dataclass
class _Answer:
    """One answer that is being written.

    Attributes:
        index: Of the request.
        prompt: The request.
        new: Its tokens.
        fed: How many of them the model has been given.
        seen: The (step, slot) of each row that was read.
    """

    index: int
    prompt: Prompt
    new: list[int] = field(default_factory=list)
    fed: int = 0
    seen: list[tuple[int, int]] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Tokens that lie in its slot."""
        return self.prompt.before + len(self.prompt.text) + self.fed


class Writer:
    """Writes answers, greedily or by each one's own seed, and tells a tap whose they are.

    Args:
        model: The model.
        prompts: The requests.
        settings: How to generate.
        seeds: One a request, for sampling.
        tap: Reads rows; None: none is read.
        row: Which row of a request's own text is read before its first token, from its end; None: none, and each
            token's own row is read, for which it is given to the model even if no other follows.
        stay: A slot has one request to the end, and all slots end together: for whoever looks at steps together.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        prompts: Prompts,
        settings: Settings,
        seeds: Sequence[int],
        tap: SlotTap | None = None,
        row: int | None = -1,
        *,
        stay: bool = False,
    ) -> None:
        self._prompts, self._settings, self._tap, self._row, self._stay = prompts, settings, tap, row, stay
        self._device = prompts.each[0].columns.device
        self._answers = [_Answer(index, prompt) for index, prompt in enumerate(prompts.each)]
        self._size = min(len(self._answers), prompts.at_once)
        self._model = model
        like = prompts.seen[prompts.each[0].image]
        self._slots = Slots(model, self._size, like, max(answer.length for answer in self._answers))
        self._checked = Checked()
        self._sampler = Sampler(settings, seeds) if settings.temperature > 0 else None
        self._used: dict[int, Tensor] = {}

    def write(self) -> list[list[int]]:
        """Write all answers, begun in their order; each one's tokens up to and with its end.

        Raises:
            NotFiniteError: The model gave logits that are no numbers.
        """
        waiting = deque(self._answers)
        active: list[_Answer] = []
        while waiting or active:
            free = self._size - len(active)
            # a pass over few new texts costs as much as a step, so that they come several at a time
            if waiting and (free >= max(1, self._size // 4) or not active):
                entering = [waiting.popleft() for _ in range(min(free, len(waiting)))]
                self._choose(entering, self._enter(entering, len(active)))
                active += entering
            else:
                self._choose(active, self._step(active))
            active = self._left(active)
        if self._checked.broken:
            raise NotFiniteError("the model's logits", str(self._model.dtype).removeprefix("torch."))
        return [answer.new for answer in self._answers]

    def maps(self, found: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Give each request's maps (tokens, cells) out of the slots' (steps, cells)."""
        return [
            np.stack([found[slot][step, : answer.prompt.layout.tokens] for step, slot in answer.seen])
            if answer.seen
            else np.zeros((0, answer.prompt.layout.tokens), np.float32)
            for answer in self._answers
        ]

    def _enter(self, entering: Sequence[_Answer], first: int) -> Tensor:
        prompts = [answer.prompt for answer in entering]
        self._read()
        for slot, prompt in enumerate(prompts, first):
            self._slots.begin(slot, self._prompts.seen[prompt.image])
        self._look(entering, self._row)
        scores = self._slots.run(first, *texts_of(prompts))
        if self._row is not None:
            self._note(entering)
        return scores

    def _step(self, active: Sequence[_Answer]) -> Tensor:
        ids = torch.tensor([[answer.new[-1]] for answer in active], device=self._device)
        places = torch.tensor([[answer.length] for answer in active], device=self._device)
        self._look(active, -1)
        scores = self._slots.run(0, ids, places)
        for answer in active:
            answer.fed += 1
        self._note(active)
        return scores

    def _look(self, answers: Sequence[_Answer], row: int | None) -> None:
        if self._tap is not None:
            self._tap.turn([answer.prompt for answer in answers], () if row is None else (row,))

    def _read(self) -> None:
        """Have the rows computed that wait, before slots change hands."""
        if self._tap is not None:
            self._tap.flush()

    def _note(self, answers: Sequence[_Answer]) -> None:
        if self._tap is not None:
            for slot, answer in enumerate(answers):
                if not self._is_read(answer):
                    answer.seen.append((self._tap.steps - 1, slot))

    def _choose(self, answers: Sequence[_Answer], scores: Tensor) -> None:
        self._checked(None, scores)
        if self._settings.repetition_penalty != 1.0:
            used = torch.stack([self._used_by(answer, scores) for answer in answers])
            scores = penalised(scores, used, self._settings.repetition_penalty)
        if self._sampler is not None:
            scores = self._sampler.disturbed(scores, [answer.index for answer in answers])
        for answer, token in zip(answers, scores.argmax(dim=-1).tolist(), strict=True):
            if not self._is_written(answer):
                answer.new.append(token)
                if answer.index in self._used:
                    self._used[answer.index][token] = True
        longest = max(len(answer.new) for answer in answers)
        tell(lambda: [list(answer.new) for answer in self._answers], longest, self._settings.max_new_tokens)

    def _used_by(self, answer: _Answer, scores: Tensor) -> Tensor:
        """(vocabulary,), the tokens that its request holds, and those that were written."""
        if answer.index not in self._used:
            ids = torch.tensor([*answer.prompt.ids, *answer.new], device=scores.device)
            used = torch.zeros(scores.shape[1], dtype=torch.bool, device=scores.device)
            used[ids[sayable(ids, len(used))]] = True
            self._used[answer.index] = used
        return self._used[answer.index]

    def _is_written(self, answer: _Answer) -> bool:
        new = answer.new
        return len(new) == self._settings.max_new_tokens or (bool(new) and new[-1] in self._settings.end)

    def _is_read(self, answer: _Answer) -> bool:
        """Whether every token has its row."""
        return self._is_written(answer) and len(answer.seen) == len(answer.new)

    def _ended(self, answer: _Answer) -> bool:
        own_row = self._tap is not None and self._row is None
        return self._is_written(answer) and (not own_row or answer.fed >= len(answer.new))

    def _left(self, active: list[_Answer]) -> list[_Answer]:
        """Those whose answers go on, in slots side by side."""
        if self._stay:
            return [] if all(map(self._ended, active)) else active
        if any(map(self._ended, active)):
            self._read()
        slot = 0
        while slot < len(active):
            if not self._ended(active[slot]):
                slot += 1
                continue
            last = active.pop()
            if slot < len(active):
                self._slots.move(len(active), slot, last.length)
                active[slot] = last
        return active


def texts_of(prompts: Sequence[Prompt], answers: Sequence[Sequence[int]] | None = None) -> tuple[Tensor, Tensor]:
    """Put texts, and answers to them, below one another, as slots take them: answers begin in one column.

    Returns:
        The tokens, and their positions, (requests, longest text + longest answer) int64 both.
    """
    answers = answers or [()] * len(prompts)
    longest, most = max(len(prompt.text) for prompt in prompts), max(map(len, answers))
    device = prompts[0].columns.device
    ids = torch.zeros(len(prompts), longest + most, dtype=torch.long)
    for row, prompt, answer in zip(ids, prompts, answers, strict=True):
        row[longest - len(prompt.text) : longest + len(answer)] = torch.tensor([*prompt.text, *answer])
    starts = torch.tensor([len(prompt.ids) - longest for prompt in prompts])[:, None]
    before = torch.tensor([prompt.before for prompt in prompts])[:, None]
    places = starts + torch.arange(longest + most)
    return ids.to(device), places.masked_fill(places < before, -1).to(device)
