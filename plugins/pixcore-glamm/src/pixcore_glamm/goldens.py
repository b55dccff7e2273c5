"""GLaMM's golden numbers for `python -m pixcore.testing.goldens glamm FOLDER`."""

from __future__ import annotations

from pathlib import Path

from pixcore_segtoken import goldens

from pixcore.testing.goldens import GoldenSet
from pixcore_glamm.weights import PROJECTOR_DEPTH, rules


def prepare(folder: Path) -> GoldenSet:
    """The set in a folder, loaded through this plugin's key map."""
    return goldens.prepare(folder, PROJECTOR_DEPTH, rules)
