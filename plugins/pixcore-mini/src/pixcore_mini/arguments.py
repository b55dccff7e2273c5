"""What the command lines of trainings have alike: numbers that are checked, and where to work."""

from __future__ import annotations

import math
import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from pixcore.errors import UserError, one_line
from pixcore.files import at_home


def at_least(least: int) -> Callable[[str], int]:
    """Make a type of argparse's: whole numbers from `least` on.

    >>> at_least(1)("3")
    3
    """

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise ArgumentTypeError(f"{value} is less than {least}")
        return value

    return number


def between(least: float, most: float = math.inf) -> Callable[[str], float]:
    """Make a type of argparse's: finite numbers from `least` to `most`.

    >>> between(0, 1)("0.3")
    0.3
    """

    def number(text: str) -> float:
        value = float(text)
        if not (math.isfinite(value) and least <= value <= most):
            wanted = f"a finite number from {least} on" if most == math.inf else f"from {least} to {most}"
            raise ArgumentTypeError(f"{text} is not {wanted}")
        return value

    return number


def seed(text: str) -> int:
    """Take a seed: a whole number of 64 bits, as torch does."""
    if not -(2**63) <= (value := int(text)) < 2**63:
        raise ArgumentTypeError(f"{text} does not fit into 64 bits")
    return value


def folder(text: str) -> Path:
    """Take a folder that is there, or can be made."""
    path = at_home(Path(text))
    there = next(place for place in (path, *path.parents, Path()) if place.exists())
    if not there.is_dir():
        raise ArgumentTypeError(f"{there} is a file, and a folder is wanted")
    return path


@contextmanager
def ended_by_one_line() -> Iterator[None]:
    """End a command with one line, and no frames, where a user's mistake ends it."""
    try:
        yield
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        sys.exit(error.exit_status)


def device(text: str) -> str:
    """Take the name of a device that is there, such as cpu."""
    try:
        torch.zeros(1, device=text).item()
    except (RuntimeError, AssertionError, ImportError) as error:
        raise ArgumentTypeError(f"there is no device {text!r}: {str(error).splitlines()[0]}") from error
    return text


def add_machine(parser: ArgumentParser, compiled: str = "use torch.compile") -> None:
    """Add the options that say where a training works; `machine_of` hands them on."""
    parser.add_argument("--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help=compiled)
    parser.add_argument(
        "--processes",
        type=at_least(1),
        default=1,
        help="processes that share every batch; on a CPU that others use too, faster than threads",
    )


def machine_of(options: Namespace) -> dict[str, Any]:
    """Give what a trainer is told of where it works, but for which of the processes it is."""
    return {"device": options.device, "compiled": options.compile, "processes": options.processes}


def check_processes(parser: ArgumentParser, options: Namespace, batches: Collection[int]) -> None:
    """End a command whose `--processes` can't share the batches of its stages, or its `--device`."""
    if any(size % options.processes for size in batches):
        parser.error(f"--processes must divide the batch sizes: {', '.join(map(str, batches))}")
    if options.processes > 1 and options.device != "cpu":
        parser.error("--processes shares batches on a CPU; on a GPU leave it at 1")
