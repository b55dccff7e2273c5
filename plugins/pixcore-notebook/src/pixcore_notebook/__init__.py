"""What `pixcore` offers to Python and to notebooks; `pixcore.ground` and its like are these."""

from pixcore_notebook.grounding import Grounding, ground
from pixcore_notebook.runs import Run, open_run, run

__all__ = ["Grounding", "Run", "ground", "open_run", "run"]
