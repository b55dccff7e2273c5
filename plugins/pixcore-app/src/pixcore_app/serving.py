"""Serve the page: to this machine alone, or to whoever reaches the address that one names."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import gradio as gr
from pixcore_loopback import HOST, Headed, Server, guards, here
from pixcore_notebook.tokens import view_style
from starlette.applications import Starlette
from starlette.middleware import Middleware

from pixcore.config import read_yaml
from pixcore.plugins import registry
from pixcore_app.desk import MOST_PIXELS, Desk
from pixcore_app.offered import Offer
from pixcore_app.page import FRAME, STYLE, page
from pixcore_app.scenes import Scenes

Given = str | PathLike[str] | Mapping[str, Any]

MOST_WAITING = 32

# Gradio's page is made of scripts that write scripts and styles; whatever they do, they ask nobody but this server.
_POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
    "style-src 'self' 'unsafe-inline'; object-src 'none'; base-uri 'self'; form-action 'none'"
)


def launch(
    *configs: Given,
    host: str = HOST,
    port: int = 7860,
    most_pixels: int = MOST_PIXELS,
    most_waiting: int = MOST_WAITING,
) -> None:
    """Serve the demo until Ctrl-C: what a Space's app.py calls.

    Args:
        configs: Configs of runs, or their files; the first sets up the page, the others add their components.
        host: Where to listen; "0.0.0.0" lets others in, as a Space has to.
        port: The port; 0 takes a free one.
        most_pixels: How many pixels a visitor's image may have.
        most_waiting: How many questions may wait at once.

    Raises:
        ConfigError: A config can't be read.
        DataError: The port is taken.
    """
    desk = desk_of(configs, most_pixels)
    server = serve(desk, host=host, port=port, most_waiting=most_waiting)
    print(server.address, flush=True)
    try:
        server.run()
    finally:
        desk.close()


def desk_of(configs: Sequence[Given], most_pixels: int = MOST_PIXELS) -> Desk:
    """Make what answers, of the configs that set it up.

    Raises:
        ConfigError: A config can't be read.
    """
    documents = [dict(one) if isinstance(one, Mapping) else read_yaml(Path(one)) for one in configs]
    return Desk(Offer(documents, registry()), registry(), most_pixels)


def serve(desk: Desk, *, host: str = HOST, port: int = 0, most_waiting: int = MOST_WAITING) -> Server:
    """Listen, and answer once it is told to run.

    Raises:
        DataError: The port is taken.
    """
    os.environ["GRADIO_TEMP_DIR"] = desk.scratch  # its own folder is all users' of a machine, and one may not write
    blocks = page(desk, Scenes(desk.benchmark, registry()), most_waiting)

    def make(token: str) -> Starlette:
        around = guards(_POLICY) if here(host) == HOST else [Middleware(Headed, policy=_POLICY)]
        outer = Starlette(middleware=around)
        mounted: Starlette = gr.mount_gradio_app(
            outer,
            blocks,
            path=f"/{token}",
            footer_links=[],
            max_file_size="30mb",
            ssr_mode=False,
            enable_monitoring=False,
            show_error=False,
            theme=gr.themes.Base(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            css=STYLE + view_style(),
            head=FRAME,
        )
        # Gradio looks whether a file that a visitor names was uploaded only once it has launched a page, as it does not
        # where it is mounted: any picture of this machine would be a visitor's
        blocks.has_launched = True
        return mounted

    return Server(make, port=port, host=host)
