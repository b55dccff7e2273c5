"""The command `pixcore check`: hold a plugin's components to the contract."""

from __future__ import annotations

import click
from rich.text import Text

from pixcore import config as configs
from pixcore.errors import PluginError, nearest
from pixcore.plugins import Kind, Registration, registry
from pixcore.terminal import Console
from pixcore_testing.conformance import check_registration


@click.command()
@click.argument("name")
@click.option("--kind", type=click.Choice([kind.value for kind in Kind]), help="Which of several with this name.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="An option of the component.")
def check(name: str, kind: str | None, settings: tuple[str, ...]) -> int:
    """Check the component NAME against the contract: shapes, types, behaviour, and that its plugin is light."""
    console = Console()
    errors = 0
    for registration in _named(name, kind):
        options = configs.apply_settings({}, settings)
        findings = check_registration(registration, configs.component_config(registration, options, name))
        for finding in findings:
            style = "red" if finding.severity == "error" else "dim"
            console.print(Text(f"{finding.severity}: {finding}", style=style), soft_wrap=True)
        wrong = sum(finding.severity == "error" for finding in findings)
        verdict = "keeps the contract" if not wrong else f"breaks the contract in {wrong} place(s)"
        console.print(
            Text(f"{registration.kind.noun} {name!r} of {registration.distribution} {verdict}"), soft_wrap=True
        )
        errors += wrong
    return 2 if errors else 0


def _named(name: str, kind: str | None) -> list[Registration]:
    found = [one for one in registry() if one.name == name and kind in (None, one.kind.value)]
    if not found:
        raise PluginError(f"no installed plugin offers {name!r}", hint=nearest(name, {one.name for one in registry()}))
    return found
