"""The command `pixcore plugins`: what is installed, and what failed to load."""

from __future__ import annotations

import json
from shutil import get_terminal_size
from typing import Any

import click

from pixcore.errors import ConfigError, nearest
from pixcore.files import printable
from pixcore.plugins import Guest, GuestKind, Kind, Registry, registry

_GUESTS = {"commands": GuestKind.COMMAND, "writers": GuestKind.WRITER, "probings": GuestKind.PROBING}
_OBSERVERS = "observers"
_NONE = [("none", "is installed")]
_NOT_BROKEN = {ord(" "): 0xE000, ord("-"): 0xE001}
_SECTIONS = [*(kind.value for kind in Kind), *_GUESTS, _OBSERVERS]


@click.command()
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def plugins(kind: str | None, as_json: bool) -> None:
    """List what is installed by name, or what all of one KIND or one name does; and the plugins that failed to load."""
    found = registry()
    everything: dict[str, list[Guest]] = {one.value: [*found.all(one)] for one in Kind}
    everything |= {name: found.guests(guest) for name, guest in _GUESTS.items()}
    offers = {name: [one for one in all_ if kind in (None, name, one.name)] for name, all_ in everything.items()}
    observers = {name: hooks for name, hooks in found.observers.items() if kind in (None, _OBSERVERS, name)}
    if kind is not None and kind not in _SECTIONS and not any((*offers.values(), observers)):
        named = {one.name for offered in everything.values() for one in offered} | {*found.observers}
        close = nearest(kind, [*_SECTIONS, *named]).partition("allowed: ")[0]
        raise ConfigError(f"nothing here is called {kind!r}", hint=f"{close}pixcore plugins lists what there is")
    if as_json:
        click.echo(json.dumps(_document(offers, observers, found), indent=1))
        return
    formatter = click.HelpFormatter(width=get_terminal_size().columns)
    if kind is None:
        told = [(heading, "  ".join(_whole(_marked(one)) for one in offered)) for heading, offered in offers.items()]
        told += [(_OBSERVERS, "  ".join(observers))]
    else:
        told = [
            (_marked(one), f"{one.summary} ({_whole(f'{one.distribution} {one.shown_version}')})")
            for offered in offers.values()
            for one in offered
        ]
        told += [(name, f"hears {', '.join(hooks)}") for name, hooks in observers.items()]
    formatter.write_dl([(click.style(printable(name), bold=True), printable(about)) for name, about in told or _NONE])
    if any(one.default for offered in offers.values() for one in offered):
        formatter.write("* serves where a config says nothing\n")
    formatter.write("what each does: pixcore plugins KIND\n" if kind is None else "")
    click.echo(formatter.getvalue().translate({end: at for at, end in _NOT_BROKEN.items()}), nl=False)
    for failure in found.failures:
        package = f"{failure.distribution} {failure.version}"
        who = f"plugin {failure.plugin} ({package})" if failure.plugin else f"package {failure.distribution}"
        click.secho(printable(f"failed: {who}: {failure.error}"), fg="yellow")


def _document(offers: dict[str, list[Guest]], observers: dict[str, list[str]], found: Registry) -> dict[str, Any]:
    told = {name: [_told(one) for one in offered] for name, offered in offers.items()}
    components = [one for name, listed in told.items() if name not in _GUESTS for one in listed]
    others = {name: told[name] for name in _GUESTS if name in told}
    return {"components": components, **others, _OBSERVERS: observers, "failures": [*map(vars, found.failures)]}


def _told(one: Guest) -> dict[str, Any]:
    named = ("name", "summary", "default", "plugin", "distribution", "target")
    return {"kind": one.kind.value, **{name: getattr(one, name) for name in named}, "version": one.shown_version}


def _marked(one: Guest) -> str:
    return f"{one.name} *" if one.default else one.name


def _whole(name: str) -> str:
    """A name in which no line breaks: stand-ins for what lines break at."""
    return name.translate(_NOT_BROKEN)
