"""Check the numbers that a training's command line gives."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, Namespace
from collections.abc import Callable, Collection


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


def check_processes(parser: ArgumentParser, options: Namespace, batches: Collection[int]) -> None:
    """End a command whose `--processes` can't share the batches of its stages, or its `--device`."""
    if any(size % options.processes for size in batches):
        parser.error(f"--processes must divide the batch sizes: {', '.join(map(str, batches))}")
    if options.processes > 1 and options.device != "cpu":
        parser.error("--processes shares batches on a CPU; on a GPU leave it at 1")
