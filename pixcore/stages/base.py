"""What every stage has in common: which records are missing, making them in batches, and keeping them.

Each stage runs over the whole benchmark before the next one starts, reads the records of the stage before and keeps
its own, under a key made of everything that can change them. A stage whose records are all there makes no component:
nothing is loaded, nothing computed.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any, ClassVar

from pixcore.components import Context
from pixcore.config import ChosenComponent, ChosenComponents
from pixcore.errors import ModelError, NotFiniteError, SampleError, describe
from pixcore.notices import hearing
from pixcore.plugins import Kind
from pixcore.records import Request, Sample
from pixcore.shelf import View
from pixcore.stages.memory import MORE_ROOM, ends_all, let_go, shortage
from pixcore.stages.serialise import Entry
from pixcore.stages.store import Row, StageStore, content_key


@dataclass(frozen=True, eq=False)
class Item:
    """One sample under one probing: what every stage has one record for.

    Attributes:
        sample: The sample.
        request: What the model is asked about it.
        segmented: Whether its response is looked at for masks.
        unreadable: Why its image can't be read; "" if it can.
        by_sample: Whether the model answers by a sample's id, so that no other that is asked alike shares its records.
    """

    sample: Sample
    request: Request
    segmented: bool
    unreadable: str = ""
    by_sample: bool = False

    @cached_property
    def asked(self) -> str:
        """Hash of what a model is shown and asked."""
        return asked_key(self.request, self.request.image.digest)

    @cached_property
    def key(self) -> str:
        """Hash of that, and of the sample's id where the model answers by it."""
        return content_key([self.asked, self.request.sample_id]) if self.by_sample else self.asked

    @cached_property
    def truth_key(self) -> str:
        """Hash of that and of what the benchmark says is right: strategies and judges may see it."""
        sample = self.sample
        return content_key([self.key, sample.question, list(sample.options), sample.answer, sample.mask])

    @property
    def entropy(self) -> int:
        """A number from the content, so that randomness depends on neither the order nor the neighbours."""
        return entropy_of(self.asked)


def asked_key(request: Request, image: str) -> str:
    """Hash what a model is shown and asked.

    Args:
        request: What it is asked.
        image: The digest of what it is shown; "" where the image is not there to be read.
    """
    asked = {"prompt": request.prompt, "protocol": request.protocol, "expression": request.expression}
    return content_key({"image": image, **asked})


def entropy_of(key: str) -> int:
    """Make a number to seed with of a content's hash."""
    return int(key[:16], 16)


class Monitor:
    """Who is told how a run goes on, such as a progress bar; one that shows nothing itself tells another."""

    def __init__(self, display: Monitor) -> None:
        self._display = display

    def begin(self, stage: str, total: int, done: int) -> None:
        """Hear that a stage starts, with `done` of `total` records there already."""
        self._display.begin(stage, total, done)

    def advance(self, count: int = 1) -> None:
        """Hear that records were made."""
        self._display.advance(count)

    def written(self, tokens: int, most: int) -> None:
        """Hear that so many tokens of the next answers are written, of at most so many; told at every token."""
        self._display.written(tokens, most)

    def failed(self, stage: str, item: Item, error: Exception) -> None:
        """Hear that a sample failed; raise to stop the run."""
        self._display.failed(stage, item, error)

    def say(self, line: str, style: str = "") -> None:
        """Hear what deserves a line of its own."""
        self._display.say(line, style)

    def end(self) -> None:
        """Hear that the stage is over, or has been stopped."""
        self._display.end()


OnRecord = Callable[[str, Item, Entry | None, Entry], None]

Made = tuple[Item, Entry | Row | Exception]
"""An item, and its record, one that was packed elsewhere, or what it failed with."""


