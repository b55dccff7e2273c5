"""All plots of a run."""

from __future__ import annotations

from collections.abc import Iterable

from pixcore.protocols import LOOKED_AT
from pixcore_plots.absence import absence
from pixcore_plots.kept import Kept
from pixcore_plots.plots import Plots
from pixcore_plots.strata import by_candidates, by_size
from pixcore_plots.success import success
from pixcore_plots.together import together
from pixcore_plots.trust import trust


def every_plot(kept: Kept) -> Plots:
    """Make every plot of the samples kept; one that has nothing to show says why."""
    plots = (success(kept), by_size(kept), by_candidates(kept), absence(kept), *together(kept), trust(kept))
    return Plots(kept.probing, len(kept), kept.kinds(), plots)


def looked_at(probings: Iterable[str]) -> str:
    """Choose whose masks plots are about: those of what was asked for, where it was; else the first there are."""
    known = list(probings)
    return next((name for name in LOOKED_AT if name in known), known[0] if known else LOOKED_AT[0])
