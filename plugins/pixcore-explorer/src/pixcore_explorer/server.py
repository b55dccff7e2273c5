"""What the page asks: the runs, their lines, one sample, its maps; everything below an address with a secret."""

from __future__ import annotations

import json
import shlex
import threading
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pixcore_loopback import Server, answer, application, body_of
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pixcore.errors import DataError
from pixcore_explorer.figures import Figures
from pixcore_explorer.maps import Looking, Reading
from pixcore_explorer.opened import AtHand, OpenedRun
from pixcore_explorer.runs import about, keep_notes, runs_below

PAGE = Path(__file__).parent / "page"
KINDS = {"index.html": "text/html", "app.js": "text/javascript", "app.css": "text/css"}
FILE_KINDS = {"svg": "image/svg+xml", "csv": "text/csv; charset=utf-8"}

_LINES = 10_000

PLOT_STYLE = "sha256-+TfQir1nvDucAdvE6XUQBt4ayUjpAWkbw2kCdSfekHM="
"""The hash of the style element that Observable Plot puts into each chart, under the class name that the page gives."""


class Explorer:
    """The runs that are looked through, each opened when it is first asked for.

    Args:
        places: Folders of runs, or of folders of runs.
    """

    def __init__(self, places: Sequence[Path]) -> None:
        self.places = places
        self._lock = threading.Lock()
        self._known = runs_below(places)
        self._opened: dict[str, tuple[OpenedRun, Looking]] = {}
        self._at_hand = AtHand()
        self._figures: dict[str, Figures] = {}

    def runs(self) -> list[dict[str, Any]]:
        """Describe all runs, those among them that have begun since."""
        self._known = runs_below(self.places)
        return [about(key, folder, self.places) for key, folder in self._known.items()]

    def opened(self, key: str) -> tuple[OpenedRun, Looking]:
        """Open a run by its short name.

        Raises:
            HTTPException: There is none of that name.
        """
        if key not in self._known:
            raise HTTPException(404, f"there is no run {key}")
        with self._lock:
            if key not in self._opened:
                run = OpenedRun(self._known[key], at_hand=self._at_hand)
                self._opened[key] = run, Looking(run)
            return self._opened[key]

    def described(self, key: str) -> dict[str, Any]:
        """Describe one run."""
        return about(key, self.opened(key)[0].folder, self.places)

    def lines(self, key: str, since: int = 0, most: int = _LINES) -> dict[str, Any]:
        """Give a run's lines from the one of a number on, but not more at once; who asks goes on where they end."""
        run, looking = self.opened(key)
        lines = run.lines()
        done, there = lines.done, len(lines.entries)  # in this order: a line may come between the two
        entries = [lines.entries.thing(number) for number in range(since, min(there, since + most))]
        done = done and since + most >= there
        ready = lines.error is None and (done or bool(lines.rows))
        return {
            "of": json.dumps(lines.of),
            "entries": entries,
            "since": since,
            "total": lines.total,
            "done": done,
            "error": lines.error,
            "rows": lines.rows,
            "figures": run.figures() if ready else [],
            "choices": looking.choices() if ready else {"transforms": [], "own": []},
        }

    def figures(self, key: str) -> Figures:
        """Give what makes a run's plots."""
        run, _ = self.opened(key)
        with self._lock:
            return self._figures.setdefault(key, Figures(run, f"runs/{key}/figures/"))

    def drawn(self, key: str, probing: str) -> dict[str, Any]:
        """Give a run's plots as far as they are made, or say why there are none."""
        figures = self.figures(key)
        try:
            name, found = figures.drawn(probing)
        except DataError as error:
            return {"probings": [], "probing": "", "html": None, "error": error.message}
        told = {"read": found.read, "total": found.total, "html": found.html, "error": found.error}
        return {"probings": figures.probings(), "probing": name, **told}

    def sample(self, key: str, name: str) -> dict[str, Any]:
        """Give everything that the page of one sample shows, but for maps."""
        run, _ = self.opened(key)
        return {"payload": run.payload(name), "command": command_for(run.folder, name)}


def command_for(folder: Path, sample: str) -> str:
    """Write the command that makes one sample's results again, in a folder of their own."""
    code = (
        f"import pixcore; pixcore.run(pixcore.open_run({str(folder)!r}).config, "
        f"samples=[{sample!r}], output={f'{folder}-one-sample'!r})"
    )
    return f"python -c {shlex.quote(code)}"


