"""The kinds of input that are broken, each with files that are sound to begin with."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.forms import Form
from tests.fuzz.rule import Ending


@dataclass(frozen=True)
class Act:
    """One way in which a user has the files read.

    Attributes:
        run: A command's arguments, or a function of pixcore's; in the files' folder.
        check: What is wrong with a result, if anything.
        loud: A command that says more on stderr than an error.
    """

    run: Sequence[str] | Callable[[], Any]
    check: Callable[[Ending], str | None] = field(default=lambda ending: None)
    loud: bool = False


@dataclass(frozen=True)
class Kind:
    """Files of one kind.

    Attributes:
        name: What it is called.
        make: Writes sound files into a folder.
        damage: The files that are broken, and their form; one of them at a time.
        acts: How they are read; any of them.
        share: How often, beside the others.
        names: Words that an error line may name in place of the file.
    """

    name: str
    make: Callable[[Path], None]
    damage: Mapping[str, Form]
    acts: Sequence[Act]
    share: int = 1
    names: tuple[str, ...] = ()


def kinds() -> list[Kind]:
    """All kinds."""
    from tests.fuzz.kinds import annotations, checkpoints, configs, page, pictures, predictions, services

    modules = (predictions, annotations, configs, pictures, checkpoints, services, page)
    return [kind for module in modules for kind in module.KINDS]
