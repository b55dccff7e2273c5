"""What plugin authors test with: a contract class for each kind of thing that a plugin can offer.

A test file derives from them (`pixcore_testing.contracts`); `pixcore_testing.conformance` has the checks as functions.
Names are imported when they are asked for: the package's plugin module stands here too, and has to be light.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pixcore_testing.contracts import (
        AttentionExtractorContract,
        BenchmarkContract,
        CommandContract,
        ExecutorContract,
        JudgeContract,
        MapTransformContract,
        MaskGeneratorContract,
        ModelAdapterContract,
        ObserverContract,
        PluginContract,
        PointSelectorContract,
        RunWriterContract,
        SelectionStrategyContract,
        TokenGrouperContract,
    )
    from pixcore_testing.findings import Finding
    from pixcore_testing.geometry import check_geometry

__all__ = [
    "AttentionExtractorContract",
    "BenchmarkContract",
    "CommandContract",
    "ExecutorContract",
    "Finding",
    "JudgeContract",
    "MapTransformContract",
    "MaskGeneratorContract",
    "ModelAdapterContract",
    "ObserverContract",
    "PluginContract",
    "PointSelectorContract",
    "RunWriterContract",
    "SelectionStrategyContract",
    "TokenGrouperContract",
    "check_geometry",
]

_PLACES = {"Finding": "findings", "check_geometry": "geometry"}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES.get(name, 'contracts')}"), name)
