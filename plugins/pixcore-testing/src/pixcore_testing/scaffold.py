"""A new plugin as a package that installs, is found and passes its own tests: templates, filled in with a name."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from importlib.util import find_spec
from keyword import iskeyword
from pathlib import Path
from string import Template

from pixcore import __version__
from pixcore.config import apply_settings
from pixcore.entries import entry_points
from pixcore.errors import PluginError, nearest
from pixcore.plugins import GuestKind, Kind, registry

TEMPLATES = Path(__file__).with_name("templates")
_SUFFIX = ".tmpl"
_OTHERS = {"command": "command", "writer": "run writer", "observer": "observer"}
KINDS: Mapping[str, str] = {**{kind.value: kind.noun for kind in Kind}, **_OTHERS}
"""What can be made, and what a person calls one."""

_LONGEST = 24
_REQUIRED = {"PIL": "pillow>=10.1", "click": "click>=8.1", "numpy": "numpy>=1.26", "pydantic": "pydantic>=2.12"}
"""What a template's imports require besides pixcore."""


def kind_called(word: str) -> str:
    """Find the kind that a person means by a word: "points", "point-selector" or "selector".

    Raises:
        PluginError: It is none.
    """
    for kind, noun in KINDS.items():
        if word in (kind, noun.replace(" ", "-"), noun.split()[-1]):
            return kind
    raise PluginError(f"there is no kind of plugin {word!r}", hint=nearest(word, KINDS))


def new_package(kind: str, name: str, parent: Path) -> Path:
    """Write a package with one plugin.

    Args:
        kind: One of `KINDS`.
        name: What a config or a person calls what it offers.
        parent: The folder in which the package's own is made.

    Returns:
        The package's folder.

    Raises:
        PluginError: The name is none or is taken, or the folder can't be made.
    """
    _check_name(kind, name)
    files = _package(kind, name)
    target = parent / f"pixcore-{name}"
    try:
        target.mkdir(parents=True)
        for path, text in files.items():
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            (target / path).write_text(text, encoding="utf-8")
    except FileExistsError as error:
        raise PluginError(
            f"there is {target} already", hint="choose another name, or another folder: --into"
        ) from error
    except OSError as error:
        raise PluginError(f"can't write {target}: {error.strerror}", hint="choose another folder: --into") from error
    return target


def _check_name(kind: str, name: str) -> None:
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", name) or len(name) > _LONGEST:
        hint = f"lower-case words joined by hyphens, such as my-model; {_LONGEST} characters at most"
        raise PluginError(f"{name!r} can't name a plugin", hint=hint)
    if apply_settings({}, [f"name={name}"]) != {"name": name} or iskeyword(name.capitalize()):
        raise PluginError(f"{name!r} is a word of YAML's or Python's own", hint="choose another name")
    owner = next((owner for offered, owner in _offered(kind) if offered == name), None)
    if owner is None and find_spec(_module(name)) is not None:
        owner = f"pixcore-{name}"
    if owner is not None:
        raise PluginError(f"the name {name!r} is taken by {owner}", hint="choose another: names are one namespace")


def _offered(kind: str) -> Iterator[tuple[str, str]]:
    """Names that are taken, each with the package that has it: plugins' own, and those of the kind."""
    yield from ((name, package) for name, _, package in entry_points())
    if kind not in _OTHERS:
        yield from ((one.name, one.distribution) for one in registry().all(Kind(kind)))
    for guest_kind in GuestKind:
        if guest_kind.value == KINDS[kind]:
            yield from ((guest.name.split(" ")[0], guest.distribution) for guest in registry().guests(guest_kind))


def _module(name: str) -> str:
    return f"pixcore_{name.replace('-', '_')}"


def _package(kind: str, name: str) -> dict[str, str]:
    """Every file of the package by its path in it."""
    folders = ["package", *([] if kind in _OTHERS else ["component"]), kind]
    templates = {
        str(path.relative_to(TEMPLATES / folder)).removesuffix(_SUFFIX): path.read_text(encoding="utf-8")
        for folder in folders
        for path in sorted((TEMPLATES / folder).rglob(f"*{_SUFFIX}"))
    }
    words = _words(kind, name)
    sources = {
        path.replace("module", words["module"]): Template(templates.pop(path)).substitute(words)
        for path in list(templates)
        if path.endswith(".py")
    }
    _check_class(words["Class"], sources)
    inside = {path: text for path, text in sources.items() if path.startswith("src/")}
    words["dependencies"] = _dependencies(inside.values(), words["series"])
    words["files"] = "\n".join(f"| `{path}` | {_first_line(text)} |" for path, text in inside.items())
    words["usage"] = Template(templates.pop("usage.md")).substitute(words).strip()
    others = {
        path.replace("module", words["module"]): Template(text).substitute(words) for path, text in templates.items()
    }
    return {**others, **sources}


def _words(kind: str, name: str) -> dict[str, str]:
    """What templates are filled in with."""
    noun = KINDS[kind]
    summary = (TEMPLATES / kind / "summary.txt").read_text(encoding="utf-8").strip()
    sections = {"benchmark": "{name: mini-world, pairs: 6}"}
    hook = ""
    if kind == "writer":
        sections["writers"] = f"[predictions, {name}]"
    elif kind not in _OTHERS:
        own = Kind(kind)
        sections |= dict.fromkeys(own.sections, f"[{name}]" if own.listed else name)
        hook = own.hook
    return {
        "name": name,
        "module": _module(name),
        "distribution": f"pixcore-{name}",
        "Class": "".join(word.capitalize() for word in name.split("-")),
        "noun": noun,
        "article": "an" if noun[0] in "aeiou" else "a",
        "Summary": summary[0].upper() + summary[1:],
        "summary": summary,
        "file": noun.split()[-1],
        "hook": hook,
        "series": _series(),
        "sections": "\n".join(f"{section}: {value}" for section, value in sections.items()),
    }


def _check_class(name: str, sources: Mapping[str, str]) -> None:
    """See that a class made of the name shadows nothing that its module imports."""
    for path, text in sources.items():
        imported = {
            alias.asname or alias.name
            for node in ast.walk(ast.parse(text))
            if isinstance(node, ast.Import | ast.ImportFrom)
            for alias in node.names
        }
        if path.startswith("src/") and name in imported:
            raise PluginError(f"a class {name} would shadow pixcore's own {name}", hint="choose another name")


def _series() -> str:
    """Name the range of pixcore's packages that a new one requires: the series of the one that wrote it."""
    major, minor = map(int, __version__.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}"


def _dependencies(sources: Iterable[str], series: str) -> str:
    found = {match for text in sources for match in re.findall(r"^(?:import|from) (\w+)", text, re.M)}
    needed = sorted([*(_REQUIRED[name] for name in found & _REQUIRED.keys()), f"pixcore{series}"])
    return ", ".join(f'"{one}"' for one in needed)


def _first_line(source: str) -> str:
    return (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0].rstrip(".")
