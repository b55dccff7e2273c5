"""Discovery: entry points in group `pixcore`, each plugin in isolation, targets imported on first use.

pluggy's own loader lets one plugin that fails to import take all others down, so the loop here is ours; pluggy still
checks every hook's name and arguments. `pixcore --help` asks the registry, so interfaces are imported late: NumPy and
pydantic take ten times as long as everything else here.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pluggy
from packaging.utils import canonicalize_name

from pixcore import hookspecs
from pixcore.errors import PluginError, describe, nearest, one_line
from pixcore.notices import notice
from pixcore.versions import version_of

if TYPE_CHECKING:
    from pixcore import components

GROUP = "pixcore"
CHOSEN_PLUGINS = "PIXCORE_PLUGINS"
CORE = "pixcore"
"""The plugin of what the core offers itself; nobody takes its commands and run writers away."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.]*(-[a-z0-9.]+)*")
_OBSERVERS = ("run_started", "stage_advanced", "sample_finished", "run_finished")


def _interfaces() -> Any:
    return importlib.import_module("pixcore.components")


class Kind(StrEnum):
    """A kind of component; the value is the key of its section in a config."""

    MODEL = "model"
    EXTRACTOR = "extractor"
    TRANSFORMS = "transforms"
    GROUPER = "grouper"
    POINTS = "points"
    MASKS = "masks"
    SELECTIONS = "selections"
    BENCHMARK = "benchmark"
    JUDGE = "judge"

    @property
    def hook(self) -> str:
        """The hook that registers this kind."""
        return _HOOKS[self][0]

    @property
    def interface(self) -> type[components.Component[Any]]:
        """The class that components of this kind derive from."""
        found: type[components.Component[Any]] = getattr(_interfaces(), _HOOKS[self][1])
        return found

    @property
    def listed(self) -> bool:
        """Whether a config holds a list of them."""
        return self in (Kind.TRANSFORMS, Kind.SELECTIONS)

    @property
    def noun(self) -> str:
        """What a person calls one of this kind."""
        return _HOOKS[self][2]


_HOOKS: Mapping[Kind, tuple[str, str, str]] = {
    Kind.MODEL: ("register_model_adapters", "ModelAdapter", "model adapter"),
    Kind.EXTRACTOR: ("register_attention_extractors", "AttentionExtractor", "attention extractor"),
    Kind.TRANSFORMS: ("register_map_transforms", "MapTransform", "map transform"),
    Kind.GROUPER: ("register_token_groupers", "TokenGrouper", "token grouper"),
    Kind.POINTS: ("register_point_selectors", "PointSelector", "point selector"),
    Kind.MASKS: ("register_mask_generators", "MaskGenerator", "mask generator"),
    Kind.SELECTIONS: ("register_selection_strategies", "SelectionStrategy", "selection strategy"),
    Kind.BENCHMARK: ("register_benchmarks", "Benchmark", "benchmark"),
    Kind.JUDGE: ("register_judges", "Judge", "judge"),
}


PLACES: Mapping[str, Kind] = {
    "control.points": Kind.POINTS,
    "control.selection": Kind.SELECTIONS,
    "ground": Kind.SELECTIONS,
}
"""What a component can be the default for, besides its kind's section: see `pixcore.hookspecs.Register`."""


@dataclass(frozen=True)
class Registration:
    """One component that a plugin offers.

    Attributes:
        kind: Which kind it is.
        name: What a config calls it.
        target: "package.module:Class", imported on first use.
        config: "package.module:Model", or None.
        summary: One line.
        default: Serves where a config says nothing.
        plugin: The entry point's name.
        distribution: The installed package that it comes from.
        version: That package's version; for an editable install with a hash of its sources, so that records made by
            edited code are never taken for those of the code before.
        extra: The extra of that package that it needs.
        default_for: Of `PLACES` those that it serves where a config says nothing.
    """

    kind: Kind
    name: str
    target: str
    config: str | None
    summary: str
    default: bool
    plugin: str
    distribution: str
    version: str
    extra: str = ""
    default_for: tuple[str, ...] = ()

    @cached_property
    def config_class(self) -> type[components.Config]:
        """The component's config model."""
        interfaces = _interfaces()
        if self.config is None:
            plain: type[components.Config] = interfaces.NoConfig
            return plain
        loaded = self._import(self.config)
        if not (isinstance(loaded, type) and issubclass(loaded, interfaces.Config)):
            raise PluginError(
                f"plugin {self.plugin!r}: {self.config} is no pixcore.components.Config", hint="derive it from that"
            )
        return loaded

    @cached_property
    def component_class(self) -> type[components.Component[Any]]:
        """The component's class; importing it may import heavy libraries."""
        loaded = self._import(self.target)
        if not (isinstance(loaded, type) and issubclass(loaded, self.kind.interface)):
            raise PluginError(
                f"plugin {self.plugin!r}: {self.target} is no {self.kind.interface.__name__}",
                hint=f"derive it from pixcore.components.{self.kind.interface.__name__}",
            )
        return loaded

    def create(self, config: components.Config, context: components.Context) -> Any:
        """Make the component."""
        return self.component_class(config, context)

    def _import(self, target: str) -> Any:
        package = f"'{self.distribution}[{self.extra}]'" if self.extra else self.distribution
        return _imported(target, self.kind.noun, self, package)


