"""What a benchmark consists of on disk: which files, where to get them, whether they are whole.

A benchmark class lists its pieces; `pixcore benchmarks check` verifies them and `pixcore benchmarks fetch` gets them
from the hub with a progress bar. What was fetched is noted with revision and SHA-256 in `pieces.json`, against which a
later check compares. Of a folder all files are noted before the first is got, so that a fetch that was broken off goes
on with those that are missing.
"""

from __future__ import annotations

import hashlib
import shutil
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from pixcore.errors import DataError, first_line
from pixcore.files import prepare, read_object, write_json, written_beside

LOCK = "pieces.json"

_BLOCK = 1 << 20


@dataclass(frozen=True)
class DataFile:
    """One file or folder of a benchmark.

    Attributes:
        path: Where it lies below the root; a folder ends with a slash.
        source: Where to get it, in words or as a URL.
        repo: Its dataset on the hub, "owner/name", or None.
        remote: Its path in that dataset; a pattern for a folder.
        alternatives: Other places below the root where it may lie.
        optional: Whether the benchmark works without it, and then `source` says what is lost.
    """

    path: str
    source: str
    repo: str | None = None
    remote: str | None = None
    alternatives: tuple[str, ...] = ()
    optional: bool = False

    def find(self, root: Path) -> Path | None:
        """Find it in a benchmark's folder; None where it is not there."""
        for place in (self.path, *self.alternatives):
            if there(path := root / place, folder=place.endswith("/")):
                return path
        return None


def there(path: Path, *, folder: bool = False) -> bool:
    """Tell whether a file or folder is there, where another is taken if not.

    Python's audit hooks hear of it: once it comes or goes, samples may be other ones, though no file that was read has
    changed.
    """
    sys.audit("pixcore.looked_for", str(path))
    return path.is_dir() if folder else path.is_file()


@runtime_checkable
class Fetchable(Protocol):
    """A benchmark class that says what it consists of.

    One whose options name files has a property `needed_files` too: what is checked in their place.
    """

    @classmethod
    def data_files(cls) -> Sequence[DataFile]:
        """The files that the benchmark consists of."""
        ...


@dataclass(frozen=True)
class Finding:
    """One line of a check.

    Attributes:
        path: What it is about, below the root.
        problem: What is wrong; empty if nothing is.
        optional: Whether the benchmark works nevertheless.
    """

    path: str
    problem: str = ""
    optional: bool = False


def require(root: Path, pieces: Iterable[DataFile], *, benchmark: str) -> None:
    """Make sure that everything needed is there.

    Raises:
        DataError: It is not; all missing pieces are named at once, with where to get them.
    """
    if not root.is_dir():
        raise DataError(f"benchmark {benchmark}: there is no folder {root}", hint="check root / --root")
    lacking = [piece for piece in pieces if not piece.optional and piece.find(root) is None]
    if lacking:
        names = ", ".join(piece.path for piece in lacking)
        hints = list(dict.fromkeys(f"{piece.path}: {piece.source}" for piece in lacking))
        if any(piece.repo for piece in lacking):
            hints.append(f"or: pixcore benchmarks fetch {benchmark} --root {root}")
        raise DataError(f"benchmark {benchmark}: {root} lacks {names}", hint="; ".join(hints))


def check(root: Path, pieces: Iterable[DataFile]) -> list[Finding]:
    """Look whether every file is there, and as it was when it was fetched."""
    findings = []
    locked = _read_lock(root)
    for piece in pieces:
        found = piece.find(root)
        if found is None:
            findings.append(Finding(piece.path, f"missing; {piece.source}", piece.optional))
            continue
        findings.append(Finding(piece.path))
    for name, entry in sorted(locked.items()):
        path = root / name
        if not path.is_file():
            gone = "was fetched and is gone" if entry["sha256"] else "was not fetched yet: fetch again"
            findings.append(Finding(name, gone))
        elif entry["sha256"] and digest(path) != entry["sha256"]:
            findings.append(Finding(name, f"differs from what was fetched (revision {entry['revision']})"))
    return findings


def fetch(
    root: Path,
    pieces: Iterable[DataFile],
    *,
    revision: str | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Get the files that are missing from the hub.

    Args:
        root: The benchmark's folder; made if need be.
        pieces: What it consists of.
        revision: A branch, tag or commit of each dataset; the hub's newest if left out.
        report: Told each file.

    Returns:
        What could not be fetched, with why and where to get it.

    Raises:
        DataError: huggingface_hub is not installed, or what was fetched before is noted in a damaged file.
        StoreError: The folder can't be written.
    """
    try:
        from huggingface_hub import HfApi, hf_hub_download
    except ImportError as error:
        raise DataError("huggingface_hub is not installed", hint="pip install huggingface-hub") from error
    prepare(root, "--root")
    locked, failed = _read_lock(root), []
    hub = HfApi()
    for piece in pieces:
        found = piece.find(root)
        begun = _begun(root, piece, locked) if found is not None else None
        if found is not None and begun is None:
            continue
        if piece.repo is None or piece.remote is None:
            failed.append(Finding(piece.path, piece.source, piece.optional))
            continue
        try:
            facts = hub.dataset_info(piece.repo, revision=revision or begun)
            wanted = {
                f"{piece.path}{Path(name).name}" if piece.path.endswith("/") else piece.path: name
                for name in (s.rfilename for s in facts.siblings or ())
                if _matches(name, piece.remote)
            }
            if not wanted:
                failed.append(
                    Finding(piece.path, f"{piece.repo} holds no {piece.remote}; {piece.source}", piece.optional)
                )
                continue
            missing = {place: name for place, name in wanted.items() if not (root / place).is_file()}
            for place, name in missing.items():
                locked[place] = {"path": name, "repo": piece.repo, "revision": facts.sha, "sha256": None}
            _write_lock(root, locked)
            for place, name in missing.items():
                report(f"{piece.repo}: {name}")
                cached = hf_hub_download(piece.repo, name, repo_type="dataset", revision=facts.sha)
                _copy(Path(cached), root / place)
                locked[place]["sha256"] = digest(root / place)
                _write_lock(root, locked)
        except Exception as error:  # whatever the hub's client raises
            reason = first_line(error)
            failed.append(Finding(piece.path, f"{piece.repo}: {reason}; {piece.source}", piece.optional))
    return failed


def _begun(root: Path, piece: DataFile, locked: dict[str, Any]) -> str | None:
    """The commit of which a folder was fetched in part: what is missing is to be of the same; None: it is whole."""
    own = (name for name in locked if piece.path.endswith("/") and name.startswith(piece.path))
    return next((str(locked[name]["revision"]) for name in own if not (root / name).is_file()), None)


def digest(path: Path) -> str:
    """Hash a file, SHA-256 in hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _matches(name: str, remote: str) -> bool:
    if remote.endswith("/"):
        return name.startswith(remote) and name != remote
    return name == remote


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(target, "folder") as beside:
        shutil.copyfile(source, beside)


def _read_lock(root: Path) -> dict[str, Any]:
    hint = "delete it and fetch again"
    locked = read_object(root / LOCK, hint) if (root / LOCK).is_file() else {}
    if not all(isinstance(one, dict) and {"sha256", "revision"} <= one.keys() for one in locked.values()):
        raise DataError(f"{root / LOCK} does not note what was fetched", hint=hint)
    return locked


def _write_lock(root: Path, locked: dict[str, Any]) -> None:
    write_json(root / LOCK, dict(sorted(locked.items())), "folder")
