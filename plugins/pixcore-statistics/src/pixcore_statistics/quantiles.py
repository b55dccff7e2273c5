"""Quantiles of the normal and of Student's t distribution: SciPy's, kept once found.

Importing SciPy takes longer than all intervals of a table together. A quantile follows from SciPy's release and from
what is asked, and stands under both; a folder for caches that can't be read or written costs the import and no more.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache
from pathlib import Path

from pixcore.entries import kept_at
from pixcore.errors import DataError, StoreError
from pixcore.files import read_object, write_json
from pixcore.versions import installed


def normal(share: float) -> float:
    """Give the value that so large a share of the standard normal distribution lies below."""
    return _quantile("ndtri", share)


def student(freedom: int, share: float) -> float:
    """Give the value that so large a share of the t distribution of so many degrees of freedom lies below."""
    return _quantile("stdtrit", freedom, share)


@cache
def _quantile(function: str, *arguments: float) -> float:
    known, key = _kept(), " ".join((_release(), function, *map(repr, arguments)))
    found = known.get(key)
    if not isinstance(found, float):
        from scipy import special

        found = known[key] = float(getattr(special, function)(*arguments))
        path = Path(kept_at("quantiles", ".json"))
        with suppress(OSError, StoreError):  # no home, or no room there
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, known, indent=None)
    return found


@cache
def _kept() -> dict[str, object]:
    with suppress(DataError):  # not there, or not whole
        return read_object(Path(kept_at("quantiles", ".json")))
    return {}


@cache
def _release() -> str:
    there = installed("scipy")
    return there.version if there is not None else ""