@dataclass(eq=False)
class Stage(ABC):
    """A step of a run whose records are kept: it makes those that are missing.

    What it is made of, it says once: `uses` names its components, and its fields are what else it works with. Its key
    is made of these components and of its `kw_only` fields but for what `not_in_key` names, and it can make no
    component that `uses` does not name.

    A pickled copy keeps its records in memory and makes the same ones: it works elsewhere, and the original keeps them.

    Attributes:
        root: The folder of the stage stores; None: they are in memory.
        context: The run, as components may know it.
        components: Those of the run; the stage keeps the ones that it uses.
        label: What the progress bar says.
        on_record: Makes every record anew, in place of those that are there, and hears of both: (label, item, the
            record of before, the new one).
        batch_size: How many items go together; where the first so many all give no numbers, the run stops.
        on_kept: Hears of every item as soon as its record is kept.
    """

    root: Path | None
    context: Context
    components: ChosenComponents
    label: str = ""
    on_record: OnRecord | None = None
    batch_size: int = 1
    on_kept: Callable[[Item], None] | None = field(default=None, init=False, repr=False)

    _components: dict[str, list[Any]] = field(default_factory=dict, init=False, repr=False)
    _on_trial: int = field(default=0, init=False, repr=False)

    name: ClassVar[str]
    revision: ClassVar[int]
    """Counted up whenever the stage itself makes other records from the same ingredients."""

    uses: ClassVar[Mapping[str, Kind]] = {}
    """The kind of each component at work, by what the stage calls it."""

    not_in_key: ClassVar[frozenset[str]] = frozenset()
    """Fields of a stage that change how it works and never what it records."""

    def __post_init__(self) -> None:
        self.components = ChosenComponents({name: self.components[name] for name in self.uses})

    def __getstate__(self) -> dict[str, Any]:
        """Take along all but files, and whoever listens."""
        own = {name: value for name, value in vars(self).items() if name != "store"}
        return own | {"root": None, "on_record": None, "on_kept": None, "_components": {}}

    def ingredients(self) -> dict[str, Any]:
        """List everything but the sample that can change a record, as JSON data."""
        own = [one.name for one in fields(self) if one.kw_only and one.name not in self.not_in_key]
        return self.components.told(ChosenComponent.ingredients) | {name: _in_key(getattr(self, name)) for name in own}

    @property
    def before(self) -> Stage | None:
        """The stage whose records this one reads."""
        return None

    def reads(self, item: Item) -> list[tuple[Stage, Item]]:
        """List the records that an item's own is made of, by their stage and item."""
        return [] if self.before is None else [(self.before, item), *self.before.reads(item)]

    @abstractmethod
    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Make the records of the items, in order; a failed one gives its error."""

    def key_of(self, item: Item) -> str:
        """Give the key under which an item's record stands."""
        return item.key

    @cached_property
    def store(self) -> StageStore:
        """The stage's records."""
        shared = {"revision": self.revision, "fidelity": self.context.fidelity.value, "seed": self.context.seed}
        return StageStore(self.root, self.name, {**shared, **self.ingredients()})

    def run(self, items: Sequence[Item], monitor: Monitor, there: int = 0) -> None:
        """Make what is missing of items with a key each, beside other records that are there; tries failures again."""
        pending, total = self.pending(items), there + len(items)
        started = time.perf_counter()
        try:
            monitor.begin(self.label or self.name, total, total - len(pending))
            self.starts(len(pending))
            with hearing(monitor.written):
                for made in self.compute(pending) if pending else ():
                    self.take([made], monitor)
        finally:
            monitor.end()  # also when stopped: a bar that is left running leaves a terminal without its cursor
            if pending:
                self.store.spend(time.perf_counter() - started)
            self.close()

    def starts(self, pending: int) -> None:
        """Hear how many records are going to be made."""
        self._on_trial = min(self.batch_size, pending)

    def take(self, made: Sequence[Made], monitor: Monitor) -> None:
        """Keep what was made of some items, here or elsewhere, and tell of it; rows in one transaction.

        Raises:
            UserError: What one failed with is no sample's fault, the next would fail alike.
        """
        self.store.put_rows([outcome for item, outcome in made if isinstance(outcome, Row) and not self.has(item)])
        for item, outcome in made:
            if isinstance(outcome, NotFiniteError) and self._on_trial == 1:
                raise ModelError(f"in all of the first batch {outcome.message}", hint=outcome.hint) from outcome
            self._on_trial = max(0, self._on_trial - 1) if isinstance(outcome, NotFiniteError) else 0
            if isinstance(outcome, Exception):
                self._fail(item, outcome, monitor)
            else:
                if self.on_record is not None and isinstance(outcome, Entry):
                    self.on_record(self.label or self.name, item, self.get(item), outcome)
                try:
                    self.keep(item, outcome)
                except (TypeError, ValueError, RecursionError) as error:  # whatever a plugin put in it
                    self._fail(item, SampleError(f"its record can't be kept: {error}"), monitor)
            monitor.advance()

    def keep(self, item: Item, record: Entry | Row) -> None:
        """Keep an item's record, unless another process has kept one: later stages may have read it."""
        if isinstance(record, Entry) and not self.has(item):
            self.store.put(self.key_of(item), item.sample.id, record)
        if self.on_kept is not None:
            self.on_kept(item)

    def has(self, item: Item) -> bool:
        """Say whether an item's record is there, and need not be made anew."""
        return self.on_record is None and self.store.has(self.key_of(item))

    def pending(self, items: Sequence[Item]) -> Sequence[Item]:
        """List the items whose record is missing, in order."""
        return View(items.__getitem__, (at for at, item in enumerate(items) if not self.has(item)))

    def _fail(self, item: Item, error: Exception, monitor: Monitor) -> None:
        self.hold_to(item, error)
        self.store.put_failure(self.key_of(item), item.sample.id, describe(error))
        monitor.failed(self.name, item, error)

    def hold_to(self, item: Item, error: Exception) -> None:
        """Raise what ends a run, of what an item failed with: a missing plugin or weight, a full disk, no memory."""
        if ends_all(error):
            raise error
        if (words := shortage(error)) is not None:
            let_go(error)
            said = f"memory ran out in stage {self.name} on sample {item.sample.id} alone: {words}"
            raise ModelError(said, hint=MORE_ROOM)

    def part(self, name: str) -> Any:
        """Give a component at work, made when it is first needed; it serves until the stage is closed."""
        return self.parts(name)[0]

    def parts(self, name: str) -> list[Any]:
        """Give the components at work under a name: none, one, or all of a list."""
        if name not in self._components:
            self._components[name] = [self.made(one) for one in self.components.several(name)]
        return self._components[name]

    def made(self, component: ChosenComponent) -> Any:
        """Make a component."""
        return component.create(self.context)

    def named(self, name: str) -> str:
        """Say whose mistake it is, where a component made one."""
        return f"{self.uses[name].noun} {self.components.one(name).name!r}"

    def close(self) -> None:
        """Let go of the components at work."""
        while self._components:
            for one in self._components.popitem()[1]:
                one.close()

    def get(self, item: Item) -> Entry | None:
        """Read an item's record; None where there is none."""
        return self.store.get(self.key_of(item))

    def record(self, item: Item) -> Entry:
        """Read an item's record, which another is made of."""
        if (entry := self.get(item)) is None:
            raise SampleError(f"sample {item.sample.id} has no record of stage {self.name}")
        return entry

    def failure(self, item: Item) -> str | None:
        """Say what went wrong with an item; None if nothing did."""
        return self.store.failure(self.key_of(item))


def with_memory(context: Context, root: Path | None, component: ChosenComponent, *, fresh: bool = False) -> Context:
    """Give a context in which a component that pays for its answers recalls what it was answered before.

    One file serves all components of a distribution, whatever their options and version, because an answer's own key
    says everything about the question. Where all is made `fresh`, what was answered before is forgotten; it is still
    replaced only by a new answer.
    """
    renewed: set[str] = set()

    @cache  # most components remember nothing
    def store() -> StageStore:
        return StageStore(root, "exchanges", {"distribution": component.registration.distribution})

    def recall(key: str) -> Any:
        return store().recall(key) if key in renewed or not fresh else None

    def remember(key: str, value: Any) -> None:
        store().remember(key, value)
        renewed.update((key,) if fresh else ())

    return replace(context, recall=recall, remember=remember)


def _in_key(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _in_key(inner) for name, inner in value.items()}
    return value.store.key if isinstance(value, Stage) else value
