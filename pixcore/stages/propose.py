"""The stages that make candidates: groups of tokens become points, points become masks; and their matched control."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import islice
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from pixcore.components import MapTransform, MaskGenerator, PointSelector
from pixcore.errors import ConfigError, DataError, SampleError
from pixcore.masks import encode_many, size_of
from pixcore.plugins import Kind, registry
from pixcore.records import Candidate, MaskProposal, PointPrompt, Request, Response, TokenGroup
from pixcore.stages import serialise
from pixcore.stages.answer import Answer
from pixcore.stages.base import Item, Stage
from pixcore.stages.serialise import Entry
from pixcore.stages.store import content_key

_NO_CANDIDATES = serialise.candidates_to_entry(())
_LENDERS = 8  # other images whose prompts a control is lent: what all images share is in them, and no one object
_CHUNK = 32  # responses that a grouper is handed together


def group_maps(response: Response, groups: Sequence[TokenGroup], transforms: Iterable[MapTransform[Any]]) -> Any:
    """Average a response's maps, transformed in order, over groups of tokens (paper 3.2): (groups, cells) float32."""
    maps, layout = response.maps, response.layout
    if maps is None or layout is None:
        raise ValueError("the response has no maps")
    for transform in transforms:
        maps = transform.transform(maps, layout, response.reference)
        if np.shape(maps) != (expected := (len(response.tokens), layout.tokens)):
            said = f"map transform {type(transform).__name__} gave maps of the shape {np.shape(maps)}, not {expected}"
            raise SampleError(said)
    if not groups:
        return np.zeros((0, layout.tokens), np.float32)
    return np.stack([maps[list(group.tokens)].mean(axis=0) for group in groups]).astype(np.float32)


class CandidateStage(Stage):
    """A stage that makes candidates."""

    @property
    @abstractmethod
    def before(self) -> Answer | CandidateStage:
        """The stage whose records candidates are made of."""

    def response(self, item: Item) -> Response | None:
        """Give what the model said, which an item's candidates are of."""
        return self.before.response(item)

    def candidates(self, item: Item) -> tuple[Candidate, ...] | None:
        """Read an item's candidates; None where there are none yet."""
        entry = self.get(item)
        return None if entry is None else serialise.candidates_from_entry(entry)

    def drawn(self, item: Item, generator: MaskGenerator[Any], bare: Sequence[Candidate], iou: float | None) -> Entry:
        """Have an item's candidates drawn, each at its point, and merge them where a config asks for it."""
        image, prompts = item.request.image, deepcopy([one.point for one in bare])  # the record's own stay as they are
        proposals = generator.segment(image, prompts) if prompts else []  # type: ignore[arg-type]
        if wrong := _misdrawn(proposals, len(prompts), image.size):
            raise SampleError(f"{self.named('masks')} gave {wrong}")
        found = [
            replace(
                one,
                masks=tuple(encode_many(proposal.masks, proposal.size)),
                scores=tuple(map(float, proposal.scores)),
                stability=() if proposal.stability is None else tuple(map(float, proposal.stability)),
            )
            for one, proposal in zip(bare, proposals, strict=True)
        ]
        merged = found if iou is None else registry().ask("merge_candidates", candidates=found, iou=iou)
        return serialise.candidates_to_entry(merged)


def _misdrawn(proposals: Sequence[MaskProposal], prompts: int, size: tuple[int, int]) -> str:
    """What is wrong with what was drawn on a (width, height) image; no figure of it would tell."""
    if len(proposals) != prompts:
        return f"{len(proposals)} proposals for {prompts} prompts"
    for one in proposals:
        masks, stability = one.masks, one.scores if one.stability is None else one.stability
        if len(masks) and ((own := tuple(one.size or masks.shape[:0:-1])) != size or masks.dtype != bool):
            return f"{masks.dtype} masks of {own} pixels, not bool ones of the image's {size}"
        if len(stability) != len(masks) or not np.isfinite([*one.scores, *stability]).all():
            return "a score or a stability that is not a finite number for each mask"
    return ""


