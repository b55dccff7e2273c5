"""The tokenizer and what is said in its words."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_mini.dialogue import Turn, dialogue, letter_prompt, question_prompt, segment_prompt
from pixcore_mini.tokenizer import ASSISTANT, GRID, IMAGE_ID, SPECIAL, UNKNOWN, Encoder
from pixcore_mini.vocabulary import build_tokenizer
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig
from pixcore_mini_world.scene import make_scene, scene_random
from transformers import PreTrainedTokenizerFast

from pixcore.protocols import build_prompt
from pixcore.records import Fidelity, Protocol


def turns(split: str, count: int) -> list[Turn]:
    said = []
    for index in range(count):
        rng = scene_random(split, 5, "words", index)  # type: ignore[arg-type]
        said += dialogue(make_scene(rng, split), rng)  # type: ignore[arg-type]
    return said


@given(st.one_of(st.text(), st.text("aA (b)'.?\n0é<>:")))
@settings(max_examples=300, deadline=None)
def test_offsets_tile_any_text(text: str) -> None:
    encoded = build_tokenizer().backend_tokenizer.encode(text, add_special_tokens=False)
    ends = [0]
    for start, end in encoded.offsets:
        assert start == ends[-1]
        assert end > start
        ends.append(end)
    assert ends[-1] == len(text)
    for token, (start, end) in zip(encoded.tokens, encoded.offsets, strict=True):
        assert token in (text[start:end], UNKNOWN)


def test_all_that_is_said_comes_back_exactly() -> None:
    """On the test side too: its contents are new, its words are not."""
    for turn in [*turns("train", 60), *turns("test", 60)]:
        for text in (turn.prompt, turn.answer):
            ids = build_tokenizer().encode(text)
            assert build_tokenizer().unk_token_id not in ids, text
            assert build_tokenizer().decode(ids) == text


def test_it_is_the_same_after_saving(tmp_path: Path) -> None:
    build_tokenizer().save_pretrained(tmp_path)
    loaded = PreTrainedTokenizerFast.from_pretrained(tmp_path, local_files_only=True)
    assert loaded.get_vocab() == build_tokenizer().get_vocab()
    text = "Is the door of the red house open or closed? (a) open (b) closed"
    assert loaded.encode(text) == build_tokenizer().encode(text)
    assert loaded.decode(loaded.encode(text)) == text
    assert loaded.padding_side == "left"


def test_marks_inside_a_prompt_are_text() -> None:
    encoder = Encoder(build_tokenizer())
    ids = encoder.full_prompt("the <image> of </s> ASSISTANT: the house")
    assert ids.count(IMAGE_ID) == GRID * GRID
    assert ids.count(encoder.end) == 0
    assert ids.count(build_tokenizer().convert_tokens_to_ids(ASSISTANT)) == 1


def test_unknown_words_are_unknown() -> None:
    assert build_tokenizer().encode("Identify the zebra in the scene.").count(build_tokenizer().unk_token_id) == 1
    assert build_tokenizer().convert_ids_to_tokens(range(len(SPECIAL))) == list(SPECIAL)


@pytest.mark.parametrize("fidelity", Fidelity)
def test_prompts_are_those_that_pixcore_asks(fidelity: Fidelity) -> None:
    """What the model was trained on is what `pixcore.protocols` says, to the letter."""
    for sample in MiniWorld(MiniWorldConfig(pairs=12)).samples():
        question, options, expression = sample.question, sample.options, sample.expression
        assert question is not None
        assert expression is not None
        assert len(options) == 2
        pair = (options[0], options[1])
        assert build_prompt(sample, Protocol.QUESTION, fidelity) == question_prompt(question, pair)
        assert build_prompt(sample, Protocol.LETTER, fidelity) == letter_prompt(question, pair)
        assert build_prompt(sample, Protocol.SEGMENT, fidelity) == segment_prompt(expression)


def test_the_training_mix() -> None:
    said = turns("train", 400)
    absent = sum(turn.answer.startswith(("There is no", "No,")) for turn in said) / len(said)
    letters = [turn.answer[-1] for turn in said if turn.is_letter]
    assert 0.13 < absent < 0.22
    assert 0.25 < len(letters) / len(said) < 0.45
    assert Counter(letters)["A"] / len(letters) == pytest.approx(0.5, abs=0.05)
    assert len({turn.kind for turn in said}) >= 12
