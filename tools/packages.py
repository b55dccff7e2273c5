"""Keep the packages of the project alike: what all of them say of themselves, the licence, versions and ranges.

One place has each word: the root's pyproject.toml the shared metadata and the version, `bounds.toml` the ranges of what
others require. Run from anywhere:

    python tools/packages.py          write them into every package, and tell what only its author can add
    python tools/packages.py 0.2.0    and give all of them this version, before a release
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.version import InvalidVersion, Version

ROOT = Path(__file__).resolve().parents[1]
CORE = ROOT / "pyproject.toml"
_SHARED = re.compile(r"^license = .*?^classifiers = \[.*?^\]\n", re.DOTALL | re.MULTILINE)
_URLS = re.compile(r"^\[project\.urls\]\n.*?(?=^\[|\Z)", re.DOTALL | re.MULTILINE)
_ALONE = re.compile(
    r"^(?:license|license-files|requires-python|authors|version) = [^\n]*\n|^classifiers = \[.*?\]\n",
    re.DOTALL | re.MULTILINE,
)


def projects() -> list[Path]:
    """List the pyproject.toml of every package, the core's first."""
    return [CORE, *sorted([*ROOT.glob("plugins/*/pyproject.toml"), *ROOT.glob("benchmarks/*/pyproject.toml")])]


def about(project: Path) -> dict[str, Any]:
    """Read the [project] table of a pyproject.toml."""
    table: dict[str, Any] = tomllib.loads(project.read_text(encoding="utf-8"))["project"]
    return table


def bounds() -> dict[str, dict[str, str]]:
    """Read which range of each package by others may be required, and why."""
    return tomllib.loads((ROOT / "tools" / "bounds.toml").read_text(encoding="utf-8"))


def series(version: str) -> str:
    """Name the range of a package of this project: its series, as 0.1 is one and 0.2 the next."""
    release = Version(version)
    return f">={release.major}.{release.minor},<{release.major}.{release.minor + 1}"


def requirements(project: Path) -> list[str]:
    """List all that a package requires to be built and to run, with what its extras do, as written."""
    build = tomllib.loads(project.read_text(encoding="utf-8"))["build-system"]["requires"]
    table = about(project)
    extras = table.get("optional-dependencies", {}).values()
    return [*build, *table.get("dependencies", []), *(line for lines in extras for line in lines)]


def written(project: Path) -> str:
    """Give a package's pyproject.toml with the shared words and ranges in place, all else as its author wrote it."""
    core = CORE.read_text(encoding="utf-8")
    text = project.read_text(encoding="utf-8")
    shared, urls, version = _SHARED.search(core), _URLS.search(core), about(CORE)["version"]
    assert shared is not None, "the root's pyproject.toml has the shared words in one block, license to classifiers"
    assert urls is not None, "the root's pyproject.toml has [project.urls]"
    if project != CORE:
        text = _ALONE.sub("", _URLS.sub("", text))
        text = re.sub(r"^name = .*\n", rf'\g<0>version = "{version}"\n', text, count=1, flags=re.MULTILINE)
        block = shared[0].replace("\\", r"\\")
        text = re.sub(r"^(?:readme|dynamic) = .*\n", rf"\g<0>{block}", text, count=1, flags=re.MULTILINE)
        tables = re.search(r"^\[(?!build-system\]|project\])", text, re.MULTILINE)
        start = tables.start() if tables is not None else len(text)
        text = text[:start] + urls[0] + text[start:]
    known = bounds()
    own_words = slice(text.index("\n[project]\n"), text.index("\ndependencies = ["))  # keywords may be packages' names
    built, said, required = text[: own_words.start], text[own_words], text[own_words.stop :]
    for line in requirements(project):
        one = Requirement(line)
        if one.name == "pixcore" and project == CORE:
            continue  # an extra that names another of its own
        extras = f"[{','.join(sorted(one.extras))}]" if one.extras else ""
        marker = f"; {one.marker}" if one.marker is not None else ""
        own = one.name.split("-")[0] == "pixcore"
        allowed = series(version) if own else known.get(one.name.lower(), {}).get("range", str(one.specifier))
        built, required = (
            part.replace(f'"{line}"', f'"{one.name}{extras}{allowed}{marker}"') for part in (built, required)
        )
    return built + said + required


def missing(project: Path) -> list[str]:
    """Tell what a package lacks that only its author can add, each in a line that says what to write."""
    table, folder = about(project), project.parent
    name, known = table["name"], bounds()
    lacks = []
    if not 20 <= len(table.get("description", "")) <= 160:
        lacks.append('description = "…": one line of 20 to 160 characters, as an index of packages shows it')
    if not (folder / "README.md").is_file():
        lacks.append("README.md: what it offers, its options, what it needs")
    keywords = table.get("keywords", [])
    if not {"pixcore"} < set(keywords) or len(keywords) < 4:
        lacks.append('keywords = ["pixcore", …]: this one and at least three of its own')
    if "dynamic" not in table and table.get("readme") != "README.md":
        lacks.append('readme = "README.md", straight under description')
    for line in requirements(project):
        one = Requirement(line)
        if one.name.split("-")[0] != "pixcore" and one.name.lower() not in known:
            lacks.append(f"a table [{one.name.lower()}] in tools/bounds.toml: its range, and why it begins there")
    if project != CORE and not any(
        Requirement(line).name == name for line in about(CORE)["optional-dependencies"]["all"]
    ):
        lacks.append(f'"{name}{series(table["version"])}" in the extra `all` of the root\'s pyproject.toml')
    for source in folder.glob("src/*/" if project != CORE else "pixcore/"):
        if not (source / "py.typed").is_file():
            lacks.append(f"{source.name}/py.typed: an empty file, which says that its types may be used")
    return [f"{name} lacks {line}" for line in lacks]


def _version(text: str) -> str:
    try:
        return str(Version(text))
    except InvalidVersion as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no version, such as 0.2.0") from error


def main(arguments: list[str]) -> int:
    """Write what is shared into every package, and print what is left to its author."""
    parser = argparse.ArgumentParser(
        prog="python tools/packages.py", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("version", nargs="?", type=_version, help="the version that all packages get")
    version = parser.parse_args(arguments).version
    if version is not None:
        text = re.sub(
            r'^version = ".*"', f'version = "{version}"', CORE.read_text("utf-8"), count=1, flags=re.MULTILINE
        )
        CORE.write_text(text, encoding="utf-8")
    left = []
    for project in projects():
        text = written(project)
        if text != project.read_text(encoding="utf-8"):
            project.write_text(text, encoding="utf-8")
            print(f"wrote {project.relative_to(ROOT)}")
        for name in about(CORE)["license-files"]:
            words, target = (ROOT / name).read_bytes(), project.with_name(name)
            if not target.is_file() or target.read_bytes() != words:
                target.write_bytes(words)
                print(f"wrote {target.relative_to(ROOT)}")
        left += missing(project)
    print("\n".join(left) if left else "every package has what it needs")
    return bool(left)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
