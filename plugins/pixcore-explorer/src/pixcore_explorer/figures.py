"""A run's plots that a reviewer asks for: made in a thread when somebody first asks, kept until the run changes."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pixcore.errors import DataError, PixcoreError
from pixcore.protocols import LOOKED_AT
from pixcore_explorer import going
from pixcore_explorer.opened import OpenedRun

if TYPE_CHECKING:  # matplotlib is slow to import
    from pixcore_plots.plots import Plots


@dataclass
class Drawn:
    """The plots of one probing's masks as they are made.

    Attributes:
        read: How many of the run's samples have been read.
        total: How many there are; None while nobody knows.
        plots: The plots, once they are made.
        html: The plots as they stand in a page.
        error: Why there are none.
    """

    read: int = 0
    total: int | None = None
    plots: Plots | None = None
    html: str | None = None
    error: str | None = None


class Figures:
    """Makes the plots of a run, one probing's at a time.

    Args:
        run: The run.
        at: What the addresses of plots' files begin with.
    """

    def __init__(self, run: OpenedRun, at: str) -> None:
        self._run, self._at = run, at
        self._lock = threading.Lock()
        self._of: Any = None
        self._drawn: dict[str, tuple[Drawn, threading.Thread]] = {}

    def probings(self) -> list[str]:
        """Name the probings whose masks there are plots of, the one that is shown unasked first."""
        with self._run.lock:
            known = [name for name, one in self._run.job.resolved.config.probings.items() if one.masks]
        first = next((name for name in LOOKED_AT if name in known), None)
        return sorted(known, key=lambda name: name != first)

    def drawn(self, probing: str = "", *, wait: bool = False) -> tuple[str, Drawn]:
        """Give a probing's plots as far as they are made; the first call starts making them.

        Args:
            probing: Its name; the one that is shown unasked if empty.
            wait: Whether to come back only when they are made.

        Returns:
            The probing's name, and its plots.

        Raises:
            DataError: The run goes on, or has no masks under the probing.
        """
        if going.state_of(self._run.folder) is not None:
            raise DataError("the run has no figures yet: it is not done", hint="its samples are shown as they come")
        stamp = self._run.renew()
        known = self.probings()
        if not known or (probing and probing not in known):
            raise DataError(f"the run has no masks{f' under {probing!r}' if probing else ''}")
        name = probing or known[0]
        with self._lock:
            if self._of != stamp:
                self._of, self._drawn = stamp, {}
            if name not in self._drawn:
                drawn = Drawn()
                maker = threading.Thread(target=self._make, args=(name, drawn), daemon=True)
                self._drawn[name] = drawn, maker
                maker.start()
            drawn, maker = self._drawn[name]
        if wait:
            maker.join()
        return name, drawn

    def file(self, name: str) -> str:
        """Write one plot as a file, by the name that `Drawn.html` gives it.

        Args:
            name: The place of its probing, the plot's name, and "svg" or "csv": "0-success.csv".

        Raises:
            DataError: There is no such plot, or nothing to show in it.
        """
        from pixcore_report.plots import FILES, file_of

        known, parts = self.probings(), re.fullmatch(r"(\d{1,3})-(\w+)\.(\w+)", name)
        if parts is not None and int(parts[1]) < len(known):
            plots = self.drawn(known[int(parts[1])], wait=True)[1].plots
            for plot in plots.plots if plots is not None else ():
                for kind in FILES:
                    if plots is not None and plot.panels and (plot.name, kind) == (parts[2], parts[3]):
                        return file_of(plots, plot, kind)
        raise DataError(f"the run has no figure {name}")

    def _make(self, probing: str, drawn: Drawn) -> None:
        try:
            from pixcore_plots.every import every_plot
            from pixcore_plots.kept import Kept
            from pixcore_report.plots import fragment

            with self._run.lock:
                job = self._run.job
                config = job.resolved.config
                kept = Kept(job.rows, config.fidelity, probing, seed=config.seed)
                drawn.total = sum(1 for _ in job.ids())
            for result in self._run.results(job):
                kept.add(result)
                drawn.read += 1
            plots = every_plot(kept)
            place = self.probings().index(probing)
            drawn.html, drawn.plots = fragment(plots, f"{self._at}{place}-"), plots
        except PixcoreError as error:
            drawn.error = error.message
        except Exception as error:  # a page that waits for ever says nothing
            drawn.error = f"the figures can't be drawn: {error!r}"
