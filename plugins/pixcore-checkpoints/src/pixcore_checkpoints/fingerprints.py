"""Say what changes when a checkpoint does, without reading all of it each time."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import chain, starmap
from pathlib import Path
from typing import BinaryIO

from pixcore.entries import cached_at
from pixcore.errors import ModelError, StoreError
from pixcore.files import open_file, replacing
from pixcore_checkpoints.headers import read_places

_WHOLE = 64 << 20  # bytes: a file up to this size is hashed whole
_PIECE = 1 << 10  # bytes that are hashed in each place of a tensor
_READ = 1 << 20  # bytes that are read at a time


def fingerprint_of(checkpoint: str | Path, revision: str | None = None) -> str:
    """Say what changes when a checkpoint does: a folder's or file's hash; of a name on the hub the commit that is here.

    A name whose commit is not on this machine gives the revision as it was asked for.
    """
    path, revision = Path(checkpoint), revision or "main"
    if path.exists():
        return hash_folder(path) if path.is_dir() else hash_file(path)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    cache = Path(os.path.expanduser(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub"))
    here = cache / f"models--{str(checkpoint).replace('/', '--')}" / "refs" / revision
    return here.read_text().strip() if here.is_file() else revision


def hash_folder(folder: Path) -> str:
    """Hash the names and contents of a folder's files, SHA-256 in hex; hidden files and *.md are left out.

    Links to files and to other folders are followed: what they lead to is loaded as well.

    Raises:
        ModelError: A named pipe or a device is among them, which may never end.
    """
    found = sorted(_below(folder))
    odd = next((path for path in found if path.exists() and not (path.is_file() or path.is_dir())), None)
    if odd is not None:
        raise ModelError(f"{odd} is a pipe or a device", hint="a checkpoint's folder holds ordinary files")
    files = [path.relative_to(folder) for path in found if path.is_file() and path.suffix != ".md"]
    kept = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    return hashlib.sha256(
        "\n".join(f"{path.as_posix()} {hash_file(folder / path)}" for path in kept).encode()
    ).hexdigest()


def _below(folder: Path) -> Iterator[Path]:
    """All files and folders below a folder, also by links, but for those that lead back to where they lie."""
    for place, folders, names in os.walk(folder, followlinks=True):
        yield from (Path(place, name) for name in (*folders, *names))
        here = Path(place).absolute()
        above = {one.resolve() for one in (here, *here.parents)}
        folders[:] = [name for name in folders if Path(place, name).resolve() not in above]


def hash_file(path: Path) -> str:
    """Hash a file's size and content, SHA-256 in hex.

    Of a safetensors file above 64 MiB the header and a few places of each tensor stand for the content; of another one
    so large the hash is kept in the folder for caches until the file changes.
    """
    with open_file(path, "checkpoint") as file:
        size = os.fstat(file.fileno()).st_size
        if size <= _WHOLE:
            return _hash_spans(file, size, [(0, size)])
        if path.suffix != ".safetensors":
            return _hash_once(file, path)
        with suppress(ModelError):  # whoever loads it says what is wrong with it
            places = read_places(path)
            header = (0, min((start for start, _ in places), default=size))
            return _hash_spans(file, size, [header, *chain.from_iterable(starmap(_within, places))])
        return _hash_once(file, path)


def _within(start: int, end: int) -> list[tuple[int, int]]:
    """Where a tensor is looked at: its beginning, its middle and its end, where rows that were added lie."""
    starts = sorted({start, max(start, (start + end - _PIECE) // 2), max(start, end - _PIECE)})
    return [(at, min(at + _PIECE, end)) for at in starts]


def _hash_spans(file: BinaryIO, size: int, spans: Iterable[tuple[int, int]]) -> str:
    digest = hashlib.sha256(str(size).encode())
    for start, end in spans:
        file.seek(start)
        for at in range(start, end, _READ):
            digest.update(file.read(min(_READ, end - at)))
    return digest.hexdigest()


def _hash_once(file: BinaryIO, path: Path) -> str:
    """Hash all of a file, or give what is kept of it."""
    status = os.fstat(file.fileno())
    known = f"{path.resolve()} {status.st_size} {status.st_mtime_ns} {status.st_ctime_ns}"
    kept = Path(cached_at("fingerprints"), hashlib.sha256(known.encode(errors="surrogateescape")).hexdigest()[:32])
    with suppress(OSError, ValueError):
        found = kept.read_text("ascii")
        if len(found) == 64:
            return found
    found = _hash_spans(file, status.st_size, [(0, status.st_size)])
    with suppress(OSError, StoreError):  # no home, or no room there: it is hashed anew
        kept.parent.mkdir(parents=True, exist_ok=True)
        with replacing(kept) as written:
            written.write(found)
    return found
