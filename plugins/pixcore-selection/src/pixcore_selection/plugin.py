"""What this plugin offers."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_selection_strategies(register: Register) -> None:
    """Offer the strategies."""
    config = "pixcore_selection.config"
    register(
        "oracle",
        "pixcore_selection.rules:Oracle",
        summary="the mask with the highest IoU: an upper bound",
        default=True,
    )
    register(
        "mask-score",
        "pixcore_selection.rules:MaskScore",
        summary="the mask that its generator thinks best of",
        default=True,
    )
    register(
        "phrase-overlap",
        "pixcore_selection.phrases:PhraseOverlap",
        config=f"{config}:PhraseOverlapConfig",
        summary="the phrase that shares most words with the expression",
        default=True,
    )
    register("random", "pixcore_selection.rules:RandomPick", summary="any mask, each as likely", default=True)
