"""The worker manifest: which environment, which code, which pins."""

from __future__ import annotations

import ast
import hashlib
import json
import os
import warnings
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from pixcore.config import read_yaml
from pixcore.errors import ConfigError
from pixcore.files import at_home
from pixcore.records import Protocol


class Manifest(BaseModel):
    """What a manifest file says; paths in it start from its own folder, or at home: `~`, `$HOME`.

    Attributes:
        name: What errors and records call the worker.
        python: The environment's interpreter.
        handler: The Python file that answers (see `side`).
        directory: Where it runs, such as the model's repository; the manifest's own folder if left out.
        commit: The repository's commit, or the beginning of it; another one is refused.
        pins: Package to version; another one is refused. A local part (+cu117) need not be given.
        capabilities: What its responses hold.
        prompts: How it is asked under a protocol, with the fields {question}, {options}, {expression}.
        options: Given to the handler's `load`.
        by_sample: Whether it answers by a request's `id`; if not, samples that are asked alike share an answer.
        environment: Variables set for the process.
        inherit: Variables of pixcore's own environment that it gets besides paths, locale, caches and GPU settings:
            no key, token or password reaches it that is not named here.
        images: `original` hands over a file as the benchmark has it, unless its EXIF data turn it; `png` the upright
            pixels that pixcore sees.
        transport: `unix`: a socket file; `tcp`: a port of the loopback interface; left out, whichever there is.
        startup_timeout: Seconds until the handler must have loaded.
        request_timeout: Seconds until a request must be answered.
        restarts: How often in a row the process may die or hang before it is given up.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$")]
    python: Path
    handler: Path
    directory: Path | None = None
    commit: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")] | None = None
    pins: dict[str, str] = Field(default_factory=dict)
    capabilities: frozenset[Literal["text", "masks"]] = frozenset({"text", "masks"})
    prompts: dict[Protocol, str] = Field(default_factory=dict)
    options: dict[str, Any] = Field(default_factory=dict)
    by_sample: bool = False
    environment: dict[str, str] = Field(default_factory=dict)
    inherit: tuple[str, ...] = ()
    images: Literal["original", "png"] = "original"
    transport: Literal["unix", "tcp"] | None = None
    startup_timeout: Annotated[float, Field(gt=0, le=1e8)] = 900.0
    request_timeout: Annotated[float, Field(gt=0, le=1e8)] = 300.0
    restarts: Annotated[int, Field(ge=0)] = 3

    @field_validator("options")
    @classmethod
    def _sendable(cls, options: dict[str, Any]) -> dict[str, Any]:
        try:
            json.dumps(options)
        except (TypeError, ValueError, RecursionError) as error:
            raise ValueError(f"{error}; give numbers, texts, lists and mappings, a date in quotes") from error
        return options

    @field_validator("options", "environment")
    @classmethod
    def _may_begin_at_home(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {key: _at_home(value) for key, value in given.items()}


def read_manifest(path: Path) -> Manifest:
    """Read a manifest, its paths made absolute.

    Raises:
        ConfigError: It is missing, no YAML, says something wrong, or names a file that is not there.
    """
    return _read(path, path.read_bytes() if path.is_file() else b"")


@lru_cache(maxsize=16)
def _read(path: Path, written: bytes) -> Manifest:
    """Read a manifest, once as long as the same is `written` in it: its prompts are asked for with every sample."""
    content = read_yaml(path, "worker manifest")
    try:
        manifest = Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the whole"
        raise ConfigError(
            f"the worker manifest {path}, {where}: {first['msg']}",
            hint=f"known keys: {', '.join(Manifest.model_fields)}",
        ) from None
    folder = path.resolve().parent
    # `python` is not resolved: an environment's interpreter is a link, and is what it is by its place.
    placed = manifest.model_copy(
        update={
            "python": _absolute(folder, manifest.python),
            "handler": _absolute(folder, manifest.handler),
            "directory": _absolute(folder, manifest.directory or Path()),
        }
    )
    for key, file in (("python", placed.python), ("handler", placed.handler)):
        if not file.is_file():
            raise ConfigError(f"the worker manifest {path}, {key}: there is no file {file}", hint="check the path")
    return placed


def fingerprint(path: Path) -> str:
    """Hash the manifest, its handler, and what the handler imports from its own folder."""
    handler = read_manifest(path).handler
    digest = hashlib.sha256(path.read_bytes() + handler.read_bytes())
    for file in _beside(handler):
        with suppress(OSError):  # what can't be read can't be imported either
            digest.update(file.relative_to(handler.parent).as_posix().encode() + file.read_bytes())
    return digest.hexdigest()


def _beside(handler: Path) -> list[Path]:
    """List the modules of the handler's folder that it imports, itself or through each other; nothing is executed."""
    root, found, waiting = handler.parent, {handler}, [handler]
    while waiting:
        for module in _imported(waiting.pop(), root):
            if module not in found and root in module.parents and os.path.isfile(module):
                found.add(module)
                waiting.append(module)
    return sorted(found - {handler})


def _imported(file: Path, root: Path) -> Iterator[Path]:
    """Where the modules that a file imports would lie below a folder, with the packages that hold them."""
    try:
        with warnings.catch_warnings(action="ignore"):  # they are its author's
            nodes = list(ast.walk(ast.parse(file.read_bytes())))
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):  # it may be written for another Python
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            names, start = [one.name for one in node.names], root
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{one.name}" if node.module else one.name for one in node.names]
            start = file.parents[node.level - 1] if 0 < node.level <= len(file.parents) else root
        else:
            continue
        for parts in (name.split(".") for name in names):
            for place in (start.joinpath(*parts[:end]) for end in range(1, len(parts) + 1)):
                yield from (place.with_suffix(".py"), place / "__init__.py")


def _absolute(folder: Path, path: Path) -> Path:
    return folder / at_home(path)


def _at_home(value: Any) -> Any:
    """Put home in place in every text that begins so, however deep it stands."""
    if isinstance(value, dict):
        return {key: _at_home(held) for key, held in value.items()}
    return [_at_home(held) for held in value] if isinstance(value, list) else at_home(value)
