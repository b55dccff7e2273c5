"""The command `pixcore plugins`: what is installed, and what failed to load."""

from __future__ import annotations

import json
from textwrap import wrap
from typing import Any

import click
from rich.table import Table
from rich.text import Text

from pixcore.errors import ConfigError, nearest
from pixcore.plugins import Guest, GuestKind, Kind, Registry, registry
from pixcore.terminal import Console

_GUESTS = {"commands": GuestKind.COMMAND, "writers": GuestKind.WRITER, "probings": GuestKind.PROBING}
_OBSERVERS = "observers"
_SECTIONS = [*(kind.value for kind in Kind), *_GUESTS, _OBSERVERS]


@click.command()
@click.argument("kind", required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def plugins(kind: str | None, as_json: bool) -> None:
    """List what is installed by name, or what all of one KIND or one name does; and the plugins that failed to load."""
    found = registry()
    everything = _offered(found)
    offers = {name: [one for one in all_ if kind in (None, name, one.name)] for name, all_ in everything.items()}
    if kind is not None and kind not in _SECTIONS and not any(offers.values()):
        named = {one.name for offered in everything.values() for one in offered}
        close = nearest(kind, [*_SECTIONS, *named]).partition("allowed: ")[0]
        raise ConfigError(f"nothing here is called {kind!r}", hint=f"{close}pixcore plugins lists what there is")
    observers = found.observers if kind in (None, _OBSERVERS) else {}
    if as_json:
        click.echo(json.dumps(_document(offers, observers, found), indent=1))
        return
    console = Console()
    table = Table(box=None, pad_edge=False, show_header=kind is not None)
    if kind is None:
        listed = {heading: [_marked(one) for one in offered] for heading, offered in offers.items()}
        width = max(console.width - max(map(len, _SECTIONS)) - 2, 20)
        for heading, names in {**listed, _OBSERVERS: [*observers]}.items():
            table.add_row(Text(heading, style="bold"), _names(names, width))
    else:
        for heading in ("name", "what it does", "package"):
            table.add_column(heading, no_wrap=heading != "what it does")
        for one in (one for offered in offers.values() for one in offered):
            origin = Text(f"{one.distribution}\n{one.shown_version}", style="dim")
            table.add_row(Text(_marked(one), style="bold"), Text(one.summary), origin)
        for name, hooks in observers.items():
            table.add_row(Text(name, style="bold"), Text(f"hears {', '.join(hooks)}"))
    console.print(table)
    if any(one.default for offered in offers.values() for one in offered):
        console.print("* serves where a config says nothing", style="dim")
    if kind is None:
        console.print("what each does: pixcore plugins KIND", style="dim")
    for failure in found.failures:
        package = f"{failure.distribution} {failure.version}"
        who = f"plugin {failure.plugin} ({package})" if failure.plugin else f"package {failure.distribution}"
        console.print(Text(f"failed: {who}: {failure.error}", style="yellow"))


def _offered(found: Registry) -> dict[str, list[Guest]]:
    """What plugins offer by what `pixcore plugins` calls it."""
    return {
        **{kind.value: [*found.all(kind)] for kind in Kind},
        **{name: found.guests(kind) for name, kind in _GUESTS.items()},
    }


def _document(offers: dict[str, list[Guest]], observers: dict[str, list[str]], found: Registry) -> dict[str, Any]:
    told = {name: [_told(one) for one in offered] for name, offered in offers.items()}
    components = [one for name, listed in told.items() if name not in _GUESTS for one in listed]
    others = {name: told[name] for name in _GUESTS if name in told}
    failures = [vars(failure) for failure in found.failures]
    return {"components": components, **others, _OBSERVERS: observers, "failures": failures}


def _told(one: Guest) -> dict[str, Any]:
    named = ("name", "summary", "default", "plugin", "distribution")
    told = {"kind": one.kind.value, **{name: getattr(one, name) for name in named}}
    return told | {"version": one.shown_version, "target": one.target}


def _marked(one: Guest) -> str:
    return f"{one.name} *" if one.default else one.name


def _names(names: list[str], width: int) -> str:
    """Names one beside the other; a line breaks between them alone."""
    line = "  ".join(name.replace(" ", "\N{NO-BREAK SPACE}") for name in names)
    return "\n".join(wrap(line, width, break_on_hyphens=False)).replace("\N{NO-BREAK SPACE}", " ")
