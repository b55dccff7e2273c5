"""Registers the benchmarks, and the accounts of what ReasonSeg's ignored regions change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixcore import hookimpl
from pixcore.hookspecs import Register

if TYPE_CHECKING:
    from pixcore.figures.rows import RowSpec
    from pixcore.records import Fidelity
    from pixcore_referring.accounts import IgnoredRegions


@hookimpl
def register_benchmarks(register: Register) -> None:
    """Offer the benchmarks."""
    register(
        "reasonseg",
        "pixcore_referring.reasonseg:ReasonSeg",
        config="pixcore_referring.config:ReasonSegConfig",
        summary="ReasonSeg: texts that take reasoning, polygons of target and ignored regions; gIoU and cIoU",
    )


@hookimpl
def keep_accounts(rows: Sequence[RowSpec], fidelity: Fidelity) -> IgnoredRegions:
    """Evaluate without the regions that a benchmark tells to ignore."""
    from pixcore_referring.accounts import IgnoredRegions

    return IgnoredRegions(rows)
