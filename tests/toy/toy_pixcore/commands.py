"""The toy commands."""

import click


@click.command()
@click.argument("name")
def greet(name):
    click.echo(f"hello {name}")


@click.command()
def open_box():
    click.echo("open")
