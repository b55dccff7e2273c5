"""What a visitor can choose from: the components that work as they are, and those that the configs set up.

What needs an option, or weights that are not on this machine, is offered once a config names it: a visitor makes this
machine download nothing.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any

from pixcore.config import component_config, name_in
from pixcore.errors import PixcoreError
from pixcore.plugins import Kind, Registration, Registry

CHOSEN = (Kind.MODEL, Kind.EXTRACTOR, Kind.GROUPER, Kind.MASKS)
"""The kinds of which a visitor chooses one; of strategies there may be several."""

MOST_STRATEGIES = 6


@dataclass(frozen=True)
class Choices:
    """What a visitor chose.

    Attributes:
        components: For each of `CHOSEN` the name under which it is offered.
        strategies: Names of strategies, in their order.
    """

    components: Mapping[str, str]
    strategies: tuple[str, ...]


class Offer:
    """The components that can be chosen, by the names that a visitor sees.

    Args:
        documents: Configs; the first says what is chosen at first and all that can't be chosen, the others add to it.
        registry: What is installed.
    """

    def __init__(self, documents: Sequence[Mapping[str, Any]], registry: Registry) -> None:
        self.base = dict(documents[0]) if documents else {}
        self._registry = registry
        self._sections = {kind: self._offered(kind, documents) for kind in (*CHOSEN, Kind.SELECTIONS)}

    def names(self, kind: Kind) -> list[str]:
        """List the names of a kind that are offered."""
        return list(self._sections[kind])

    @cached_property
    def first(self) -> Choices:
        """What is chosen at first: the first config's, else what serves by default."""
        components = {kind.value: self._first(kind) for kind in CHOSEN}
        own = _sections(self.base.get("selections"))
        given = [name for name, section in self._sections[Kind.SELECTIONS].items() if section in own]
        defaults = [one.name for one in self._registry.defaults(Kind.SELECTIONS)]
        if (chooser := self._registry.default_for("ground")) is not None:
            defaults = [chooser, *(name for name in defaults if name != chooser)]
        known = self.names(Kind.SELECTIONS)
        chosen = [name for name in given or defaults if name in known] or known[:1]
        return Choices(components, tuple(chosen[:MOST_STRATEGIES]))

    def document(self, choices: Choices) -> dict[str, Any]:
        """Give the config of what a visitor chose; all else is the first config's.

        Raises:
            KeyError: A name is not offered.
        """
        document = copy.deepcopy(self.base)
        for kind in CHOSEN:
            document[kind.value] = copy.deepcopy(self._sections[kind][choices.components[kind.value]])
        chosen = choices.strategies[:MOST_STRATEGIES]
        document["selections"] = [copy.deepcopy(self._sections[Kind.SELECTIONS][name]) for name in chosen]
        return document

    def _first(self, kind: Kind) -> str:
        names = self.names(kind)
        given = [_label(one) for one in _sections(self.base.get(kind.value))]
        defaults = [one.name for one in self._registry.defaults(kind)]
        return next(name for name in (*given, *defaults, *names) if name in names)

    def _offered(self, kind: Kind, documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        sections: dict[str, Any] = {}
        for document in documents:
            for section in _sections(document.get(kind.value)):
                if not self._needs_truth(kind, name_in(section)):
                    sections.setdefault(_free(_label(section), section, sections), section)
        for one in self._registry.all(kind):
            if one.name not in sections and self._works_alone(one):
                sections[one.name] = one.name
        return sections

    def _works_alone(self, one: Registration) -> bool:
        """Whether a component needs no option, no weights from elsewhere, and nothing that a visitor's image lacks."""
        try:
            config = component_config(one, {}, one.name)
            config.check_ready()
        except PixcoreError:
            return False
        weights = getattr(config, "checkpoint", None)
        there = one.default or weights is None or Path(weights).exists()
        return there and not self._needs_truth(one.kind, one.name)

    def _needs_truth(self, kind: Kind, name: str) -> bool:
        if kind is not Kind.SELECTIONS:
            return False
        try:
            return bool(getattr(self._registry.get(kind, name).component_class, "uses_ground_truth", False))
        except PixcoreError:
            return True


def _sections(given: Any) -> list[Any]:
    """The sections that a config has of a kind: none, one, or several."""
    return [] if given is None else given if isinstance(given, list) else [given]


def _free(label: str, section: Any, sections: Mapping[str, Any]) -> str:
    """The label, with a number behind it where another section has it: "lisa 2"."""
    names = (f"{label} {number}" if number > 1 else label for number in count(1))
    return next(name for name in names if _written_out(sections.get(name, section)) == _written_out(section))


def _written_out(section: Any) -> Any:
    """A section that is a name alone as the mapping that it stands for."""
    return {"name": section} if isinstance(section, str) else section


def _label(section: Any) -> str:
    """The name under which a section is offered: its label, or the component's name."""
    own = section.get("label") if isinstance(section, Mapping) else None
    return str(own or name_in(section))
