"""Which stages share actors, and what an actor asks of the cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pixcore.config import ChosenComponent
from pixcore.errors import ConfigError
from pixcore.stages.answer import Answer
from pixcore.stages.base import Stage
from pixcore_ray.config import Resources

_WITH_WEIGHTS = {"answer": "model", "propose": "masks", "control": "masks"}
"""What a stage loads on a device, by what it calls it."""

_DEVICE = ("device", "device_map")
"""The options by which a component's config says where its weights are held."""


@dataclass(frozen=True)
class Crew:
    """Stages whose records the same actors make.

    Attributes:
        name: What a person calls it: its stages' names.
        stages: Their numbers in the run.
        gpus: GPUs of an actor.
        options: What Ray is asked for an actor.
        most: How many actors there are at most.
    """

    name: str
    stages: frozenset[int]
    gpus: float
    options: Mapping[str, Any]
    most: int


def crews(stages: Sequence[Stage], told: Mapping[Any, Resources], nodes: Sequence[Mapping[str, float]]) -> list[Crew]:
    """Share the stages out to crews, in the order of the stages.

    Stages that ask for the same share their actors, and a batch goes through all of them at once; but what loads a
    model on a GPU shares it with nothing that loads another.

    Args:
        stages: The run's stages, in order.
        told: What the config asks for, by the stages' names.
        nodes: What each node has, such as {"CPU": 16.0, "GPU": 2.0}.

    Raises:
        ConfigError: A stage asks for what no node has.
    """
    with_gpus = any(node.get("GPU") for node in nodes)
    groups: dict[tuple[str, str], tuple[Resources, float, list[int]]] = {}
    for number, stage in enumerate(stages):
        asked = told.get(stage.name, Resources())
        gpus = gpus_of(stage, told) if asked.gpus is not None or with_gpus else 0.0
        loaded = "answer" if _asks_model(stage) else _WITH_WEIGHTS.get(stage.name, stage.name)
        group = (loaded if gpus else "", asked.model_dump_json())
        groups.setdefault(group, (asked, gpus, []))[2].append(number)
    made = [_crew([stages[one] for one in own], own, asked, gpus, nodes) for asked, gpus, own in groups.values()]
    cpus = sum(node.get("CPU", 0) for node in nodes)
    left = cpus - sum(one.most for one in made if one.gpus)  # what feeds a GPU needs a core too
    return [one if one.gpus else _fitting(one, max(left, 1)) for one in made]


def gpus_of(stage: Stage, told: Mapping[Any, Resources]) -> float:
    """Say how many GPUs an actor of a stage holds where the cluster has any: as the config says, else as it loads."""
    asked = told.get(stage.name, Resources())
    return float(_on_device(stage)) if asked.gpus is None else asked.gpus


def _crew(
    stages: Sequence[Stage], numbers: Sequence[int], asked: Resources, gpus: float, nodes: Sequence[Mapping[str, float]]
) -> Crew:
    name = ", ".join(dict.fromkeys(stage.name for stage in stages))
    cpus = asked.cpus if asked.cpus is not None else float(not gpus)
    needs = {"GPU": gpus, "CPU": cpus, **asked.custom}
    if asked.memory is not None:
        needs["memory"] = asked.memory * 2**30
    needs = {kind: amount for kind, amount in needs.items() if amount}
    for asks in ({kind: amount} for kind, amount in needs.items()):
        if not any(_room(node, asks) for node in nodes):
            most = {kind: max((node.get(kind, 0) for node in nodes), default=0) for kind in asks}
            raise _too_much(name, asks, f"no node has more than {_in_words(most)}")
    fits = sum(_room(node, needs) for node in nodes) if needs else 1
    if not fits:
        raise _too_much(name, needs, "no node has all of that")
    options: dict[str, Any] = {"num_gpus": gpus, "num_cpus": cpus, "resources": asked.custom or None}
    if asked.memory is not None:
        options["memory"] = needs["memory"]
    return Crew(name, frozenset(numbers), gpus, options, asked.actors or fits)


def _room(node: Mapping[str, float], needs: Mapping[str, float]) -> int:
    """How many actors a node has room for: an actor is on one node, whatever all of them have together."""
    return min(int(node.get(kind, 0) / amount) for kind, amount in needs.items())


def _too_much(name: str, needs: Mapping[str, float], there: str) -> ConfigError:
    said = f"resources: an actor of {name} asks for {_in_words(needs)}, and {there}"
    return ConfigError(said, hint="ask less, or have a node that has it join before the run begins")


def _in_words(needs: Mapping[str, float]) -> str:
    return ", ".join(
        f"{round(amount / 2**30, 1):g} GiB of memory" if kind == "memory" else f"{amount:g} {kind}"
        for kind, amount in needs.items()
    )


def _fitting(crew: Crew, cpus: float) -> Crew:
    each = crew.options["num_cpus"]
    most = min(crew.most, max(int(cpus / each), 1)) if each else crew.most
    return Crew(crew.name, crew.stages, crew.gpus, crew.options, most)


def _asks_model(stage: Stage) -> bool:
    return stage.name == "answer" or any(one.says("needs_model") for one in stage.components.every)


def _on_device(stage: Stage) -> bool:
    """Whether a stage loads a model for which its config names a device, and not the CPU."""
    loaded = _WITH_WEIGHTS.get(stage.name)
    parts: tuple[ChosenComponent, ...] = stage.components.several(loaded) if loaded is not None else ()
    if _asks_model(stage) and loaded is None:
        return True
    return any(
        getattr(one.config, option) != "cpu" for one in parts for option in _DEVICE if hasattr(one.config, option)
    )


def by_service(stage: Stage) -> bool:
    """Tell whether a stage asks a service, which the driver does itself: the budget is counted in one place."""
    if stage.on_record is not None:
        return True
    if isinstance(stage, Answer):  # a model's config says it: to import an adapter takes its time
        return bool(getattr(stage.components.one("model").config, "asks_service", False))
    return any(one.says("asks_service") or getattr(one.config, "asks_service", False) for one in stage.components.every)
