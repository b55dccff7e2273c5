"""All plots of a run, from its results as they stream by."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pixcore.figures.rows import RowSpec
from pixcore.protocols import LOOKED_AT
from pixcore.records import Fidelity, SampleResult
from pixcore_plots.absence import absence
from pixcore_plots.kept import Kept
from pixcore_plots.plots import Plots
from pixcore_plots.strata import by_candidates, by_size
from pixcore_plots.success import success
from pixcore_plots.together import together
from pixcore_plots.trust import trust


class PlotTally:
    """Takes in a run's results one sample at a time, and keeps a few numbers of each.

    Args:
        rows: The table's rows.
        fidelity: Whose rules.
        probing: Whose masks are looked at.
        seed: Of what is drawn.
    """

    def __init__(self, rows: Sequence[RowSpec], fidelity: Fidelity, probing: str, *, seed: int = 0) -> None:
        self._kept = Kept(rows, fidelity, probing, seed=seed)

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, result: SampleResult) -> None:
        """Take in one sample; its results must have been scored."""
        self._kept.add(result)

    def plots(self) -> Plots:
        """Make every plot; one that has nothing to show says why."""
        kept = self._kept
        plots = (success(kept), by_size(kept), by_candidates(kept), absence(kept), *together(kept), trust(kept))
        return Plots(kept.probing, len(kept), kept.kinds(), plots)


def looked_at(probings: Iterable[str]) -> str:
    """Choose whose masks plots are about: those of what was asked for, where it was; else the first there are."""
    known = list(probings)
    return next((name for name in LOOKED_AT if name in known), known[0] if known else LOOKED_AT[0])
