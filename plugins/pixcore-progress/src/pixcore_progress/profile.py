"""Where a run's time and memory go: by stage, and in it by component, store, scoring and writer.

Parts lie inside each other: a stage reads the store while a component waits for its next item. Each second belongs to
the innermost part that is at work, so that all rows add up to the whole run.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from typing import Any

from rich.table import Table

from pixcore.components import Context
from pixcore.config import ChosenComponent, ChosenComponents
from pixcore.plugins import Guest
from pixcore.runs.plan import Run

_PER_MIB = 1024 if sys.platform != "darwin" else 1 << 20  # Linux counts its peak in KiB, macOS in bytes


@dataclass
class Spent:
    """What one part of one stage took.

    Attributes:
        calls: How often it was asked.
        seconds: On the clock.
        cpu_seconds: Of the processor, all threads of this process together.
        grown: By how many MiB the process's largest memory grew meanwhile.
    """

    calls: int = 0
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    grown: float = 0.0


class Profile:
    """Follows a run.

    Attributes:
        spent: What each (stage, part) took, in the order of their first turn.
    """

    def __init__(self) -> None:
        self.spent: dict[tuple[str, str], Spent] = {}
        self._at_work: list[tuple[str, str]] = []
        self._thread = threading.get_ident()
        self._last = _now()

    @contextmanager
    def part(self, name: str, stage: str | None = None) -> Iterator[None]:
        """While open, what is spent belongs to a part: of a stage that begins, or of the one at work."""
        if threading.get_ident() != self._thread:  # a component's own threads: their processor time counts for it
            yield
            return
        self._settle()
        key = stage or (self._at_work[-1][0] if self._at_work else "start"), name
        self._at_work.append(key)
        self.spent.setdefault(key, Spent()).calls += 1
        try:
            yield
        finally:
            self._settle()
            self._at_work.pop()

    def _settle(self) -> None:
        now = _now()
        if self._at_work:
            spent, before = self.spent[self._at_work[-1]], self._last
            spent.seconds += now[0] - before[0]
            spent.cpu_seconds += now[1] - before[1]
            spent.grown += now[2] - before[2]
        self._last = now

    def timed(self, name: str, work: Callable[..., Any], stage: str | None = None) -> Callable[..., Any]:
        """Make a function whose time belongs to a part; so does that of the iterator that it may give."""

        @wraps(work)
        def follow(*arguments: Any, **named: Any) -> Any:
            with self.part(name, stage):
                result = work(*arguments, **named)
            return self._stream(name, result) if isinstance(result, Iterator) else result

        return follow

    def _stream(self, name: str, items: Iterator[Any]) -> Iterator[Any]:
        end = object()
        while True:
            with self.part(name):
                item = next(items, end)
            if item is end:
                return
            yield item

    def document(self) -> list[dict[str, Any]]:
        """Give what `run.json` holds under "profile"."""
        return [
            {
                "stage": stage,
                "part": part,
                "calls": spent.calls,
                "seconds": round(spent.seconds, 3),
                "cpu_seconds": round(spent.cpu_seconds, 3),
                "grown_mib": round(spent.grown, 1),
            }
            for (stage, part), spent in self.spent.items()
        ]

    def table(self) -> Table:
        """Show it, the longest part of each stage first; what took less than a thousandth is left out."""
        whole, whole_cpu = (sum(getattr(one, of) for one in self.spent.values()) for of in ("seconds", "cpu_seconds"))
        table = Table(box=None, pad_edge=False)
        for heading in ("stage", "part"):
            table.add_column(heading)
        for heading in ("calls", "s", "share", "CPU s", "MiB more"):
            table.add_column(heading, justify="right")
        for stage in dict.fromkeys(stage for stage, _ in self.spent):
            own = [(part, spent) for (place, part), spent in self.spent.items() if place == stage]
            shown = [
                (part, spent)
                for part, spent in own
                if spent.seconds >= whole / 1000 or spent.cpu_seconds >= whole_cpu / 1000 or spent.grown >= 1
            ]
            for number, (part, spent) in enumerate(sorted(shown, key=lambda one: -one[1].seconds)):
                share = f"{100 * spent.seconds / (whole or 1):.1f} %"
                numbers = f"{spent.seconds:.1f}", share, f"{spent.cpu_seconds:.1f}", f"{spent.grown:.0f}"
                table.add_row(stage if not number else "", part, str(spent.calls), *numbers)
        return table


def _now() -> tuple[float, float, float]:
    return time.perf_counter(), time.process_time(), _peak()


def _peak() -> float:
    """The most memory that this process has had, in MiB; 0 where the system does not tell, as Windows."""
    try:
        import resource
    except ImportError:
        return 0.0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _PER_MIB


@dataclass(frozen=True)
class _Followed(ChosenComponent):
    """A component whose making, and every call of what its interface promises, is timed."""

    profile: Profile | None = None

    def create(self, context: Context) -> Any:
        assert self.profile is not None
        kind = self.registration.kind
        name = f"{kind.noun} {self.name}"
        made = self.profile.timed(f"{name}: loading", super().create)(context)
        for method in vars(kind.interface):
            if not method.startswith("_") and callable(asked := getattr(made, method)):
                setattr(made, method, self.profile.timed(name, asked))
        return made


def followed(job: Run, profile: Profile) -> Run:
    """Give the run again, its components, stages and stores followed by a profile."""
    components = ChosenComponents()
    for name, found in job.resolved.components.items():
        several = tuple(_follow(one, profile) for one in job.resolved.components.several(name))
        components[name] = several if isinstance(found, tuple) else several[0] if several else None
    job = Run(replace(job.resolved, components=components), job.scope)
    for stage in job.stages():
        label = stage.label or stage.name
        vars(stage)["run"] = profile.timed("the stage itself", stage.run, label)
        for method in ("get", "put", "has"):
            vars(stage.store)[method] = profile.timed("store", getattr(stage.store, method))
    return job


def _follow(one: ChosenComponent, profile: Profile) -> ChosenComponent:
    return _Followed(one.registration, one.config, one.label, profile)


def followed_writer(guest: Guest, profile: Profile) -> Guest:
    """Give a run writer whose work is followed; one that can't be loaded fails where it is begun, as in any run."""
    try:
        kind = guest.loaded
    except Exception:
        return guest
    if not isinstance(kind, type):
        return guest

    class Followed(kind):  # type: ignore[misc, valid-type]
        def __init__(self) -> None:
            super().__init__()
            for method in ("begin", "add", "finish"):
                setattr(self, method, profile.timed(f"writer {guest.name}", getattr(self, method)))

    copy = replace(guest)
    copy.__dict__["loaded"] = Followed
    return copy
