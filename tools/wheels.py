"""Build every package of the project: an sdist, and from this sdist, as an installer would, a wheel; a line for each.

    python -m tools.wheels [FOLDER]    into dist/ unless it says another

The same sources give the same bytes: times come of SOURCE_DATE_EPOCH, or else of the last commit.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tarfile
import tempfile
from contextlib import chdir
from pathlib import Path

from hatchling import build

from tools.packages import ROOT, projects


def build_all(target: Path) -> list[Path]:
    """Build all packages, and say so.

    Args:
        target: Where the files go; it is made if it is not there. What it held of the same names is replaced.

    Returns:
        The wheels, the core's first.
    """
    target.mkdir(parents=True, exist_ok=True)
    wheels = []
    for project in projects():
        sdist, wheel = build_one(project.parent, target)
        print(f"{wheel.name:<62} {_size(wheel):>8}   sdist {_size(sdist):>8}", flush=True)
        wheels.append(wheel)
    return wheels


def build_one(package: Path, target: Path) -> tuple[Path, Path]:
    """Build the sdist of a package's folder, and the wheel of this sdist."""
    target = target.resolve()
    with tempfile.TemporaryDirectory() as folder:
        with chdir(package):
            sdist = target / build.build_sdist(str(target))
        with tarfile.open(sdist) as archive:
            archive.extractall(folder, filter="data")
        with chdir(Path(folder) / sdist.name.removesuffix(".tar.gz")):
            return sdist, target / build.build_wheel(str(target))


def _size(path: Path) -> str:
    return f"{path.stat().st_size / 1000:,.0f} kB"


def _time_of_last_commit() -> str | None:
    done = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def main(arguments: list[str]) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.wheels", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "dist", help="where the files go")
    target = parser.parse_args(arguments).folder
    if time := os.environ.get("SOURCE_DATE_EPOCH") or _time_of_last_commit():
        os.environ["SOURCE_DATE_EPOCH"] = time
    build_all(target)


if __name__ == "__main__":
    main(sys.argv[1:])
