"""What the driver tells of a cluster: how fast each node works, how busy its GPUs are, what actors say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from pixcore.stages.base import Monitor

_EVERY = 10.0  # seconds between two lines
_SHOWN = 8  # nodes that a line names
_LONGEST = 160  # characters of what an actor says


class Telling:
    """Tells of all nodes in a line now and then, passes on what actors say once each, and counts for Ray's metrics.

    Args:
        monitor: Shows the lines.
    """

    def __init__(self, monitor: Monitor) -> None:
        self._monitor = monitor
        self._said: set[str] = set()
        self._began = self._last = time.monotonic()
        self._records, self._busy = Counter[str](), Counter[str]()
        self._all = Counter[str]()
        self._counter: Any = None

    def heard(self, node: str, line: str) -> None:
        """Pass on what was said on a node, shortened; the same is said once, wherever it comes from."""
        if line not in self._said:
            self._said.add(line)
            self._monitor.say(f"{node}: {line if len(line) <= _LONGEST else line[: _LONGEST - 1] + '…'}", "dim")

    def came(self, node: str, records: int, seconds: float) -> None:
        """Count records that came from a node, and how long they took there."""
        self._records[node] += records
        self._all[node] += records
        self._busy[node] += seconds  # type: ignore[assignment]
        with suppress(Exception):  # metrics are for whoever looks; a run does not depend on them
            if self._counter is None:
                from ray.util.metrics import Counter as Metric

                self._counter = Metric("pixcore_records", description="Records made.", tag_keys=("node",))
            if records:
                self._counter.inc(records, tags={"node": node})

    def tell(self, crews: Mapping[str, tuple[float, Sequence[Any]]]) -> None:
        """Say now and then how fast each node is, and how many GPUs have something to do."""
        now = time.monotonic()
        if now - self._last < _EVERY:
            return
        passed, self._last = now - self._last, now
        rates = [f"{node} {records / passed:.1f}/s" for node, records in self._records.most_common(_SHOWN)]
        more = f", and {len(self._records) - _SHOWN} more nodes" if len(self._records) > _SHOWN else ""
        held = sum(gpus * len(actors) for gpus, actors in crews.values())
        busy = sum(gpus for gpus, actors in crews.values() for actor in actors if actor.tasks)
        gpus = f"; GPUs busy {busy:g} of {held:g}" if held else ""
        at_work = ", ".join(f"{len(actors)} × {name}" for name, (_, actors) in crews.items() if actors)
        self._monitor.say(f"{', '.join(rates) or 'nothing yet'}{more}{gpus} ({at_work})", "dim")
        self._records.clear()

    def end(self) -> None:
        """Say what each node did, where there were several."""
        if len(self._all) > 1:
            shares = ", ".join(f"{node} {count}" for node, count in self._all.most_common(_SHOWN))
            self._monitor.say(f"records by node: {shares}", "dim")
