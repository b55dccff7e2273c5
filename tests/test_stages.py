"""What a stage's key is made of, and which records it makes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from pixcore import plugins
from pixcore.components import Context, NoConfig
from pixcore.config import ChosenComponent, ChosenComponents, resolve
from pixcore.errors import DataError
from pixcore.plugins import Kind, Registration, Registry
from pixcore.records import Image, Protocol, Request, Sample
from pixcore.runs.plan import Run
from pixcore.stages.base import Item, Monitor, Stage
from pixcore.stages.serialise import Entry
from tests.workplace import TOY, TOY_RUN


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


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("PIXCORE_PLUGINS", "toy")
    plugins.registry.cache_clear()
    yield plugins.registry()
    plugins.registry.cache_clear()


def test_two_samples_of_one_id_are_refused_whatever_each_is_asked(tmp_path: Path, registry: Registry) -> None:
    document = {**TOY_RUN, "benchmark": None, "output": str(tmp_path / "out"), "store": str(tmp_path / "store")}
    pictures = [Image.from_pixels(np.full((2, 2, 3), number, np.uint8)) for number in range(2)]
    named = Sample("a", pictures[0], expression="the box")
    asked = Sample("a", pictures[1], question="Left?", options=("yes", "no"), answer=0)
    for samples in ([named, asked], [asked, named]):
        with pytest.raises(DataError, match="two samples with the id 'a'"):
            _ = Run(resolve(document, registry), samples=samples).items


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
