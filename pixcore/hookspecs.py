"""The contract: one hook for each kind of component, and two for observers.

A plugin is a light module that an entry point in group `pixcore` names. Its hooks receive `register` and call it once
a component: `register(name, "package.module:Class", config="package.config:Model", summary="one line")`. The strings
are imported when the component is first used, so a plugin costs nothing until then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import pluggy

PROJECT = "pixcore"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


class Register(Protocol):
    """What a registering hook is handed."""

    def __call__(
        self,
        name: str,
        target: str,
        *,
        config: str | None = None,
        summary: str = "",
        default: bool = False,
        extra: str = "",
    ) -> None:
        """Offer a component.

        Args:
            name: What a config calls it: lower case, words joined by hyphens.
            target: "package.module:Class".
            config: "package.module:Model", a `pixcore.components.Config`; None for a component without options.
            summary: One line for `pixcore plugins`.
            default: Serve where a config says nothing about this kind. The core names no component itself, so this is
                how it has defaults; it needs to work offline and without options. Of the kinds that a config lists
                (transforms, selections) several may be defaults; of the others, one.
            extra: The extra of its package that the component needs: its records stand on what that requires too.
        """


@hookspec
def register_model_adapters(register: Register) -> None:
    """Offer model adapters (`pixcore.components.ModelAdapter`)."""


@hookspec
def register_attention_extractors(register: Register) -> None:
    """Offer attention extractors (`pixcore.components.AttentionExtractor`)."""


@hookspec
def register_map_transforms(register: Register) -> None:
    """Offer transforms of finished maps (`pixcore.components.MapTransform`)."""


@hookspec
def register_token_groupers(register: Register) -> None:
    """Offer token groupers (`pixcore.components.TokenGrouper`)."""


@hookspec
def register_point_selectors(register: Register) -> None:
    """Offer point selectors (`pixcore.components.PointSelector`)."""


@hookspec
def register_mask_generators(register: Register) -> None:
    """Offer mask generators (`pixcore.components.MaskGenerator`)."""


@hookspec
def register_selection_strategies(register: Register) -> None:
    """Offer selection strategies (`pixcore.components.SelectionStrategy`)."""


@hookspec
def register_benchmarks(register: Register) -> None:
    """Offer benchmarks (`pixcore.components.Benchmark`)."""


@hookspec
def register_judges(register: Register) -> None:
    """Offer judges (`pixcore.components.Judge`)."""


@hookspec
def sample_finished(run: str, record: Mapping[str, Any]) -> None:
    """Observe one scored sample.

    Args:
        run: The run folder.
        record: A line of `predictions.jsonl` with its scores.
    """


@hookspec
def run_finished(run: str, summary: Mapping[str, Any]) -> None:
    """Observe the end of a run.

    Args:
        run: The run folder.
        summary: What `summary.json` holds.
    """
