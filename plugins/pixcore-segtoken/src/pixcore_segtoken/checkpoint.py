"""Read official checkpoints one tensor at a time.

A checkpoint is one file (`.safetensors`, `.bin`, `.pth`, `.pt`) or a folder that holds one, or the shards
that its index names. Pickles are read with `weights_only`; nothing in them is ever executed.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pixcore_checkpoints.headers import read_header
from pixcore_checkpoints.shards import CONSOLIDATED
from pixcore_checkpoints.shards import shards as indexed
from safetensors import SafetensorError, safe_open
from torch import Tensor

from pixcore.errors import ModelError, describe
from pixcore.stages.memory import gib, shortage

PICKLES = (".bin", ".pth", ".pt")
# In this order: where a folder has both forms, safetensors need no trust and no unpickling.
_INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
_SINGLES = ("model*.safetensors", "*.safetensors", "*pytorch_model*.bin", "*.pth", "*.pt")


# Of a file that is mapped, so much is looked at before it is opened anew: this much, or this share of a large file.
_MAPPED_BYTES = 8 << 20
_MAPPED_SHARE = 64


class CheckpointError(ModelError):
    """A checkpoint that is absent, damaged, or not the one the plugin expects."""


def shards(path: Path) -> list[Path]:
    """List the files of a checkpoint, in the order they are read.

    Raises:
        CheckpointError: Nothing is there, or the index names a file that is absent.
    """
    if path.is_file():
        if path.suffix != ".safetensors" and path.suffix not in PICKLES:
            raise CheckpointError(
                f"{path} is not a checkpoint file", hint="use .safetensors, .bin, .pth or .pt, or their folder"
            )
        return [path]
    if not path.is_dir():
        raise CheckpointError(f"there is no checkpoint at {path}", hint="name a file or a downloaded folder")
    for name in _INDEXES:
        index = path / name
        if index.is_file():
            files = sorted(path / file for file in indexed(index))
            absent = [file.name for file in files if not file.is_file()]
            if absent:
                raise CheckpointError(
                    f"{index} names {', '.join(absent)}, absent from {path}",
                    hint="the download is incomplete; fetch the missing files",
                )
            return files
    for pattern in _SINGLES:
        found = sorted(file for file in path.glob(pattern) if not file.match(CONSOLIDATED))
        if found:
            return found
    raise CheckpointError(f"{path} holds no weights", hint="expected *.safetensors, pytorch_model*.bin or *.pth in it")


def read(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Read the names and tensors of one file, in file order.

    Raises:
        CheckpointError: The file is damaged, or is a pickle of more than tensors.
    """
    file = CheckpointFile(path)
    for name in file.names:
        yield name, file.tensor(name)


