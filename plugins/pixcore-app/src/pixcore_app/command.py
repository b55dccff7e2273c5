"""The command `pixcore app`: a live demo in the browser."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from pixcore.errors import PluginError
from pixcore.terminal import Console


@click.command()
@click.argument("configs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; 0.0.0.0 lets others in.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="A fixed port; a free one by default.")
@click.option("--browser/--no-browser", default=True, help="Open the page.")
@click.option("--most-pixels", type=click.IntRange(1), default=24_000_000, show_default=True, help="Of an image.")
@click.option("--most-waiting", type=click.IntRange(1), default=32, show_default=True, help="Questions in the queue.")
def app(configs: tuple[Path, ...], host: str, port: int, browser: bool, most_pixels: int, most_waiting: int) -> None:
    """Try models on images of your own in the browser.

    CONFIGS set up what is offered: the first says what is chosen at first, others add their models and components;
    without any, mini answers about scenes that are drawn for it. One model at a time is in memory, and visitors wait
    for each other. No request leaves this machine.
    """
    try:
        from pixcore_app.serving import desk_of, serve  # Gradio takes seconds to import, and help needs none of it
    except ImportError as error:
        raise PluginError(f"the demo can't be made: {error}", hint="pip install pixcore-app brings Gradio") from error

    desk = desk_of(configs, most_pixels)
    console = Console(stderr=True)
    server = serve(desk, host=host, port=port, most_waiting=most_waiting)
    console.print(f"the demo is at {server.address} (Ctrl-C ends)", soft_wrap=True)
    if browser:
        webbrowser.open(server.address)
    try:
        server.run()
    finally:
        desk.close()
