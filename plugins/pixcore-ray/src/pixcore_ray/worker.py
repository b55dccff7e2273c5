"""What an actor does: it makes the records of batches with copies of the run's stages, and keeps no store on disk."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import chain, compress
from typing import Any

import ray

from pixcore.errors import ConfigError, PluginError, describe, one_line
from pixcore.runs.execute import ready
from pixcore.stages.answer import Answer
from pixcore.stages.base import Item, Stage
from pixcore.stages.propose import Control, Propose
from pixcore.stages.store import Row
from pixcore.versions import installed, version_of
from pixcore_ray.parcels import Batch, Outcome, Packed, Reply

_MOST_LINES = 20  # of what is said, with one batch
_SAME = "install the same packages there, and the same weights; pixcore plugins tells versions"


class Maker:
    """Makes records; each stage's components are made when they are first needed, and serve until the stage is over.

    Args:
        stages: The run's stages, pickled together, so that what they share they still share.
        keys: The keys of their stores: records made of anything else would stand under a wrong name.
        environment: What the driver's environment says to pixcore.
        folder: Where the driver was started: a config's paths begin there.
        packages: The driver's own, as `versions` tells them.
    """

    def __init__(
        self,
        stages: bytes,
        keys: Sequence[str],
        environment: Mapping[str, str],
        folder: str,
        packages: Mapping[str, str],
    ) -> None:
        os.environ.update(environment)
        with suppress(OSError):  # it is not here, or not for this user
            os.chdir(folder)
        self._pickled, self._keys, self._packages = stages, keys, packages
        self._made: list[Stage] | None = None
        self._lines: list[str] = []

    def hello(self, seen: Sequence[str]) -> tuple[str, str, bool]:
        """Say where this is: the host's name, the node's id, and whether files of the driver's are seen here."""
        all_seen = all(os.path.isfile(path) for path in seen)  # False too where this user may not look
        return socket.gethostname(), ray.get_runtime_context().get_node_id(), all_seen

    def make(self, batch: Batch) -> Reply:
        """Make the records of a batch; a failed item costs no other, and what ends a run comes back as well."""
        reply = Reply()
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: self._lines.append(one_line(str(message)))
            heard = _Heard(self._lines)
            logging.getLogger().addHandler(heard)
            try:
                self._make(batch, reply)
            except Exception as error:
                reply.ended = Packed.of(error)
            finally:
                logging.getLogger().removeHandler(heard)
        reply.lines, self._lines[:] = self._lines[:_MOST_LINES], []
        return reply

    def over(self, stages: Sequence[int]) -> None:
        """Let go of what some stages hold: a model's memory is the next one's."""
        for number in stages if self._made is not None else ():
            stage = self._stages[number]
            stage.close()
            if isinstance(stage, Answer):
                stage.loader.free()

    @property
    def _stages(self) -> list[Stage]:
        """The stages, once their keys are what they are at the driver's."""
        if self._made is None:
            host = socket.gethostname()
            for package, there in self._packages.items():
                if (here := versions()[package]) != there:
                    raise ConfigError(f"node {host} has {package} {here or 'not'}, and the driver {there}", hint=_SAME)
            try:
                stages: list[Stage] = pickle.loads(self._pickled)
            except Exception as error:  # a plugin that is not there, or another
                said = f"node {host} can't load what the run needs: {describe(error)}"
                raise ConfigError(said, hint=_SAME) from error
            for stage, key in zip(stages, self._keys, strict=True):
                if stage.store.key != key:
                    raise ConfigError(
                        f"node {host} would make other records in stage {stage.label or stage.name}", hint=_SAME
                    )
            self._made = stages
        return self._made

    def _make(self, batch: Batch, reply: Reply) -> None:
        stages = self._stages
        try:
            for number, row in batch.rows:
                stages[number].store.put_rows([row])
            wanted = sorted(set(chain.from_iterable(batch.stages)))
            for control in chain.from_iterable(controls(stages[number]) for number in wanted):
                control.turn(batch.ring)
            asked = [one for number in wanted if isinstance(one := stages[number], Control)]
            for number in wanted:
                stage = stages[number]
                if isinstance(stage, Propose):
                    stage.alongside = [one for one in asked if one.proposals is stage]
                places = {item: at for at, item in enumerate(batch.items) if number in batch.stages[at]}
                started = time.perf_counter()
                items = []
                for item in ready(stage, list(places)):
                    made_already = stage.store.rows([stage.key_of(item)])
                    reply.outcomes += [Outcome(number, places[item], row) for row in made_already]
                    items += [] if made_already else [item]
                for item, made in stage.compute(items) if items else ():
                    reply.outcomes.append(Outcome(number, places[item], _packed(stage, item, made)))
                reply.seconds[number] = time.perf_counter() - started
        except PluginError:  # what was made by one that miscounts is forgotten
            kept = (isinstance(made, Packed) or stages[at].store.has(made.key) for at, _, made in reply.outcomes)
            reply.outcomes = [*compress(reply.outcomes, kept)]
            raise
        finally:
            for stage in stages:
                stage.store.clear()


def versions() -> dict[str, str]:
    """Give the versions of the packages that driver and actors speak by: they are in no record's key."""
    found = {name: installed(name) for name in ("pixcore", "pixcore-ray")}
    return {name: "" if there is None else version_of(there) for name, there in found.items()}


def _packed(stage: Stage, item: Item, made: Any) -> Row | Packed:
    """A record as it is stored, here too for the stages after; or what the item failed with."""
    if not isinstance(made, Exception):
        try:
            row = stage.store.packed(stage.key_of(item), item.sample.id, made)
        except (TypeError, ValueError, RecursionError) as error:  # as `Stage.take` says it of what is made there
            return Packed("", f"its record can't be kept: {error}")
        stage.store.put_rows([row])
        return row
    stage.hold_to(item, made)
    return Packed.of(made)


def controls(stage: Stage) -> Iterator[Control]:
    """Give the controls that lend prompts to what a stage makes: itself, or those whose records it reads."""
    following: Stage | None = stage
    while following is not None:
        if isinstance(following, Control):
            yield following
        following = following.before


class _Heard(logging.Handler):
    """Keeps what libraries log, from warnings on."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(one_line(record.getMessage()))
