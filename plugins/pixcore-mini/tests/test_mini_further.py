"""A finished model trained further: from its own weights, on harder questions, resumed to the last bit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pixcore_mini.adapter import Mini
from pixcore_mini.batches import HarderBatches
from pixcore_mini.config import FURTHER, SHIPPED, MiniConfig
from pixcore_mini.dialogue import FURTHER_DIALOGUES, LETTERS, harder_dialogue, lettered_dialogue
from pixcore_mini.evaluate import ask
from pixcore_mini.further import Further, FurtherRecipe
from pixcore_mini.tokenizer import Encoder
from pixcore_mini_world.scene import make_scene, scene_random
from rich.console import Console
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

from pixcore.records import Protocol, Request

TINY = FurtherRecipe(steps=(0, 0, 3), batch=(4, 4, 2), warmup=1, begins="shipped")


def further(out: Path, recipe: FurtherRecipe = TINY) -> Further:
    return Further(
        recipe,
        out,
        begin=MiniConfig().folder,
        console=Console(quiet=True),
        save_every=0.0,
        validation_images=4,
        drawn_scenes=(12, 6),
    )


def test_it_begins_with_the_finished_weights_and_goes_on_as_if_undisturbed(tmp_path: Path) -> None:
    whole = further(tmp_path / "whole")
    shipped = LlavaForConditionalGeneration.from_pretrained(MiniConfig().folder, dtype=torch.float32).state_dict()
    begun = {name: tensor.clone() for name, tensor in whole.network.state_dict().items()}
    assert all(torch.equal(tensor, shipped[name]) for name, tensor in begun.items())
    whole.train()
    for stop in (1, 1):
        further(tmp_path / "parts").train(stop_after=stop)
    last = further(tmp_path / "parts")
    last.train()
    parts = last.network.state_dict()
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.network.state_dict().items())
    assert not torch.equal(parts["lm_head.weight"], begun["lm_head.weight"])
    assert "attributes" not in (tmp_path / "whole" / "log.jsonl").read_text()
    with pytest.raises(SystemExit, match=r"made with another recipe \(begins shipped, not another\)"):
        further(tmp_path / "parts", replace(TINY, begins="another")).train()


def test_harder_questions_are_about_what_may_be_absent_and_ask_for_the_letter_alone() -> None:
    absent = asked = 0
    for index in range(60):
        rng = scene_random("train", 0, "harder", index)
        turns = harder_dialogue(make_scene(rng, "train"), rng)
        assert len(turns) == 10
        assert {turn.answer for turn in turns if turn.is_letter} <= set(LETTERS)
        assert sum(turn.is_letter for turn in turns) == 4
        identified = [turn for turn in turns if turn.kind.startswith("segment")]
        assert sum(turn.kind == "segment absent" for turn in identified) == len(identified) / 2 == 2
        presence = [turn for turn in turns if turn.kind == "question presence"]
        asked += len(presence)
        absent += sum(turn.answer.startswith("No, there is no ") for turn in presence)
    assert 0.3 < absent / asked < 0.7


def test_letters_alone_are_two_thirds_of_what_teaches_them() -> None:
    for index in range(20):
        rng = scene_random("train", 0, "lettered", index)
        turns = lettered_dialogue(make_scene(rng, "train"), rng)
        assert len(turns) == 9
        assert [turn.answer in LETTERS for turn in turns] == [turn.is_letter for turn in turns]
        assert sum(turn.is_letter for turn in turns) == 6


@pytest.mark.parametrize("ask", FURTHER_DIALOGUES)
def test_batches_follow_from_the_step_and_rows(tokenizer: PreTrainedTokenizerFast, ask: str) -> None:
    encoder = Encoder(tokenizer)
    both, one, other = (HarderBatches(encoder, 3, rows, 100, ask)[5][0] for rows in (range(4), range(2), range(2, 4)))
    assert torch.equal(both.tokens, torch.cat([one.tokens, other.tokens]))
    assert not torch.equal(both.tokens, HarderBatches(encoder, 3, range(4), 100, ask)[6][0].tokens)
    letters = int((both.weights > 1).sum())
    assert letters >= 5 * 4 if ask == "letters-alone" else letters <= 4 * 4


def test_what_was_trained_further_answers_letters_alone_and_says_no_more_often() -> None:
    """Over the same new scenes, against the shipped weights."""
    asked = [one for one in ask("validation", 3, 40) if one.turn.is_letter or one.turn.kind == "segment absent"]
    requests = [Request(one.image.name, Protocol.QUESTION, one.image, one.turn.prompt) for one in asked]
    right = dict[str, int]()
    for checkpoint in (SHIPPED, FURTHER):
        texts = [response.text for response in Mini(MiniConfig(checkpoint=checkpoint)).answer(requests)]
        said = [text for one, text in zip(asked, texts, strict=True) if one.turn.kind == "segment absent"]
        right[checkpoint] = sum(text.startswith("There is no ") for text in said)
        letters = {text for one, text in zip(asked, texts, strict=True) if one.turn.is_letter}
        assert (letters <= set(LETTERS)) == (checkpoint == FURTHER)
        answered = [one.right(text) for one, text in zip(asked, texts, strict=True) if one.turn.is_letter]
        assert sum(answered) > 0.8 * len(answered)
    assert right[FURTHER] > right[SHIPPED]
    assert MiniConfig(checkpoint=FURTHER).fingerprint() != MiniConfig().fingerprint()
