"""Load weights from official checkpoints into a module, streaming and complete or not at all.

A module is built with its parameters on the meta device (`parameters_on_meta`), which takes no memory,
and `load_weights` puts each tensor in its place as it is read. At no time is there a second full copy.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from pixcore_checkpoints.fingerprints import hash_file
from pixcore_transformers.placing import as_held
from safetensors.torch import save_file
from torch import Tensor, nn

from pixcore.files import write_json
from pixcore.versions import version_of
from pixcore_segtoken.checkpoint import CheckpointError, CheckpointFile, shards
from pixcore_segtoken.keymap import Ignore, Merge, Rename, Rule, Split, patterns_of

Place = torch.device | str | Callable[[str], torch.device]

_SHOWN = 5
# Small, because safetensors copies a whole file's tensors while it writes them.
_CACHE_FILE_BYTES = 1 << 30
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Source:
    """A folder or file that tensors come from.

    Args:
        path: A checkpoint file or folder.
        prefix: Put before every name in it, so that one key map can tell several sources apart.
    """

    path: Path
    prefix: str = ""


@dataclass(frozen=True)
class LoadReport:
    """What became of every tensor of a checkpoint.

    Args:
        loaded: Our name to the official names it was made of.
        ignored: Official name to the rule's reason.
        from_cache: Whether the converted copy was read instead of the official files.
    """

    loaded: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    from_cache: bool = False


@contextmanager
def parameters_on_meta() -> Iterator[None]:
    """Give modules built inside their parameters on the meta device, and their buffers for real.

    Buffers stay real because many are computed in a constructor (rotary frequencies, position numbers)
    and are in no checkpoint. Not thread-safe: it changes `torch.nn.Module` while it is open.
    """
    register: Any = nn.Module.register_parameter

    def register_on_meta(module: nn.Module, name: str, param: nn.Parameter | None) -> None:
        if param is not None:
            param = nn.Parameter(param.to("meta"), requires_grad=False)
        register(module, name, param)

    nn.Module.register_parameter = register_on_meta  # type: ignore[assignment, method-assign]
    try:
        yield
    finally:
        nn.Module.register_parameter = register  # type: ignore[method-assign]


def load_weights(
    module: nn.Module,
    sources: Path | Source | Sequence[Source],
    rules: Sequence[Rule],
    *,
    dtype: torch.dtype | None = None,
    device: Place = "cpu",
    cache: Path | None = None,
    package: str = "pixcore-segtoken",
    variant: Mapping[str, Any] | None = None,
) -> LoadReport:
    """Fill a module from official checkpoints.

    Args:
        module: Its `state_dict` names the targets; parameters may be on the meta device.
        sources: Where the official tensors are.
        rules: The key map, first match wins.
        dtype: Floating tensors are converted to it one by one; None keeps the file's.
        device: Where the tensors go: all of them, or what says so for each of our names.
        cache: A folder. If it holds the converted copy of these sources (same files, rules, dtype,
            code and variant), that is read instead; if not, it is written.
        package: Distribution that the key map comes from: a copy that another version made is not read.
        variant: What else the values depend on and no pattern shows, such as the scale of adapters; JSON.

    Returns:
        What was loaded and what was ignored, and why.

    Raises:
        CheckpointError: A name that no rule matches, a target that got nothing or two things, a shape
            that differs, or parts of a `Merge` that never came. The message names them. The module is
            then partly filled and must not be used.
    """
    sources = [Source(sources)] if isinstance(sources, Path) else sources
    sources = [sources] if isinstance(sources, Source) else list(sources)
    if cache is None:
        return _stream(module, sources, rules, dtype, device)
    fingerprint = _fingerprint(sources, rules, dtype, package, variant or {})
    if _cached_fingerprint(cache) == fingerprint:
        identity = (Rename("(.+)", r"\1"),)
        report = _stream(module, [Source(cache)], identity, dtype, device)
        return LoadReport(report.loaded, report.ignored, from_cache=True)
    report = _stream(module, sources, rules, dtype, device)
    _write_cache(module, cache, fingerprint)
    return report


def _stream(
    module: nn.Module,
    sources: Sequence[Source],
    rules: Sequence[Rule],
    dtype: torch.dtype | None,
    device: Place,
) -> LoadReport:
    filling = _Filling(module, rules, dtype, device)
    for source in sources:
        for path in shards(source.path):
            file = CheckpointFile(path)
            for name in file.names:
                filling.take(source.prefix + name, file, name)
            file.close()
    problems = filling.finish()
    if problems:
        raise _complaint([str(source.path) for source in sources], problems)
    return LoadReport(filling.loaded, filling.ignored)


class _Filling:
    """A module as it is filled, tensor by tensor."""

    def __init__(self, module: nn.Module, rules: Sequence[Rule], dtype: torch.dtype | None, device: Place) -> None:
        self._module, self._dtype, self._device = module, dtype, device
        self._targets = {name: tuple(value.shape) for name, value in module.state_dict(keep_vars=True).items()}
        self._rules = [
            (rule, part, re.compile(pattern)) for rule in rules for part, pattern in patterns_of(rule).items()
        ]
        self._waiting: dict[tuple[int, tuple[str, ...]], dict[str, tuple[str, Callable[[], Tensor]]]] = {}
        self._problems: dict[str, list[str]] = {}
        self.loaded: dict[str, tuple[str, ...]] = {}
        self.ignored: dict[str, str] = {}

    def take(self, official: str, file: CheckpointFile, name: str) -> None:
        """Put one tensor of a file where the rules say; what they ignore is not read."""
        found = next(((r, p, m) for r, p, c in self._rules if (m := c.fullmatch(official))), None)
        match found:
            case None:
                self._problems.setdefault("unknown to the key map", []).append(official)
            case (Ignore(reason=reason), _, _):
                self.ignored[official] = reason
            case (Rename(target=target), _, match):
                self._place((official,), match.expand(target), file.tensor(name))
            case (Split(split=split), _, match):
                for ours, piece in split(match, file.tensor(name)):
                    self._place((official,), ours, piece)
            case (Merge() as rule, part, match):
                held = self._waiting.setdefault((id(rule), match.groups()), {})
                if part in held:
                    self._problems.setdefault("given twice", []).append(f"{held[part][0]} and {official}")
                # A part that waits is read again when its time has come: held, it would keep its file's pages.
                held[part] = (official, partial(file.tensor, name) if file.mapped else _given(file.tensor(name)))
                if held.keys() == rule.parts.keys():
                    del self._waiting[id(rule), match.groups()]
                    parts = {key: read() for key, (_, read) in held.items()}
                    for ours, piece in rule.merge(match, parts):
                        self._place(tuple(each for each, _ in held.values()), ours, piece)

    def _place(self, official: tuple[str, ...], name: str, tensor: Tensor) -> None:
        if name not in self._targets:
            what = "mapped to names our module does not have"
            self._problems.setdefault(what, []).append(f"{official[0]} -> {name}")
        elif name in self.loaded:
            what = f"{name} by {self.loaded[name][0]} and {official[0]}"
            self._problems.setdefault("given twice", []).append(what)
        elif tuple(tensor.shape) != self._targets[name]:
            what = f"{official[0]} is {tuple(tensor.shape)}, {name} needs {self._targets[name]}"
            self._problems.setdefault("of another shape", []).append(what)
        else:
            wanted = self._dtype if tensor.is_floating_point() else None
            device = self._device(name) if callable(self._device) else self._device
            _assign(self._module, name, tensor.to(device=device, dtype=wanted))
            self.loaded[name] = official

    def finish(self) -> Mapping[str, Sequence[str]]:
        """All that went wrong."""
        waiting = [official for held in self._waiting.values() for official, _ in held.values()]
        if waiting:
            self._problems["incomplete"] = [f"{official} waits for its other parts" for official in waiting]
        missing = [name for name in self._targets if name not in self.loaded]
        if missing:
            self._problems["without weights in our module"] = missing
        return self._problems


def _given(tensor: Tensor) -> Callable[[], Tensor]:
    return lambda: tensor


def _assign(module: nn.Module, name: str, tensor: Tensor) -> None:
    owner_name, _, leaf = name.rpartition(".")
    owner = module.get_submodule(owner_name)
    if leaf in owner._parameters:
        owner._parameters[leaf] = as_held(owner.get_parameter(leaf), tensor)
    else:
        owner._buffers[leaf] = tensor


def _complaint(paths: Sequence[str], problems: Mapping[str, Sequence[str]]) -> CheckpointError:
    lines = [
        f"{len(names)} tensors {what}: {', '.join(names[:_SHOWN])}{', ...' if len(names) > _SHOWN else ''}"
        for what, names in problems.items()
    ]
    return CheckpointError(
        f"{' + '.join(paths)} does not fit the model: {'; '.join(lines)}",
        hint="check that the checkpoint is the one the plugin's README names, and that the sizes in the "
        "config are its sizes",
    )


def _fingerprint(
    sources: Sequence[Source],
    rules: Sequence[Rule],
    dtype: torch.dtype | None,
    package: str,
    variant: Mapping[str, Any],
) -> str:
    files = [(source.prefix, file.name, hash_file(file)) for source in sources for file in shards(source.path)]
    key_map = [
        (type(rule).__name__, sorted(patterns_of(rule).items()), rule.target if isinstance(rule, Rename) else "")
        for rule in rules
    ]
    # What functions do to tensors shows in no pattern, but in the versions of the code that they are part of.
    versions = [_version(name) for name in ("pixcore-segtoken", package)]
    content = [files, key_map, str(dtype), versions, sorted(variant.items())]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return version_of(metadata.distribution(package))
    except metadata.PackageNotFoundError:  # an adapter in a lab's own script
        return package


def _cached_fingerprint(cache: Path) -> str | None:
    """Whose copy the folder holds.

    Raises:
        CheckpointError: It holds some other checkpoint, which writing a copy would damage.
    """
    index = cache / _INDEX
    if not index.is_file():
        return None
    fingerprint = json.loads(index.read_text()).get("metadata", {}).get("pixcore_sources")
    if fingerprint is None:
        raise CheckpointError(f"{cache} holds a checkpoint of its own", hint="set cache to a folder for this alone")
    return str(fingerprint)


def _write_cache(module: nn.Module, cache: Path, fingerprint: str) -> None:
    """Write the converted copy beside the old one, let the index point to it, then delete the old one.

    A copy whose writing was cut short at any place is no copy: until the index is replaced, in one step, it names the
    old files, which are whole.
    """
    cache.mkdir(parents=True, exist_ok=True)
    files: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in module.state_dict().items():
        size += tensor.nbytes
        if size > _CACHE_FILE_BYTES and files[-1]:
            files.append({})
            size = tensor.nbytes
        files[-1][name] = tensor
    weight_map: dict[str, str] = {}
    for number, tensors in enumerate(files, 1):
        file = f"converted-{fingerprint[:16]}-{number:05d}-of-{len(files):05d}.safetensors"
        # Cloned where a tensor is used twice: the format refuses shared memory.
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, cache / file)
        weight_map |= dict.fromkeys(tensors, file)
    content = {"metadata": {"pixcore_sources": fingerprint}, "weight_map": weight_map}
    write_json(cache / _INDEX, content, "cache:")
    for old in set(cache.glob("converted-*.safetensors")) - {cache / file for file in weight_map.values()}:
        old.unlink()
