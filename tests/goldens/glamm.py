"""GLaMM's golden numbers for `python -m tests.goldens.runner glamm FOLDER`."""

from __future__ import annotations

from pathlib import Path

from pixcore_glamm.weights import PROJECTOR_DEPTH, rules

from tests.goldens import segtoken as goldens
from tests.goldens.runner import GoldenSet


def prepare(folder: Path) -> GoldenSet:
    """The set in a folder, loaded through this plugin's key map."""
    return goldens.prepare(folder, PROJECTOR_DEPTH, rules)
