"""What travels between the driver and an actor: items, records as they are stored, and errors."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorDiedError, RayError, RayTaskError

from pixcore.errors import DataError, PixcoreError, SampleError, describe, one_line
from pixcore.files import read_file
from pixcore.records import Image
from pixcore.stages.base import Item
from pixcore.stages.store import Row

_LOOKED_AT = 32


@dataclass(frozen=True)
class Batch:
    """Items that an actor works on together, all that they need, and nothing else.

    Attributes:
        items: In order.
        stages: For each item the numbers of the stages whose records are to be made of it, in order.
        rows: Records that those are made of, with the numbers of their stages.
        ring: These items and those that lend their prompts to them, each once; empty where nothing is lent.
    """

    items: Sequence[Item]
    stages: Sequence[Sequence[int]]
    rows: Sequence[tuple[int, Row]] = ()
    ring: Sequence[Item] = ()


class Outcome(NamedTuple):
    """What became of an item in a stage.

    Attributes:
        stage: The stage's number.
        at: The item's place in its batch.
        made: Its record, or what it failed with.
    """

    stage: int
    at: int
    made: Row | Packed


@dataclass
class Reply:
    """What an actor gives back of a batch.

    Attributes:
        outcomes: In the order in which they were made.
        seconds: How long it took, by the stage's number.
        lines: What was said meanwhile, for whoever looks on.
        ended: What ends the whole run.
    """

    outcomes: list[Outcome] = field(default_factory=list)
    seconds: dict[int, float] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)
    ended: Packed | None = None


class RemoteError(RuntimeError):
    """An error of an actor that is no user's mistake; its text ends with where it came from."""


@dataclass(frozen=True)
class Packed:
    """An error on its way: pixcore's own are made again as they were, all others are told in words.

    Attributes:
        kind: "module:class" of one of pixcore's own; "" of others.
        message: What it says.
        hint: What to do about it.
        origin: Where it came from, for a person.
    """

    kind: str
    message: str
    hint: str = ""
    origin: str = ""

    @classmethod
    def of(cls, error: BaseException) -> Packed:
        """Pack an error."""
        if isinstance(error, PixcoreError):
            return cls(f"{type(error).__module__}:{type(error).__qualname__}", error.message, error.hint)
        return cls("", describe(error), origin="".join(traceback.format_exception(error)[-8:]))

    @property
    def error(self) -> Exception:
        """The error, as what an item failed with."""
        return self._own or SampleError(self.message)

    @property
    def ending(self) -> Exception:
        """The error, as what ended a run."""
        return self._own or RemoteError(f"{self.message}\n{self.origin}")

    @property
    def _own(self) -> PixcoreError | None:
        module, _, name = self.kind.partition(":")
        if not module:
            return None
        kind = getattr(importlib.import_module(module), name, SampleError)
        made: PixcoreError = kind.__new__(kind)
        PixcoreError.__init__(made, self.message, hint=self.hint)  # whatever arguments its own class takes
        return made


def why(error: RayError) -> str:
    """Say in a line what Ray says in many: what was raised in an actor stands in the last."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if len(lines) > 1 and (isinstance(error, RayTaskError) or "creation task" in lines[0]):
        return one_line(lines[-1])
    unexpected = isinstance(error, ActorDiedError) and "unexpectedly" in lines[0]
    return "its process was killed, as for memory, or crashed" if unexpected else describe(error)


def path_of(image: Image) -> Path | None:
    """Give the file that an image is read from, if it is one."""
    read = image.read
    if isinstance(read, partial) and read.func is read_file and isinstance(read.args[0], Path):
        return read.args[0]
    return None


def some_files(count: int, image_of: Callable[[int], Image]) -> list[str]:
    """Name the files of up to 32 of a run's images, of its whole length: a disk may be there and another not."""
    paths = (path_of(image_of(number * count // _LOOKED_AT)) for number in range(_LOOKED_AT))
    return list(dict.fromkeys(str(path.absolute()) for path in paths if path is not None))


def sent(item: Item, put: Callable[[Image], Any] | None) -> Item:
    """Make the copy of an item that travels.

    Args:
        item: The item.
        put: Puts an image's bytes where actors can get them; None where they see the files themselves.
    """
    image = item.request.image
    path = path_of(image)
    read: Callable[[], bytes]
    try:
        if path is not None and put is None:
            read = partial(read_file, path.absolute(), "image")
        else:
            read = partial(_fetched, put(image)) if put is not None else partial(bytes, image.read())
    except RayError:
        raise
    except Exception as error:  # gone or damaged since the run began: its own item's failure, whoever makes it
        said = error.message if isinstance(error, DataError) else f"can't read image {image.name}: {describe(error)}"
        read = partial(_refused, said)
    light = Image(read, image.name, image.known_size)
    vars(light).update({name: value for name, value in vars(image).items() if name in ("digest", "size")})
    made = replace(item, sample=replace(item.sample, image=light), request=replace(item.request, image=light))
    vars(made).update({name: getattr(item, name) for name in ("key", "truth_key")})
    return made


def _refused(said: str) -> bytes:
    raise DataError(said, hint="is the file whole?")


def _fetched(reference: Any) -> bytes:
    """Read an image from the object store; once it is there, a node has it for all its actors."""
    data: bytes = ray.get(reference)
    return data