def pages(explorer: Explorer, token: str) -> Starlette:
    """Make the application."""

    @lru_cache(maxsize=2048)
    def thumbnail(key: str, name: str, probing: str, row: str, _: Any) -> bytes:
        return explorer.opened(key)[0].thumbnail(name, probing, row)

    def runs(_: Request) -> Response:
        return answer({"runs": explorer.runs(), "live": True})

    def one_run(request: Request) -> Response:
        return answer(explorer.described(request.path_params["run"]))

    def lines(request: Request) -> Response:
        since = request.query_params.get("since", "0")
        return answer(explorer.lines(request.path_params["run"], int(since) if since.isdecimal() else 0))

    def sample(request: Request) -> Response:
        return answer(explorer.sample(request.path_params["run"], _given(request, "id")))

    def small(request: Request) -> Response:
        key, words = request.path_params["run"], request.query_params
        stamp = explorer.opened(key)[0].renew()
        picture = thumbnail(key, _given(request, "id"), words.get("probing", ""), words.get("row", ""), str(stamp))
        return Response(picture, media_type="image/webp")

    def atlas(request: Request) -> Response:
        found = explorer.opened(request.path_params["run"])[0].lines()
        return answer({"done": found.done, "error": found.error, "atlas": found.atlas})

    def figures(request: Request) -> Response:
        return answer(explorer.drawn(request.path_params["run"], request.query_params.get("probing", "")))

    def figure_file(request: Request) -> Response:
        name = request.path_params["name"]
        text = explorer.figures(request.path_params["run"]).file(name)
        return Response(text, media_type=FILE_KINDS[name.rpartition(".")[2]])

    def figures_style(_: Request) -> Response:
        from pixcore_plots.svg import page_rules

        return Response(page_rules(), media_type="text/css")

    def config(request: Request) -> Response:
        text = yaml.safe_dump(explorer.opened(request.path_params["run"])[0].config(), sort_keys=False)
        return Response(text, media_type="text/plain; charset=utf-8")

    async def notes(request: Request) -> Response:
        given = await body_of(request)
        folder = explorer.opened(request.path_params["run"])[0].folder
        return answer(await run_in_threadpool(keep_notes, folder, given))

    async def maps(request: Request) -> Response:
        given, reading, looking = await asked(request)
        if request.path_params["what"] == "maps":
            return answer(await run_in_threadpool(looking.maps, reading))
        if request.path_params["what"] == "matrix":
            tokens = given["tokens"] if isinstance(given.get("tokens"), list) else []
            return answer(await run_in_threadpool(looking.matrix, reading, tokens))
        if request.path_params["what"] == "masks":
            return answer(await run_in_threadpool(looking.masks, reading, given))
        raise HTTPException(404)

    async def asked(request: Request) -> tuple[Any, Reading, Looking]:
        given = await body_of(request)
        reading = Reading.of(_given(request, "id"), given)
        return given, reading, explorer.opened(request.path_params["run"])[1]

    def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in KINDS:
            raise HTTPException(404)
        return Response((PAGE / name).read_bytes(), media_type=f"{KINDS[name]}; charset=utf-8")

    inside = [
        Route("/", page),
        Route("/runs", runs),
        Route("/runs/{run}", one_run),
        Route("/runs/{run}/lines", lines),
        Route("/runs/{run}/sample", sample),
        Route("/runs/{run}/thumbnail", small),
        Route("/runs/{run}/atlas", atlas),
        Route("/runs/{run}/figures", figures),
        Route("/runs/{run}/figures/{name}", figure_file),
        Route("/runs/{run}/config", config),
        Route("/runs/{run}/notes", notes, methods=["POST"]),
        Route("/runs/{run}/{what}", maps, methods=["POST"]),
        Route("/figures.css", figures_style),
        Route("/{name}", page),
    ]
    return application(token, inside, styles=[PLOT_STYLE])


def _given(request: Request, word: str) -> str:
    value = request.query_params.get(word)
    if value is None:
        raise HTTPException(400, f"the address lacks ?{word}=")
    return value


def serve(explorer: Explorer, port: int = 0) -> Server:
    """Listen on this machine alone."""
    return Server(lambda token: pages(explorer, token), port=port)
