"""Hold token groupers, point selectors and mask generators to their contract."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pixcore.components import MaskGenerator, PointSelector, TokenGrouper
from pixcore.records import Image, MaskProposal, PointPrompt, Token, TokenGroup
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report, page_of

_AXES = "masks, height, width"


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
            again = [grouper.group(text, tokens) for text, tokens in items]
            same = report.expect(again == alone, "the same text gives the same groups", "other groups")
        with report.step("group_many"):
            many = grouper.group_many(items)
            report.expect(not same or many == alone, "group_many gives the groups that group gives", "other groups")
    return report.findings


def _check_group(report: Report, group: Any, text: str, tokens: Sequence[Token], *, exact: bool) -> bool:
    """Whether a group holds; the first promise that it breaks is reported."""
    if not report.instance(group, "a group", TokenGroup):
        return False
    alone = bool(group.tokens) or group.prompt is not None
    if not report.expect(alone, "a group has a token, or a prompt of its own", f"{group.phrase!r} has none"):
        return False
    if not all(report.index(index, "a group's token", len(tokens), "the response's tokens") for index in group.tokens):
        return False
    there, phrase = text[group.start : group.end], repr(group.phrase)
    promise = "a group's phrase is what stands from start to end"
    if not report.expect(there == group.phrase, promise, f"{phrase} where {there!r} stands"):
        return False
    silent = [index for index in group.tokens if tokens[index].start == tokens[index].end]
    if not report.expect(not silent, "a group holds no token that adds no text", f"{silent} in {phrase}"):
        return False
    apart = [
        index
        for index in group.tokens
        if exact and (tokens[index].end <= group.start or tokens[index].start >= group.end)
    ]
    seen = f"token {apart[:1]} of {phrase} stands elsewhere in the text"
    return report.expect(not apart, "a group's tokens are those that spell its phrase", seen)


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
            first: list[PointPrompt] = []
            again: list[PointPrompt] = []
            for found in (first, again):
                for relevance in maps.values():
                    selector.reseed(7)
                    found.append(selector.select(relevance.copy()))
            same = all(
                np.array_equal(one.points, other.points) and one.box == other.box
                for one, other in zip(first, again, strict=True)
            )
            promise = "a map and a seed give the same points every time (self.rng is seeded for each sample)"
            report.expect(same, promise, "other points the second time")
    return report.findings


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


def check_mask_generator(generator: MaskGenerator[Any]) -> list[Finding]:
    """Hold a generator to its contract: masks at image size for every prompt, a batch as one by one."""
    report = Report(page_of("masks"))
    for size in (inputs.WIDE, inputs.TALL):
        prompts = _prompts(size, generator)
        image = inputs.picture(size)
        with report.step(f"segment, {size[0]}x{size[1]}"):
            proposals = generator.segment(image, prompts)
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
    alone = [generator.segment(image, [prompt])[0] for prompt in prompts]
    same = all(_alike(one, other) for one, other in zip(alone, together, strict=True))
    if not report.expect(same, "a prompt gives the same masks alone and among others", "other masks alone"):
        return
    pixels = np.ascontiguousarray(image.pixels()[::-1, ::-1])
    after = generator.segment(Image.from_pixels(pixels, name=image.name), prompts)
    generator.segment(inputs.picture((24, 24)), [replace(prompts[0], points=np.full((1, 2), 8, np.float32))])
    fresh = generator.segment(Image.from_pixels(pixels, name="the same under another name"), prompts)
    kept = all(_alike(one, other) for one, other in zip(after, fresh, strict=True))
    report.expect(kept, "an image is known by its content (image.digest)", "masks of an image before it")


def _alike(one: MaskProposal, other: MaskProposal) -> bool:
    return one.masks.shape == other.masks.shape and bool(np.mean(one.masks != other.masks) < 0.01)


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
