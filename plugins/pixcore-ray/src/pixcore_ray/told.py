"""What the driver tells of a cluster: how fast each node works, how busy its GPUs are, what actors say."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pixcore.errors import StoreError
from pixcore.files import write_json
from pixcore.stages.base import Monitor

NODES = ".nodes.json"
"""In the folder of a run that goes on: what the last line told, for whoever looks at the run."""

_EVERY = 10.0
_SHOWN = 8  # nodes that a line names
_LONGEST = 160  # characters of what an actor says


class Telling:
    """Tells of all nodes in a line now and then, as metrics of Ray's and in a file, and passes on what actors say once.

    Args:
        monitor: Shows the lines.
        folder: The run's folder.
        left: Counts the records that are still to be made.
        every: Seconds between two lines.
    """

    def __init__(self, monitor: Monitor, folder: Path, left: Callable[[], int], every: float = _EVERY) -> None:
        self._monitor, self._path, self._left, self._every = monitor, folder / NODES, left, every
        self._said: set[str] = set()
        self._last = time.monotonic()
        self._records, self._all = Counter[str](), Counter[str]()
        self._metrics = _Metrics()

    def heard(self, node: str, line: str) -> None:
        """Pass on what was said on a node, shortened; the same is said once, wherever it comes from."""
        if line not in self._said:
            self._said.add(line)
            self._monitor.say(f"{node}: {line if len(line) <= _LONGEST else line[: _LONGEST - 1] + '…'}", "dim")

    def came(self, node: str, records: int) -> None:
        """Count records that came from a node."""
        self._records[node] += records
        self._all[node] += records
        self._metrics.count(node, records)

    def tell(self, crews: Mapping[str, tuple[float, Sequence[Any]]]) -> None:
        """Say now and then how fast each node is, and how many GPUs have something to do."""
        now = time.monotonic()
        if now - self._last < self._every:
            return
        passed, self._last = now - self._last, now
        rates = {node: self._records[node] / passed for node, _ in self._all.most_common()}
        held = sum(gpus * len(actors) for gpus, actors in crews.values())
        busy = sum(gpus for gpus, actors in crews.values() for actor in actors if actor.tasks)
        at_work = ", ".join(f"{len(actors)} × {name}" for name, (_, actors) in crews.items() if actors)
        line = in_words(rates, busy, held)
        self._monitor.say(f"{line} ({at_work})", "dim")
        self._metrics.set(rates, {"records_left": self._left(), "gpus_busy": busy, "gpus_held": held})
        with suppress(StoreError):  # a full disk ends the run at its next record, not here
            write_json(self._path, {"told": time.time(), "nodes": line})
        self._records.clear()

    def end(self) -> None:
        """Say what each node did, where there were several."""
        self._path.unlink(missing_ok=True)
        if len(self._all) > 1:
            shares = ", ".join(f"{node} {count}" for node, count in self._all.most_common(_SHOWN))
            self._monitor.say(f"records by node: {shares}", "dim")


def in_words(rates: Mapping[str, float], busy: float, held: float) -> str:
    """Say how fast nodes are in records a second, and how many of the GPUs that actors hold have something to do."""
    shown = [f"{node} {rate:.1f}/s" for node, rate in sorted(rates.items(), key=lambda one: -one[1])[:_SHOWN]]
    more = f", and {len(rates) - _SHOWN} more nodes" if len(rates) > _SHOWN else ""
    return f"{', '.join(shown) or 'nothing yet'}{more}" + (f"; GPUs busy {busy:g} of {held:g}" if held else "")


class _Metrics:
    """Metrics of Ray's, for whoever looks: nodes that have `ray[default]` show them, and a run depends on none."""

    def __init__(self) -> None:
        self._made: dict[str, Any] = {}

    def count(self, node: str, records: int) -> None:
        """Count records that were made on a node."""
        with suppress(Exception):
            if records:
                self._metric("Counter", "records", "Records made.", "node").inc(records, tags={"node": node})

    def set(self, rates: Mapping[str, float], others: Mapping[str, float]) -> None:
        """Set each node's records a second, and figures of the whole run."""
        with suppress(Exception):
            for node, rate in rates.items():
                self._metric("Gauge", "records_per_second", "A node's records a second.", "node").set(
                    rate, tags={"node": node}
                )
            for name, value in others.items():
                self._metric("Gauge", name, name.replace("_", " ").capitalize() + ".").set(value)

    def _metric(self, kind: str, name: str, description: str, *tags: str) -> Any:
        if name not in self._made:
            from ray.util import metrics

            self._made[name] = getattr(metrics, kind)(f"pixcore_{name}", description=description, tag_keys=tags)
        return self._made[name]
