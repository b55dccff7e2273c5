"""Versions that a record's numbers can depend on.

A package's own version is not all: an adapter stands on libraries that compute (torch, transformers, …) and on packages
of its own family, such as one that several adapters share. Any other requirement (a parser, an HTTP client) leaves
numbers alone, and a newer one must not cost a run its records.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from functools import cache
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlparse

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_OF_MODELS = ("segment-anything", "sentence-transformers", "spacy", "timm", "tokenizers", "torch", "transformers")
NUMERICAL = ("numpy", "pillow", "scikit-image", "scipy", *_OF_MODELS)
"""Libraries whose release can change a text, a map or a mask."""

SOURCES = (".py", ".csv", ".jinja", ".json", ".md", ".toml", ".txt", ".yaml", ".yml")  # code, prompts, word lists


@cache
def version_of(distribution: metadata.Distribution) -> str:
    """Give a package's version; of one that is from no index with a hash of its sources: edits change no version."""
    content = b"".join(name.encode() + path.read_bytes() for name, path in sorted(_sources(distribution)))
    return f"{distribution.version}+{hashlib.sha256(content).hexdigest()[:8]}" if content else distribution.version


def _sources(distribution: metadata.Distribution) -> Iterator[tuple[str, Path]]:
    """The modules and texts of a package that is from no index, each by its path below where it is imported from."""
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    root, found = Path(str(distribution.locate_file(""))), set[Path]()
    if origin.get("dir_info", {}).get("editable"):
        folder = Path(unquote(urlparse(origin["url"]).path).removeprefix("/" if os.name == "nt" else ""))
        root = folder / "src" if (folder / "src").is_dir() else folder
        named = {root / one.value.replace(":", ".").split(".")[0] for one in distribution.entry_points}
        packages = {root} if root != folder else named | {path.parent for path in root.glob("*/__init__.py")}
        found = {*root.glob("*.py"), *(path for package in packages for path in package.rglob("*"))}
    elif origin:
        found = {Path(str(one.locate())) for one in distribution.files or () if ".dist-info" not in str(one)}
    for name, path in ((path.relative_to(root).as_posix(), path) for path in found if root in path.parents):
        if path.suffix in SOURCES and ".egg-info/" not in name and not path.name.startswith(".") and path.is_file():
            yield name, path  # no installer's or editors' notes, and nothing on another disk


@cache
def foundations(name: str, extra: str = "") -> dict[str, str]:
    """List the versions of what a package's numbers stand on: numerical libraries, and the family's packages.

    A build's own mark ("+cpu") is left out: records made on a GPU are read on a laptop.

    Args:
        name: The package's name; one that is not installed stands on nothing.
        extra: The one of its extras that is asked for; what any other names, such as one for tests, is not required.
    """
    found: dict[str, str] = {}
    seen, waiting = {("pixcore", "")}, [(name, extra)]
    while waiting:
        for required, asked in _requirements(*waiting.pop()):
            if (required, asked) in seen or (there := installed(required)) is None:
                continue
            seen.add((required, asked))
            if required in NUMERICAL:
                found[required] = there.version.split("+")[0]
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
