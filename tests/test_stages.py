"""What a stage keeps of its records in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from pixcore.components import Context
from pixcore.config import ChosenComponents
from pixcore.records import Image, Protocol, Request, Sample
from pixcore.stages.base import Item, Stage
from pixcore.stages.serialise import Entry


class Numbers(Stage):
    name = "numbers"
    revision = 1

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        yield from ((item, Entry(int(item.sample.id), {"values": np.arange(1000)})) for item in items)


def item(number: int) -> Item:
    image = Image.from_pixels(np.full((2, 2, 3), number, np.uint8))
    sample = Sample(str(number), image)
    return Item(sample, Request(sample.id, Protocol.SEGMENT, image, "Where?"), segmented=True)


@pytest.mark.parametrize(("room", "decodings"), [(10**6, 4), (2 * 8001, 6), (0, 8)])
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
