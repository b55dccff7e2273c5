"""What a stage keeps of its records in memory."""

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
from pixcore.stages.base import Item, Stage
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


@pytest.mark.parametrize(("room", "decodings"), [(10**6, 4), (2 * (8001 + 2**14), 6), (0, 8)])
def test_records_are_turned_back_once_while_there_is_room(tmp_path: Path, room: int, decodings: int):
    stage = Numbers(tmp_path, Context(), ChosenComponents())
    stage._cache_left = room
    items, seen = [item(number) for number in range(4)], []

    def decode(entry: Entry) -> int:
        seen.append(entry.body)
        return int(entry.body)

    assert stage._decoded(items[0], decode) is None  # and that is not remembered
    for one in items:
        stage._keep(one, next(stage.compute([one]))[1], monitor=None)  # type: ignore[arg-type]
    for _ in range(2):
        assert [stage._decoded(one, decode) for one in items] == [0, 1, 2, 3]
    assert len(seen) == decodings
