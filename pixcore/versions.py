"""Versions that a record's numbers can depend on.

A package's own version is not all: an adapter stands on libraries that compute (torch, transformers, …) and on packages
of its own family, such as one that several adapters share. Any other requirement (a parser, an HTTP client) leaves
numbers alone, and a newer one must not cost a run its records.
"""

from __future__ import annotations

import hashlib
import json
import os
from functools import cache
from importlib import metadata
from pathlib import Path
from urllib.parse import urlparse
from urllib.request import url2pathname

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

NUMERICAL = (
    "numpy",
    "pillow",
    "scikit-image",
    "scipy",
    "segment-anything",
    "sentence-transformers",
    "spacy",
    "timm",
    "tokenizers",
    "torch",
    "transformers",
)
"""Libraries whose release can change a text, a map or a mask."""


_WHOLE = 64 << 20  # bytes: a file up to this size is hashed whole
_PIECES, _PIECE = 32, 1 << 16  # of a larger one so many pieces of so many bytes


def version_of(distribution: metadata.Distribution) -> str:
    """Give a package's version; of an editable install with a hash of its sources, because edits change no version."""
    direct = distribution.read_text("direct_url.json")
    if not direct:
        return distribution.version
    origin = json.loads(direct)
    if not origin.get("dir_info", {}).get("editable"):
        return distribution.version
    root = Path(url2pathname(urlparse(origin["url"]).path))
    source = root / "src"
    if source.is_dir():
        files = set(source.rglob("*.py"))
    else:  # packages beside pyproject.toml
        source = root
        packages = [path.parent for path in root.glob("*/__init__.py")]
        files = {*root.glob("*.py"), *(path for package in packages for path in package.rglob("*.py"))}
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file() and not path.name.startswith(".")):  # no editors' locks
        digest.update(path.relative_to(source).as_posix().encode())
        digest.update(path.read_bytes())
    return f"{distribution.version}+{digest.hexdigest()[:8]}"


@cache
def foundations(name: str, extra: str = "") -> dict[str, str]:
    """List the versions of what a package's numbers stand on: numerical libraries, and the family's packages.

    A build's own mark ("+cpu") is left out: records made on a GPU are read on a laptop.

    Args:
        name: The package's name; one that is not installed stands on nothing.
        extra: The one of its extras that is asked for; what any other names, such as one for tests, is not required.
    """
    found: dict[str, str] = {}
    seen = {("pixcore", "")}
    waiting = [(name, extra)]
    while waiting:
        one = waiting.pop()
        for required, asked in _requirements(*one):
            installed = _installed(required)
            if (required, asked) in seen or installed is None:
                continue
            seen.add((required, asked))
            if required in NUMERICAL:
                found[required] = installed.version.split("+")[0]
            elif required == canonicalize_name(name):  # an extra may name its own package
                waiting.append((required, asked))
            elif ("pixcore", "") in _requirements(required, ""):
                found[required] = version_of(installed)
                waiting.append((required, asked))
    return dict(sorted(found.items()))


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
    """Hash the names and contents of a folder's files, SHA-256 in hex; hidden files and *.md are left out."""
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file() and path.suffix != ".md")
    kept = [path for path in files if not any(part.startswith(".") for part in path.parts)]
    return hashlib.sha256(
        "\n".join(f"{path.as_posix()} {hash_file(folder / path)}" for path in kept).encode()
    ).hexdigest()


def hash_file(path: Path) -> str:
    """Hash a file's size and content, SHA-256 in hex; of one above 64 MiB pieces that are spread over it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        starts = range(0, size, _PIECE)
        for start in starts if size <= _WHOLE else [(size - _PIECE) * i // (_PIECES - 1) for i in range(_PIECES)]:
            file.seek(start)
            digest.update(file.read(_PIECE))
    return digest.hexdigest()


def _requirements(name: str, extra: str) -> set[tuple[str, str]]:
    """What a package with one of its extras, or none, requires here: names, each alone and with what is asked of it."""
    installed = _installed(name)
    found: set[tuple[str, str]] = set()
    for line in (installed.requires or []) if installed is not None else []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # its author's mistake; pip says it
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found |= {(canonicalize_name(requirement.name), asked) for asked in ("", *requirement.extras)}
    return found


def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None
