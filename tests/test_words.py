"""One word for a thing, and plain sentences: the glossary, the names, and the first line of every public docstring."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from pixcore import records

ROOT = Path(__file__).parents[1]
SOURCES = [ROOT / "pixcore", *sorted(ROOT.glob("plugins/*/src")), *sorted(ROOT.glob("benchmarks/*/src"))]
WORDS = """sample, probing, item, request, response, token group, point prompt, candidate, strategy, selection,
row, figure, judge, verdict, control, cluster, run, run folder, stage, record, store"""
RETIRED = {
    *("Part", "Pool", "Witness", "Purse", "Piece", "Grade", "Grader", "JudgingNotes"),
    *("grades", "judging", "runlengths", "incidental"),
}
"""Names that something else has by now."""

Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for source in SOURCES:
        for path in sorted(source.rglob("*.py")):
            yield path, ast.parse(path.read_text(encoding="utf-8"))


def public(node: ast.Module | ast.ClassDef) -> Iterator[Documented]:
    """The node itself, and the public classes, functions and methods in it."""
    yield node
    for inner in node.body:
        if isinstance(inner, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and not inner.name.startswith("_"):
            yield from public(inner) if isinstance(inner, ast.ClassDef) else [inner]


def wrong_with(line: str) -> str:
    """What keeps a docstring's first line from being a plain sentence."""
    if not line[:1].isupper():
        return "does not begin with a capital letter"
    if len(re.findall(r"\w+", line)) < 3:
        return "is too short to say anything"
    return "" if line.endswith((".", "?")) else "does not end like a sentence"


def test_public_docstrings_begin_with_a_plain_sentence() -> None:
    """Whether it says the thing as one would aloud is for a reader to judge; its form is held here."""
    found = []
    for path, module in modules():
        for node in public(module):
            first = (ast.get_docstring(node) or " ").splitlines()[0]
            if problem := wrong_with(first):
                found.append(f"{path.relative_to(ROOT)}: {getattr(node, 'name', 'module')}: {first!r} {problem}")
    assert not found, "\n".join(found)


def test_the_glossary_heads_the_records() -> None:
    said = records.__doc__ or ""
    listed = {re.split(r"\s{2,}", line.strip())[0] for line in said.splitlines() if line.startswith("    ")}
    assert {word for entry in listed for word in entry.split(", ")} == set(re.split(r",\s+", WORDS))


@pytest.mark.parametrize("kind", ["names", "files"])
def test_no_retired_name_comes_back(kind: str) -> None:
    found = []
    for path, module in modules():
        if kind == "files":
            found += [path] * (path.stem in {word.lower() for word in RETIRED})
            continue
        for node in ast.walk(module):
            names = {getattr(node, "name", None), getattr(node, "id", None), getattr(node, "attr", None)}
            found += [f"{path.relative_to(ROOT)}: {name}" for name in names & RETIRED]
    assert not found


def test_options_are_documented_in_one_way() -> None:
    """Under "Attributes:" in the config's docstring: the schema, an editor and the pages read it there."""
    found = [
        f"{path.relative_to(ROOT)}: {node.lineno}"
        for path, module in modules()
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Field"
        if any(keyword.arg == "description" for keyword in node.keywords)
    ]
    assert not found
