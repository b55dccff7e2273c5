"""The driver of a run on Ray: it shares items out to actors, and alone writes what they make.

Every item goes from crew to crew, as soon as the records that its next one is made of are there; a crew's actors make
all of its stages at once. What waits is bounded: a benchmark is read as fast as it is worked on.
"""

from __future__ import annotations

import os
import pickle
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from pixcore.errors import ConfigError, SampleError
from pixcore.records import Image
from pixcore.runs.plan import Run, Work
from pixcore.stages.answer import Answer
from pixcore.stages.base import Item, Made, Monitor, Stage
from pixcore_ray.config import Options
from pixcore_ray.crews import Crew, by_service, crews
from pixcore_ray.head import Head, HeadGoneError
from pixcore_ray.parcels import Batch, Packed, RemoteError, Reply, sent, some_files, why
from pixcore_ray.told import Telling
from pixcore_ray.worker import Maker, controls, versions

_LONGEST = 512  # items of a batch
_IMAGES = 4096  # references to images in the object store that are kept
_COUNTS = 5.0  # seconds between two looks at what the cluster has
_LOOKS = 2.0  # seconds between two looks for room
_PATIENCE = 30.0  # seconds without an actor before somebody is told
_HOPELESS = 8  # samples in a row that end every actor in a stage, before the run ends


@dataclass
class _Task:
    """A batch on its way: the items' places in the run, and for each the stages that are to be made."""

    places: list[int]
    stages: list[list[int]]
    tries: int = 0
    alone: bool = False  # an actor has nothing beside it, so that it is known what an actor dies of


@dataclass(eq=False)
class _Actor:
    """One actor, and what it has to do, the oldest first."""

    handle: Any
    line: _Line
    hello: Any
    node: str = ""
    node_id: str = ""
    sees: bool = True
    tasks: OrderedDict[Any, _Task] = field(default_factory=OrderedDict)

    @property
    def watched(self) -> bool:
        """Whether it works on what another has died of."""
        return any(task.alone for task in self.tasks.values())


@dataclass(eq=False)
class _Line:
    """What waits in front of a crew: batches that go as they are, and places that may go in any."""

    crew: Crew
    tasks: deque[_Task] = field(default_factory=deque)
    places: deque[tuple[int, list[int]]] = field(default_factory=deque)
    actors: list[_Actor] = field(default_factory=list)
    pace: float | None = None  # seconds an item
    since: float | None = None  # when it began to wait for its first actor
    looked: float = 0.0
    unborn: int = 0  # actors that ended as they started, since one did start

    @property
    def alive(self) -> bool:
        """Whether an actor has started."""
        return any(actor.hello is None for actor in self.actors)

    def length(self) -> int:
        """How many items wait."""
        return len(self.places) + sum(len(task.places) for task in self.tasks)


