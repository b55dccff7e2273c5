"""Which plugins are installed, read where pip writes it down, and the help screen that was made of them.

`importlib.metadata` tells the same, and takes longer to be imported than most commands need before their work.
"""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import suppress
from itertools import takewhile

GROUP = "pixcore"

EntryPoint = tuple[str, str, str]
"""A plugin as metadata name it: its name, "module" or "module:attribute", and its package."""


def entry_points(broken: dict[str, str] | None = None) -> list[EntryPoint]:
    """List the entry points of pixcore's plugins along the path; of two packages with one name the first counts.

    Args:
        broken: Gets what is wrong with each package whose metadata can't be read, by its folder's name.
    """
    found: dict[str, list[EntryPoint]] = {}
    for folder in sys.path:
        try:
            records = [name for name in os.listdir(folder or ".") if name.endswith((".dist-info", ".egg-info"))]
        except OSError:  # a zip file, or a folder that is not there
            continue
        for record in records:
            name = re.sub("[-_.]+", "-", record.rpartition(".")[0].partition("-")[0]).lower()
            try:
                if name not in found:
                    found[name] = _read(os.path.join(folder, record), name)
            except (OSError, ValueError) as error:
                if broken is not None:
                    broken[record] = str(error)
    return [entry for entries in found.values() for entry in entries]


def _read(record: str, name: str) -> list[EntryPoint]:
    """Read a package's metadata; `name` is its own where they hold none."""
    try:
        with open(os.path.join(record, "entry_points.txt"), encoding="utf-8") as file:
            lines = [line for line in map(str.strip, file) if line and not line.startswith("#")]
    except (FileNotFoundError, NotADirectoryError):
        return []
    if odd := [line for line in lines if "=" not in line and not line.startswith("[")]:
        raise ValueError(f"{odd[0]!r} is no entry point")
    if f"[{GROUP}]" not in lines:  # as of most packages
        return []
    with open(f"{record}/{'METADATA' if record.endswith('.dist-info') else 'PKG-INFO'}", encoding="utf-8") as file:
        name = next((line[5:].strip() for line in file if line.startswith("Name:")), name)
    found = []
    for line in takewhile(lambda line: not line.startswith("["), lines[lines.index(f"[{GROUP}]") + 1 :]):
        entry = re.fullmatch(r"([^=]+?)\s*=\s*([\w.]+\s*(?::\s*[\w.]+)?)\s*(?:\[.*\])?", line)
        if entry is None:
            raise ValueError(f"{line!r} is no entry point")
        found.append((entry[1], "".join(entry[2].split()), name))
    return found


def recalled() -> str | None:
    """Give the help screen as it was shown last; None where a package came or went, or a module was edited since."""
    with suppress(OSError, ValueError, TypeError):  # not there, or not whole
        with open(kept_at("help", ".json"), encoding="utf-8") as file:
            known, modules, text = json.load(file)
        if known == _key() and all(os.stat(module).st_mtime_ns == changed for module, changed in modules):
            return str(text)
    return None


def remember(text: str) -> None:
    """Keep the help screen for `recalled`; what it stands on is every module that is imported by now."""
    path, modules = kept_at("help", ".json"), list(sys.modules.values())
    files = {str(module.__file__) for module in modules if getattr(module, "__file__", None)}
    with suppress(OSError):  # no home, or no room there: it is made anew
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(f"{path}.{os.getpid()}", "w", encoding="utf-8") as file:
            json.dump([_key(), [[name, os.stat(name).st_mtime_ns] for name in files], text], file)
        os.replace(file.name, path)


def kept_at(name: str, ending: str = "") -> str:
    """Name a file, or a folder, for each environment, in the folder for caches."""
    return cached_at(f"{name}{re.sub('[^0-9A-Za-z]+', '-', sys.prefix)}{ending}")


def cached_at(name: str) -> str:
    """Name a file, or a folder, that all environments share, in the folder for caches."""
    return os.path.join(os.path.expanduser(os.environ.get("XDG_CACHE_HOME") or "~/.cache"), GROUP, name)


def _key() -> list[object]:
    """What the screen depends on besides modules: what is installed and where, what is chosen of it, how wide it is."""
    wide = os.get_terminal_size(1).columns if os.isatty(1) else 0
    return [wide, sys.path, *map(os.environ.get, ("COLUMNS", "PIXCORE_PLUGINS")), *map(list, entry_points())]
