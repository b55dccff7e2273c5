"""The command `pixcore plugins`: what is installed, and what failed to load."""

from __future__ import annotations

import json

import click
from rich.table import Table
from rich.text import Text

from pixcore.plugins import Kind, registry
from pixcore.terminal import Console


@click.command()
@click.argument("kind", type=click.Choice([kind.value for kind in Kind]), required=False)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def plugins(kind: str | None, as_json: bool) -> None:
    """List the installed components, all or of one KIND, and the plugins that failed to load."""
    found = registry()
    components = [one for one in found if kind is None or one.kind.value == kind]
    if as_json:
        document = {
            "components": [
                {
                    "kind": one.kind.value,
                    "name": one.name,
                    "summary": one.summary,
                    "default": one.default,
                    "plugin": one.plugin,
                    "distribution": one.distribution,
                    "version": one.version,
                    "target": one.target,
                }
                for one in components
            ],
            "failures": [vars(failure) for failure in found.failures],
        }
        click.echo(json.dumps(document, indent=1))
        return
    console = Console()
    table = Table(box=None, pad_edge=False)
    for column in ("kind", "name", "what it does", "package"):
        table.add_column(column, overflow="fold")
    previous = None
    for one in components:
        shown = one.kind.value if one.kind is not previous else ""
        name = Text(one.name, style="bold") + Text(" *" if one.default else "")
        table.add_row(shown, name, Text(one.summary), Text(f"{one.distribution} {one.version}", style="dim"))
        previous = one.kind
    console.print(table)
    if any(one.default for one in components):
        console.print("* serves where a config says nothing", style="dim")
    for failure in found.failures:
        package = f"{failure.distribution} {failure.version}"
        who = f"plugin {failure.plugin} ({package})" if failure.plugin else f"package {failure.distribution}"
        line = f"failed: {who}: {failure.error}"
        console.print(Text(line, style="yellow"))
