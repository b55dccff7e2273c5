"""Take a model's config as it is stored, which knows nothing of this machine and may be damaged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pixcore.errors import ModelError

_MOST = 1024  # several times those of the largest models

ConfigT = TypeVar("ConfigT")


def own_kernel(config: ConfigT) -> ConfigT:
    """Forget the attention kernel that a config of transformers names, a fact of its trainer's machine."""
    for part in _parts(config):
        part._attn_implementation = None
    return config


def check_layers(config: Any, path: Path | str) -> None:
    """Refuse a config of transformers with more layers than any model has.

    They would be made one by one before any weight is missed.

    Raises:
        ModelError: It names `path`, where the config was read.
    """
    for part in _parts(config):
        for layers in (getattr(part, "num_hidden_layers", 0), *(getattr(part, "blocks_per_stage", None) or ())):
            check_count(layers, path)


def check_count(layers: Any, path: Path | str) -> None:
    """Refuse a number of layers that no model has.

    Raises:
        ModelError: It names `path`, where the number was read.
    """
    if isinstance(layers, int) and layers > _MOST:
        raise ModelError(f"{path} has {layers} layers", hint="is it damaged? fetch it again")


def _parts(config: Any) -> Iterator[Any]:
    """A config and those inside it."""
    yield config
    for name in config.sub_configs:
        if hasattr(part := getattr(config, name, None), "sub_configs"):
            yield from _parts(part)
