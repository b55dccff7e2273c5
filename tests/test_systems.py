"""What a system without POSIX would meet: modules import, a run goes through, and what can't be done there is said."""

from __future__ import annotations

import json
import subprocess
import sys

from tools.packages import ROOT

WITHOUT_POSIX = """
import importlib, multiprocessing, os, signal, socket, subprocess, sys, tempfile
# what libraries and the interpreter hold of POSIX they may keep: they are not what is looked at
import asyncio, click, numpy, packaging.requirements, PIL.Image, platformdirs, pluggy, pycocotools.mask, pydantic
import rich.console, rich.progress, yaml
for name in sys.argv[1:]:
    importlib.import_module(name)

for module in ("fcntl", "resource", "termios", "pwd", "grp", "tty", "pty", "readline"):
    sys.modules[module] = None
lost = "fork killpg getpgid setsid uname getuid geteuid getgid chown mkfifo sysconf getloadavg O_NONBLOCK O_NOFOLLOW"
signals = "SIGKILL SIGHUP SIGQUIT SIGALRM SIGUSR1 alarm"
for module, names in ((os, lost), (socket, "AF_UNIX socketpair"), (signal, signals)):
    for name in names.split():
        if hasattr(module, name):
            delattr(module, name)
"""

LIBRARIES = """datasets filelock huggingface_hub jinja2 matplotlib.figure openai pyarrow pytest ray scipy.ndimage
scipy.stats skimage.measure skimage.segmentation spacy starlette uvicorn"""

IMPORT_ALL = """
for name in {names}:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in ("trackio", "wandb"):  # what the suite does without
            raise
"""


def without_posix(workplace, program: str, *libraries: str) -> subprocess.CompletedProcess[str]:
    """Run a program after POSIX is taken away, and libraries imported before."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT_POSIX + program, *libraries],
        cwd=workplace.folder,
        env=workplace.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def light_modules() -> list[str]:
    """List the modules of all packages that have nothing to do with torch, which looks at the system itself."""
    found = []
    for source in [ROOT, *ROOT.glob("plugins/*/src"), *ROOT.glob("benchmarks/*/src")]:
        for package in source.glob("pixcore*/"):
            files = [file for file in package.rglob("*.py") if "templates" not in file.parts]
            if not any("import torch" in file.read_text(encoding="utf-8") for file in files):
                found += [".".join(file.relative_to(source).with_suffix("").parts) for file in files]
    return sorted(name.removesuffix(".__init__") for name in found if not name.endswith("__main__"))


def test_every_module_imports_without_posix(workplace) -> None:
    names = light_modules()
    assert len(names) > 150
    assert {"pixcore.files", "pixcore_annotate.log", "pixcore_worker.process"} <= set(names)
    done = without_posix(workplace, IMPORT_ALL.format(names=names), *LIBRARIES.split())
    assert done.returncode == 0, done.stderr


def test_a_run_goes_through_without_posix(workplace) -> None:
    config = workplace.config()
    program = f"from pixcore.cli import main\nmain(['run', {str(config)!r}])"
    done = without_posix(workplace, program)
    assert done.returncode == 0, done.stderr
    there = json.dumps(workplace.summary()["rows"])
    workplace("run", str(workplace.config(output="again", store="another")))
    assert json.dumps(workplace.summary("again")["rows"]) == there


def test_a_worker_is_refused_where_groups_are_missing(workplace) -> None:
    manifest = workplace.folder / "worker.yaml"
    manifest.write_text(f"name: away\npython: {sys.executable}\nhandler: handler.py\n")
    (workplace.folder / "handler.py").write_text("def load(options):\n    return lambda request: {'text': 'a'}\n")
    workplace.environment["PIXCORE_PLUGINS"] += ",worker"
    config = workplace.config(model={"name": "worker", "manifest": str(manifest)})
    program = f"from pixcore.cli import main\nmain(['run', {str(config)!r}])"
    done = without_posix(workplace, program)
    assert done.returncode != 0
    (line,) = done.stderr.strip().splitlines()[-1:]
    assert "can't be started on this system" in line
    assert "use Linux, macOS or WSL" in line
