"""What plugin authors run: `check_geometry` for a model adapter, `pixcore_testing.conformance` for every kind.

Names are imported when they are asked for: the package's plugin module stands here too, and has to be light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixcore_testing.findings import Finding
    from pixcore_testing.geometry import check_geometry

__all__ = ["Finding", "check_geometry"]

_PLACES = {"Finding": "pixcore_testing.findings", "check_geometry": "pixcore_testing.geometry"}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
