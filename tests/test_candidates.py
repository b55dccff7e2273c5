from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_groupers.merging import merge_duplicates
from pixcore_selection.pick import pick_mask

from pixcore.masks import encode
from pixcore.records import Candidate, PointPrompt, TokenGroup


def candidate(phrase: str, point: tuple[float, float], *widths: int, scores: tuple[float, ...] = ()) -> Candidate:
    """A candidate whose masks are bars of the given widths in an image of 100x2."""
    bars = [np.arange(100)[None].repeat(2, 0) < width for width in widths]
    group = TokenGroup((0,), phrase, 0, len(phrase))
    given_scores = scores or tuple(0.5 for _ in widths)
    return Candidate(group, PointPrompt.at(point), tuple(encode(bar) for bar in bars), given_scores)


@pytest.mark.parametrize(
    ("rule", "index"), [("first", 0), ("last", 3), ("best-score", 2), ("smallest", 1), ("largest", 0)]
)
def test_each_rule_picks_its_mask_and_the_first_of_equals(rule, index):
    four = candidate("x", (0, 0), 90, 10, 50, 10, scores=(0.1, float("nan"), 0.7, 0.7))
    assert pick_mask(four, rule) == index


def test_a_candidate_without_masks_has_none_to_pick():
    with pytest.raises(ValueError, match="without masks"):
        pick_mask(candidate("x", (0, 0)), "first")


def test_the_same_point_is_a_duplicate_whatever_its_masks():
    merged = merge_duplicates([candidate("a", (1, 1), 10), candidate("b", (1, 1), 90)], 1.0)
    assert [(one.group.phrase, one.merged) for one in merged] == [("a", ("b",))]


def test_all_masks_must_overlap():
    first, near, half = candidate("a", (0, 0), 50, 80), candidate("b", (1, 0), 48, 80), candidate("c", (2, 0), 50, 20)
    assert [one.merged for one in merge_duplicates([first, near, half], 0.95)] == [("b",), ()]
    assert [one.merged for one in merge_duplicates([first, near, half], 0.97)] == [(), (), ()]


def test_candidates_with_different_numbers_of_masks_stay_apart():
    assert len(merge_duplicates([candidate("a", (0, 0), 50), candidate("b", (1, 0), 50, 50)], 0.5)) == 2


@settings(max_examples=60, deadline=None)
@given(
    widths=st.lists(st.tuples(st.integers(1, 100), st.integers(1, 100)), max_size=8),
    iou=st.floats(0.05, 1),
)
def test_merging_loses_no_phrase_and_a_second_time_changes_nothing(widths, iou):
    before = [candidate(f"p{i}", (i, 0), *pair) for i, pair in enumerate(widths)]
    after = merge_duplicates(before, iou)
    phrases = [phrase for one in after for phrase in (one.group.phrase, *one.merged)]
    assert sorted(phrases) == sorted(one.group.phrase for one in before)
    assert merge_duplicates(after, iou) == after


@settings(max_examples=60, deadline=None)
@given(
    drawn=st.lists(st.tuples(st.integers(0, 9), st.lists(st.integers(0, 12), max_size=3)), max_size=40),
    iou=st.floats(0.3, 1),
)
def test_each_duplicate_goes_to_the_first_that_stays_and_is_like_it(drawn, iou):
    """Bars of one image overlap by the shorter one's share of the longer one; so does nothing with nothing."""
    named = [candidate(f"p{i}", (point, 0), *widths) for i, (point, widths) in enumerate(drawn)]
    kept: dict[int, list[str]] = {}
    for i, (point, widths) in enumerate(drawn):
        for j in kept:
            pairs = zip(drawn[j][1], widths, strict=False)
            close = all(min(pair) / max(pair) >= iou if max(pair) else True for pair in pairs)
            if point == drawn[j][0] or (widths and len(widths) == len(drawn[j][1]) and close):
                kept[j].append(f"p{i}")
                break
        else:
            kept[i] = []
    found = {int(one.group.phrase[1:]): list(one.merged) for one in merge_duplicates(named, iou)}
    assert found == kept
