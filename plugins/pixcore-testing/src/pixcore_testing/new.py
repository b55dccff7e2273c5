"""The command `pixcore new`: a package for a plugin of one's own."""

from __future__ import annotations

from pathlib import Path

import click

from pixcore_testing.scaffold import KINDS, kind_called, new_package


@click.command(epilog=f"KIND is one of: {', '.join(KINDS)}.")
@click.argument("kind")
@click.argument("name")
@click.option(
    "--into", type=click.Path(path_type=Path), default=".", show_default=True, help="Where its folder is made."
)
def new(kind: str, name: str, into: Path) -> int:
    """Write a package with a plugin of one KIND that is called NAME.

    It works as it is: it installs, is found, keeps the contract, and has tests of its own, a README, a licence and a CI
    file. What it does is small; put your own in its place.
    """
    own = kind_called(kind)
    target = new_package(own, name, into)
    click.echo(f"wrote {target}, {'an' if KINDS[own][0] in 'aeiou' else 'a'} {KINDS[own]} that works as it is; next:")
    click.echo(f"  pip install --editable '{target}[test]'")
    click.echo(f"  pytest {target}")
    click.echo(f"  pixcore check {name}")
    return 0
