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
from urllib.parse import unquote, urlparse

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


@cache
def version_of(distribution: metadata.Distribution) -> str:
    """Give a package's version; of an editable install with a hash of its sources, because edits change no version."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    if not origin.get("dir_info", {}).get("editable"):
        return distribution.version
    root = Path(unquote(urlparse(origin["url"]).path).removeprefix("/" if os.name == "nt" else ""))
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
        for required, asked in _requirements(*waiting.pop()):
            there = installed(required)
            if (required, asked) in seen or there is None:
                continue
            seen.add((required, asked))
            if required in NUMERICAL:
                found[required] = version_of(there).split("+")[0]
            elif required == canonicalize_name(name):  # an extra may name its own package
                waiting.append((required, asked))
            elif ("pixcore", "") in _requirements(required, ""):
                found[required] = version_of(there)
                waiting.append((required, asked))
    return dict(sorted(found.items()))


@cache
def _requirements(name: str, extra: str) -> set[tuple[str, str]]:
    """What a package with one of its extras, or none, requires here: names, each alone and with what is asked of it."""
    there = installed(name)
    found: set[tuple[str, str]] = set()
    for line in (there.requires or []) if there is not None else []:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:  # its author's mistake; pip says it
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found |= {(canonicalize_name(requirement.name), asked) for asked in ("", *requirement.extras)}
    return found


@cache
def installed(name: str) -> metadata.Distribution | None:
    """Find an installed package's metadata; None where there is none."""
    try:
        return metadata.distribution(name)
    except (metadata.PackageNotFoundError, ValueError):
        return None
