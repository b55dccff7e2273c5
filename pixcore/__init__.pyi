"""What editors and type checkers see of `pixcore`: the names that `__init__.py` looks up, and a few more."""

from pixcore_notebook import *

from pixcore import geometry as geometry
from pixcore import masks as masks
from pixcore.components import *
from pixcore.errors import *
from pixcore.figures.rows import *
from pixcore.geometry import *
from pixcore.hookspecs import *
from pixcore.masks import *
from pixcore.notices import *
from pixcore.records import *
from pixcore.runs.writers import *
from pixcore.services import *

__version__: str
