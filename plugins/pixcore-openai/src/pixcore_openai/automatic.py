"""The selection `automatic`: a language model looks at every candidate highlighted and says which is the object."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
from PIL import Image as PILImage
from pixcore_services.spending import summed

from pixcore import masks
from pixcore.components import Context, SelectionStrategy
from pixcore.errors import ConfigError
from pixcore.records import Candidate, Fidelity, Response, Sample, Selection
from pixcore.services import Expense
from pixcore_openai import prompts
from pixcore_openai.answers import read_number, read_yes_no
from pixcore_openai.asking import Answer, Asker, Question, answer_one, served_by
from pixcore_openai.config import AutomaticConfig
from pixcore_openai.overlays import Picture, highlighted, plain, sent_size
from pixcore_openai.prices import expected

Place = tuple[int, int]
"""Candidate and mask."""


@dataclass(eq=False)
class _Shown:
    """What is chosen from: one image, its places, and its decoded pixels once they are wanted."""

    sample: Sample
    expression: str
    candidates: Sequence[Candidate]
    places: list[Place]
    image: PILImage.Image
    answers: list[Answer] = field(default_factory=list)


class Automatic(SelectionStrategy[AutomaticConfig]):
    """Asks a language model which candidate shows the object best (paper 3.2; infer_pixfoundation_auto_gpt.py).

    `published` uses the released script's prompts and shows every mask of every candidate. It differs from the script
    in three things that the script leaves to chance: the order is drawn from the seed in place of the file system's, an
    answer that can't be read is no choice in place of the first picture, and a single candidate needs no question.
    `paper` is the script's first release: it does not ask whether the object is there, and leaves out an image that has
    fewer than two masks. Its model, gpt-4o, has to be named.
    `corrected` asks its own prompts, and shows equal masks once.
    """

    needs_model = True
    asks_service = True

    def __init__(self, config: AutomaticConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        if self.context.published and config.overlay != "blend":
            raise ConfigError(
                f"automatic: overlay: {config.overlay} is not what was published",
                hint="overlay: blend, or fidelity: corrected",
            )
        self._asker = Asker(config, self.context)
        self._first_release = self.context.fidelity is Fidelity.PAPER
        self._presence = not self._first_release if config.presence is None else config.presence

    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose for one sample."""
        return answer_one(self.select_many([(sample, response, candidates)]))

    def select_many(
        self, items: Iterable[tuple[Sample, Response, Sequence[Candidate]]]
    ) -> Iterator[Selection | Exception]:
        """Choose for many samples, their calls overlapping."""

        def with_orders() -> Iterator[tuple[Sample, Sequence[Candidate], list[Place], list[list[int]]]]:
            for sample, _, candidates in items:
                places = self._places(candidates)
                # drawn here, while the stage's seed of this very sample holds
                yield sample, candidates, places, self._orders(len(places))

        return self._asker.overlap(with_orders(), self._choose)

    def _orders(self, count: int) -> list[list[int]]:
        """Draw orders of so many places, each another: one that comes again would be the same question."""
        drawn: list[list[int]] = []
        while len(drawn) < self._number_of_orders(count):
            order = self.rng.permutation(count).tolist()
            if order not in drawn:
                drawn.append(order)
        return drawn

    def _number_of_orders(self, count: int) -> int:
        return min(self.config.orders, factorial(min(count, 4)))  # of four there are the 24 that may be asked for

    def _places(self, candidates: Sequence[Candidate]) -> list[Place]:
        places = [(index, mask) for index, one in enumerate(candidates) for mask in range(len(one.masks))]
        if self.context.published:
            return places
        seen: set[str] = set()
        first = []
        for candidate, mask in places:
            counts = candidates[candidate].masks[mask]["counts"]
            if counts not in seen:
                seen.add(counts)
                first.append((candidate, mask))
        return first

    async def _choose(self, item: tuple[Sample, Sequence[Candidate], list[Place], list[list[int]]]) -> Selection:
        sample, candidates, places, orders = item
        expression = self._expression(sample)
        if expression is None:
            return Selection.nothing("the sample has no expression to ask about")
        shown = _Shown(sample, expression, candidates, places, await asyncio.to_thread(sample.image.pil))
        if self._presence:
            picture = await asyncio.to_thread(plain, shown.image, self.config.max_side)
            prompt = prompts.presence(self.context)
            published = self.context.published
            answer = await self._asker.ask(
                Question(prompt, {"expression": expression}, (picture,)),
                lambda text: read_yes_no(text, published=published),
            )
            shown.answers.append(answer)
            there = answer.value
            if there is None and not published:
                return Selection.nothing(f"presence {answer.problem}", details=self._details(shown))
            if not there:  # the released script takes everything but a plain yes for a no
                reason = "the judge sees no such object" if there is False else f"presence {answer.problem}"
                return Selection.absent(reason, details=self._details(shown))
        if not places:
            return Selection.nothing("no candidates", details=self._details(shown))
        if len(places) < 2 and self._first_release:
            return Selection.nothing("the first release asks about two masks or more", details=self._details(shown))
        picks = [await self._tournament(shown, order) for order in orders]
        return self._vote(shown, picks)

    async def _tournament(self, shown: _Shown, order: list[int]) -> int | None:
        """The place that wins, shown in this order; None where an answer on the way could not be read."""
        contenders = order
        while len(contenders) > 1:
            size = self._group_size(len(contenders))
            groups = [contenders[start : start + size] for start in range(0, len(contenders), size)]
            told = await asyncio.gather(*(self._group(shown, group) for group in groups))
            # in the groups' order, whichever was answered first: records of equal answers are equal
            shown.answers += [answer for _, answer in told if answer is not None]
            found = [winner for winner, _ in told if winner is not None]
            if len(found) < len(groups):
                return None
            contenders = found
        return contenders[0]

    def _group_size(self, count: int) -> int:
        config = self.config
        if config.rounds == "tournament":
            return 2
        return config.group_size if config.rounds == "groups" else config.most_images

    async def _group(self, shown: _Shown, group: list[int]) -> tuple[int | None, Answer | None]:
        """The place that wins in a group, and the answer that says so; one alone wins without."""
        if len(group) == 1:
            return group[0], None
        pictures = await asyncio.to_thread(self._pictures, shown, group)
        prompt = prompts.select(self.context, self.config.overlay)
        fields = {"expression": shown.expression, "count": str(len(group))}
        published = self.context.published
        answer = await self._asker.ask(
            Question(prompt, fields, pictures), lambda text: read_number(text, len(group), published=published)
        )
        return None if answer.value is None else group[answer.value - 1], answer

    def _pictures(self, shown: _Shown, group: Sequence[int]) -> tuple[Picture, ...]:
        config = self.config
        pictures = []
        for index in group:
            candidate, mask = shown.places[index]
            inside = masks.decode(shown.candidates[candidate].masks[mask])
            pictures.append(
                highlighted(
                    shown.image, inside, overlay=config.overlay, opacity=config.opacity, max_side=config.max_side
                )
            )
        return tuple(pictures)

    def _vote(self, shown: _Shown, picks: Sequence[int | None]) -> Selection:
        read = [pick for pick in picks if pick is not None]
        details = self._details(shown, picks)
        if not read:
            unread = next(answer for answer in reversed(shown.answers) if answer.value is None)
            return Selection.nothing(unread.problem, details=details)
        # of places with equally many votes the one of the earliest order
        winner, votes = Counter(read).most_common(1)[0]
        candidate, mask = shown.places[winner]
        reason = "the only mask"
        if len(shown.places) > 1:
            reason = f"the judge's choice of {len(shown.places)}, {votes} of {len(picks)} orders"
        return Selection.chosen(
            candidate,
            mask,
            reason=reason,
            score=votes / len(picks),
            details=details,
        )

    def _details(self, shown: _Shown, picks: Sequence[int | None] = ()) -> dict[str, Any]:
        details: dict[str, Any] = {
            "shown": len(shown.places),
            "served": served_by(shown.answers),
            "exchanges": [dict(exchange) for answer in shown.answers for exchange in answer.exchanges],
            "unread": sum(answer.value is None for answer in shown.answers),
        }
        if len(picks) > 1:
            details["votes"] = [None if pick is None else list(shown.places[pick]) for pick in picks]
            rate = flip_rate(picks)
            if rate is not None:
                details["flip_rate"] = rate
        return details

    def _expression(self, sample: Sample) -> str | None:
        if self.context.published and sample.released_expression is not None:
            return sample.released_expression
        return sample.expression

    def expected_cost(self, sample: Sample, masks: int) -> Expense:
        """Say what choosing will cost, if the object is there and every answer is read."""
        config, calls = self.config, list[Expense]()
        if self._expression(sample) is None:
            return summed(calls, config.model)
        size = sent_size(sample.image.size, config.max_side)

        def call(prompt: prompts.Prompt, images: int) -> Expense:
            text = prompt.system + prompt.user + str(sample.expression)
            return expected(config.model, self.context, text=text, images=[size] * images, detail=config.detail)

        if self._presence:
            calls.append(call(prompts.presence(self.context), 1))
        for _ in range(self._number_of_orders(masks)):
            left = masks
            while left > 1:
                group = self._group_size(left)
                whole, rest = divmod(left, group)
                for count in [group] * whole + ([rest] if rest > 1 else []):
                    calls.append(call(prompts.select(self.context, config.overlay), count))
                left = whole + (1 if rest else 0)
        return summed(calls, config.model)


def flip_rate(picks: Sequence[int | None]) -> float | None:
    """Measure the share of pairs of orders that chose differently; None with fewer than two readable ones."""
    pairs = list(combinations([pick for pick in picks if pick is not None], 2))
    return float(np.mean([one != other for one, other in pairs])) if pairs else None
