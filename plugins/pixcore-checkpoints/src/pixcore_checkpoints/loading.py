"""Load a checkpoint: whatever fails is one error that names it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from pixcore.errors import ConfigError, ModelError, PluginError, describe
from pixcore.stages.memory import MORE_ROOM, shortage


@contextmanager
def loading(checkpoint: str) -> Iterator[None]:
    """Turn whatever fails while a checkpoint is loaded into one ModelError that names it."""
    try:
        yield
    except (ModelError, ConfigError, PluginError):
        raise
    except Exception as error:
        words = shortage(error)
        if words is not None:
            raise ModelError(f"memory ran out while {checkpoint} was loaded: {words}", hint=MORE_ROOM) from error
        raise ModelError(
            f"can't load {checkpoint}: {describe(error)}",
            hint="the files are damaged, or of another kind of model than this adapter reads",
        ) from error


@contextmanager
def without_bars() -> Iterator[None]:
    """While open, transformers draws no bar of its own over a run's; a download's is the hub's, and stays."""
    from huggingface_hub import utils as hub  # who loads by transformers has both
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    downloads = not hub.are_progress_bars_disabled()
    logging.disable_progress_bar()
    if downloads:
        hub.enable_progress_bars()
    try:
        yield
    finally:
        logging.enable_progress_bar()
