"""Read RefCOCO's `refs.p` as data: a pickle may run any code, this reader gives containers, texts and numbers alone."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any, NoReturn

from pixcore.errors import DataError
from pixcore.files import read_file

_SOURCE = "expected refs(unc).p, refs(google).p or refs(umd).p as released, or the same as JSON"


class _Plain(pickle.Unpickler):
    """Refuses every class and function that a pickle names; containers, texts and numbers need none."""

    def find_class(self, module_name: str, global_name: str, /) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module_name}.{global_name}, which is more than data")

    def persistent_load(self, pid: Any, /) -> NoReturn:
        raise pickle.UnpicklingError("it refers to something outside itself")


def read_refs(path: Path) -> tuple[Any, str]:
    """Read a pickle of Python 2 or 3.

    Returns:
        What it holds, and the encoding that Python 2's texts were read in: "utf-8", or "latin1" where they are not
        UTF-8.

    Raises:
        DataError: It can't be read, is no pickle, or holds more than containers, texts and numbers.
    """
    content = read_file(path, "references", _SOURCE)
    try:
        return _Plain(io.BytesIO(content), encoding="utf-8").load(), "utf-8"
    except UnicodeDecodeError:
        pass
    except Exception as error:  # a damaged pickle raises anything
        raise _refused(path, error) from error
    try:
        return _Plain(io.BytesIO(content), encoding="latin1").load(), "latin1"
    except Exception as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: Exception) -> DataError:
    said = str(error).strip() or type(error).__name__
    return DataError(f"{path} is no pickle of plain data: {said}", hint=_SOURCE)
