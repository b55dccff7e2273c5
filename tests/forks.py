"""Commands in forks of a process that has imported what every command imports: a short run costs half as much.

Each is a process of its own, as `python -m pixcore` is, with its folder, its environment, its path, its streams and its
exit status. What only some commands import, plugins first of all, is not there before.

`python -m tests.forks` is that process: a line of JSON asks for a command, a line with its exit status answers.
"""

from __future__ import annotations

import importlib
import json
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from threading import Lock
from typing import IO

ROOT = Path(__file__).parents[1]

AHEAD = (
    "PIL.PngImagePlugin",
    "jinja2",
    "pixcore.commands.line",
    "pixcore.commands.run",
    "pixcore.masks",
    "pixcore.runs.results",
    "pixcore.stages.choose",
    "pixcore.stages.propose",
    "pixcore.stages.serialise",
    "yaml",
)
"""What most commands import, with what that imports. None of it looks at the environment then."""

AT_START = ("LANG", "LC_", "LD_", "OMP_", "PYTHON")
"""How the names of variables begin that are read once, when Python starts."""

LIMIT = 600
"""The seconds after which a command is ended."""

asked = Lock()


def run(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run `pixcore` with some arguments in a folder, to its end."""
    command = [sys.executable, "-m", "pixcore", *arguments]
    able = hasattr(os, "fork") and at_start(environment) == at_start(os.environ)
    if able and asked.acquire(blocking=False):
        try:
            done = forked(command, folder, environment)
        finally:
            asked.release()
        if done is not None:
            return done
    return plain(command, folder, environment)


def plain(command: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a command in a Python of its own."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )


def at_start(environment: Mapping[str, str]) -> dict[str, str]:
    """The variables that a fork can't be given any more; its path it can."""
    return {key: value for key, value in environment.items() if key.startswith(AT_START) and key != "PYTHONPATH"}


def forked(command: list[str], folder: Path, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str] | None:
    """Run a command in a fork, or say that it needs a Python of its own."""
    with tempfile.TemporaryDirectory() as streams:
        output, errors = Path(streams, "output"), Path(streams, "errors")
        ask = (command[3:], str(folder), dict(environment), str(output), str(errors))
        requests, answers = started()
        print(json.dumps(ask), file=requests, flush=True)
        status = json.loads(answers.readline())
        if status is None:
            return None
        return subprocess.CompletedProcess(command, status, output.read_text(), errors.read_text())


@cache
def started() -> tuple[IO[str], IO[str]]:
    """The streams to and from the process that is forked; it ends with the one that asks it."""
    command = [sys.executable, "-m", "tests.forks"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdin
    assert process.stdout
    return process.stdin, process.stdout


def serve() -> None:
    """Fork for each command that is asked for; in the fork, return when everything is as the command needs it."""
    installed = sys.path[1:]
    for name in AHEAD:
        importlib.import_module(name)
    there = {name.partition(".")[0] for name in sys.modules} | {"sitecustomize", "usercustomize"}
    for line in sys.stdin:
        arguments, folder, environment, output, errors = json.loads(line)
        paths = [folder, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
        child = None if there & set(modules(paths)) else os.fork()
        if child == 0:
            for stream, path, flags in (
                (0, os.devnull, os.O_RDONLY),
                (1, output, os.O_WRONLY | os.O_CREAT),
                (2, errors, os.O_WRONLY | os.O_CREAT),
            ):
                os.dup2(os.open(path, flags), stream)
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
            sys.path[:] = [*paths, *installed]
            sys.argv[1:] = arguments
            signal.alarm(LIMIT)
            return
        answer = None if child is None else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        print(json.dumps(answer), flush=True)
    sys.exit()


def modules(paths: Sequence[str]) -> Iterator[str]:
    """The names of the modules and packages that lie in some folders."""
    for folder in map(Path, paths):
        yield from (path.stem for path in folder.glob("*.py"))
        yield from (path.parent.name for path in folder.glob("*/__init__.py"))


if __name__ == "__main__":
    serve()
    runpy.run_module("pixcore", run_name="__main__", alter_sys=True)
