"""What a stage's key is made of, and which records it makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pixcore.components import Context, NoConfig
from pixcore.config import ChosenComponent, ChosenComponents
from pixcore.plugins import Kind, Registration
from pixcore.records import Image, Protocol, Request, Sample
from pixcore.stages.base import Item, Monitor, Stage
from pixcore.stages.serialise import Entry


class Numbers(Stage):
    name = "numbers"
    revision = 1

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        yield from ((item, Entry(int(item.sample.id), {"values": np.arange(1000)})) for item in items)


@dataclass(eq=False, kw_only=True)
class Later(Numbers):
    earlier: Numbers
    threshold: float
    batch: int

    uses: ClassVar = {"judge": Kind.JUDGE}
    not_in_key = frozenset({"batch"})


def test_a_stages_key_is_made_of_all_that_it_works_with(tmp_path: Path) -> None:
    registration = Registration("a", "none", lambda: "1", Kind.JUDGE, "strict", "a:B")
    judge = ChosenComponent(registration, NoConfig())

    def key(earlier: str = "numbers", threshold: float = 0.5, batch: int = 1, judge: ChosenComponent = judge) -> str:
        before = Numbers(tmp_path, Context(), ChosenComponents())
        before.name = earlier  # type: ignore[misc]
        chosen = ChosenComponents(judge=judge, points=judge)
        made = Later(tmp_path, Context(), chosen, earlier=before, threshold=threshold, batch=batch)
        assert list(made.components) == ["judge"]
        return made.store.key

    other = ChosenComponent(replace(registration, name="lenient"), NoConfig())
    assert key() == key(batch=2)
    assert len({key(), key(earlier="others"), key(threshold=0.6), key(judge=other)}) == 4
    with pytest.raises(TypeError, match=r"no component is called 'judge' here, only points"):
        Later(tmp_path, Context(), ChosenComponents(points=judge), earlier=None, threshold=1, batch=1)  # type: ignore[arg-type]


def item(number: int) -> Item:
    image = Image.from_pixels(np.full((2, 2, 3), number, np.uint8))
    sample = Sample(str(number), image)
    return Item(sample, Request(sample.id, Protocol.SEGMENT, image, "Where?"), segmented=True)


class Told(Monitor):
    def __init__(self) -> None:
        self.told: list[object] = []

    def begin(self, stage: str, total: int, done: int) -> None:
        self.told.append((total, done))

    def advance(self, count: int = 1) -> None: ...
    def end(self) -> None: ...


def test_a_stage_makes_what_is_missing_and_counts_what_is_there(tmp_path: Path) -> None:
    stage, told = Numbers(tmp_path, Context(), ChosenComponents()), Told()
    items = [item(number) for number in range(4)]
    stage.run(items[:3], told)
    assert [one.sample.id for one in stage.pending(items)] == ["3"]
    assert [stage.has(one) for one in items] == [True, True, True, False]
    stage.run(stage.pending(items), told, there=3)
    assert not stage.pending(items)
    assert told.told == [(3, 0), (4, 3)]
