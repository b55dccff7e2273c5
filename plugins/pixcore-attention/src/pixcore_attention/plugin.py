"""Registers the extractors and transforms."""

from __future__ import annotations

from pixcore.hookspecs import Register, hookimpl


@hookimpl
def register_attention_extractors(register: Register) -> None:
    """Offer the extractors."""
    register(
        "mean",
        "pixcore_attention.mean:Mean",
        config="pixcore_attention.config:MeanConfig",
        summary="mean over layers and heads (attend-and-segment, the paper's)",
        default=True,
    )
    for name, target, config, summary in (
        ("raw", "raw:Raw", "RawConfig", "every layer and head, kept for research"),
        (
            "localization-heads",
            "localization_heads:LocalizationHeads",
            "LocalizationHeadsConfig",
            "the few heads whose attention is compact",
        ),
        ("relative", "relative:Relative", "RelativeConfig", "one layer, beside a general prompt as reference"),
        ("gradient", "gradient:Gradient", "GradientConfig", "attention weighted by the token's gradient"),
        ("logit-lens", "logit_lens:LogitLens", "LogitLensConfig", "where visual tokens read as the word; no attention"),
    ):
        register(name, f"pixcore_attention.{target}", config=f"pixcore_attention.config:{config}", summary=summary)


@hookimpl
def register_map_transforms(register: Register) -> None:
    """Offer the transforms."""
    register(
        "subtract-mean",
        "pixcore_attention.transforms:SubtractMean",
        summary="minus the mean over all output tokens (attend-and-segment, the paper's)",
        default=True,
    )
    for name, target, config, summary in (
        ("divide-by-reference", "DivideByReference", "DivideConfig", "divided by a general prompt's map"),
        ("sink-filter", "SinkFilter", "SinkFilterConfig", "the mass of attention sinks spread over the others"),
        ("smooth", "Smooth", "SmoothConfig", "a Gaussian over the cells"),
        ("border-mask", "BorderMask", "BorderMaskConfig", "no peaks along the edges"),
    ):
        register(
            name,
            f"pixcore_attention.transforms:{target}",
            config=f"pixcore_attention.config:{config}",
            summary=summary,
        )
