"""Registers the strategy and the judge."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_selection_strategies(register: Register) -> None:
    """Offer the strategy."""
    register(
        "automatic",
        "pixcore_openai.automatic:Automatic",
        config="pixcore_openai.config:AutomaticConfig",
        summary="a language model looks at every candidate highlighted on the image (paper section 3.2)",
    )


@hookimpl
def register_judges(register: Register) -> None:
    """Offer the judge."""
    register(
        "openai",
        "pixcore_openai.judge:OpenAIJudge",
        config="pixcore_openai.config:JudgeConfig",
        summary="a language model reads the answer",
    )
