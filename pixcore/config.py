"""One run's config: YAML in, validated as a whole before any weight is loaded.

A component's section is its name, or a mapping with `name` and its own options beside it. Sections that are left out
take the component that a plugin offers as the default of its kind.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_serializer, model_validator

from pixcore.components import Config, Context, as_meant
from pixcore.errors import ConfigError, DataError, PluginError, first_line, nearest
from pixcore.files import read_file
from pixcore.notices import notice
from pixcore.plugins import PLACES, SECTIONS, GuestKind, Kind, Registration, Registry, registry, shipped_by
from pixcore.protocols import FIELDS, PROBINGS, Judged, Probing
from pixcore.records import Fidelity, Protocol
from pixcore.services import Budget, Price

Validated = TypeVar("Validated", bound=BaseModel)
Seed = Annotated[int, Field(strict=True, ge=0, lt=2**32)]


class Section(BaseModel):
    """A component as a config names it.

    Attributes:
        name: The component's name.
        options: Its options, as given; its own config model validates them.
        label: What tables call it; of use where one strategy stands there twice.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = Field(default_factory=dict)
    label: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"name": value}
        if isinstance(value, Mapping):
            if not isinstance(value.get("name"), str):
                raise ValueError("a component needs a name, such as {name: peaks, k: 3}")
            options = {key: option for key, option in value.items() if key not in ("name", "label")}
            return {"name": value["name"], "label": value.get("label"), "options": options}
        if isinstance(value, cls):
            return value
        raise ValueError("expected a component's name, or a mapping with its name and options")


