"""Write runs as a folder of pages that opens from disk, or from any web server.

Everything is read by the same page in pieces when it is looked at: each piece is a script that hands itself over, as a
page from disk may load scripts and fetch nothing. No piece says where on this machine a folder lies that a
config names, or the one that the command was given in.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pixcore_loopback import policy
from pixcore_pictures.drawing import data_uri
from pixcore_report.page import plain

from pixcore.errors import DataError, PixcoreError, describe
from pixcore.files import can_be_written, prepare, replacing
from pixcore.terminal import Console
from pixcore_explorer.entries import figures_data
from pixcore_explorer.figures import Figures
from pixcore_explorer.maps import Looking, Reading
from pixcore_explorer.opened import OpenedRun
from pixcore_explorer.server import KINDS, PAGE, PLOT_STYLE, Explorer, command_for

CHUNK = 24
"""How many samples a piece holds."""

_MARK, _STYLE = "data-exported", "figures.css"
_PIECE = re.compile(r"[0-9a-f]{10}-((lines|atlas|figures|[0-9]+-(samples|thumbnails))\.js|[0-9]+-[a-z-]+\.(csv|svg))")
"""What a piece of a run is called, by the run's short name; another file in the folder is not ours to remove."""


def export(explorer: Explorer, target: Path, console: Console) -> Path:
    """Write all finished runs that can be read.

    Args:
        explorer: The runs.
        target: The folder: a new one, an empty one, or one that was written so before.
        console: Is told what is left out.

    Returns:
        The page.

    Raises:
        DataError: The folder holds something else, or no run is finished and can be read.
    """
    page = target / "index.html"
    ours = page.is_file() and _MARK in page.read_text(encoding="utf-8", errors="replace")
    if target.exists() and not ours and any(target.iterdir()):
        raise DataError(f"{target} holds something else", hint="--export takes a new or an empty folder")
    done = []
    for run in explorer.runs():
        if why := _left_out(explorer, run):
            console.print(f"{run['name']} is left out: {why}", style="yellow", highlight=False, soft_wrap=True)
        else:
            done.append(run)
    if not done:
        raise DataError("no run is done and can be read", hint="pixcore run finishes one")
    with _nothing_half_written(target, keep=ours):
        _write_all(explorer, done, target)
    return page


def _left_out(explorer: Explorer, run: dict[str, Any]) -> str:
    """Say why a run can't be written; nothing where it can."""
    if run["state"] != "done":
        return run["error"] or "it is not done"
    opened, _ = explorer.opened(run["key"])
    try:
        opened.config()
        opened.wait()
    except PixcoreError as error:
        return describe(error)
    return ""


@contextmanager
def _nothing_half_written(target: Path, *, keep: bool) -> Iterator[None]:
    """Take back what a failed export left in a new or empty folder, which would refuse the next; `keep` leaves it."""
    there = target.exists()
    try:
        yield
    except BaseException:
        if not keep:
            shutil.rmtree(target / "data", ignore_errors=True)
            with suppress(OSError):  # what ended the export is told, not what can't be tidied up after it
                for name in (_STYLE, *KINDS):
                    (target / name).unlink(missing_ok=True)
                if not there:
                    target.rmdir()
        raise


def _write_all(explorer: Explorer, done: list[dict[str, Any]], target: Path) -> None:
    """Write runs, and last the page, by which an export is known that is whole."""
    from pixcore_plots.svg import page_rules

    prepare(target / "data", "--export")
    pieces = _Pieces(target / "data", _places([explorer.opened(run["key"])[0] for run in done]))
    for run in done:
        opened, looking = explorer.opened(run["key"])
        _write_run(pieces, run, opened, looking)
    with replacing(target / _STYLE, "--export") as file:
        file.write(page_rules())
    told = [run | {"path": "", "going": None} for run in done]
    pieces.add("runs", {"runs": told})
    for name in KINDS:
        if name != "index.html":
            (target / name).write_bytes((PAGE / name).read_bytes())
    with replacing(target / "index.html", "--export") as file:
        file.write(_page())
    pieces.drop_others()


class _Pieces:
    """The pieces of an export in its folder.

    Args:
        folder: The folder.
        places: What no piece says.
    """

    def __init__(self, folder: Path, places: re.Pattern[str]) -> None:
        self._folder, self._places, self._written = folder, places, set[str]()

    def add(self, name: str, data: Any) -> None:
        """Write a piece, in ASCII: no text in it can end a script or a line."""
        text = self._places.sub("", json.dumps(plain(data), separators=(",", ":")))
        self.add_file(f"{name}.js", f"pixcoreChunk({json.dumps(name)},{text});\n")

    def add_file(self, name: str, text: str) -> None:
        """Write a file as it is."""
        with replacing(self._folder / name, "--export") as file:
            file.write(text)
        self._written.add(name)

    def drop_others(self) -> None:
        """Remove what an earlier export wrote of runs and samples that are in this one no more."""
        for path in list(self._folder.iterdir()):
            if _PIECE.fullmatch(path.name) and path.name not in self._written:
                with can_be_written(path, "--export"):
                    path.unlink()


