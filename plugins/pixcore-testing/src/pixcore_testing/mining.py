"""Hold token groupers, point selectors and mask generators to their contract."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import MaskGenerator, PointSelector, TokenGrouper
from pixcore.errors import PixcoreError
from pixcore.records import Image, MaskProposal, PointPrompt, Response, Token, TokenGroup
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report, page_of

_AXES = "masks, height, width"
_ROUNDED = 0.02  # by how much scores may differ: other kernels serve other batches


def check_token_grouper(grouper: TokenGrouper[Any]) -> list[Finding]:
    """Hold a grouper to its contract, over several scripts and empty text."""
    report = Report(page_of("grouper"))
    items = [(text, inputs.tokens_of(text)) for text in inputs.TEXTS]
    alone: list[list[TokenGroup]] = []
    for text, tokens in items:
        with report.step(f"group, {text[:24]!r}"):
            groups = grouper.group(text, tokens)
            alone.append(groups)
            if report.instance(groups, "what group gives", list) and all(
                _check_group(report, group, text, tokens, exact=not grouper.context.published) for group in groups
            ):
                starts = [group.start for group in groups]
                report.expect(starts == sorted(starts), "groups are in the order of the text", f"starts {starts}")
    if not report.broken:
        with report.step("group, again"):
            again = [grouper.group(text, tokens) for text, tokens in reversed(items)][::-1]
            promise = "a text gives the same groups every time, whatever text came before"
            same = report.expect(again == alone, promise, "other groups")
        with report.step("group_many"):
            many = grouper.group_many(items)
            report.expect(not same or many == alone, "group_many gives the groups that group gives", "other groups")
    if not report.broken:
        _check_asked(report, grouper, items)
    return report.findings


def _check_asked(report: Report, grouper: TokenGrouper[Any], items: Sequence[tuple[str, tuple[Token, ...]]]) -> None:
    """Whether what a run calls holds: it knows the requests, so that its groups may be others than the text's alone."""
    with report.step("group_asked"):
        asked = [(inputs.request(inputs.WIDE), Response(text, tokens)) for text, tokens in items]
        try:
            found = grouper.group_asked(asked)
        except PixcoreError:
            return  # one that needs the run's model says so in a line
        promise = "group_asked gives the groups of each response, in order"
        if not report.expect(len(found) == len(items), promise, f"{len(found)} for {len(items)} responses"):
            return
        for (text, tokens), groups in zip(items, found, strict=True):
            for group in groups:
                if not _check_group(report, group, text, tokens, exact=not grouper.context.published):
                    return


def _check_group(report: Report, group: Any, text: str, tokens: Sequence[Token], *, exact: bool) -> bool:
    """Whether a group holds; the first promise that it breaks is reported."""
    if not report.instance(group, "a group", TokenGroup):
        return False
    alone = bool(group.tokens) or group.prompt is not None
    if not report.expect(alone, "a group has a token, or a prompt of its own", f"{group.phrase!r} has none"):
        return False
    if not all(report.index(index, "a group's token", len(tokens), "the response's tokens") for index in group.tokens):
        return False
    inside = 0 <= group.start <= group.end <= len(text)
    seen = f"{group.start} to {group.end} of {len(text)} characters"
    if not report.expect(inside, "a group's phrase stands from start to end in the text", seen):
        return False
    if not group.tokens:
        return True  # it stands for no text: where to look is its prompt
    there, phrase = text[group.start : group.end], repr(group.phrase)
    promise = "a group's phrase is what stands from start to end"
    if not report.expect(there == group.phrase, promise, f"{phrase} where {there!r} stands"):
        return False
    twice = sorted(index for index, count in Counter(group.tokens).items() if count > 1)
    if not report.expect(not twice, "a group holds a token once", f"{twice[:3]} of {phrase} twice"):
        return False
    silent = [index for index in group.tokens if tokens[index].start == tokens[index].end]
    if not report.expect(not silent, "a group holds no token that adds no text", f"{silent} in {phrase}"):
        return False
    spelling = [
        index for index, token in enumerate(tokens) if max(token.start, group.start) < min(token.end, group.end)
    ]
    apart = [index for index in group.tokens if index not in spelling]
    left = [index for index in spelling if index not in group.tokens]
    wrong = f"{apart[:1]} of {phrase} stands elsewhere in the text" if apart else f"{left[:1]} is left out of {phrase}"
    promise = "a group's tokens are those that spell its phrase"
    return report.expect(not exact or not (apart or left), promise, f"token {wrong}")