class Control(BaseModel):
    """The matched control: as many candidates from other points, so that the reader sees what attention adds.

    Attributes:
        points: Where its points come from; left out: from the plugin that is the default for it.
        selection: Who picks among its candidates; likewise.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    points: Section
    selection: Section


class ProbingSection(BaseModel):
    """A probing as a config names it: one of the paper's by its name, or one of its own.

    Attributes:
        name: Its name; its column is called after it.
        template: What is asked, with the fields {question}, {options}, {expression}; needed for one of the config's
            own. A sample that lacks one of them is not asked.
        masks: Whether the answers to it are looked at for masks.
        judge: Which section's component grades the answers to it, "judge" or "letter_judge"; null: nobody does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    template: str = ""
    masks: bool = True
    judge: Judged | None = None

    @model_validator(mode="before")
    @classmethod
    def _from_yaml(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _known_or_whole(self) -> Self:
        if "template" not in self.model_fields_set:
            if self.name not in PROBINGS:
                package = shipped_by(GuestKind.PROBING, self.name)
                raise ValueError(f"pip install {package}" if package else f"{nearest(self.name, PROBINGS)}; {_EXAMPLE}")
            if self.model_fields_set != {"name"}:
                raise ValueError(f"{self.name!r} is the paper's, and stands there by its name alone")
        elif self.name in PROBINGS:
            raise ValueError(f"{self.name!r} is the paper's: change its template under prompts, or take another name")
        elif not _OWN_NAME.fullmatch(self.name):
            raise ValueError("a name is lower-case letters, digits, - and _, a letter first, 40 at most; not 'there'")
        else:
            _check_template(self.template, f"the template of {self.name}")
        return self

    @model_serializer
    def _spelt(self) -> str | dict[str, Any]:
        if self.name in PROBINGS:
            return self.name
        return {"name": self.name, "template": self.template, "masks": self.masks, "judge": self.judge}

    @property
    def probing(self) -> Probing:
        """The probing that it names."""
        if self.name in PROBINGS:
            return PROBINGS[self.name]
        return Probing.own(self.name, self.template, masks=self.masks, judge=self.judge)


_EXAMPLE = 'or a new one, such as {name: describe, template: "Describe {expression}."}'

_OWN_NAME = re.compile("(?!there$)[a-z][a-z0-9_-]{0,39}")  # it names files and columns; "M there" is a further figure


def _check_template(template: str, what: str) -> None:
    if not template.strip():
        raise ValueError(f"{what} is empty")
    try:
        template.format(**dict.fromkeys(FIELDS, ""))
    except (KeyError, IndexError, ValueError, AttributeError, TypeError, MemoryError) as error:
        fields = "fields are {question}, {options}, {expression}"
        raise ValueError(f"{what} is not a template: {error}; {fields}") from None


class RunConfig(BaseModel):
    """What a config says: the components of one run, and what to do with them.

    Attributes:
        control: The matched control, or a list that it leads; null: none. Left out: what plugins offer, if they do.
        protocols: Which probings: the paper's by name, and any of the config's own, {name:, template:, masks:, judge:}.
        prompts: This run's own prompt for a probing of the paper's; fields: {question}, {options}, {expression}.
        fidelity: `corrected` does what is right, `published` reproduces the released code, `paper` its first release,
            which made the paper's Table 1.
        seed: For everything random.
        seeds: Several: a run with each, in seed-N below the output, and how much of figures' spread is the seed's.
        s_of: The accuracy and the mean IoU that S is made of, named before anybody looks; null: the better of each.
        batch_size: Requests that the model answers together.
        merge_iou: Candidates whose masks overlap at least this much are merged; null: none are.
        budget: What paid services may cost this run over all its commands, in US dollars, or {usd:, calls:, tokens:}.
        prices: What models of paid services cost, in US dollars per million tokens, where a plugin does not know.
        on_error: `stop` at the first sample that fails, or `record` it and go on.
        writers: Who writes what a finished run leaves in its folder; null: nobody.
        output: The run's folder.
        store: The folder of the stage stores, shared by runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    control: tuple[Control, ...] = ()
    protocols: Annotated[tuple[ProbingSection, ...], Field(min_length=1)] = tuple(
        ProbingSection(name=name) for name in PROBINGS
    )
    prompts: dict[Protocol, str] = Field(default_factory=dict)
    fidelity: Fidelity = Fidelity.CORRECTED
    seed: Seed = 0
    seeds: tuple[Seed, ...] = ()
    s_of: tuple[Literal["A†", "A"], Literal["M†", "M"]] | None = None
    batch_size: Annotated[int, Field(ge=1, le=1024)] = 8
    merge_iou: Annotated[float, Field(gt=0, le=1)] | None = None
    budget: Budget | None = None
    prices: dict[str, Price] = Field(default_factory=dict)
    on_error: Literal["stop", "record"] = "stop"
    writers: tuple[str, ...] | None = ()
    output: Path
    store: Path = Path("runs/store")

    _as_meant = field_validator("*", mode="wrap")(as_meant)

    @field_validator("protocols")
    @classmethod
    def _once_each(cls, value: tuple[ProbingSection, ...]) -> tuple[ProbingSection, ...]:
        if len({section.name for section in value}) != len(value):
            raise ValueError("a probing is named twice")
        return value

    @field_validator("prompts")
    @classmethod
    def _known_fields(cls, value: dict[Protocol, str]) -> dict[Protocol, str]:
        for protocol, template in value.items():
            _check_template(template, f"the prompt for {protocol}")
        return value

    @property
    def probings(self) -> dict[str, Probing]:
        """The run's probings by name, in order."""
        return {section.name: section.probing for section in self.protocols}


@dataclass(frozen=True)
class ChosenComponent:
    """A component of a run, resolved: who offers it, and its validated config."""

    registration: Registration
    config: Config
    label: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Find it again, pickled, among what is installed where it arrives."""
        return _found_again, (self.registration.kind, self.name, self.config, self.label)

    @property
    def name(self) -> str:
        """What the config calls it."""
        return self.registration.name

    def same_as(self, other: ChosenComponent) -> bool:
        """Say whether both are one component with one config, whatever they are labelled."""
        return self.registration == other.registration and self.config == other.config

    def ingredients(self) -> dict[str, Any]:
        """Everything about this component that can change its records, as JSON data."""
        from pixcore.versions import foundations  # a finished run asks for none, and need not import what reads them

        return {
            "kind": self.registration.kind.value,
            "name": self.name,
            "config": self.config.model_dump(mode="json", exclude=set(self.config.not_in_key)),
            "distribution": self.registration.distribution,
            "version": self.registration.version,
            "foundations": foundations(self.registration.distribution, self.registration.extra),
            "fingerprint": self.config.fingerprint(),
        }

    def says(self, *marks: str) -> bool:
        """Say whether its class has one of some marks, such as `uses_ground_truth` or `asks_service`."""
        return any(getattr(self.registration.component_class, mark, False) for mark in marks)

    def create(self, context: Context) -> Any:
        """Make the component."""
        return self.registration.create(self.config, context)


def _found_again(kind: Kind, name: str, config: Config, label: str | None) -> ChosenComponent:
    return ChosenComponent(registry().get(kind, name), config, label)


Chosen = ChosenComponent | tuple[ChosenComponent, ...] | None
"""One component, those of a list, or none."""

Told = TypeVar("Told")


class ChosenComponents(dict[str, Chosen]):
    """Components by what a config or a stage calls them."""

    def one(self, name: str) -> ChosenComponent:
        """Give the component of a name that is never empty."""
        (found,) = self.several(name)
        return found

    def several(self, name: str) -> tuple[ChosenComponent, ...]:
        """Those of a name: none, one, or all of a list."""
        found = self[name]
        return () if found is None else found if isinstance(found, tuple) else (found,)

    def __missing__(self, name: str) -> Chosen:
        raise TypeError(f"no component is called {name!r} here, only {', '.join(self)}: is it in the stage's `uses`?")

    @property
    def every(self) -> list[ChosenComponent]:
        """All of them."""
        return [component for name in self for component in self.several(name)]

    def told(self, tell: Callable[[ChosenComponent], Told]) -> dict[str, Told | list[Told] | None]:
        """Tell of each component by name: a list's as a list, nothing of none."""
        return {
            name: [tell(one) for one in found] if isinstance(found, tuple) else tell(found) if found else None
            for name, found in self.items()
        }


@dataclass(frozen=True)
class ResolvedRun:
    """A config whose every section has been looked up and validated.

    Attributes:
        config: Its settings.
        components: Its components by the section of the config that names them; the controls' in turn, under
            "control.points" and "control.selection".
    """

    config: RunConfig
    components: ChosenComponents

    @property
    def controls(self) -> dict[str, tuple[ChosenComponent, ChosenComponent]]:
        """The points and the selection of each control, by its name."""
        points, selections = (self.components.several(f"control.{key}") for key in Control.model_fields)
        names = [f"{name} points" for name in row_names(points)]
        return dict(zip(names, zip(points, selections, strict=True), strict=True))

    def document(self) -> dict[str, Any]:
        """Give the resolved config as YAML and JSON have it: every option spelt out, to be run again anywhere."""
        document = {**self.config.model_dump(mode="json"), **self.components.told(_spelt)}
        del document["executor"]
        points, selections = (document.pop(f"control.{key}") for key in Control.model_fields)
        controls = [{"points": one, "selection": other} for one, other in zip(points, selections, strict=True)]
        return {**document, "control": controls[0] if len(controls) == 1 else controls or None}


def _spelt(part: ChosenComponent) -> dict[str, Any]:
    label = {"label": part.label} if part.label is not None else {}
    return {"name": part.name, **label, **part.config.model_dump(mode="json")}


_MOST_VALUES = 100_000  # that a config may have once every alias stands for what it names
_NOT_AS_WRITTEN = re.compile(r"[-+]?(0[0-7_]+|[0-9_]+(:[0-9_.]+)+)")  # YAML takes 010 for 8, 1:30 for 90


class _UniqueKeyLoader(yaml.SafeLoader):
    """PyYAML keeps the last of two equal keys without a word, and lets aliases multiply."""

    def construct_document(self, node: yaml.Node) -> Any:
        """Build the document, unless an alias contains itself or aliases multiply beyond all sense."""
        self._check_size(node, {}, set())
        return super().construct_document(node)

    def _check_size(self, node: yaml.Node, known: dict[int, int], around: set[int]) -> int:
        if id(node) in around:
            raise _marked("an alias contains itself", node)
        if id(node) not in known:
            around.add(id(node))
            inside = node.value if isinstance(node, yaml.CollectionNode) else []
            parts = [part for pair in inside for part in pair] if isinstance(node, yaml.MappingNode) else inside
            if node.tag.endswith((":int", ":float")) and _NOT_AS_WRITTEN.fullmatch(node.value):
                node.tag = "tag:yaml.org,2002:str"
            known[id(node)] = 1 + sum(self._check_size(part, known, around) for part in parts)
            around.remove(id(node))
        if known[id(node)] > _MOST_VALUES:
            raise _marked(f"its aliases stand for more than {_MOST_VALUES:,} values", node)
        return known[id(node)]

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":  # `<<: *other`; a key of the mapping's own wins
                continue
            if key_node.tag in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:null"):  # `on` is the word that it says
                key_node.tag = "tag:yaml.org,2002:str"
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, (str, int)):
                if key in seen:
                    raise _marked(f"the key {key!r} appears twice", key_node)
                seen.add(key)
        return super().construct_mapping(node, deep)


