"""Say what changes when a checkpoint does, without reading all of it."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pixcore.errors import ModelError
from pixcore.files import open_file

_WHOLE = 64 << 20  # bytes: a file up to this size is hashed whole
_PIECES, _PIECE = 32, 1 << 16  # of a larger one so many pieces of so many bytes


def fingerprint_of(checkpoint: str | Path, revision: str | None = None) -> str:
    """Say what changes when a checkpoint does: a folder's or file's hash; of a name on the hub the commit that is here.

    A name whose commit is not on this machine gives the revision as it was asked for.
    """
    path, revision = Path(checkpoint).expanduser(), revision or "main"
    if path.exists():
        return hash_folder(path) if path.is_dir() else hash_file(path)
    home = os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub").expanduser()
    here = cache / f"models--{str(checkpoint).replace('/', '--')}" / "refs" / revision
    return here.read_text().strip() if here.is_file() else revision


def hash_folder(folder: Path) -> str:
    """Hash the names and contents of a folder's files, SHA-256 in hex; hidden files and *.md are left out.

    Raises:
        ModelError: A named pipe or a device is among them, which may never end.
    """
    found = sorted(folder.rglob("*"))
    odd = next((path for path in found if path.exists() and not (path.is_file() or path.is_dir())), None)
    if odd is not None:
        raise ModelError(f"{odd} is a pipe or a device", hint="a checkpoint's folder holds ordinary files")
    files = [path.relative_to(folder) for path in found if path.is_file() and path.suffix != ".md"]
    kept = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    return hashlib.sha256(
        "\n".join(f"{path.as_posix()} {hash_file(folder / path)}" for path in kept).encode()
    ).hexdigest()


def hash_file(path: Path) -> str:
    """Hash a file's size and content, SHA-256 in hex; of one above 64 MiB pieces that are spread over it."""
    with open_file(path, "checkpoint") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        starts = range(0, size, _PIECE)
        for start in starts if size <= _WHOLE else [(size - _PIECE) * i // (_PIECES - 1) for i in range(_PIECES)]:
            file.seek(start)
            digest.update(file.read(_PIECE))
    return digest.hexdigest()