def check_point_selector(selector: PointSelector[Any]) -> list[Finding]:
    """Hold a selector to its contract: points inside the image, the same ones after `reseed`, flat maps too."""
    report = Report(page_of("points"))
    rng = np.random.default_rng(0)
    bump = rng.random((40, 64), np.float32) * 0.1
    bump[2:6, 52:56] += 1  # its row and column swapped lie outside, here and turned
    maps = {
        "a bump": bump,
        "a tall image": np.ascontiguousarray(bump.T),
        "all equal": np.zeros((24, 32), np.float32),
        "all negative": -bump - 1,
        "a strip": np.ones((4, 64), np.float32),  # a row and column near its middle, swapped, lie outside
        "one pixel": np.ones((1, 1), np.float32),
    }
    for name, relevance in maps.items():
        with report.step(f"select, {name}"):
            before = relevance.copy()
            selector.reseed(7)
            prompt = selector.select(relevance)
            report.expect(np.array_equal(relevance, before), "select changes no map that it is shown", "other values")
            if report.instance(prompt, "what select gives", PointPrompt):
                _check_prompt(report, prompt, width=relevance.shape[1], height=relevance.shape[0])
    if not report.broken:
        with report.step("select, again"):
            first = [_pointed(selector, one) for one in maps.values()]
            again = [_pointed(selector, one) for one in reversed(maps.values())][::-1]
            same = all(_same(one, other) for one, other in zip(first, again, strict=True))
            promise = "a map and a seed give the same points every time, whatever map came before (self.rng is seeded)"
            report.expect(same, promise, "other points the second time")
    return report.findings


def _pointed(selector: PointSelector[Any], relevance: NDArray[np.float32]) -> PointPrompt:
    selector.reseed(7)
    return selector.select(relevance.copy())


def _same(one: PointPrompt, other: PointPrompt) -> bool:
    return bool(
        np.array_equal(one.points, other.points)
        and np.array_equal(one.labels, other.labels)
        and (one.box, one.text, len(one.also)) == (other.box, other.text, len(other.also))
        and all(_same(own, another) for own, another in zip(one.also, other.also, strict=True))
    )


def _check_prompt(report: Report, prompt: PointPrompt, width: int, height: int) -> None:
    count = len(prompt.points)
    if not report.array(prompt.points, "points", (None, 2), np.float32, "points, x and y"):
        return
    if report.array(prompt.labels, "labels", (count,), np.int8, "points"):
        given = prompt.labels.tolist()
        report.expect(set(given) <= {0, 1}, "a label is 1, inside, or 0, outside", str(given))
    ends = np.array([width - 1, height - 1])
    inside = bool((prompt.points >= 0).all() and (prompt.points <= ends).all())
    swapped = not inside and bool((prompt.points[:, ::-1] <= ends).all() and (prompt.points >= 0).all())
    seen = f"{prompt.points.tolist()} in {width}x{height} pixels{', as (row, column)' if swapped else ''}"
    report.expect(inside, "points are (x, y) inside the image", seen)
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        inside = 0 <= x0 <= x1 <= width and 0 <= y0 <= y1 <= height
        promise = "a box is (x0, y0, x1, y1) inside the image"
        report.expect(inside, promise, f"{tuple(map(float, prompt.box))} in {width}x{height} pixels")
    for place in prompt.also:
        _check_prompt(report, place, width, height)


