"""Offers the executors `processes` and `ray` to pixcore."""

from __future__ import annotations

from pixcore import hookimpl
from pixcore.hookspecs import Register


@hookimpl
def register_executors(register: Register) -> None:
    """Offer several processes of this machine, and a cluster's."""
    register(
        "processes",
        "pixcore_ray.executors:Processes",
        config="pixcore_ray.config:ProcessesConfig",
        summary="In several processes of this machine, which Ray starts and ends with the run.",
    )
    register(
        "ray",
        "pixcore_ray.executors:Cluster",
        config="pixcore_ray.config:ClusterConfig",
        summary="On the machines of a Ray cluster; this process alone writes the store.",
    )