class Driver:
    """Takes a run through the crews.

    Args:
        job: The run.
        work: Its stages, and what is missing.
        monitor: Hears how it goes on.
        options: The executor's.
        head: The cluster's.
    """

    def __init__(self, job: Run, work: Work, monitor: Monitor, options: Options, head: Head) -> None:
        self._job, self._monitor, self._options, self._head = job, monitor, options, head
        self._stages = job.stages()
        shared = [number for number, stage in enumerate(self._stages) if not by_service(stage)]
        self._todo = {number: bytearray(len(job.items)) for number in shared}
        self._answers: list[tuple[Sequence[int], int]] = []
        for number in shared:
            missing, _ = work[self._stages[number]]
            for place in missing.places:
                self._todo[number][place] = 1
            if isinstance(self._stages[number], Answer):
                self._answers.append((missing.places, self._stages[number].batch_size))
            self._stages[number].starts(len(missing))
        self._size = job.resolved.config.batch_size
        self._spent = dict.fromkeys(shared, 0.0)
        self._there = sum(work[self._stages[number]][1] for number in shared)
        self._lethal = Counter[int]()  # samples given up in a stage, since anything came back from it
        self._shared = [self._stages[number] for number in shared]
        self._lines = [_Line(replace(one, stages=frozenset(shared[at] for at in one.stages))) for one in self._crews()]
        self._counted = time.monotonic()
        self._number = {stage: number for number, stage in enumerate(self._stages)}
        self._images: OrderedDict[str, Any] = OrderedDict()
        self._names: dict[str, str] = {}
        self._seen: list[str] = []

    def run(self) -> None:
        """Make all that can be made; whatever happens, no actor is left."""
        label = f"{sum(1 for todo in self._todo.values() if any(todo))} stages"
        telling = self._telling = Telling(self._monitor, self._job.resolved.config.output, self._left)
        left = self._left()
        self._monitor.begin(label, self._there + left, self._there)
        try:
            if left:
                self._open()
                while self._wave():
                    pass
        finally:
            self._monitor.end()
            with suppress(HeadGoneError):
                for actor in self._actors():
                    self._kill(actor)
            for number, seconds in self._spent.items():
                if seconds:
                    self._stages[number].store.spend(seconds)
            telling.end()

    def _left(self) -> int:
        """How many records are still to be made."""
        return sum(map(sum, self._todo.values()))

    def _open(self) -> None:
        keys = [stage.store.key for stage in self._stages]
        environment = {name: value for name, value in os.environ.items() if name.startswith("PIXCORE_")}
        self._job.loader.free()  # it may have looked at a server's text here; now its memory is the actors'
        # functions of a benchmark's own never travel: what is left of a stage is its settings and its components'
        self._arguments = ray.put(pickle.dumps(self._stages)), keys, environment, os.getcwd(), versions()
        items = self._job.items
        self._seen = some_files(len(items), lambda number: items.thing(number).request.image)
        self._remote: Any = ray.remote(Maker)

    def _crews(self) -> list[Crew]:
        nodes = [node["Resources"] for node in self._head.asked(ray.nodes) if node["Alive"]]
        return crews(self._shared, self._options.resources, nodes)

    def _count(self) -> None:
        """Look now and then what the cluster has by now: machines come and go."""
        if time.monotonic() - self._counted > _COUNTS:
            self._counted = time.monotonic()
            with suppress(ConfigError):  # what the last machine took along may come back with the next
                for line, now in zip(self._lines, self._crews(), strict=False):
                    if (now.name, now.gpus) == (line.crew.name, line.crew.gpus):
                        line.crew = replace(line.crew, most=max(now.most, len(line.actors)))

    # what goes next

    def _wave(self) -> bool:
        """Send every item as far as it comes now; tell whether any went."""
        feeds = self._feeds()
        fed, more = 0, True
        while more or any(line.length() or any(actor.tasks for actor in line.actors) for line in self._lines):
            while more and self._hungry():
                task = next(feeds, None)
                more = task is not None
                if task is not None:
                    fed += self._enqueue(task)
            if fed:
                self._turn()
            elif not more:
                break
        return bool(fed)

    def _hungry(self) -> bool:
        """Whether more is to be fed: not while much waits, unless it waits for what others have to let go of first."""
        lines = [line for line in self._lines if line.alive] or self._lines
        return not any(self._full(line) for line in lines)

    def _full(self, line: _Line) -> bool:
        return line.length() >= (line.crew.most * self._options.in_flight + 2) * self._batch(line)

    def _feeds(self) -> Iterator[list[int]]:
        """Places with something to do, together as they would be in one process: answers in their stage's batches."""
        visited = bytearray(len(self._job.items))
        for places, size in self._answers:
            for start in range(0, len(places), size):
                together = [place for place in places[start : start + size] if not visited[place]]
                for place in together:
                    visited[place] = 1
                yield together
        for place in range(len(visited)):
            if not visited[place] and any(todo[place] for todo in self._todo.values()):
                yield [place]

    def _enqueue(self, places: Sequence[int]) -> int:
        """Put items in front of the crew that makes their next records; those that have to wait for others are left."""
        fed, by_line = 0, dict[int, list[tuple[int, list[int]]]]()
        for place in places:
            found = self._next(place)
            if found is not None:
                by_line.setdefault(found[0], []).append((place, found[1]))
        for at, those in by_line.items():
            line = self._lines[at]
            if not line.alive and self._full(line):
                continue  # the next wave finds them again; nothing is held of them meanwhile
            fed += len(those)
            if any(isinstance(self._stages[stages[0]], Answer) for _, stages in those):
                line.tasks.append(_Task([place for place, _ in those], [stages for _, stages in those]))
            else:
                line.places.extend(those)
        return fed

    def _next(self, place: int) -> tuple[int, list[int]] | None:
        """Find the crew that can make something of an item now, and which stages' records."""
        wanted = [number for number, todo in self._todo.items() if todo[place]]
        if not wanted:
            return None
        item = self._job.items.thing(place)
        known: dict[Stage, bool] = {}
        for at, line in enumerate(self._lines):
            own: list[int] = []
            for number in wanted:
                if number in line.crew.stages and self._can(self._stages[number], item, own, known):
                    own.append(number)
            if own:
                return at, own
        return None

    def _can(self, stage: Stage, item: Item, own: Sequence[int], known: dict[Stage, bool]) -> bool:
        """Whether a stage's record can be made once its `own` stages' are: as `ready` has it, but for those."""
        for one, its in stage.reads(item):
            if its is not item:
                if one is stage.before and not one.has(its):
                    return False
            elif self._number[one] not in own:
                if one not in known:
                    known[one] = one.has(item)
                if not known[one]:
                    return False
        return True

    # who does it

    def _turn(self) -> None:
        """Send batches to whoever is free, and take in what comes back."""
        self._head.check()
        self._count()
        for line in self._lines:
            self._hire(line)
            self._send(line)
        references = {actor.hello: actor for actor in self._actors() if actor.hello is not None}
        references |= {reference: actor for actor in self._actors() for reference in actor.tasks}
        if not references:
            return
        ready, _ = ray.wait(list(references), num_returns=1, timeout=1.0)
        if ready:
            ready, _ = ray.wait(list(references), num_returns=len(references), timeout=0)
        arrived = set(ready)
        for reference in [one for one in references if one in arrived]:  # an actor's in its order: what came, came
            actor = references[reference]
            if reference is actor.hello:
                self._welcome(actor)
            elif reference in actor.tasks:
                self._take(actor, reference)
        self._telling.tell({line.crew.name: (line.crew.gpus, line.actors) for line in self._lines})

    def _actors(self) -> Iterable[_Actor]:
        return chain.from_iterable(line.actors for line in self._lines)

    def _hire(self, line: _Line) -> None:
        """Start as many actors as have something to do; where none fits, let go of others' that have nothing."""
        if not line.length():
            line.since = None
            return
        wanted = min(line.crew.most, -(-line.length() // self._batch(line)))
        while len(line.actors) < max(wanted, 1):
            handle = self._remote.options(max_restarts=0, **line.crew.options).remote(*self._arguments)
            line.actors.append(_Actor(handle, line, handle.hello.remote(self._seen)))
        now = time.monotonic()
        if line.alive:
            line.since = None
        elif line.since is None:
            line.since = line.looked = now
        elif now - line.looked >= _LOOKS:
            line.looked = now
            self._make_room(line)
            if now - line.since > _PATIENCE:
                self._telling.heard(line.crew.name, "waits for the cluster to have room for an actor")

    def _make_room(self, line: _Line) -> None:
        """Let go of the actors of other crews that have nothing to do, where the cluster has no room for this one's."""
        needs = {"GPU": line.crew.gpus, "CPU": line.crew.options["num_cpus"], **(line.crew.options["resources"] or {})}
        free = self._head.asked(ray.available_resources)
        if all(free.get(kind, 0) >= amount for kind, amount in needs.items()):
            return  # it is just starting
        for other in self._lines:
            for actor in [one for one in other.actors if not one.tasks and not other.length()]:
                self._kill(actor)
                other.actors.remove(actor)

    def _batch(self, line: _Line) -> int:
        """How many items go together: whole batches of the model's, as many as take about as long as is asked for."""
        most = _LONGEST if line.pace is None else int(self._options.seconds / max(line.pace, 1e-6))
        whole = max(min(most, _LONGEST) // self._size, 1) * self._size if line.pace is not None else self._size
        share = -(-line.length() // max(2 * len(line.actors), 1))
        return max(min(whole, -(-share // self._size) * self._size), self._size)

    def _send(self, line: _Line) -> None:
        """Fill every actor's queue, the emptiest first."""
        while line.length():
            room = 1 if line.tasks and line.tasks[0].alone else self._options.in_flight
            able = [one for one in line.actors if one.hello is None and len(one.tasks) < room and not one.watched]
            if not able:
                return
            actor = min(able, key=lambda one: len(one.tasks))
            task = self._taken_from(line)
            actor.tasks[actor.handle.make.remote(self._parcel(task, actor))] = task

    def _taken_from(self, line: _Line) -> _Task:
        if not line.tasks:
            those = [line.places.popleft() for _ in range(min(self._batch(line), len(line.places)))]
            return _Task([place for place, _ in those], [stages for _, stages in those])
        size, task = self._batch(line), line.tasks.popleft()
        first = self._stages[task.stages[0][0]]
        whole = first.batch_size if isinstance(first, Answer) else self._size
        while line.tasks and not task.alone and not line.tasks[0].alone and not len(task.places) % whole:
            if len(task.places) + len(line.tasks[0].places) > size or not self._alike(task, line.tasks[0]):
                break
            other = line.tasks.popleft()
            task = _Task(task.places + other.places, task.stages + other.stages)
        return task

    def _alike(self, one: _Task, other: _Task) -> bool:
        """Whether two batches are asked the same, so that the model's own batches stay what they are."""
        return one.stages[-1][0] == other.stages[0][0]

    def _parcel(self, task: _Task, actor: _Actor) -> Batch:
        """Pack items with the records that theirs are made of."""
        items = [self._job.items.thing(place) for place in task.places]
        ring: dict[str, Item] = {}
        keys: dict[int, dict[str, None]] = {}
        for item, stages in zip(items, task.stages, strict=True):
            for number in stages:
                for stage, read in self._stages[number].reads(item):
                    if read is not item or self._number[stage] not in stages:
                        keys.setdefault(self._number[stage], {})[stage.key_of(read)] = None
                for control in controls(self._stages[number]):
                    lent = control.lenders(item)
                    if lent:
                        ring |= {f"{one.request.protocol} {one.sample.id}": one for one in (*lent, item)}
        rows = [(number, row) for number, own in keys.items() for row in self._stages[number].store.rows(own)]
        put = None if actor.sees else self._put
        return Batch([sent(item, put) for item in items], task.stages, rows, [sent(one, put) for one in ring.values()])

    def _put(self, image: Image) -> Any:
        """Put an image into the object store, once while it is at work."""
        if image.digest not in self._images:
            self._images[image.digest] = ray.put(image.read())
        self._images.move_to_end(image.digest)
        while len(self._images) > _IMAGES:
            self._images.popitem(last=False)
        return self._images[image.digest]

    # what comes back

    def _welcome(self, actor: _Actor) -> None:
        try:
            host, actor.node_id, actor.sees = self._head.asked(lambda: ray.get(actor.hello))
        except RayTaskError as error:
            raise RemoteError(why(error)) from error
        except RayError as error:
            self._lost(actor, error)
            return
        taken = {name for node, name in self._names.items() if node != actor.node_id}
        numbered = (host if number == 1 else f"{host}#{number}" for number in range(1, len(taken) + 2))
        actor.node = self._names.setdefault(actor.node_id, next(name for name in numbered if name not in taken))
        actor.hello, actor.line.unborn = None, 0

    def _take(self, actor: _Actor, reference: Any) -> None:
        try:
            reply: Reply = self._head.asked(lambda: ray.get(reference))
        except RayTaskError as error:
            raise RemoteError(why(error)) from error
        except RayError as error:
            self._lost(actor, error)
            return
        task = actor.tasks.pop(reference)
        for said in reply.lines:
            self._telling.heard(actor.node, said)
        line = actor.line
        spent = sum(reply.seconds.values()) / max(len(task.places), 1)
        line.pace = spent if line.pace is None else 0.7 * line.pace + 0.3 * spent
        by_stage: dict[int, list[Made]] = {}
        for number, at, made in reply.outcomes:
            item = self._job.items.thing(task.places[at])
            by_stage.setdefault(number, []).append((item, made.error if isinstance(made, Packed) else made))
            self._todo[number][task.places[at]] = 0
        for number, those in by_stage.items():
            self._lethal[number] = 0
            self._stages[number].take(those, self._monitor)
        for number, seconds in reply.seconds.items():
            self._spent[number] += seconds
        self._telling.came(actor.node, len(reply.outcomes))
        if reply.ended is not None:  # what was made before is kept
            raise reply.ended.ending
        left = [place for place in task.places if any(todo[place] for todo in self._todo.values())]
        if task.alone and len(task.places) == len(task.stages[0]) == 1:
            self._one_more(left)
        else:
            self._enqueue(left)

    def _one_more(self, places: Sequence[int]) -> None:
        """Send what an actor has died of on by a single stage, so that no stage's records are lost by another's."""
        for place in places:
            if (found := self._next(place)) is not None:
                task = _Task([place], [found[1][:1]], self._options.tries - 1, alone=True)
                self._lines[found[0]].tasks.append(task)

    def _lost(self, actor: _Actor, error: Exception) -> None:
        """Give a dead actor's batches to others; the one that it was working on has been tried once more."""
        line = actor.line
        line.actors.remove(actor)
        self._kill(actor)
        gone = "node has died" in str(error) or not self._alive(actor.node_id)
        said = "its machine is gone" if gone else why(error)
        self._telling.heard(actor.node or "cluster", f"an actor of {line.crew.name} ended: {said}")
        line.unborn += int(actor.hello is not None and not gone)
        if line.unborn >= self._options.tries * line.crew.most and not line.alive:
            hint = "Ray's logs there say why: is there memory for it, and are the same packages installed?"
            raise ConfigError(f"no actor of {line.crew.name} starts, {line.unborn} ended at once: {said}", hint=hint)
        lost = list(actor.tasks.values())
        actor.tasks.clear()
        for at, task in enumerate(lost):
            task.tries += int(at == 0 and not gone)
            task.alone |= task.tries > 0
            if task.tries < self._options.tries:
                line.tasks.appendleft(task)
            elif len(task.places) > 1:  # one of them does it; each has one more try of its own
                alone = zip(task.places, task.stages, strict=True)
                line.tasks.extend(_Task([place], [own], self._options.tries - 1, alone=True) for place, own in alone)
            elif len(task.stages[0]) > 1:  # and in one of its stages
                self._one_more(task.places)
            else:
                self._given_up(task, said)

    def _given_up(self, task: _Task, said: str) -> None:
        place, number = task.places[0], task.stages[0][0]
        failed = SampleError(f"every actor that worked on it ended, the last of {self._options.tries}: {said}")
        self._todo[number][place] = 0
        self._stages[number].take([(self._job.items.thing(place), failed)], self._monitor)
        self._lethal[number] += 1
        if self._lethal[number] >= _HOPELESS:
            name = self._stages[number].label or self._stages[number].name
            message = f"every actor that worked on {_HOPELESS} samples, one after another, ended in {name}: {said}"
            raise ConfigError(message, hint="is there memory for it? Ray's logs there say more")

    def _kill(self, actor: _Actor) -> None:
        self._head.asked(lambda: ray.kill(actor.handle))

    def _alive(self, node: str) -> bool:
        return not node or any(one["NodeID"] == node and one["Alive"] for one in self._head.asked(ray.nodes))
