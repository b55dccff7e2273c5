"""Draw the structure of pixcore from its imports into `docs/architecture.md`: `python docs/draw_architecture.py`.

A room is a sub-package of the core, the core's own top floor, or a package of `plugins/` or `benchmarks/`. An arrow is
an import. Of several ways from one room to another only the longest is told: the table shows the order of things.
"""

from __future__ import annotations

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from graphlib import TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = Path(__file__).with_name("architecture.md")
START, END = "<!-- drawn by docs/draw_architecture.py -->\n", "<!-- end of the drawing -->"

FACE = {"__main__", "cli"}
"""Modules of the core's top floor that call the rooms; all others of that floor are what the rooms stand on."""

Arrows = Mapping[str, set[str]]


def sources() -> Iterator[tuple[str, Path]]:
    """Every module of the core and of the packages: its dotted name and its file."""
    for top in (ROOT, *sorted(ROOT.glob("plugins/*/src")), *sorted(ROOT.glob("benchmarks/*/src"))):
        for package in sorted(top.glob("pixcore*/__init__.py")):
            for file in sorted(package.parent.rglob("*.py")):
                yield ".".join(file.relative_to(top).with_suffix("").parts).removesuffix(".__init__"), file


def imported(tree: ast.AST, modules: set[str]) -> Iterator[str]:
    """The modules of ours that a file names in its imports, those inside functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in modules)
        elif isinstance(node, ast.ImportFrom) and node.module in modules:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in modules else node.module


def room(module: str) -> str:
    """The room that a module stands in."""
    package, *inside = module.split(".")
    if package != "pixcore":
        return package.replace("_", "-")
    if inside and (ROOT / "pixcore" / inside[0]).is_dir():
        return f"pixcore/{inside[0]}"
    return "pixcore (face)" if inside and inside[0] in FACE else "pixcore (contract)"


def arrows() -> dict[str, set[str]]:
    """For each room the rooms that it imports from."""
    files = dict(sources())
    found: dict[str, set[str]] = defaultdict(set)
    for module, file in files.items():
        here = room(module)
        found[here] |= {room(name) for name in imported(ast.parse(file.read_text(encoding="utf-8")), set(files))}
        found[here].discard(here)
    return dict(found)


def reduced(found: Arrows) -> dict[str, set[str]]:
    """The arrows without those that a longer way makes.

    Raises:
        graphlib.CycleError: The arrows run in a circle.
    """
    below: dict[str, set[str]] = {}
    for name in TopologicalSorter(found).static_order():
        direct = found.get(name, set())
        below[name] = direct | {far for near in direct for far in below[near]}
    return {name: {to for to in near if not any(to in below[other] for other in near)} for name, near in found.items()}


def drawing() -> str:
    """The rooms as a table, the highest floor first; what a floor's rooms stand on are the floors below."""
    found = reduced(arrows())
    floors: dict[str, int] = {}
    for name in TopologicalSorter(found).static_order():
        floors[name] = max((floors[near] + 1 for near in found[name]), default=0)
    text = ["| floor | room | imports |", "|---|---|---|"]
    for name in sorted(found, key=lambda name: (-floors[name], name)):
        shown = name if name.startswith("pixcore-") else f"**{name}**"
        text.append(f"| {floors[name]} | {shown} | {', '.join(sorted(found[name]))} |")
    return "\n".join([*text, ""])


def page() -> str:
    """The page with the picture of today's code."""
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(START)
    return before + START + drawing() + END + rest.partition(END)[2]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    sys.exit(0)
