"""What plugin authors run: `check_geometry` for a model adapter, `pixcore.testing.conformance` for every kind."""

from pixcore.testing.findings import Finding
from pixcore.testing.geometry import check_geometry

__all__ = ["Finding", "check_geometry"]