class GuestKind(StrEnum):
    """What else a plugin may add, by what a person calls it."""

    COMMAND = "command"
    WRITER = "run writer"

    @property
    def hook(self) -> str:
        """The hook that registers this kind."""
        return "register_commands" if self is GuestKind.COMMAND else "register_run_writers"


@dataclass(frozen=True)
class Guest:
    """A command or a run writer that a plugin adds.

    Attributes:
        kind: Which of the two.
        name: What it is called; a command under a group has two words.
        target: "package.module:attribute", imported on first use.
        summary: One line.
        default: A run writer at work where a config says nothing.
        plugin: The entry point's name.
        distribution: The installed package that it comes from.
        version: That package's version.
    """

    kind: GuestKind
    name: str
    target: str
    summary: str
    default: bool
    plugin: str
    distribution: str
    version: str

    @cached_property
    def loaded(self) -> Any:
        """What the target names; importing it may import heavy libraries."""
        return _imported(self.target, self.kind.value, self, self.distribution)


def _imported(target: str, noun: str, owner: Registration | Guest, package: str) -> Any:
    module, _, attribute = target.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except ImportError as error:
        raise PluginError(
            f"{noun} {owner.name!r} can't be imported: {error}",
            hint=f"it comes from {owner.distribution}; pip install {package} brings what it needs",
        ) from error
    except AttributeError as error:
        raise PluginError(
            f"{noun} {owner.name!r} names {target}, which does not exist",
            hint=f"a mistake in plugin {owner.plugin!r} ({owner.distribution} {owner.version})",
        ) from error


@dataclass(frozen=True)
class Failure:
    """A plugin that could not be loaded, or a name that two plugins claim."""

    plugin: str
    distribution: str
    version: str
    error: str


