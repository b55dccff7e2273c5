"""Discovery: entry points in group `pixcore`, each plugin in isolation, targets imported on first use.

pluggy's own loader lets one plugin that fails to import take all others down, so the loop here is ours; pluggy still
checks every hook's name and arguments. Interfaces and versions are looked up late: NumPy and pydantic take ten times as
long as everything else here.
"""

from __future__ import annotations

import importlib
import json
import os
import re
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, cached_property, lru_cache, partial, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self, TypeVar, cast

import pluggy

from pixcore import hookspecs
from pixcore.entries import entry_points
from pixcore.errors import PluginError, describe, nearest, one_line
from pixcore.notices import notice

if TYPE_CHECKING:
    from pixcore import components

Derived = TypeVar("Derived")
CHOSEN_PLUGINS = "PIXCORE_PLUGINS"
CORE = "pixcore"
"""The plugin of what the core offers itself; nobody takes its commands and run writers away."""

_NAME = re.compile(r"[a-z0-9][a-z0-9.]*(-[a-z0-9.]+)*")
_OF_YOUR_OWN = "name yours after your distribution: names are one namespace"
_PLUGIN_SECONDS, _LIBRARIES_SECONDS = 5.0, 30.0
"""How long an import may take before it is named: of a plugin, which loads nothing, of what brings heavy libraries."""
_OBSERVERS = ("run_started", "stage_advanced", "sample_finished", "part_finished", "run_finished")


def _hook(noun: str) -> str:
    return f"register_{re.sub('y$', 'ie', noun.replace(' ', '_'))}s"


class _Row(NamedTuple):
    interface: str
    sections: Mapping[str, str]
    listed: bool = False
    nullable: bool = False
    places: tuple[str, ...] = ()


class Kind(StrEnum):
    """A kind of component: all that the rest of pixcore knows of it, once.

    A kind is its hook in `pixcore.hookspecs`, its interface in `pixcore.components`, its row here, and the stage that
    names it in its `uses` (`pixcore.stages.base`). Whichever of the four is forgotten, pixcore says so when it starts.

    Attributes:
        value: The key of its section in a config.
        noun: What a person calls one of them, read from its interface's name; `hook` follows from it.
        sections: The keys of a config that name one, each with what it says there.
        listed: Whether a config holds a list of them.
        nullable: Whether its section may be null.
        places: What else one can be the default for: see `pixcore.hookspecs.Register`.
    """

    MODEL = _Row("ModelAdapter", {"model": "Which MLLM."}, places=("model.text",))
    EXTRACTOR = _Row(
        "AttentionExtractor", {"extractor": "How attention becomes one map a token; null: none is read."}, nullable=True
    )
    TRANSFORMS = _Row("MapTransform", {"transforms": "What is done to finished maps, in order."}, listed=True)
    GROUPER = _Row("TokenGrouper", {"grouper": "Which tokens belong together; null: nothing is mined."}, nullable=True)
    POINTS = _Row(
        "PointSelector",
        {"points": "How a map becomes a point prompt; null: no masks are mined."},
        nullable=True,
        places=("control.points",),
    )
    MASKS = _Row("MaskGenerator", {"masks": "How points become masks; null: only answers are measured."}, nullable=True)
    SELECTIONS = _Row(
        "SelectionStrategy",
        {"selections": "Strategies that choose among the same candidates, one row of the table each."},
        listed=True,
        places=("control.selection", "ground"),
    )
    BENCHMARK = _Row("Benchmark", {"benchmark": "Which samples; null where a command brings its own."}, nullable=True)
    JUDGE = _Row(
        "Judge",
        {
            "judge": "Grades free answers (protocol `question`); null: nobody does.",
            "letter_judge": "Grades letters (protocol `letter`); null: nobody does.",
        },
        nullable=True,
    )
    EXECUTOR = _Row("Executor", {"executor": "Where records are made; null: in this process."}, nullable=True)

    interface_name: str
    sections: Mapping[str, str]
    listed: bool
    nullable: bool
    places: tuple[str, ...]

    def __new__(cls, *row: Any) -> Self:
        """Make a kind of its row."""
        its = _Row(*row)
        made = str.__new__(cls, next(iter(its.sections)))
        made._value_ = str(made)
        made.interface_name, made.sections, made.listed, made.nullable, made.places = its
        return made

    @property
    def noun(self) -> str:
        """What a person calls one of this kind."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", self.interface_name).lower()

    @property
    def hook(self) -> str:
        """The hook that registers this kind."""
        return _hook(self.noun)

    @property
    def interface(self) -> type[components.Component[Any]]:
        """The class that components of this kind derive from."""
        return cast("type[components.Component[Any]]", load(f"pixcore.components:{self.interface_name}"))


def hold_to_kinds(place: str, wanted: Iterable[str], there: Iterable[str]) -> None:
    """See that the rows of `Kind` and another place name the same.

    Raises:
        TypeError: One of them names what the other lacks.
    """
    row, other = set(wanted), set(there)
    for name in sorted(row ^ other):
        lacking, naming = (place, "pixcore.plugins.Kind") if name in row else ("pixcore.plugins.Kind", place)
        raise TypeError(f"{lacking} has no {name}, which {naming} names")


SECTIONS: Mapping[str, Kind] = {section: kind for kind in Kind for section in kind.sections}
"""The kind of component that each section of a config names."""

PLACES: Mapping[str, Kind] = {place: kind for kind in Kind for place in kind.places}
"""What a component can be the default for, besides its kind's section."""