@dataclass(eq=False, kw_only=True)
class Propose(CandidateStage):
    """The stage in which groups of tokens become points, and points become candidate masks."""

    answers: Answer
    merge_iou: float | None
    alongside: list[Control] = field(default_factory=list, init=False)

    name = "propose"
    revision = 2
    not_in_key = frozenset({"alongside"})
    uses: ClassVar = {
        "grouper": Kind.GROUPER,
        "transforms": Kind.TRANSFORMS,
        "points": Kind.POINTS,
        "masks": Kind.MASKS,
    }

    def ingredients(self) -> dict[str, Any]:
        """Say who merges candidates, where a config asks for it."""
        return super().ingredients() | ({"mergers": registry().answering("merge_candidates")} if self.merge_iou else {})

    @property
    def before(self) -> Answer:
        """The answers that candidates are made of."""
        return self.answers

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Group several responses at once, then go image by image.

        The parts are made at the first response with maps, or for groups that bring prompts: others need none of them.
        """
        grouper = self.components.one("grouper")
        for start in range(0, len(items), _CHUNK):
            chunk = items[start : start + _CHUNK]
            responses = [serialise.response_from_entry(self.answers.record(item)) for item in chunk]
            if all(response.maps is None for response in responses) and not grouper.says("gives_prompts"):
                yield from ((item, _NO_CANDIDATES) for item in chunk)
                continue
            for name in self.uses:
                self.parts(name)  # what can't be made fails for all
            asked = [(item.request, response) for item, response in zip(chunk, responses, strict=True)]
            for item, response, own in zip(chunk, responses, self._grouped(asked), strict=True):
                if isinstance(own, Exception):
                    yield item, own
                    continue
                try:
                    yield item, self._propose(item, response, own)
                except Exception as error:  # recorded with its sample
                    yield item, error
                for control in self.alongside:  # while the generator has the image at hand
                    control.follow(item, self.part("masks"))

    def _grouped(self, asked: Sequence[tuple[Request, Response]]) -> Sequence[list[TokenGroup] | Exception]:
        """Group several responses; where that fails, one by one, so that one sample costs no other."""
        try:
            groups: list[list[TokenGroup]] = self.part("grouper").group_asked(asked)
            if len(groups) != len(asked):
                raise SampleError(f"{self.named('grouper')} gave groups of {len(groups)} responses, not {len(asked)}")
            return groups
        except Exception as error:  # recorded with its sample
            if len(asked) == 1:
                return [error]
        return [outcome for one in asked for outcome in self._grouped([one])]

    def _propose(self, item: Item, response: Response, groups: Sequence[TokenGroup]) -> Entry:
        layout: Any = response.layout if response.maps is not None and all(group.tokens for group in groups) else None
        given, groups = groups, [group for group in groups if layout or group.prompt]
        if response.maps is not None and len(groups) < len(given):
            raise SampleError(f"{self.named('grouper')} gave a group without tokens, and it or another has no prompt")
        if not groups and not layout:
            return _NO_CANDIDATES
        text, there = len(response.text), set(range(len(response.tokens)))  # -1 would be another token's
        for one in groups:
            if not (isinstance(one.phrase, str) and there.issuperset(one.tokens) and 0 <= one.start <= one.end <= text):
                said = f"{one}, which is not within {len(there)} tokens and {text} characters"
                raise SampleError(f"{self.named('grouper')} gave {said}")
        image, truth = item.request.image, item.sample.mask
        if truth is not None and size_of(truth) != image.size:
            said = f"sample {item.sample.id} has a ground truth of {size_of(truth)} pixels for an image of {image.size}"
            raise DataError(said, hint="is it the mask of another image?")
        self.part("points").reseed(item.entropy)
        maps: Any = group_maps(response, groups, self.parts("transforms")) if layout else [None] * len(groups)
        if layout and not all(np.isfinite(values).all() for values in maps):
            raise SampleError("a group's map holds values that are not finite numbers")
        prompts: list[PointPrompt] = [
            group.prompt or self.part("points").select(layout.to_image(values, image.size))
            for group, values in zip(groups, maps, strict=True)
        ]
        for ability, held in (("text_prompts", "text"), ("several_places", "also")):
            if not getattr(self.part("masks"), ability) and any(getattr(prompt, held) for prompt in prompts):
                said = f"{self.named('masks')} takes no {ability.replace('_', ' ')}"
                raise ConfigError(said, hint="name a generator that does, or another grouper")
        bare = [Candidate(one, at, (), (), map=values) for one, at, values in zip(groups, prompts, maps, strict=True)]
        return self.drawn(item, self.part("masks"), bare, self.merge_iou)


@dataclass(eq=False, kw_only=True)
class Control(CandidateStage):
    """The stage of a control: as many prompts as the run's own candidates, from points no attention chose.

    Attributes:
        ring: The run's items; those that follow by key lend their prompts, where points are those of other images.
    """

    proposals: Propose
    ring: Sequence[Item] = ()

    name = "control"
    revision = 1
    uses: ClassVar = {"points": Kind.POINTS, "masks": Kind.MASKS}
    not_in_key = frozenset({"ring"})

    def __post_init__(self) -> None:
        super().__post_init__()
        self.proposals.alongside.append(self)
        self._known_keys: dict[str, str] = {}

    def ingredients(self) -> dict[str, Any]:
        """Say where own candidates are merged that these are as well."""
        return super().ingredients() | ({"merged": True} if self.proposals.merge_iou else {})

    @property
    def before(self) -> Propose:
        """The candidates that are matched."""
        return self.proposals

    def __getstate__(self) -> dict[str, Any]:
        """Leave the ring: who works elsewhere is told which of its items matter."""
        return {name: value for name, value in super().__getstate__().items() if name != "_able"} | {"ring": ()}

    def turn(self, ring: Sequence[Item]) -> None:
        """Take another ring; an item's lenders are the same on any that has them."""
        self.ring, self._known_keys = ring, {}
        vars(self).pop("_able", None)

    def reads(self, item: Item) -> list[tuple[Stage, Item]]:
        """List the item's own records, and those of its lenders."""
        return [*super().reads(item), *((self.proposals, lender) for lender in self.lenders(item))]

    def key_of(self, item: Item) -> str:
        """Use the keys of all images whose prompts are at work."""
        known = self._known_keys
        if item.key not in known:
            lenders = [lender.key for lender in self.lenders(item)]
            if len(known) >= 4096:  # enough, as the stages after it ask for the same again and again
                known.clear()
            known[item.key] = content_key([item.key, *lenders]) if lenders else item.key
        return known[item.key]

    def compute(self, items: Sequence[Item]) -> Iterator[tuple[Item, Entry | Exception]]:
        """Draw as many prompts for an image as it has candidates; where there are none, nothing is made."""
        for item in items:
            generator = self.part("masks") if self.proposals.candidates(item) else None  # what fails here fails for all
            try:
                yield item, self._entry(item, generator)
            except Exception as error:  # recorded with its sample
                yield item, error

    def follow(self, item: Item, generator: MaskGenerator[Any]) -> None:
        """Make an item's record as soon as its candidates are kept; what fails, or waits for others, comes later."""
        if not self._able and self.before.has(item) and not self.has(item):
            with suppress(Exception):
                self.keep(item, self._entry(item, generator))

    def _matched(self, item: Item) -> tuple[Candidate, ...]:
        return serialise.candidates_from_entry(self.proposals.record(item))

    def _entry(self, item: Item, generator: MaskGenerator[Any] | None) -> Entry:
        # as many prompts as before any were merged
        own = [one for one in self._matched(item) for _ in range(1 + len(one.merged))]
        if generator is None or not own:
            return _NO_CANDIDATES
        size = item.request.image.size
        selector: PointSelector[Any] = self.part("points")
        selector.reseed(item.entropy)
        lent = [(lender.request.image.size, _prompts(self._matched(lender))) for lender in self.lenders(item)]
        prompts = selector.control(size, _prompts(own), lent)
        if len(prompts) != len(own):
            raise SampleError(f"{self.named('points')} gave {len(prompts)} prompts for a control of {len(own)}")
        bare = [Candidate(one.group, prompt, (), (), map=one.map) for one, prompt in zip(own, prompts, strict=True)]
        return self.drawn(item, generator, bare, self.proposals.merge_iou)

    @cached_property
    def _able(self) -> dict[str, NDArray[np.uint64]]:
        """Of each probing the entropy and the place of all that can lend, in order; empty where nothing is lent."""
        able: dict[str, list[tuple[int, int]]] = {}
        if getattr(self.components.one("points").registration.component_class, "of_other_images", False):
            for at, item in enumerate(self.ring):
                if item.segmented and not item.unreadable:
                    able.setdefault(item.request.protocol, []).append((item.entropy, at))
        return {protocol: np.array(sorted(pairs), np.uint64) for protocol, pairs in able.items()}

    def lenders(self, item: Item) -> list[Item]:
        """List the next items by key that show other images and are asked alike."""
        able, own = self._able.get(item.request.protocol, np.zeros((0, 2), np.uint64)), item.request.image.digest
        start = int(np.searchsorted(able[:, 0], np.uint64(item.entropy)))
        following = (self.ring[int(able[at % len(able), 1])] for at in range(start, start + len(able)))
        return list(islice((one for one in following if one.request.image.digest != own), _LENDERS))


def _prompts(candidates: Iterable[Candidate]) -> list[PointPrompt]:
    return [one.point for one in candidates if one.point is not None]
