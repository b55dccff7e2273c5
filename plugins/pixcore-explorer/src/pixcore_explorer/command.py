"""The command `pixcore view`: look through runs in the browser, or write them as a folder of pages."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import click

from pixcore.errors import DataError
from pixcore.terminal import Console
from pixcore_explorer.server import Explorer, serve


@click.command()
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="A fixed port; a free one by default.")
@click.option("--browser/--no-browser", default=True, help="Open the page.")
@click.option("--export", "target", type=click.Path(path_type=Path), help="Write a folder of pages instead of serving.")
def view(runs: tuple[Path, ...], port: int, browser: bool, target: Path | None) -> None:
    """Look through RUNS: folders of runs, or folders that hold runs (./runs if none is given).

    The page is served to this machine alone. With --export it is written to a folder that opens from disk, or from any
    web server.
    """
    console = Console(stderr=True)
    explorer = Explorer(runs or (Path("runs"),))
    found = explorer.runs()
    if not found:
        named = ", ".join(str(run) for run in runs) or "runs"
        raise DataError(f"there is no run in {named}", hint="a run's folder has a run.json: pixcore run CONFIG")
    if target is not None:
        from pixcore_explorer.export import export

        path = export(explorer, target, console)
        console.print(f"pages: {path}", style="bold", soft_wrap=True)
        return
    server = serve(explorer, port)
    count = "1 run" if len(found) == 1 else f"{len(found)} runs"
    console.print(f"{count} at {server.address} (Ctrl-C ends)", soft_wrap=True)
    if browser:
        webbrowser.open(server.address)
    server.run()