class GuestKind(StrEnum):
    """What else a plugin may add, by what a person calls it."""

    COMMAND = "command"
    WRITER = "run writer"
    PROBING = "probing"

    @property
    def hook(self) -> str:
        """The hook that registers this kind."""
        return _hook(self)

    @property
    def noun(self) -> str:
        """What a person calls one of them."""
        return self.value


_THERE = [name for name in vars(hookspecs) if name.startswith("register_")]
hold_to_kinds("pixcore.hookspecs", [kind.hook for kind in (*Kind, *GuestKind)], _THERE)


@contextmanager
def _named_if_it_hangs(what: str, seconds: float) -> Iterator[None]:
    """Name what is being imported, should that take longer than `seconds`; the import goes on."""
    timer = threading.Timer(seconds, notice, [f"{what} has been importing for {seconds:g} s; still waiting for it"])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


@cache
def _shipped() -> Any:
    return json.loads(Path(__file__).with_name("shipped.json").read_text(encoding="utf-8"))


def shipped_by(kind: str, name: str) -> str | None:
    """Name the project's package, installed or not, that offers something, or the first command under a word."""
    own: dict[str, str] = _shipped().get(kind, {})
    return own.get(name) or next((package for one, package in own.items() if one.startswith(f"{name} ")), None)


@dataclass(frozen=True)
class Owner:
    """A plugin and the installed package that it comes from.

    Attributes:
        plugin: The entry point's name.
        distribution: The package's name.
        read_version: Looks the package's version up, on first use: most commands do without.
    """

    plugin: str
    distribution: str
    read_version: Callable[[], str]

    @cached_property
    def version(self) -> str:
        """The package's version, of one that is from no index with a hash of its sources.

        So records made by edited code are never taken for those of the code before.

        Raises:
            PluginError: Its metadata can't be read.
        """
        try:
            return self.read_version()
        except Exception as error:
            message = f"the version of {self.distribution} can't be read: {describe(error)}"
            raise PluginError(message, hint="its installation is damaged; install it again") from error

    @property
    def shown_version(self) -> str:
        """The version for a person: one that can't be read hides nothing else."""
        try:
            return self.version
        except PluginError:
            return "unknown"


