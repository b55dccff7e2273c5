"""Keep one model in memory between calls, for whoever asks it about several images."""

from __future__ import annotations

from pixcore.components import Context
from pixcore.config import ChosenComponent
from pixcore.runs.plan import Run
from pixcore.stages.answer import Loader


class KeptModel(Loader):
    """A loader that a run does not free: the next run finds the model loaded."""

    def __init__(self, component: ChosenComponent, context: Context) -> None:
        super().__init__(component, context)
        self.made_for = context.fidelity, context.seed

    def free(self) -> None:
        """Keep the model: a run says that it is done, and another one will come."""

    def let_go(self) -> None:
        """Free the model in earnest."""
        super().free()

    def serves(self, component: ChosenComponent, context: Context) -> bool:
        """Say whether it is this model, with these options, under these rules."""
        return self.component.same_as(component) and self.made_for == (context.fidelity, context.seed)


_kept: list[KeptModel] = []
"""None, or the one that is kept."""


def kept(run: Run) -> Loader:
    """Give a run the model that is kept, or make it the one that is; any other is freed first."""
    component, config = run.loader.component, run.resolved.config
    context = Context(config.fidelity.of_answers, config.seed)
    if not (_kept and _kept[0].serves(component, context)):
        let_go()
        _kept.append(KeptModel(component, context))
    return _kept[0]


def let_go() -> None:
    """Free the model that is kept, if there is one."""
    while _kept:
        _kept.pop().let_go()
