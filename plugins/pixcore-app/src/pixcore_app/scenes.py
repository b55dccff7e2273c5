"""The pictures that a visitor can take: samples of the benchmark, drawn or read as they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

from pixcore.components import Context
from pixcore.config import component_config, name_in
from pixcore.errors import PixcoreError
from pixcore.plugins import Kind, Registry
from pixcore.records import Fidelity, Sample


class Scenes:
    """A benchmark's samples, one picture once, from the first on and round again.

    Args:
        section: The benchmark's section of a config; None: there are none.
        registry: What is installed.
    """

    def __init__(self, section: Any, registry: Registry) -> None:
        self._section, self._registry = section, registry
        self._lock = threading.Lock()
        self._stream: Iterator[Sample] = iter(())

    def next(self, count: int = 1) -> list[Sample]:
        """Give the next samples that have something to ask; fewer where there are no more of them."""
        with self._lock:
            found = self._taken(count)
            if len(found) < count and self._section is not None:
                self._stream = self._samples()
                found += self._taken(count - len(found))
            return found

    def _taken(self, count: int) -> list[Sample]:
        found: list[Sample] = []
        for sample in self._stream:
            if sample.expression or sample.question:
                found.append(sample)
            if len(found) == count:
                break
        return found

    def _samples(self) -> Iterator[Sample]:
        options = (
            {key: value for key, value in dict(self._section).items() if key != "name"}
            if isinstance(self._section, dict)
            else {}
        )
        try:
            name = name_in(self._section)
            registration = self._registry.get(Kind.BENCHMARK, name)
            context = Context(Fidelity.CORRECTED, 0)
            yield from registration.create(component_config(registration, options, name), context).samples()
        except PixcoreError:
            return