def _page() -> str:
    """The page, with the policy that the server sends as a header."""
    rule = f'<meta http-equiv="Content-Security-Policy" content="{policy([PLOT_STYLE])}">'
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    return text.replace("<html ", f"<html {_MARK} ", 1).replace("<head>", f"<head>\n{rule}", 1)


def _places(runs: Sequence[OpenedRun]) -> re.Pattern[str]:
    """Match, in JSON, where on this machine things lie: the folders that hold what the runs' configs name."""
    named = [path for run in runs for path in (run.folder, *_paths(run.config()))]
    around = {Path.cwd(), Path.home(), *(path.parent for path in named)}
    words = sorted((json.dumps(f"{one}/")[1:-1] for one in around if len(one.parts) > 1), key=len, reverse=True)
    # not in the middle of a word, which a picture in base64 is
    return re.compile(rf"(?<![\w+/=.-])(?:{'|'.join(map(re.escape, words))})" if words else "(?!)")


def _paths(value: Any) -> Iterator[Path]:
    """The absolute paths in a config."""
    if isinstance(value, (Mapping, list, tuple)):
        for one in value.values() if isinstance(value, Mapping) else value:
            yield from _paths(one)
    elif isinstance(value, (str, Path)) and os.path.isabs(value):
        yield Path(value)


def _write_run(pieces: _Pieces, about: dict[str, Any], run: OpenedRun, looking: Looking) -> None:
    lines, key = run.wait(), about["key"]
    probings = run.job.resolved.config.probings
    figures = figures_data(probings)
    shown = dict.fromkeys(one["probing"] for one in figures) or [""]  # what the page's *protocol* and *row* choose from
    rows = [one["key"] for one in lines.rows] or [""]
    head = {"of": "", "since": 0, "total": len(lines.entries), "done": True, "error": None, "chunk": CHUNK}
    choices = looking.choices()
    data = {"entries": [*lines], "rows": lines.rows, "figures": figures, "choices": choices}
    pieces.add(f"{key}-lines", head | data)
    pieces.add(f"{key}-atlas", {"done": True, "error": None, "atlas": lines.atlas})
    _write_figures(pieces, key, Figures(run, f"data/{key}-"))
    ids = [line["id"] for line in lines]
    for number, start in enumerate(range(0, len(ids), CHUNK)):
        own = ids[start : start + CHUNK]
        samples = [_sample(run, looking, name, about["name"], list(probings)) for name in own]
        pieces.add(f"{key}-{number}-samples", {"samples": samples})
        small = {"thumbnails": [_thumbnails(run, one, shown, rows) for one in own]}
        pieces.add(f"{key}-{number}-thumbnails", small)


def _write_figures(pieces: _Pieces, key: str, figures: Figures) -> None:
    """Write a run's plots in one piece, and each as files beside it."""
    from pixcore_report.plots import FILES, file_of

    told = {}
    for place, probing in enumerate(figures.probings()):
        _, drawn = figures.drawn(probing, wait=True)
        told[probing] = {"html": drawn.html, "error": drawn.error}
        for plot in drawn.plots.plots if drawn.plots is not None else ():
            for kind in FILES:
                if drawn.plots is not None and plot.panels:
                    pieces.add_file(f"{key}-{place}-{plot.name}.{kind}", file_of(drawn.plots, plot, kind))
    pieces.add(f"{key}-figures", {"drawn": told})


def _sample(run: OpenedRun, looking: Looking, name: str, folder: str, probings: list[str]) -> dict[str, Any]:
    maps = {}
    for probing in probings:
        try:
            maps[probing] = looking.maps(Reading(name, probing))
        except PixcoreError:
            continue  # the sample was not asked so, or failed: its page says it
    return {"payload": run.payload(name), "command": command_for(Path(folder), name), "maps": maps}


def _thumbnails(run: OpenedRun, name: str, probings: Iterable[str], rows: Sequence[str]) -> dict[str, Any]:
    try:
        pictures, of = run.thumbnails(name, probings, rows)
    except PixcoreError:
        return {"pictures": [], "of": {}}  # its image can't be read: its page says it
    return {"pictures": [data_uri(one, "webp") for one in pictures], "of": of}
