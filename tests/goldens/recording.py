"""Watching the inside of a module from outside, for golden comparisons."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from tests.goldens.runner import Check


@contextmanager
def recorded_outputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, Tensor]]:
    """What each module returned last, by name, filled while the context is open (the first of a tuple)."""
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, _given: Any, output: Any) -> None:
            seen[name] = output[0] if isinstance(output, tuple) else output

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def recorded_inputs(modules: Mapping[str, nn.Module]) -> Iterator[dict[str, tuple[Any, ...]]]:
    """The positional inputs that each module was given last, by name, filled while the context is open."""
    seen: dict[str, tuple[Any, ...]] = {}

    def keep(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, given: tuple[Any, ...]) -> None:
            seen[name] = given

        return hook

    handles = [module.register_forward_pre_hook(keep(name)) for name, module in modules.items()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


@dataclass(frozen=True)
class Collector:
    """Gathers what a port computed as checks, leaving out what a golden set does not hold.

    Attributes:
        expected: The set's arrays by name.
        checks: What was gathered.
        prefix: Put before every name.
    """

    expected: Mapping[str, Any]
    checks: list[Check] = field(default_factory=list)
    prefix: str = ""

    def under(self, name: str) -> Collector:
        """The same collector for names that start with `name` and a dot."""
        return Collector(self.expected, self.checks, f"{self.prefix}{name}.")

    @contextmanager
    def part(self, name: str) -> Iterator[Collector]:
        """Likewise, for a part that may fail: its exception then becomes a check, and the next part can follow."""
        try:
            yield self.under(name)
        except Exception as error:
            self.checks.append(Check(self.prefix + name, error))

    def keep(
        self,
        name: str,
        value: Tensor | NDArray[Any],
        *,
        atol: float = 2e-5,
        rtol: float = 1e-4,
        flips: int = 0,
        unpack: Callable[[NDArray[Any]], Any] | None = None,
    ) -> None:
        """Add one array.

        Args:
            name: After the prefix, as the set calls it.
            value: What the port gives.
            atol: For numbers; everything else has to be equal.
            rtol: Likewise.
            flips: How many entries of a boolean may differ.
            unpack: Turns the stored array into what `value` is compared with.
        """
        if self.prefix + name not in self.expected:
            return
        array = value.detach().cpu().numpy() if isinstance(value, Tensor) else value
        if array.dtype.kind != "f":
            atol = rtol = 0.0
        self.checks.append(Check(self.prefix + name, array, atol, rtol, flips, unpack))


def packed_bits(shape: tuple[int, ...]) -> Callable[[NDArray[Any]], NDArray[np.bool_]]:
    """Unpacks bits that were packed along the last axis of a boolean array of this shape."""

    def unpack(bits: NDArray[Any]) -> NDArray[np.bool_]:
        return np.unpackbits(bits, axis=-1)[..., : shape[-1]].reshape(shape).astype(bool)

    return unpack
