"""Registers the benchmarks, and what evaluates each as its field does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pixcore import hookimpl
from pixcore.hookspecs import Register

if TYPE_CHECKING:
    from pixcore.figures.rows import RowSpec
    from pixcore.records import Fidelity
    from pixcore_referring.accounts import FieldFigures


@hookimpl
def register_benchmarks(register: Register) -> None:
    """Offer the benchmarks."""
    register(
        "reasonseg",
        "pixcore_referring.reasonseg:ReasonSeg",
        config="pixcore_referring.config:ReasonSegConfig",
        summary="ReasonSeg: texts that take reasoning, polygons of target and ignored regions; gIoU and cIoU",
    )
    register(
        "refcoco-m",
        "pixcore_referring.refcoco_m:RefCocoM",
        config="pixcore_referring.config:RefCocoMConfig",
        summary="RefCOCO-M: RefCOCO's validation expressions with masks drawn anew; mIoU and oIoU",
    )
    register(
        "panoptic-narratives",
        "pixcore_referring.narratives:PanopticNarratives",
        config="pixcore_referring.config:NarrativesConfig",
        summary="Panoptic Narrative Grounding: every noun phrase of a narrative has a mask; average recall",
    )
    register(
        "grounded-conversations",
        "pixcore_referring.conversations:Conversations",
        config="pixcore_referring.config:ConversationsConfig",
        summary="GranD-f (GCG): captions whose phrases have masks; AP50, mIoU and recall as GLaMM has them",
    )


@hookimpl
def keep_accounts(rows: Sequence[RowSpec], fidelity: Fidelity) -> FieldFigures:
    """Work out the figures that the benchmarks' own fields use."""
    from pixcore_referring.accounts import FieldFigures

    return FieldFigures(rows)
