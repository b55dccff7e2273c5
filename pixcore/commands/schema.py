"""The command `pixcore schema`: print the config's JSON schema."""

from __future__ import annotations

import json

import click

from pixcore.plugins import registry
from pixcore.schema import json_schema


@click.command()
def schema() -> None:
    """Print the config's JSON schema, covering the installed plugins.

    Put `# yaml-language-server: $schema=pixcore.schema.json` on a config's first line.
    """
    click.echo(json.dumps(json_schema(registry()), indent=1))
