"""Read what a command is told of a benchmark: its folder and its other options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixcore.components import Config
from pixcore.config import apply_settings, component_config
from pixcore.errors import ConfigError
from pixcore.plugins import Registration


def benchmark_config(
    registration: Registration, root: Path | None, settings: Sequence[str], known: Mapping[str, Any] | None = None
) -> Config:
    """Give a benchmark's config.

    Args:
        registration: The benchmark.
        root: Its folder, as by `--root`; None where it is not said.
        settings: Its other options, as by `--set KEY=VALUE`.
        known: Options that hold where neither says otherwise.

    Raises:
        ConfigError: It has no folder, or an option is not its own.
    """
    if root is not None and "root" not in registration.config_class.model_fields:
        raise ConfigError(f"the benchmark {registration.name!r} has no folder", hint="leave --root out")
    options = {**(known or {}), **({} if root is None else {"root": str(root)})}
    return component_config(registration, apply_settings(options, settings), "benchmark")