def shapes_of(path: Path) -> dict[str, tuple[int, ...]]:
    """Read the shape of every tensor of a checkpoint, by its official name; no tensor's values are read or mapped.

    Args:
        path: A file or a folder.

    Raises:
        CheckpointError: A file is damaged, or is a pickle of more than tensors.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for file in shards(path):
        if file.suffix == ".safetensors":
            shapes |= _header(file)
        else:
            content = _unwrap(_unpickle(file, {"map_location": "meta"}))
            shapes |= {name: tuple(value.shape) for name, value in content.items() if isinstance(value, Tensor)}
    return shapes


def counted(shapes: Mapping[str, tuple[int, ...]], pattern: str) -> int:
    r"""Count the indices that a pattern captures in names of weights, from 0 to the largest.

    >>> counted({"layers.0.weight": (1,), "layers.2.weight": (1,)}, r"layers\.(\d+)\.")
    3
    """
    found = (re.match(pattern, name) for name in shapes)
    return max((int(match[1]) for match in found if match), default=-1) + 1


def _header(path: Path) -> dict[str, tuple[int, ...]]:
    try:
        return read_header(path)
    except ModelError as error:
        raise CheckpointError(error.message, hint=error.hint) from error


class CheckpointFile:
    """One file of a checkpoint, whose tensors are read one at a time and in any order.

    Tensors are views on the memory-mapped file where its format allows, so a tensor costs memory when it is used and
    not before. The file is opened anew every so many bytes: a mapping keeps all pages that were ever looked at in
    memory for as long as it or a tensor of it lives, which would add up to the whole file.
    """

    def __init__(self, path: Path) -> None:
        """Open a file.

        Raises:
            CheckpointError: The file is damaged, or is a pickle of more than tensors.
        """
        self._path = path
        self._taken = 0
        if path.suffix == ".safetensors":
            _header(path)  # one that is cut short is damaged; one that is whole is not, whatever fails next
        self._opened: _Opened | None = _open(path)
        self._most = max(_MAPPED_BYTES, path.stat().st_size // _MAPPED_SHARE)
        self.names: Sequence[str] = self._opened.names
        """Of its tensors, in file order."""
        self.mapped: bool = self._opened.mapped
        """Whether tensors are views on the file; else all of them are in memory while it is open."""

    def tensor(self, name: str) -> Tensor:
        """Read one of its tensors.

        Raises:
            CheckpointError: It is no tensor.
        """
        if self.mapped and self._taken >= self._most:
            self.close()
        if self._opened is None:
            self._opened = _open(self._path)
            if self._opened.names != self.names:
                raise CheckpointError(f"{self._path} was changed while it was read", hint="load it again")
        tensor = self._opened.tensor(name)
        self._taken += tensor.nbytes
        return tensor

    def close(self) -> None:
        """Let go of the file until another tensor is asked for."""
        self._opened, self._taken = None, 0


@dataclass
class _Opened:
    names: Sequence[str]
    tensor: Callable[[str], Tensor]
    mapped: bool


def _open(path: Path) -> _Opened:
    if path.suffix != ".safetensors":
        return _opened_pickle(path)
    try:
        file: Any = safe_open(path, framework="pt")
    except (SafetensorError, OSError, RuntimeError, MemoryError) as error:
        raise _unreadable(path, error) from error
    return _Opened(file.offset_keys(), file.get_tensor, mapped=True)


def _opened_pickle(path: Path) -> _Opened:
    try:
        unpickled, mapped = _unpickle(path, {"mmap": True}), True
    except CheckpointError as error:
        if not isinstance(error.__cause__, RuntimeError) or shortage(error) is not None:
            raise
        # files older than torch 1.6's zip format can't be mapped
        unpickled, mapped = _unpickle(path, {}), False
    content = _unwrap(unpickled)

    def tensor(name: str) -> Tensor:
        value = content[name]
        if not isinstance(value, Tensor):
            raise CheckpointError(
                f"{path}: {name} is a {type(value).__name__}, not a tensor",
                hint="expected a state dict, bare or under the key state_dict or model",
            )
        return value

    return _Opened(list(content), tensor, mapped)


def _unpickle(path: Path, options: Mapping[str, Any]) -> Any:
    try:
        return torch.load(path, **{"map_location": "cpu", "weights_only": True, **options})
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path} is not a plain file of weights: it holds more than tensors, or is damaged",
            hint="pixcore does not execute pickles; if you trust the file, re-save its state dict alone",
        ) from error
    except (
        *(RuntimeError, EOFError, OSError, MemoryError),
        *(ValueError, KeyError, IndexError, TypeError, AttributeError),
    ) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> CheckpointError:
    """Make the error for a file that can't be opened: one that does not fit is not damaged."""
    words = shortage(error)
    if words is None:
        return CheckpointError(f"{path} is damaged: {describe(error)}", hint="download it again")
    size = gib(path.stat().st_size)
    return CheckpointError(
        f"{path} is whole, but its {size} can't be mapped: {words}",
        hint="allow more address space (ulimit -v, vm.overcommit_memory), or split the file into shards",
    )


def _unwrap(content: Any) -> Mapping[str, Any]:
    for wrapper in ("state_dict", "model"):
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        raise CheckpointError(
            f"the checkpoint holds a {type(content).__name__}, not a state dict",
            hint="expected names and tensors, bare or under the key state_dict or model",
        )
    return content