class Registry:
    """All components of all plugins that could be loaded.

    Attributes:
        failures: What could not; the rest works.
    """

    def __init__(self, plugins: Iterable[tuple[str, str, Callable[[], str], Callable[[], object]]]) -> None:
        """Load plugins.

        Args:
            plugins: (name, distribution, version, load) of each; `version` looks its version up, `load` imports and
                returns the plugin module.
        """
        self.failures: list[Failure] = []
        self._found: dict[Kind, dict[str, list[Registration]]] = {kind: {} for kind in Kind}
        self._guests: dict[GuestKind, dict[str, list[Guest]]] = {kind: {} for kind in GuestKind}
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._warned: set[str] = set()
        for name, distribution, version, load in plugins:
            found = "unknown"
            try:
                found = version()
                self._add(name, distribution, found, load())
            except (Exception, SystemExit) as error:  # whatever a plugin does wrong, the others work
                reason = " ".join(f"{type(error).__name__}: {error}".split())
                self.failures.append(Failure(name, distribution, found, reason))
        self._report_clashes()

    def _add(self, name: str, distribution: str, version: str, plugin: object) -> None:
        collected: list[Registration] = []
        self._manager.register(plugin, name=name)
        try:
            self._manager.check_pending()
            others = [other for other in self._manager.get_plugins() if other is not plugin]
            for kind in Kind:

                def register(
                    component: str,
                    target: str,
                    *,
                    config: str | None = None,
                    summary: str = "",
                    default: bool = False,
                    extra: str = "",
                    default_for: Iterable[str] = (),
                    _kind: Kind = kind,
                ) -> None:
                    _check(name, component, target, config)
                    places = tuple(default_for)
                    if odd := [place for place in places if PLACES.get(place) is not _kind]:
                        raise PluginError(f"plugin {name!r}: no {_kind.noun} serves {odd[0]!r}")
                    owner = (name, distribution, version)
                    collected.append(
                        Registration(_kind, component, target, config, summary, default, *owner, extra, places)
                    )

                self._manager.subset_hook_caller(kind.hook, others)(register=register)
            guests = self._guests_of(name, distribution, version, others)
        except Exception:
            self._manager.unregister(plugin)
            raise
        for registration in collected:
            self._found[registration.kind].setdefault(registration.name, []).append(registration)
        for guest in guests:
            self._guests[guest.kind].setdefault(guest.name, []).append(guest)

    def _guests_of(self, name: str, distribution: str, version: str, others: list[Any]) -> list[Guest]:
        collected: list[Guest] = []
        for kind in GuestKind:

            def register(
                guest: str, target: str, *, summary: str = "", default: bool = False, _kind: GuestKind = kind
            ) -> None:
                words = guest.split(" ") if _kind is GuestKind.COMMAND else [guest]
                if len(words) > 2:
                    hint = "a command's name, or its group's and its own, such as 'benchmarks fetch'"
                    raise PluginError(f"plugin {name!r} registers the command {guest!r}", hint=hint)
                for word in words:
                    _check(name, word, target, None)
                collected.append(Guest(_kind, guest, target, summary, default, name, distribution, version))

            self._manager.subset_hook_caller(kind.hook, others)(register=register)
        return collected

    def _report_clashes(self) -> None:
        every: list[tuple[str, Mapping[str, Sequence[Registration | Guest]]]] = [
            *((kind.noun, names) for kind, names in self._found.items()),
            *((kind.value, names) for kind, names in self._guests.items()),
        ]
        for noun, name, claims in ((noun, *item) for noun, names in every for item in names.items()):
            if len(claims) > 1:
                first = claims[1 if claims[0].plugin == CORE else 0]
                error = _clash(noun, name, claims).message
                self.failures.append(Failure(first.plugin, first.distribution, first.version, error))
        for name, (first, *_) in self._guests[GuestKind.COMMAND].items():
            if self.has_command_group(name):
                error = f"plugin {first.plugin!r} adds the command {name!r}, which is a group of others' commands"
                self.failures.append(Failure(first.plugin, first.distribution, first.version, error))

    def get(self, kind: Kind, name: str) -> Registration:
        """Look up a component.

        Raises:
            PluginError: No plugin offers it, or two do.
        """
        claims = self._found[kind].get(name, [])
        if not claims:
            hint = nearest(name, self._found[kind])
            if self.failures:
                hint += f"; {len(self.failures)} plugin(s) failed to load, see: pixcore plugins"
            raise PluginError(f"no installed plugin offers the {kind.noun} {name!r}", hint=hint)
        if len(claims) > 1:
            raise _clash(kind.noun, name, claims)
        return claims[0]

    def guest(self, kind: GuestKind, name: str) -> Guest:
        """Look up a command or a run writer.

        Raises:
            PluginError: No plugin offers it, or two do.
        """
        claims = self._guests[kind].get(name, [])
        if not claims:
            raise PluginError(f"no installed plugin offers the {kind} {name!r}", hint=nearest(name, self._guests[kind]))
        if len(claims) > 1 and claims[0].plugin != CORE:
            raise _clash(kind.value, name, claims)
        return claims[0]

    def has_command_group(self, word: str) -> bool:
        """Whether commands stand under a word."""
        return any(name.startswith(f"{word} ") for name in self._guests[GuestKind.COMMAND])

    def guests(self, kind: GuestKind) -> list[Guest]:
        """The commands or the run writers, the core's own first, without those that two plugins claim."""
        return [
            claims[0]
            for name, claims in self._guests[kind].items()
            if (len(claims) == 1 or claims[0].plugin == CORE) and not self.has_command_group(name)
        ]

    def all(self, kind: Kind) -> list[Registration]:
        """The components of one kind by name, without those that two plugins claim."""
        return [claims[0] for _, claims in sorted(self._found[kind].items()) if len(claims) == 1]

    def defaults(self, kind: Kind) -> list[Registration]:
        """Those that serve where a config says nothing.

        Raises:
            PluginError: Two plugins want to be the default of a kind that has one.
        """
        found = [registration for registration in self.all(kind) if registration.default]
        return found if kind.listed else _at_most_one(found, kind.noun, f"name one under {kind.value}:")

    def default_for(self, place: str) -> str | None:
        """The name of the component that serves one of `PLACES` where a config says nothing; None if there is none.

        Raises:
            PluginError: Two plugins want to.
        """
        kind = PLACES[place]
        wanting = [registration for registration in self.all(kind) if place in registration.default_for]
        found = _at_most_one(wanting, f"{kind.noun} for {place}", "name one in the config")
        return found[0].name if found else None

    def __iter__(self) -> Iterator[Registration]:
        """All components, kind by kind."""
        for kind in Kind:
            yield from self.all(kind)

    @property
    def has_observers(self) -> bool:
        """Whether any plugin listens to how runs go on."""
        return any(getattr(self._manager.hook, hook).get_hookimpls() for hook in _OBSERVERS)

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call an observer hook of every plugin; one that fails is warned about once and harms nothing."""
        for plugin in [listener.plugin for listener in getattr(self._manager.hook, hook).get_hookimpls()]:
            others = [other for other in self._manager.get_plugins() if other is not plugin]
            try:
                self._manager.subset_hook_caller(hook, others)(**arguments)
            except Exception as error:
                name = f"{self._manager.get_name(plugin)}.{hook}"
                if name not in self._warned:
                    self._warned.add(name)
                    notice(f"observer {name} failed: {describe(error)}")


def _at_most_one(found: list[Registration], what: str, hint: str) -> list[Registration]:
    if len(found) > 1:
        names = " and ".join(f"{r.name!r} of plugin {r.plugin!r}" for r in found)
        raise PluginError(f"{names} both want to be the default {what}", hint=hint)
    return found


def _clash(noun: str, name: str, claims: Sequence[Registration | Guest]) -> PluginError:
    owners = " and ".join(f"{c.plugin!r} ({c.distribution} {c.version})" for c in claims)
    return PluginError(
        f"the plugins {owners} both claim the {noun} {name!r}",
        hint=f"uninstall one of them, or load only the other with {CHOSEN_PLUGINS}",
    )


def _check(plugin: str, name: str, target: str, config: str | None) -> None:
    if not _NAME.fullmatch(name):
        raise PluginError(
            f"plugin {plugin!r} registers the name {name!r}",
            hint="lower-case words joined by hyphens, such as my-model",
        )
    for path in (target, config):
        if path is not None and not re.fullmatch(r"[\w.]+:\w+", path):
            raise PluginError(
                f"plugin {plugin!r} registers the target {path!r}", hint="expected 'package.module:Class'"
            )


def _installed(broken: list[Failure]) -> Iterator[tuple[str, str, Callable[[], str], Callable[[], object]]]:
    """The installed plugins, as `PIXCORE_PLUGINS` restricts them: "a,b" loads those two, an empty value none."""
    restriction = os.environ.get(CHOSEN_PLUGINS)
    wanted = None if restriction is None else {name.strip() for name in restriction.split(",") if name.strip()}
    entries = entry_points(broken)
    if wanted is not None and not wanted <= {entry.name for entry in entries}:
        missing = sorted(wanted - {entry.name for entry in entries})
        raise PluginError(
            f"{CHOSEN_PLUGINS} names {', '.join(map(repr, missing))}, which is not installed",
            hint=nearest(missing[0], {entry.name for entry in entries}),
        )
    yield CORE, CORE, lambda: metadata.version(CORE), lambda: importlib.import_module("pixcore.commands.own")
    for entry in entries:
        if wanted is None or entry.name in wanted:
            distribution = entry.dist
            if distribution is None:
                yield entry.name, "unknown", lambda: "unknown", entry.load
            else:
                yield entry.name, distribution.name, partial(version_of, distribution), entry.load


def entry_points(broken: list[Failure] | None = None) -> list[metadata.EntryPoint]:
    """Entry points of the group, package by package: one whose metadata is broken costs nobody else anything.

    Args:
        broken: Gets a failure for each package whose metadata can't be read.
    """
    found: dict[str, list[metadata.EntryPoint]] = {}
    for distribution in metadata.distributions():
        folder = Path(str(getattr(distribution, "_path", ""))).name
        try:
            # the folder says the name, as it does to importlib.metadata; the metadata say it ten times as slowly
            name = canonicalize_name(folder.partition("-")[0] or distribution.name)
            if name not in found:  # of two with one name the first on the path counts, as for an import
                found[name] = [entry for entry in distribution.entry_points if entry.group == GROUP]
        except Exception as error:
            if broken is not None:
                broken.append(
                    Failure("", folder or "unknown", "unknown", f"its metadata is broken: {one_line(str(error))}")
                )
    return sorted((entry for entries in found.values() for entry in entries), key=lambda entry: entry.name)


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The registry of what is installed, loaded once a process."""
    broken: list[Failure] = []
    found = Registry(_installed(broken))
    found.failures += broken
    return found
