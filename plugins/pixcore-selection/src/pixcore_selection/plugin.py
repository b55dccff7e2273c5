"""Registers the strategies."""

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
        default_for=["control.selection"],
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
        default_for=["ground"],
    )
    register("random", "pixcore_selection.rules:RandomPick", summary="any mask, each as likely", default=True)
    register(
        "given-similarity",
        "pixcore_selection.rules:GivenSimilarity",
        config=f"{config}:GivenSimilarityConfig",
        summary="the phrase most similar to the expression by the similarities in a predictions file",
    )
    register(
        "stability",
        "pixcore_selection.rules:Stability",
        summary="the mask that changes least with its threshold",
    )
    register(
        "consensus",
        "pixcore_selection.consensus:Consensus",
        config=f"{config}:ConsensusConfig",
        summary="the mask that the other candidates agree with most",
    )
    register(
        "attention-inside",
        "pixcore_selection.attention:AttentionInside",
        config=f"{config}:AttentionInsideConfig",
        summary="the mask that holds most of its phrase's relevance for its area",
    )
    register(
        "embedding",
        "pixcore_selection.embedding:Embedding",
        config=f"{config}:EmbeddingConfig",
        summary="the phrase nearest to the expression by a sentence-transformers model",
        extra="embedding",
    )
    register(
        "self-judge",
        "pixcore_selection.self_judge:SelfJudge",
        config=f"{config}:SelfJudgeConfig",
        summary="the mask that the model itself takes for the expression when it is highlighted",
    )
