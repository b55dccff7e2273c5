"""What plugin authors run: `check_geometry` for a model adapter, `pixcore_testing.conformance` for every kind."""

from pixcore_testing.findings import Finding
from pixcore_testing.geometry import check_geometry

__all__ = ["Finding", "check_geometry"]
