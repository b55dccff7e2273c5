"""Discovery: entry points in group `pixcore`, each plugin in isolation, targets imported on first use.

pluggy's own loader lets one plugin that fails to import take all others down, so the loop here is ours; pluggy still
checks every hook's name and arguments.
"""

from __future__ import annotations

import importlib
import os
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property, lru_cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pluggy
from packaging.utils import canonicalize_name

from pixcore import components, hookspecs
from pixcore.errors import PluginError, nearest, one_line
from pixcore.versions import version_of

GROUP = "pixcore"
CHOSEN_PLUGINS = "PIXCORE_PLUGINS"
_NAME = re.compile(r"[a-z0-9][a-z0-9.]*(-[a-z0-9.]+)*")


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
        return _HOOKS[self][1]

    @property
    def listed(self) -> bool:
        """Whether a config holds a list of them."""
        return self in (Kind.TRANSFORMS, Kind.SELECTIONS)

    @property
    def noun(self) -> str:
        """What a person calls one of this kind."""
        return _HOOKS[self][2]


_HOOKS: Mapping[Kind, tuple[str, type[components.Component[Any]], str]] = {
    Kind.MODEL: ("register_model_adapters", components.ModelAdapter, "model adapter"),
    Kind.EXTRACTOR: ("register_attention_extractors", components.AttentionExtractor, "attention extractor"),
    Kind.TRANSFORMS: ("register_map_transforms", components.MapTransform, "map transform"),
    Kind.GROUPER: ("register_token_groupers", components.TokenGrouper, "token grouper"),
    Kind.POINTS: ("register_point_selectors", components.PointSelector, "point selector"),
    Kind.MASKS: ("register_mask_generators", components.MaskGenerator, "mask generator"),
    Kind.SELECTIONS: ("register_selection_strategies", components.SelectionStrategy, "selection strategy"),
    Kind.BENCHMARK: ("register_benchmarks", components.Benchmark, "benchmark"),
    Kind.JUDGE: ("register_judges", components.Judge, "judge"),
}


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

    @cached_property
    def config_class(self) -> type[components.Config]:
        """The component's config model."""
        if self.config is None:
            return components.NoConfig
        loaded = self._import(self.config)
        if not (isinstance(loaded, type) and issubclass(loaded, components.Config)):
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
        module, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except ImportError as error:
            package = f"'{self.distribution}[{self.extra}]'" if self.extra else self.distribution
            raise PluginError(
                f"{self.kind.noun} {self.name!r} can't be imported: {error}",
                hint=f"it comes from {self.distribution}; pip install {package} brings what it needs",
            ) from error
        except AttributeError as error:
            raise PluginError(
                f"{self.kind.noun} {self.name!r} names {target}, which does not exist",
                hint=f"a mistake in plugin {self.plugin!r} ({self.distribution} {self.version})",
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
                    _kind: Kind = kind,
                ) -> None:
                    _check(name, component, target, config)
                    collected.append(
                        Registration(
                            _kind, component, target, config, summary, default, name, distribution, version, extra
                        )
                    )

                self._manager.subset_hook_caller(kind.hook, others)(register=register)
        except Exception:
            self._manager.unregister(plugin)
            raise
        for registration in collected:
            self._found[registration.kind].setdefault(registration.name, []).append(registration)

    def _report_clashes(self) -> None:
        for kind, names in self._found.items():
            for name, claims in names.items():
                if len(claims) > 1:
                    first = claims[0]
                    self.failures.append(
                        Failure(first.plugin, first.distribution, first.version, _clash(kind, name, claims).message)
                    )

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
            raise _clash(kind, name, claims)
        return claims[0]

    def all(self, kind: Kind) -> list[Registration]:
        """The components of one kind by name, without those that two plugins claim."""
        return [claims[0] for _, claims in sorted(self._found[kind].items()) if len(claims) == 1]

    def defaults(self, kind: Kind) -> list[Registration]:
        """Those that serve where a config says nothing.

        Raises:
            PluginError: Two plugins want to be the default of a kind that has one.
        """
        found = [registration for registration in self.all(kind) if registration.default]
        if len(found) > 1 and not kind.listed:
            names = " and ".join(f"{r.name!r} of plugin {r.plugin!r}" for r in found)
            raise PluginError(f"{names} both want to be the default {kind.noun}", hint=f"name one under {kind.value}:")
        return found

    def __iter__(self) -> Iterator[Registration]:
        """All components, kind by kind."""
        for kind in Kind:
            yield from self.all(kind)

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
                    warnings.warn(f"observer {name} failed: {type(error).__name__}: {error}", stacklevel=2)


def _clash(kind: Kind, name: str, claims: list[Registration]) -> PluginError:
    owners = " and ".join(f"{c.plugin!r} ({c.distribution} {c.version})" for c in claims)
    return PluginError(
        f"the plugins {owners} both claim the {kind.noun} {name!r}",
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
        place = str(getattr(distribution, "_path", "") or distribution.locate_file(""))
        try:
            name = canonicalize_name(distribution.name)
            if name not in found:  # of two with one name the first on the path counts, as for an import
                found[name] = [entry for entry in distribution.entry_points if entry.group == GROUP]
        except Exception as error:
            if broken is not None:
                broken.append(
                    Failure("", Path(place).name, "unknown", f"its metadata is broken: {one_line(str(error))}")
                )
    return sorted((entry for entries in found.values() for entry in entries), key=lambda entry: entry.name)


@lru_cache(maxsize=1)
def registry() -> Registry:
    """The registry of what is installed, loaded once a process."""
    broken: list[Failure] = []
    found = Registry(_installed(broken))
    found.failures += broken
    return found