def _marked(problem: str, node: yaml.Node) -> yaml.YAMLError:
    return yaml.constructor.ConstructorError(None, None, problem, node.start_mark)


def read_yaml(path: Path, what: str = "config") -> dict[str, Any]:
    """Read a YAML file of a user's; errors call it `what`.

    Raises:
        ConfigError: It is missing, no YAML, or no mapping.
    """
    try:
        text = read_file(path, what).decode("utf-8-sig")
    except DataError as error:
        raise ConfigError(error.message, hint=error.hint) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{what} {path} is not UTF-8 text", hint="save it as UTF-8") from error
    try:
        document = yaml.load(text, Loader=_UniqueKeyLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}" if mark is not None else "somewhere"
        problem = getattr(error, "problem", None) or first_line(error)
        raise ConfigError(f"{what} {path}, {where}: {problem}", hint="fix the YAML") from error
    except RecursionError as error:
        raise ConfigError(f"{what} {path} is nested too deeply: {error}", hint="mend it") from error
    except ValueError as error:  # 2001-99-99 looks like a date, and is none
        raise ConfigError(f"{what} {path} holds an invalid value: {error}", hint="quote it, or mend it") from error
    if not isinstance(document, dict):
        held = "nothing" if document is None else type(document).__name__
        raise ConfigError(f"{what} {path} holds {held}", hint="expected a mapping such as benchmark: NAME")
    return document


