"""Hold token groupers, point selectors and mask generators to their contract."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pixcore.components import MaskGenerator, PointSelector, TokenGrouper
from pixcore.records import MaskProposal, PointPrompt, TokenGroup
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report


def check_token_grouper(grouper: TokenGrouper[Any]) -> list[Finding]:
    """Hold a grouper to its contract, over several scripts and empty text."""
    report = Report()
    items = [(text, inputs.tokens_of(text)) for text in inputs.TEXTS]
    alone: list[list[TokenGroup]] = []
    for text, tokens in items:
        with report.step(f"group, {text[:24]!r}"):
            groups = grouper.group(text, tokens)
            alone.append(groups)
            if not report.instance(groups, "the result", list):
                continue
            for group in groups:
                _check_group(report, group, text, tokens)
            starts = [group.start for group in groups]
            report.expect(starts == sorted(starts), f"groups should be in the order of the text, start at {starts}")
    if len(alone) == len(items):
        with report.step("group_many"):
            report.expect(grouper.group_many(items) == alone, "group_many gives other groups than group")
    return report.findings


def _check_group(report: Report, group: Any, text: str, tokens: Sequence[Any]) -> None:
    if not report.instance(group, "a group", TokenGroup):
        return
    inside = all(isinstance(index, int) and 0 <= index < len(tokens) for index in group.tokens)
    if report.expect(inside and bool(group.tokens), f"{group.phrase!r} needs indices of tokens, has {group.tokens}"):
        silent = [index for index in group.tokens if tokens[index].start == tokens[index].end]
        report.expect(not silent, f"{group.phrase!r} holds tokens that add no text: {silent}")
    there = text[group.start : group.end]
    report.expect(
        there == group.phrase, f"{group.phrase!r} is not what stands at [{group.start}, {group.end}): {there!r}"
    )


def check_point_selector(selector: PointSelector[Any]) -> list[Finding]:
    """Hold a selector to its contract: points inside the image, the same ones after `reseed`, flat maps too."""
    report = Report()
    rng = np.random.default_rng(0)
    bump = rng.random((40, 64), np.float32) * 0.1
    bump[30:34, 8:12] += 1
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
            report.expect(np.array_equal(relevance, before), "select changes the map that it is shown")
            if not report.instance(prompt, "the result", PointPrompt):
                continue
            _check_prompt(report, prompt, width=relevance.shape[1], height=relevance.shape[0])
            selector.reseed(7)
            again = selector.select(relevance)
            same = np.array_equal(again.points, prompt.points) and again.box == prompt.box
            report.expect(same, "the same map and seed give other points the second time")
    return report.findings


def _check_prompt(report: Report, prompt: PointPrompt, width: int, height: int) -> None:
    count = len(prompt.points)
    report.array(prompt.points, "points", (None, 2), np.float32)
    report.array(prompt.labels, "labels", (count,), np.int8)
    report.expect(set(prompt.labels.tolist()) <= {0, 1}, f"labels should be 0 or 1, are {prompt.labels.tolist()}")
    inside = bool((prompt.points >= 0).all() and (prompt.points <= (width - 1, height - 1)).all())
    report.expect(inside, f"points {prompt.points.tolist()} lie outside an image of {width}x{height} pixels")
    if prompt.box is not None:
        x0, y0, x1, y1 = prompt.box
        inside = 0 <= x0 <= x1 <= width and 0 <= y0 <= y1 <= height
        report.expect(inside, f"box {prompt.box} lies outside an image of {width}x{height} pixels")


def check_mask_generator(generator: MaskGenerator[Any]) -> list[Finding]:
    """Hold a generator to its contract: masks at image size for every prompt, a batch as one by one."""
    report = Report()
    for size in (inputs.WIDE, inputs.TALL):
        image, (width, height) = inputs.picture(size), size
        prompts = [
            PointPrompt.at((width / 3, height / 3)),
            PointPrompt(np.array([[width / 3, height / 3], [1, 1]], np.float32), np.array([1, 0], np.int8)),
            PointPrompt.at((0, 0)),
            PointPrompt.at((width - 1, height - 1)),
        ]
        with report.step(f"segment, {width}x{height}"):
            proposals = generator.segment(image, prompts)
            if not report.expect(
                len(proposals) == len(prompts), f"{len(prompts)} prompts give {len(proposals)} proposals"
            ):
                continue
            for proposal in proposals:
                _check_proposal(report, proposal, size)
            report.expect(generator.segment(image, []) == [], "no prompt should give no proposal")
            for prompt, together in zip(prompts, proposals, strict=True):
                (alone,) = generator.segment(inputs.picture(size), [prompt])
                same = alone.masks.shape == together.masks.shape and np.mean(alone.masks != together.masks) < 0.01
                report.expect(bool(same), "a prompt alone gives other masks than among others")
    return report.findings


def _check_proposal(report: Report, proposal: Any, size: tuple[int, int]) -> None:
    if not report.instance(proposal, "a proposal", MaskProposal):
        return
    count = len(proposal.masks)
    report.expect(count > 0, "a proposal needs at least one mask")
    report.array(proposal.masks, "masks", (count, size[1], size[0]), np.bool_)
    report.array(proposal.scores, "scores", (count,), np.float32)
    if proposal.stability is not None:
        report.array(proposal.stability, "stability", (count,), np.float32)