@dataclass(frozen=True)
class Guest(Owner):
    """A command, a run writer or a probing that a plugin adds, or what a component (`Registration`) shares with one.

    Attributes:
        kind: Which kind it is.
        name: What a config calls it, or a person types; a command under a group has two words.
        target: "package.module:attribute", imported on first use.
        summary: One line.
        default: Serves, or a run writer is at work, where a config says nothing.
        extra: The extra of its package that it needs.
    """

    kind: Kind | GuestKind
    name: str
    target: str
    summary: str = ""
    default: bool = False
    extra: str = ""

    @property
    def built_in(self) -> bool:
        """Whether the project's own package offers it."""
        return shipped_by(self.kind, self.name) == self.distribution

    @cached_property
    def loaded(self) -> Any:
        """What the target names; importing it may import heavy libraries."""
        return self._import(self.target)

    def _import(self, target: str) -> Any:
        module, _, attribute = target.partition(":")
        one, whose = f"{self.kind.noun} {self.name!r}", f"plugin {self.plugin!r} ({self.distribution})"
        try:
            with _named_if_it_hangs(f"{one} of {whose}", _LIBRARIES_SECONDS):
                found = getattr(importlib.import_module(module), attribute, None)
        except (Exception, SystemExit) as error:  # whatever its module does wrong
            if self.plugin == CORE:
                raise
            hint, said = f"a mistake in {whose}", describe(error).removeprefix("ModuleNotFoundError: ")
            if isinstance(error, ImportError) and not f"{module}.".startswith(f"{error.name}."):
                package = f"'{self.distribution}[{self.extra}]'" if self.extra else self.distribution
                hint = f"pip install {package} brings what it needs"
                if isinstance(error, ModuleNotFoundError):
                    hint += f"; if {error.name} is none of that, install it too"
            raise PluginError(f"{one} can't be imported: {said}", hint=hint) from error
        if found is None:
            raise PluginError(f"{one} names {target}, which does not exist", hint=f"a mistake in {whose}")
        return found

    def of_class(self, loaded: Any, target: str, wanted: type[Derived]) -> type[Derived]:
        """Hold what a target names to the class that it has to derive from."""
        if isinstance(loaded, type) and issubclass(loaded, wanted):
            return loaded
        said = f"plugin {self.plugin!r}: {target} does not derive from {wanted.__name__}"
        raise PluginError(said, hint=f"derive it from {wanted.__module__}.{wanted.__name__}")