def apply_settings(document: Mapping[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Apply `--set key=value` to a config document.

    A dot goes into a section, a number into a list; `points.k=3` makes a mapping of `points: peaks`. Values are YAML.

    Raises:
        ConfigError: A setting has no "=", or goes into something that has no inside.
    """
    result: dict[str, Any] = _copied(document)
    for setting in settings:
        path, equals, text = setting.partition("=")
        if not equals or not all(map(str.strip, path.split("."))):
            raise ConfigError(f"--set {setting!r} has no key=value", hint="for example --set points.k=3")
        try:
            value = yaml.load(text, Loader=_UniqueKeyLoader)
        except (yaml.YAMLError, ValueError, RecursionError) as error:
            said = f"--set {path}: {text!r} is not a YAML value: {getattr(error, 'problem', None) or first_line(error)}"
            raise ConfigError(said, hint="quote it, or mend it") from error
        _put(result, path.strip().split("."), value, setting)
    return result


def _put(node: Any, keys: list[str], value: Any, setting: str, inside: str = "") -> None:
    """Set a value below a node; a name becomes a mapping where something is set inside it, and nothing an empty one."""
    key, *rest = keys
    if isinstance(node, list):
        if not re.fullmatch("[0-9]{1,9}", key) or int(key) >= len(node):
            said = f"--set {setting!r}: {key!r} is not a place in a list of {len(node)}"
            raise ConfigError(said, hint="count from 0")
    elif not isinstance(node, dict):
        raise ConfigError(f"--set {setting!r}: nothing can be set inside {inside!r}", hint="see the config")
    place: Any = int(key) if isinstance(node, list) else key
    if rest:
        inner = node[place] if isinstance(node, list) else node.get(place)
        node[place] = {"name": inner} if isinstance(inner, str) else {} if inner is None else inner
        _put(node[place], rest, value, setting, key)
    else:
        node[place] = value


def _copied(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


def resolve(document: Mapping[str, Any], registry: Registry) -> ResolvedRun:
    """Validate a config as a whole and look up every component in it.

    Raises:
        ConfigError: A key is unknown, a value is of the wrong kind, an option is not its component's.
        PluginError: A component is not installed.
    """
    allowed = [*SECTIONS, *RunConfig.model_fields]
    if unknown := [key for key in document if key not in allowed]:
        raise ConfigError(f"{unknown[0]}: no such key", hint=nearest(str(unknown[0]), allowed))
    filled = _with_defaults(document, registry)
    sections = {key: filled.pop(key) for key in SECTIONS}
    _spell_probings(filled, registry, sections["model"])
    config = validated(RunConfig, filled, "")
    chosen = ChosenComponents({key: _chosen(registry, kind, sections[key], key) for key, kind in SECTIONS.items()})
    lacking = [key for key in _MINING if chosen[key] is None]
    if chosen["masks"] is not None and lacking:
        notice(f"no masks are mined, as there is no component for {' and '.join(lacking)}")
        chosen["masks"] = None
    if chosen["masks"] and config.merge_iou and registry.ask("merge_candidates", candidates=[], iou=1.0) is None:
        raise ConfigError("merge_iou: no installed plugin merges candidates", hint="install one, or leave it out")
    if chosen["judge"] is None and "judge" not in document:
        notice("answers are not graded, as no judge is installed")
    mined = chosen["masks"] is not None and (chosen["extractor"] or chosen.one("grouper").says("gives_prompts"))
    controls = config.control if mined else ()
    for key in Control.model_fields:
        place = f"control.{key}"
        chosen[place] = tuple(_part(registry, PLACES[place], getattr(one, key), place) for one in controls)
    run = ResolvedRun(config, chosen)
    if len(run.controls) < len(controls):
        raise ConfigError("control: two of them have the same points", hint="label one: points: {name: …, label: …}")
    return run


def _spell_probings(filled: dict[str, Any], registry: Registry, model: Any) -> None:
    """Put the template where a config names a plugin's probing alone; it may depend on the model and the fidelity."""
    offered = {guest.name: guest for guest in registry.guests(GuestKind.PROBING)}
    listed = filled.get("protocols")
    for at, one in enumerate(listed if isinstance(listed, list | tuple) else ()):
        section = {"name": one} if isinstance(one, str) else one
        if isinstance(section, Mapping) and section.get("name") in [*offered] and "template" not in section:
            fidelity = validated(RunConfig, {**filled, "protocols": [*PROBINGS]}, "").fidelity
            asked = offered[section["name"]].loaded(_part(registry, Kind.MODEL, model, "model").config, fidelity)
            spelt = {**section, "template": asked}
            filled["protocols"] = [*filled["protocols"][:at], spelt, *filled["protocols"][at + 1 :]]


_MINING = ("grouper", "points")
"""What no mask can be mined without."""


def _with_defaults(document: Mapping[str, Any], registry: Registry) -> dict[str, Any]:
    filled = dict(document)
    for key, kind in SECTIONS.items():
        if key in filled:
            continue
        defaults = [registration.name for registration in registry.defaults(kind)]
        if kind.listed:
            filled[key] = defaults
        elif defaults:
            filled[key] = defaults[0]
        elif kind.nullable and kind is not Kind.BENCHMARK and not (key in _MINING and document.get("masks")):
            filled[key] = None
        else:
            hint = f"name a {kind.noun}; {nearest('', [r.name for r in registry.all(kind)])}"
            if registry.failures:  # the default may be among what could not be loaded
                hint += f"; {registry.failures[0].error}"
            raise ConfigError(f"the config has no {key}:", hint=hint)
    if "output" not in filled:
        said = sorted((key, value) for key, value in filled.items() if key != "executor")  # which changes no record
        digest = hashlib.sha256(repr(said).encode()).hexdigest()[:8]
        names = [name_in(filled[key]) for key in ("benchmark", "model") if filled[key] is not None]
        filled["output"] = f"runs/{'-'.join(names)}-{digest}"
    known = {key: name for key in Control.model_fields if (name := registry.default_for(f"control.{key}"))}
    given = filled.get("control", {} if known.keys() == Control.model_fields.keys() else None)
    if isinstance(given, Mapping):
        filled["control"] = [validated(Control, {**known, **given}, "control")]
    elif isinstance(given, list | tuple):
        filled["control"] = [{**known, **one} if isinstance(one, Mapping) else one for one in given]
    else:
        filled["control"] = () if given is None else given
    filled.setdefault("writers", [guest.name for guest in registry.guests(GuestKind.WRITER) if guest.default])
    return filled


def name_in(section: Any) -> str:
    """Read the name that a component's section gives, in either of its forms."""
    return str(section.get("name")) if isinstance(section, Mapping) else str(section)


def _chosen(registry: Registry, kind: Kind, given: Any, where: str) -> Chosen:
    if not kind.listed:
        return None if given is None and kind.nullable else _part(registry, kind, given, where)
    if not isinstance(given, list | tuple):
        raise ConfigError(f"{where}: got {given!r}", hint="expected a list, such as [NAME, NAME], or [] for none")
    parts = tuple(_part(registry, kind, section, f"{where}.{i}") for i, section in enumerate(given))
    if len(set(row_names(parts))) < len(parts):
        raise ConfigError(f"{where}: the same entry appears twice", hint="leave one out")
    return parts


def row_names(parts: Sequence[ChosenComponent]) -> list[str]:
    """Give each part of a list a name: its label or name, with what differs from the defaults where two share it."""
    names = [part.label or part.name for part in parts]
    result = []
    for part, name in zip(parts, names, strict=True):
        options = part.config.model_dump(mode="json", exclude_defaults=True) if names.count(name) > 1 else {}
        described = ", ".join(f"{key}={value}" for key, value in options.items())
        result.append(f"{name} ({described})" if described else name)
    return result


def _part(registry: Registry, kind: Kind, given: Any, where: str) -> ChosenComponent:
    section = validated(Section, given, where)
    try:
        registration = registry.get(kind, section.name)
    except PluginError as error:
        told = error.message if error.message.startswith(where) else f"{where}: {error.message}"
        raise PluginError(told, hint=error.hint) from error
    wrapper = registry.default_for("model.text") if kind is Kind.MODEL and "text" in section.options else None
    if wrapper is not None and "text" not in registration.config_class.model_fields:  # its text is from elsewhere
        inside = {"name": section.name, **section.options}
        outer = {"name": wrapper, "label": section.label, "text": inside.pop("text"), "model": inside}
        return _part(registry, kind, outer, where)
    return ChosenComponent(registration, component_config(registration, section.options, where), section.label)


def component_config(registration: Registration, options: Mapping[str, Any], where: str) -> Config:
    """Validate a component's options with its own config model.

    Raises:
        ConfigError: An option is unknown or has a wrong value.
    """
    return validated(registration.config_class, dict(options), where)


def validated(model: type[Validated], given: Any, where: str) -> Validated:
    """Validate data with a model; where it does not fit, a ConfigError says what is wrong and what is allowed."""
    try:
        return model.model_validate(given)
    except ValidationError as error:
        raise config_error(error, model, where) from None


def config_error(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    """Turn pydantic's errors into one line: the key, what was given, what is allowed."""
    problems = error.errors(include_url=False)
    odd = (problem for problem in problems if problem["type"] == "extra_forbidden")
    first = next(odd, problems[0])  # a key misspelt is also one that is missing
    location = [str(step) for step in first["loc"] if step != "[key]"]
    path = ".".join([where, *location] if where else location) or "config"
    given = repr(first.get("input"))
    given = given if len(given) <= 60 else given[:57] + "..."
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    if first["type"] == "extra_forbidden":
        known = list(_model_at(model, first["loc"][:-1]).model_fields)
        return ConfigError(f"{path}: no such key{more}", hint=nearest(location[-1], known) if known else "it has none")
    if first["type"] == "missing":
        return ConfigError(f"{path}: is needed and missing{more}", hint="add it")
    message = re.sub(r" or instance of \w+| after validation, not \d+| for <class .*", "", first["msg"])
    for python, plain in (("(valid )?tuple", "list"), ("(valid )?dictionary", "mapping"), ("^Value error, ", "")):
        message = re.sub(python, plain, message, flags=re.IGNORECASE)
    return ConfigError(f"{path}: got {given}{more}", hint=message[:1].lower() + message[1:])


def _model_at(model: type[BaseModel], location: Sequence[str | int]) -> type[BaseModel]:
    """The nested model that a location of a pydantic error lies in."""
    for step in location:
        annotation = getattr(model.model_fields.get(str(step)), "annotation", None)
        for candidate in (annotation, *getattr(annotation, "__args__", ())):
            if isinstance(candidate, type) and issubclass(candidate, BaseModel):
                model = candidate
    return model
