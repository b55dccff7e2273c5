"""A folder with the toy plugin installed the way a real one is, and a way to run commands there."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
import venv
import zlib
from pathlib import Path

import yaml

from tests import forks

TOY = Path(__file__).parent / "toy"

TOY_RUN = {
    "benchmark": {"name": "toy-boxes", "pairs": 3},
    "model": {"name": "toy"},
    "extractor": "toy-rows",
    "transforms": [],
    "grouper": "toy-each",
    "points": "toy-peak",
    "masks": "toy-squares",
    "selections": ["toy-first", "toy-best", "toy-random"],
    "control": {"points": "toy-anywhere", "selection": "toy-best"},
    "judge": "toy-judge",
    "letter_judge": "toy-judge",
}


def layered(folder: Path) -> dict[str, str]:
    """Make an environment in which commands may install, on top of the one that runs the tests.

    Returns:
        The variables that commands in it need.
    """
    venv.create(folder, symlinks=True)
    packages = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    here = [path for path in sys.path if path.endswith("site-packages")]
    (packages / "tests.pth").write_text("".join(f"import site; site.addsitedir({path!r})\n" for path in here))
    for name in ("pip", "pixcore"):
        script = folder / "bin" / name
        script.write_text(f'#!/bin/sh\nexec {folder / "bin" / "python"} -m {name} "$@"\n')
        script.chmod(0o755)
    kept = {key: value for key, value in os.environ.items() if key != "PIXCORE_PLUGINS"}
    # what pages print installs without the network: pip reads 0 as *no* build isolation; what is required is here
    offline = {"PIP_NO_BUILD_ISOLATION": "0", "PIP_NO_DEPS": "1", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**kept, **offline, "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def unpacked(report: Path) -> list[dict]:
    """What a report holds packed: each sample's card, then what is searched of all."""
    packed = re.findall(r'<script type="application/zlib"[^>]*>(.*?)</script>', report.read_text("utf-8"), re.DOTALL)
    return [json.loads(zlib.decompress(base64.b64decode(one))) for one in packed]


class Workplace:
    """A folder with a config in it, and commands run there: components from the toy plugin alone."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TOY), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "PIXCORE_PLUGINS": "toy,emergence,ground,report,scoring,statistics,table,testing",
            "COLUMNS": "120",
        }

    def config(self, **changes: object) -> Path:
        """Write a config: the toy run with some sections changed."""
        document = {**TOY_RUN, "output": "out", "store": "store", **changes}
        path = self.folder / "run.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
        return path

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command in the background."""
        return subprocess.Popen(
            [sys.executable, "-m", "pixcore", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __call__(self, *arguments: str, status: int | None = 0) -> subprocess.CompletedProcess[str]:
        """Run a command to its end and hold it to an exit status."""
        done = forks.run(arguments, self.folder, self.environment)
        assert status is None or done.returncode == status, f"{done.returncode}: {done.stderr}\n{done.stdout}"
        return done

    def summary(self, folder: str = "out") -> dict:
        """A run's figures."""
        return json.loads((self.folder / folder / "summary.json").read_text())

    def cards(self, folder: str = "out") -> list[dict]:
        """What a run's report says of each sample."""
        return unpacked(self.folder / folder / "report.html")[:-1]

    def predictions(self, folder: str = "out") -> list[dict]:
        """A run's predictions."""
        return [json.loads(line) for line in (self.folder / folder / "predictions.jsonl").read_text().splitlines()]