def check_mask_generator(generator: MaskGenerator[Any]) -> list[Finding]:
    """Hold a generator to its contract: masks at image size for every prompt, a batch as one by one."""
    report = Report(page_of("masks"))
    for size in (inputs.WIDE, inputs.TALL):
        prompts = _prompts(size, generator)
        image = inputs.picture(size)
        with report.step(f"segment, {size[0]}x{size[1]}"):
            before = copy.deepcopy(prompts)
            proposals = generator.segment(image, prompts)
            same = all(map(_same, prompts, before))
            promise = "segment changes no prompt that it is given: it is what the record says of the masks"
            if not report.expect(same, promise, "other points"):
                break
            counted = f"{len(proposals)} for {len(prompts)} prompts"
            if not report.expect(len(proposals) == len(prompts), "segment gives one proposal a prompt", counted):
                break
            if not all(_check_proposal(report, proposal, size) for proposal in proposals):
                continue
            nothing = generator.segment(image, [])
            report.expect(nothing == [], "no prompt gives no proposal", f"{len(nothing)} proposals")
            if not report.broken:
                _check_consistency(report, generator, image, prompts, proposals)
    return report.findings


def _prompts(size: tuple[int, int], generator: MaskGenerator[Any]) -> list[PointPrompt]:
    """Prompts of points; one that takes texts is told in words as well, as it may take nothing else."""
    width, height = size
    prompts = [
        PointPrompt.at((width / 3, height / 3)),
        PointPrompt(np.array([[width / 3, height / 3], [1, 1]], np.float32), np.array([1, 0], np.int8)),
        PointPrompt.at((0, 0)),
        PointPrompt.at((width - 1, height - 1)),
    ]
    words = ("a cat", "a cat", "the sky", "a dog") if generator.text_prompts else (None,) * len(prompts)
    return [replace(prompt, text=text) for prompt, text in zip(prompts, words, strict=True)]


def _check_consistency(
    report: Report,
    generator: MaskGenerator[Any],
    image: Image,
    prompts: Sequence[PointPrompt],
    together: Sequence[MaskProposal],
) -> None:
    """A prompt alone, and another picture of the same name and size, which no memory may mistake for the first."""
    other = _other(generator.segment(image, prompts), together)
    if not report.expect(not other, "the same prompts give the same masks every time", f"{other} the second time"):
        return
    other = _other([generator.segment(image, [prompt])[0] for prompt in prompts], together)
    promise = "a prompt gives the same masks and scores alone and among others"
    if not report.expect(not other, promise, f"{other} alone"):
        return
    pixels = np.ascontiguousarray(image.pixels()[::-1, ::-1])
    after = generator.segment(Image.from_pixels(pixels, name=image.name), prompts)
    generator.segment(inputs.picture((24, 24)), [replace(prompts[0], points=np.full((1, 2), 8, np.float32))])
    fresh = generator.segment(Image.from_pixels(pixels, name="the same under another name"), prompts)
    other = _other(after, fresh)
    report.expect(not other, "an image is known by its content (image.digest)", "masks of an image before it")


def _other(found: Sequence[MaskProposal], expected: Sequence[MaskProposal]) -> str:
    """What of some proposals is not as it was, in words, but for rounding; "" where nothing is."""
    for one, other in zip(found, expected, strict=True):
        if one.masks.shape != other.masks.shape or np.mean(one.masks != other.masks) >= 0.01:
            return "other masks"
        if not np.allclose(one.scores, other.scores, rtol=_ROUNDED, atol=_ROUNDED):
            return "other scores"
        stable, before = one.stability, other.stability
        if (stable is None) != (before is None):
            return "other stability"
        if stable is not None and before is not None and not np.allclose(stable, before, rtol=_ROUNDED, atol=_ROUNDED):
            return "other stability"
    return ""


def _check_proposal(report: Report, proposal: Any, size: tuple[int, int]) -> bool:
    """Whether a proposal holds; the first promise that it breaks is reported."""
    if not report.instance(proposal, "a proposal", MaskProposal):
        return False
    count = len(proposal.masks)
    shape, promise = (count, size[1], size[0]), "a proposal's masks, at the image's own size"
    if proposal.size is not None:
        if not report.expect(proposal.size == size, "a proposal says the image's own size", f"{proposal.size}"):
            return False
        shape, promise = (count, *proposal.masks.shape[1:]), "a proposal's masks"
    return (
        report.expect(count > 0, "a proposal has a mask", "none")
        and report.array(proposal.masks, promise, shape, np.bool_, _AXES)
        and report.array(proposal.scores, "a proposal's scores", (count,), np.float32, "masks")
        and (
            proposal.stability is None
            or report.array(proposal.stability, "a proposal's stability", (count,), np.float32, "masks")
        )
    )
