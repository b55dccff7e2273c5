from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pixcore_groupers.groupers import Tokens, Words

from pixcore.components import NoConfig
from pixcore.records import Token

TEXTS = Path(__file__).resolve().parents[3] / "../shared/data/goldens/attend-and-segment/texts.json"


def cut(*pieces: str) -> tuple[str, list[Token]]:
    """Tokens that follow each other and make up a text, and the end token."""
    tokens, place = [], 0
    for number, piece in enumerate(pieces):
        tokens.append(Token(number, piece, place, place + len(piece)))
        place += len(piece)
    return "".join(pieces), [*tokens, Token(99, "", place, place)]


def test_words_gather_their_tokens():
    text, tokens = cut("The", " boat", "'s", " sa", "il", ",", " up", ".")
    groups = Words(NoConfig()).group(text, tokens)
    assert [(group.phrase, group.tokens) for group in groups] == [
        ("The", (0,)),
        ("boat's", (1, 2)),
        ("sail", (3, 4)),
        ("up", (6,)),
    ]
    assert all(text[group.start : group.end] == group.phrase for group in groups)


@pytest.mark.parametrize("word", ["लाल", "कुत्ता", "cafe\u0301", "e\u0301cru's"])
def test_a_word_goes_on_over_its_marks(word):
    (group,) = Words(NoConfig()).group(*cut(f" {word}", " ❤\ufe0f"))
    assert group.phrase == word


def test_a_token_over_two_words_is_in_both():
    groups = Words(NoConfig()).group(*cut("red fi", "sh"))
    assert [(group.phrase, group.tokens) for group in groups] == [("red", (0,)), ("fish", (0, 1))]


def test_tokens_stand_alone_and_punctuation_in_no_group():
    text, tokens = cut(" The", "\n", " cat", "!", "  ", "42")
    groups = Tokens(NoConfig()).group(text, tokens)
    assert [(group.phrase, group.tokens) for group in groups] == [("The", (0,)), ("cat", (2,)), ("42", (5,))]
    assert all(text[group.start : group.end] == group.phrase for group in groups)


@pytest.mark.parametrize("grouper", [Tokens(NoConfig()), Words(NoConfig())])
@pytest.mark.parametrize("pieces", [(), ("",), ("...", " ", "\n")])
def test_a_text_that_says_nothing_has_no_groups(grouper, pieces):
    assert grouper.group(*cut(*pieces)) == []


@pytest.mark.parametrize("grouper", [Tokens(NoConfig()), Words(NoConfig())])
@given(pieces=st.lists(st.text(max_size=6), max_size=12))
def test_groups_follow_the_text_and_hold_what_they_say(grouper, pieces):
    text, tokens = cut(*pieces)
    groups = grouper.group(text, tokens)
    assert [group.start for group in groups] == sorted(group.start for group in groups)
    for group in groups:
        assert group.tokens
        assert group.phrase == text[group.start : group.end]
        held = [tokens[index] for index in group.tokens]
        assert all(token.start < group.end and token.end > group.start for token in held)
        assert min(token.start for token in held) <= group.start
        assert max(token.end for token in held) >= group.end


@pytest.mark.parametrize("grouper", [Tokens(NoConfig()), Words(NoConfig())])
def test_spans_that_run_backwards_are_in_no_group(grouper):
    """The published spans of unfinished characters do (../shared/data/goldens/attend-and-segment-and-cambrian.md)."""
    if not TEXTS.exists():
        pytest.skip("../shared/data/goldens absent")
    seen = 0
    for entry in json.loads(TEXTS.read_text()):
        for variant in entry["variants"].values():
            ends = variant["token_end"]
            spans = list(zip([0, *ends], ends, strict=False))
            tokens = [Token(0, "", start, end) for start, end in spans]
            backwards = {index for index, (start, end) in enumerate(spans) if start > end}
            grouped = {index for group in grouper.group(variant["decoded"], tokens) for index in group.tokens}
            assert not backwards & grouped
            seen += len(backwards)
    assert seen > 0
