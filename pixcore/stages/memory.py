"""Memory that runs out is no sample's failure: what failed is let go, and smaller batches are tried."""

from __future__ import annotations

import gc
import os
import traceback

from pixcore.errors import ModelError, describe

_PHRASES = ("out of memory", "not enough memory", "can't allocate memory")


def shortage(error: BaseException) -> str | None:
    """Find what an error says of memory that ran out; None if it is about something else.

    The libraries that allocate on devices are known by their errors' names and words, so that none is imported here.
    """
    for each in _chain(error):
        named = any(kind.__name__ == "OutOfMemoryError" for kind in type(each).__mro__)
        told = isinstance(each, RuntimeError) and any(phrase in str(each).lower() for phrase in _PHRASES)
        if isinstance(each, MemoryError) or named or told:
            return describe(each)
    return None


def let_go(error: BaseException) -> None:
    """Free what the frames of an error hold: a failed batch's tensors live as long as its traceback does."""
    for each in _chain(error):
        traceback.clear_frames(each.__traceback__)
        each.__traceback__ = None
    gc.collect()


def exhausted(stage: str, sample: str, words: str) -> ModelError:
    """Make the error that ends a run whose smallest piece of work does not fit."""
    return ModelError(
        f"memory ran out in stage {stage} on sample {sample} alone: {words}{_free()}",
        hint="try smaller images, a smaller dtype or model, or another device",
    )


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in found:
        found.append(following)
        following = following.__cause__ or (None if following.__suppress_context__ else following.__context__)
    return found


def _free() -> str:
    """What this machine has left, for errors that do not say so themselves."""
    try:
        free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return ""
    return f"; {free / 2**30:.1f} GiB of this machine's memory are free"
