"""The executors `processes` and `ray`: Ray is started or joined, the driver takes the run through, Ray is left."""

from __future__ import annotations

import logging
import os
import signal
import socket
import threading
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from pixcore.components import Executor
from pixcore.errors import ConfigError, describe, one_line
from pixcore.runs.execute import ready
from pixcore.runs.plan import Run, Work
from pixcore.stages.base import Monitor, Stage
from pixcore_ray.config import ClusterConfig, Options, ProcessesConfig

if TYPE_CHECKING:
    from pixcore_ray.head import Head

OptionsT = TypeVar("OptionsT", bound=Options)

_ATTEMPTS = 3  # to start Ray
_STORE = 512 * 2**20  # bytes of the object store of `processes`
_WRITES = "Ray writes to ~/.ray and /tmp/ray: set HOME, or RAY_TMPDIR, to a folder that can be written"
_ANSWERS = 10.0  # seconds in which a cluster's port has to say something
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))  # as gRPC begins
_SETTINGS = 4  # the kind of what a gRPC server says first


class OnRay(Executor[OptionsT]):
    """Makes records in actors; what asks a paid service is asked here, at the end, where the budget is counted."""

    _hint = "is the machine busy? the same command again"

    def execute(self, job: Run, work: Work, monitor: Monitor) -> None:
        """Take the run through the actors, then through what is left for this process."""
        from pixcore_ray.crews import by_service

        for stage, (missing, there) in work.items():
            if by_service(stage) and stage.before is None:
                stage.run(missing, monitor, there)
        if any(missing for stage, (missing, _) in work.items() if not by_service(stage)):
            with self._joined() as head:
                from pixcore_ray.driver import Driver

                Driver(job, work, monitor, self.config, head).run()
        for stage, (missing, there) in work.items():
            if by_service(stage) and stage.before is not None:
                stage.run(ready(stage, missing), monitor, there)

    def gpus_of(self, stage: Stage) -> float:
        """Say how many GPUs an actor of a stage holds; by default of one that loads a model for a device, one."""
        from pixcore_ray.crews import by_service, gpus_of

        return 0.0 if by_service(stage) else gpus_of(stage, self.config.resources)

    @contextmanager
    def _joined(self) -> Iterator[Head]:
        """Be with Ray, whose head is watched; whoever has started it ends it."""
        # nothing is sent to anybody about who uses what
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        try:
            import ray
        except ImportError as error:
            raise ConfigError(f"Ray can't be used: {describe(error)}", hint="pip install pixcore-ray") from error

        from pixcore_ray.head import Head

        ours = not ray.is_initialized()
        for attempt in range(_ATTEMPTS if ours else 0):
            try:
                self._start(ray)
                break
            except Exception as error:  # Ray raises anything; on a busy machine it gives up after 30 seconds
                ray.shutdown()
                barred = isinstance(error, OSError) and error.filename is not None
                if attempt == _ATTEMPTS - 1 or barred or isinstance(error, ConnectionError):
                    hint = _WRITES if barred else self._hint
                    raise ConfigError(f"Ray can't be used: {one_line(str(error))}", hint=hint) from error
        hush()
        head = Head(ray.get_runtime_context().gcs_address)
        try:
            with sigterm_stops(), head.watched():
                yield head
        finally:
            if ours:
                ray.shutdown()

    @abstractmethod
    def _start(self, ray: Any) -> None:
        """Start Ray, or join a cluster."""


@contextmanager
def sigterm_stops() -> Iterator[None]:
    """While open, SIGTERM, which Slurm and Kubernetes send, stops a run as Ctrl-C does; Ray calls it a failure."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def hush() -> None:
    """Keep Ray from printing the logs of what has died between the run's own lines: the driver tells of it in one."""
    from ray._private import worker

    if hasattr(worker, "print_to_stdstream"):  # Ray has no option for it
        worker.print_to_stdstream = lambda *_, **__: None


class Processes(OnRay[ProcessesConfig]):
    """Several processes of this machine."""

    def _start(self, ray: Any) -> None:
        ray.init(
            address="local",
            num_cpus=self.config.count,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=_STORE,
        )


class Cluster(OnRay[ClusterConfig]):
    """A cluster that is there already."""

    _hint = "ray start --head starts one; RAY_AUTH_MODE=token where it asks for a token; executor: processes needs none"

    def _start(self, ray: Any) -> None:
        address = self.config.address
        own = {"include_dashboard": self.config.dashboard} if address == "local" else {}
        told = os.environ.get("RAY_ADDRESS", "") if address == "auto" else address
        if told not in ("", "auto", "local"):
            see(told)
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, **own)


def see(address: str) -> None:
    """See that a cluster answers at host:port: Ray itself would wait for minutes for one that is not there.

    Raises:
        ConnectionError: It does not.
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise ConnectionError(f"{address!r} is no address of a cluster: auto, local or host:port is")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), _ANSWERS) as line:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                line.sendall(_PREFACE)
                if line.recv(9)[3:4] != bytes((_SETTINGS,)):
                    raise OSError("what answers there is no cluster's head")
    except (OSError, OverflowError) as error:
        said = (
            "nothing answers in time" if isinstance(error, TimeoutError) else getattr(error, "strerror", None) or error
        )
        raise ConnectionError(f"no cluster at {address}: {said}") from error
