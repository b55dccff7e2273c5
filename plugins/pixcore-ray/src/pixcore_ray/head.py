"""Watches the cluster's head: without one Ray waits for a minute, and then ends the process without a word."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, wait
from contextlib import contextmanager
from typing import TypeVar

from pixcore.errors import PixcoreError
from pixcore_ray.executors import see

_LOOKS = 8  # until it is gone
_WAITS = "RAY_gcs_rpc_server_reconnect_timeout_s"
_RAYS_OWN = 60.0  # seconds after which Ray ends the process, where the variable says nothing

GivenT = TypeVar("GivenT")


class HeadGoneError(PixcoreError):
    """The cluster's head answers no more."""


class Head:
    """The head of a cluster; while it is watched, no call of Ray's keeps it from being missed.

    Args:
        address: host:port.
    """

    def __init__(self, address: str) -> None:
        waits = float(os.environ.get(_WAITS) or _RAYS_OWN)
        self._address, self._patience = address, waits / 2  # to leave Ray takes its time, too
        self._missed: float | None = None  # since when no look was answered; time in which nobody looks does not count

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look at it every few seconds, while open."""
        over = threading.Event()

        def look() -> None:
            while not over.wait(self._patience / _LOOKS):
                try:
                    see(self._address)
                    self._missed = None
                except ConnectionError:
                    self._missed = self._missed or time.monotonic()

        threading.Thread(target=look, daemon=True).start()
        try:
            yield
        finally:
            over.set()

    @property
    def gone(self) -> bool:
        """Whether it has not answered for too long."""
        missed = self._missed
        return missed is not None and time.monotonic() - missed > self._patience

    def check(self) -> None:
        """Raise HeadGoneError where it is gone."""
        if self.gone:
            raise HeadGoneError(
                f"the cluster's head at {self._address} answers no more",
                hint="is its machine there? once there is a head, the same command goes on from what was computed",
            )

    def asked(self, question: Callable[[], GivenT]) -> GivenT:
        """Ask Ray something for which it may need the head, and would wait without an end.

        Raises:
            HeadGoneError: It is gone.
        """
        given = Future[GivenT]()

        def ask() -> None:
            try:
                given.set_result(question())
            except Exception as error:
                given.set_exception(error)

        threading.Thread(target=ask, daemon=True).start()
        while not wait([given], timeout=1.0).done:
            self.check()
        return given.result()
