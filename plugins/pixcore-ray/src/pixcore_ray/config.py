"""What a config may say of executors on Ray."""

from __future__ import annotations

import os
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from pixcore.components import Config

_RAYS_OWN = frozenset({"CPU", "GPU", "memory", "object_store_memory"})

StageName = Literal["answer", "propose", "control", "select", "judge"]


class Resources(BaseModel):
    """What an actor of a stage asks of the cluster; a key that is left out follows from the cluster and the stage.

    Attributes:
        gpus: GPUs of an actor; half of one lets two share it. More than one are whole ones.
        cpus: CPUs of an actor; left out: one, and of an actor with a GPU none, so that it never waits for one.
        memory: GiB of memory of an actor, as the cluster counts it.
        custom: Resources that nodes were started with, such as {"a100": 1}.
        actors: How many there are at most.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpus: Annotated[float, Field(ge=0)] | None = None
    cpus: Annotated[float, Field(ge=0)] | None = None
    memory: Annotated[float, Field(gt=0)] | None = None
    custom: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
    actors: Annotated[int, Field(ge=1)] | None = None

    @field_validator("gpus")
    @classmethod
    def _whole(cls, gpus: float | None) -> float | None:
        if gpus is not None and gpus > 1 and not gpus.is_integer():
            raise ValueError("a part of a GPU, or whole ones")
        return gpus

    @field_validator("custom")
    @classmethod
    def _no_other_key(cls, custom: dict[str, float]) -> dict[str, float]:
        if found := sorted(_RAYS_OWN & custom.keys()):
            raise ValueError(f"gpus, cpus and memory ask for {', '.join(found)}")
        return custom


class Options(Config):
    """What both executors have.

    Attributes:
        resources: By stage (answer, propose, control, select, judge), what an actor of it asks for. Left out: of what
            loads a model on a device a GPU, where there are any, and as many actors as fit; of all else a CPU.
        tries: How often items are tried whose actor dies on them; then they are failures. A machine that goes away is
            no fault of theirs and does not count.
        in_flight: Batches that an actor has at once, so that none waits for the next.
        seconds: How long a batch should take; cheap items go together, costly ones in the config's batch_size.
    """

    resources: dict[StageName, Resources] = Field(default_factory=dict)
    tries: Annotated[int, Field(ge=1)] = 3
    in_flight: Annotated[int, Field(ge=1, le=16)] = 2
    seconds: Annotated[float, Field(gt=0)] = 1.0

    not_in_key: ClassVar[frozenset[str]] = frozenset()


class ProcessesConfig(Options):
    """Options of `processes`.

    Attributes:
        n: How many processes; left out: as many as this machine has CPUs.
    """

    n: Annotated[int, Field(ge=1, le=10**5)] | None = None

    @property
    def count(self) -> int:
        """How many processes."""
        return self.n or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)


class ClusterConfig(Options):
    """Options of `ray`.

    Attributes:
        address: The cluster's: "auto" for the one that this machine belongs to, or host:port.
        dashboard: Where no cluster is running and the address is "local", whether Ray's dashboard is started too.
    """

    address: Annotated[str, Field(min_length=1)] = "auto"
    dashboard: bool = False
