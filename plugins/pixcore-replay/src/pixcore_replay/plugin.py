"""Registers the models whose text is from elsewhere; imports nothing heavy."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_model_adapters(register: Register) -> None:
    """Offer the models."""
    register(
        "served",
        "pixcore_replay.served:Served",
        config="pixcore_replay.config:ServedConfig",
        summary="a model behind any OpenAI-compatible server: it answers, and shows no attention",
    )
    register(
        "recorded",
        "pixcore_replay.recorded:Recorded",
        config="pixcore_replay.config:RecordedConfig",
        summary="the answers in a file: an earlier run's, lmms-eval's, VLMEvalKit's",
    )
    register(
        "replayed",
        "pixcore_replay.replayed:Replayed",
        config="pixcore_replay.config:ReplayedConfig",
        summary="text from a server or a file, attention from one pass of a local checkpoint over it (key `text`)",
        default_for=["model.text"],
    )