@dataclass(frozen=True)
class Registration(Guest):
    """One component that a plugin offers.

    Attributes:
        config: "package.module:Model", or None.
        default_for: Of `PLACES` those that it serves where a config says nothing.
    """

    kind: Kind
    config: str | None = None
    default_for: Collection[str] = ()

    @cached_property
    def config_class(self) -> type[components.Config]:
        """The component's config model."""
        target = self.config or "pixcore.components:NoConfig"
        return self.of_class(self._import(target), target, load("pixcore.components:Config"))

    @cached_property
    def component_class(self) -> type[components.Component[Any]]:
        """The component's class; importing it may import heavy libraries."""
        return self.of_class(self.loaded, self.target, self.kind.interface)

    def create(self, config: components.Config, context: components.Context) -> Any:
        """Make the component."""
        return self.component_class(config, context)


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
            plugins: (name, distribution, version, load) of each; `version` looks it up, `load` imports the module.
        """
        self.failures: list[Failure] = []
        self._found: dict[Kind | GuestKind, dict[str, list[Any]]] = {kind: {} for kind in (*Kind, *GuestKind)}
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._warned: set[str] = set()
        self._owners: dict[str, Owner] = {}
        for name, distribution, version, load in plugins:
            owner = Owner(name, distribution, version)
            try:
                with _named_if_it_hangs(f"plugin {name!r} of the package {distribution}", _PLUGIN_SECONDS):
                    plugin = load()
                self._add(owner, plugin)
            except (Exception, SystemExit) as error:  # whatever a plugin does wrong, the others work
                said = re.sub(r"<module ('[\w.]+') from '[^']*'>", r"\1", f"{type(error).__name__}: {error}")
                self._fail(owner, " ".join(said.split()))
        self._settle()

    def _fail(self, owner: Owner, error: str) -> None:
        self.failures.append(Failure(owner.plugin, owner.distribution, owner.shown_version, error))

    def _add(self, owner: Owner, plugin: object) -> None:
        if taken := self._owners.get(owner.plugin) or self._owners.get(self._manager.get_name(plugin) or ""):
            whose = f"the plugin {taken.plugin!r} of {taken.distribution}"
            raise PluginError(f"{whose} stands in its place", hint=_OF_YOUR_OWN)
        self._manager.register(plugin, name=owner.plugin)
        self._owners[owner.plugin] = owner
        try:
            self._manager.check_pending()
            offered = self._offered(owner, plugin)
        except Exception:
            self._manager.unregister(plugin)
            raise
        for one in offered:
            self._found[one.kind].setdefault(one.name, []).append(one)

    def _offered(self, owner: Owner, plugin: object) -> list[Guest]:
        """What one plugin registers, by all hooks."""
        offered: list[Guest] = []
        for kind in (*Kind, *GuestKind):

            def register(name: str, target: str, *, _kind: Kind | GuestKind = kind, **more: Any) -> None:
                made = Registration if isinstance(_kind, Kind) else Guest
                one = made(owner.plugin, owner.distribution, owner.read_version, _kind, name, target, **more)  # type: ignore[arg-type]
                _check(one)
                offered.append(one)

            if any(one.plugin is plugin for one in getattr(self._manager.hook, kind.hook).get_hookimpls()):
                self._alone(kind.hook, plugin)(register=register)
        return offered

    def _alone(self, hook: str, plugin: object) -> Callable[..., Any]:
        """A hook of one plugin, without all others."""
        others = [other for other in self._manager.get_plugins() if other is not plugin]
        return self._manager.subset_hook_caller(hook, others)

    def _settle(self) -> None:
        """Leave what the project's own packages offer to them, and tell of every name that two plugins claim."""
        for names in self._found.values():
            for name, claims in list(names.items()):
                hidden = names.get(name.partition(" ")[0], [])  # a command that a group of its name would hide
                if owner := next((one for one in (*hidden, *claims) if one.built_in), None):
                    names[name] = [one for one in claims if one.built_in]
                    for one in (one for one in claims if not one.built_in):
                        whose = f"the {one.kind.noun} {owner.name!r} is that of {owner.distribution}"
                        self._fail(one, f"{whose}, not of {one.distribution} ({_OF_YOUR_OWN})")
                elif len(claims) > 1:
                    self._fail(claims[0], _clash(claims).message)
        for name, claims in self._found[GuestKind.COMMAND].items():
            if claims and self.has_command_group(name):
                error = f"plugin {claims[0].plugin!r} adds the command {name!r}, which is a group of others' commands"
                self._fail(claims[0], error)

    def get(self, kind: Kind, name: str) -> Registration:
        """Look up a component, as `guest` does."""
        return cast(Registration, self.guest(kind, name))

    def guest(self, kind: Kind | GuestKind, name: str) -> Guest:
        """Look up a command, a run writer, a probing or a component.

        Raises:
            PluginError: No plugin offers it, or two do.
        """
        claims: list[Guest] = self._found[kind].get(name, [])
        if not claims:
            package = shipped_by(kind, name)
            failed = f"{len(self.failures)} plugin(s) failed to load, see: pixcore plugins" if self.failures else ""
            if package and package not in {failure.distribution for failure in self.failures}:
                chosen = f", and name it in {CHOSEN_PLUGINS}" if CHOSEN_PLUGINS in os.environ else ""
                raise PluginError(f"{kind.noun} {name!r} is not installed: pip install {package}{chosen}", hint=failed)
            hint = "; ".join(filter(None, (nearest(name, self._found[kind]), failed)))
            raise PluginError(f"no installed plugin offers the {kind.noun} {name!r}", hint=hint)
        if len(claims) > 1:
            raise _clash(claims)
        return claims[0]

    def has_command_group(self, word: str) -> bool:
        """Say whether commands stand under a word."""
        return any(claims and name.startswith(f"{word} ") for name, claims in self._found[GuestKind.COMMAND].items())

    def guests(self, kind: GuestKind) -> list[Guest]:
        """List the commands, run writers or probings, the core's own first, without those that two plugins claim."""
        found = {name: claims[0] for name, claims in self._found[kind].items() if len(claims) == 1}
        return [one for name, one in found.items() if kind is not GuestKind.COMMAND or not self.has_command_group(name)]

    def all(self, kind: Kind) -> list[Registration]:
        """List the components of one kind by name, without those that two plugins claim."""
        return [claims[0] for _, claims in sorted(self._found[kind].items()) if len(claims) == 1]

    def defaults(self, kind: Kind) -> list[Registration]:
        """List the components that serve where a config says nothing.

        Raises:
            PluginError: Two plugins want to be the default of a kind that has one.
        """
        found = [registration for registration in self.all(kind) if registration.default]
        return found if kind.listed else _at_most_one(found, kind.noun, f"name one under {kind.value}:")

    def default_for(self, place: str) -> str | None:
        """Name the component that serves one of `PLACES` where a config says nothing; None if there is none.

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
    def observers(self) -> dict[str, list[str]]:
        """The plugins that listen to how runs go on, each with what it hears."""
        found: dict[str, list[str]] = {}
        for hook in _OBSERVERS:
            for listener in getattr(self._manager.hook, hook).get_hookimpls():
                found.setdefault(listener.plugin_name, []).append(hook)
        return found

    def ask(self, hook: str, **arguments: Any) -> Any:
        """Ask a hook: its first answer where it has one result (None without any), else the list of all."""
        return getattr(self._manager.hook, hook)(**arguments)

    def answering(self, hook: str) -> list[str]:
        """Name the packages that answer a hook, each with its version."""
        owners = (self._owners[one.plugin_name] for one in getattr(self._manager.hook, hook).get_hookimpls())
        return [f"{one.distribution} {one.version}" for one in owners]

    def notify(self, hook: str, **arguments: Any) -> None:
        """Call an observer hook of every plugin; one that fails is warned about once and harms nothing."""
        for plugin in [listener.plugin for listener in getattr(self._manager.hook, hook).get_hookimpls()]:
            try:
                self._alone(hook, plugin)(**arguments)
            except (Exception, SystemExit) as error:
                name = f"{self._manager.get_name(plugin)}.{hook}"
                if name not in self._warned:
                    self._warned.add(name)
                    notice(f"observer {name} failed: {describe(error)}")


def _at_most_one(found: list[Registration], what: str, hint: str) -> list[Registration]:
    found = [one for one in found if one.built_in] or found
    if len(found) > 1:
        names = " and ".join(f"{r.name!r} of plugin {r.plugin!r}" for r in found)
        raise PluginError(f"{names} both want to be the default {what}", hint=hint)
    return found


def _clash(claims: Sequence[Guest]) -> PluginError:
    owners = " and ".join(f"{c.plugin!r} ({c.distribution} {c.version})" for c in claims)
    return PluginError(
        f"the plugins {owners} both claim the {claims[0].kind.noun} {claims[0].name!r}",
        hint=f"uninstall one of them, or load only the other with {CHOSEN_PLUGINS}",
    )


def _check(one: Guest) -> None:
    """See that what a plugin registers is spelt as it should be."""
    config, places = (one.config, one.default_for) if isinstance(one, Registration) else (None, ())
    if not isinstance(one.summary, str):
        raise PluginError(f"plugin {one.plugin!r} registers the summary {one.summary!r}", hint="a text is expected")
    words = one.name.split(" ") if one.kind is GuestKind.COMMAND else [one.name]
    if len(words) > 2 or not all(map(_NAME.fullmatch, words)):
        hint = "lower-case words joined by hyphens, such as my-model; before a command's may stand its group's"
        raise PluginError(f"plugin {one.plugin!r} registers the name {one.name!r}", hint=hint)
    for path in (one.target, config):
        if path is not None and not re.fullmatch(r"[\w.]+:\w+", path):
            hint = "expected 'package.module:Class'"
            raise PluginError(f"plugin {one.plugin!r} registers the target {path!r}", hint=hint)
    if odd := [place for place in places if PLACES.get(place) is not one.kind]:
        raise PluginError(f"plugin {one.plugin!r}: no {one.kind.noun} serves {odd[0]!r}")


def _installed(broken: dict[str, str]) -> Iterator[tuple[str, str, Callable[[], str], Callable[[], object]]]:
    """The installed plugins, as `PIXCORE_PLUGINS` restricts them: "a,b" loads those two, an empty value none."""
    restriction = os.environ.get(CHOSEN_PLUGINS)
    wanted = None if restriction is None else {name.strip() for name in restriction.split(",") if name.strip()}
    entries = sorted(entry_points(broken), key=lambda one: (shipped_by("plugin", one[0]) != one[2], one[0]))
    names = {CORE, *(name for name, *_ in entries)}
    if missing := sorted((wanted or set()) - names):
        package = shipped_by("plugin", missing[0])
        hint = f"pip install {package}" if package else nearest(missing[0], names)
        raise PluginError(f"{CHOSEN_PLUGINS} names {', '.join(map(repr, missing))}, which is not installed", hint=hint)
    for name, target, distribution in [(CORE, "pixcore.commands.own", CORE), *entries]:
        if wanted is None or name == CORE or name in wanted:
            yield name, distribution, partial(_version_of, distribution), partial(load, target)


def load(target: str) -> Any:
    """Import what "module" or "module:attribute" names."""
    module, _, attribute = target.partition(":")
    loaded: Any = importlib.import_module(module)
    return reduce(getattr, filter(None, attribute.split(".")), loaded)


def _version_of(distribution: str) -> str:
    versions = importlib.import_module("pixcore.versions")
    return str(versions.version_of(versions.installed(distribution)))


@lru_cache(maxsize=1)
def registry() -> Registry:
    """Load the registry of what is installed, once a process."""
    broken: dict[str, str] = {}
    found = Registry(_installed(broken))
    told = ((name, f"its metadata is broken: {one_line(said)}") for name, said in broken.items())
    found.failures += [Failure("", name, "unknown", said) for name, said in told]
    return found
