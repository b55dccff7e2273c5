"""What paid services said, kept beside the stages' records."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from pixcore.components import Context
from pixcore.config import ChosenComponent
from pixcore.stages.store import StageStore


def with_memory(context: Context, root: Path, part: ChosenComponent, *, fresh: bool = False) -> Context:
    """Give a component that pays for its answers a memory: they are kept beside the stages' records.

    One file serves all components of a distribution, whatever their options and version, because an answer's own key
    says everything about the question.

    Args:
        context: The run's.
        root: The folder of the stage stores.
        part: The component.
        fresh: Forget what was answered before this call; it is still replaced only by a new answer.
    """
    store = StageStore(root, "exchanges", {"distribution": part.registration.distribution})
    if not fresh:
        return replace(context, recall=store.recall, remember=store.remember)
    renewed: set[str] = set()

    def recall(key: str) -> Any:
        return store.recall(key) if key in renewed else None

    def remember(key: str, value: Any) -> None:
        store.remember(key, value)
        renewed.add(key)

    return replace(context, recall=recall, remember=remember)
