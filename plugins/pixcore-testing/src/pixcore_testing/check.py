"""The command `pixcore check`: hold what a plugin offers to the contract."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Any

import click
from rich.text import Text

from pixcore import config as configs
from pixcore.components import Context
from pixcore.entries import entry_points
from pixcore.errors import PluginError, nearest
from pixcore.plugins import GuestKind, Kind, load, registry
from pixcore.terminal import Console
from pixcore_testing.conformance import check_registration
from pixcore_testing.findings import Finding, page_of
from pixcore_testing.guests import check_guest
from pixcore_testing.modules import check_module, check_observer, observes

_PLUGIN = "plugin"
_KINDS = (*(kind.value for kind in Kind), *(kind.value for kind in GuestKind), _PLUGIN)

Checked = tuple[str, Callable[[], list[Finding]]]
"""What is checked, in words, and its check."""


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice(_KINDS), help="Which of several with this name.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the component.")
@click.option("--ask", "asks", is_flag=True, help="Ask the service that it asks, which may cost; left out, nobody is.")
@click.option("--model", metavar="NAME", help="The run's model, for a strategy that asks it, such as mini.")
def check(name: str, kind: str | None, settings: tuple[str, ...], asks: bool, model: str | None) -> int:
    """Check NAME against the contract: shapes, types, behaviour, and that its plugin is light.

    NAME is a component, a command, a run writer, a probing, or a plugin: then its module and its observers are checked,
    and everything it offers that has to be told nothing.
    """
    console = Console()
    wrong = 0
    context = Context(model=None if model is None else partial(_model, model))
    found = list(_named(name, kind, settings, context, asks))
    if not found:
        known = {*(one.name for one in registry()), *(entry for entry, *_ in entry_points()), *_guests()}
        raise PluginError(f"no installed plugin offers {name!r}", hint=nearest(name, known))
    told: set[Finding] = set()
    for what, checked in found:
        findings = [finding for finding in checked() if finding not in told]
        told.update(findings)
        for finding in findings:
            style = "red" if finding.severity == "error" else "dim"
            console.print(Text(f"{finding.severity}: {finding}", style=style), soft_wrap=True)
        errors = sum(finding.severity == "error" for finding in findings)
        verdict = "keeps the contract" if not errors else f"breaks the contract: {errors} mistake(s)"
        console.print(Text(f"{what} {verdict}"), soft_wrap=True)
        wrong += errors
    return 2 if wrong else 0


def _guests() -> set[str]:
    return {guest.name for kind in GuestKind for guest in registry().guests(kind)}


@cache
def _model(name: str) -> Any:
    """The model of a name, with the options that it has by default."""
    found = registry().get(Kind.MODEL, name)
    return found.create(configs.component_config(found, {}, name), Context())


def _named(name: str, kind: str | None, settings: tuple[str, ...], context: Context, asks: bool) -> Iterator[Checked]:
    """Everything that has a name, and what a plugin of that name offers."""
    options = configs.apply_settings({}, settings)
    for one in Kind:
        if kind in (None, one.value):
            yield from _claimed(f"{one.noun} {name!r}", partial(registry().get, one, name))
            for registration in registry().all(one):
                if registration.name == name:
                    config = configs.component_config(registration, options, name)
                    what = f"{one.noun} {name!r} of {registration.distribution}"
                    more = {"asks": True} if asks and one in (Kind.MODEL, Kind.SELECTIONS, Kind.JUDGE) else {}
                    yield what, partial(check_registration, registration, config, context, **more)
    for guest_kind in GuestKind:
        if kind in (None, guest_kind.value):
            yield from _claimed(f"{guest_kind} {name!r}", partial(registry().guest, guest_kind, name))
            for guest in registry().guests(guest_kind):
                if guest.name == name:
                    yield f"{guest_kind.value} {name!r} of {guest.distribution}", partial(check_guest, guest)
    if kind in (None, _PLUGIN):
        yield from _plugin(name, alone=kind is not None)


def _plugin(name: str, *, alone: bool) -> Iterator[Checked]:
    """A plugin's module, its observers, its commands, run writers and probings; components may need options."""
    for entry, target, _ in entry_points():
        if entry == name:
            yield f"plugin {name!r}", partial(check_module, name)
            if check_module(name):
                return  # what does not load observes nothing
            plugin = load(target)
            if observes(plugin):
                yield f"observer of plugin {name!r}", partial(check_observer, plugin)
            for kind in GuestKind:
                for guest in registry().guests(kind):
                    if guest.plugin == name and (alone or guest.name != name):  # else it was checked by its name
                        yield f"{kind.value} {guest.name!r}", partial(check_guest, guest)


def _claimed(what: str, look_up: Callable[[], object]) -> Iterator[Checked]:
    """A name that two plugins claim works for neither: the registry refuses it in the words of one of its failures."""
    try:
        look_up()
    except PluginError as error:
        if any(failure.error == error.message for failure in registry().failures):
            promise = "a name belongs to one plugin (put your distribution's name before it)"
            finding = Finding("registration", promise, error.message, page=page_of(_PLUGIN))
            yield what, lambda: [finding]
