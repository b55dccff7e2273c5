"""Training: packed rows mean what single ones mean, and a killed training ends like an undisturbed one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from pixcore_mini.attention import PACKED
from pixcore_mini.batches import (
    IGNORED,
    LETTER_WEIGHT,
    JointBatches,
    LetterBatches,
    VisionBatches,
    all_queries,
    pack,
)
from pixcore_mini.checkpoint import read_progress
from pixcore_mini.dialogue import dialogue
from pixcore_mini.network import build_network, pixels
from pixcore_mini.tokenizer import Encoder
from pixcore_mini.trainer import Recipe, Trainer, use_attention
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import make_scene, scene_random
from rich.console import Console
from transformers import LlavaForConditionalGeneration, PreTrainedTokenizerFast

TINY = Recipe(steps=(2, 2, 3), rounds=2, batch=(4, 4, 2), warmup=1)


def trainer(out: Path, recipe: Recipe = TINY) -> Trainer:
    return Trainer(
        recipe,
        out,
        console=Console(quiet=True),
        save_every=0.0,
        validation_images=4,
        keep_every=2,
        drawn_scenes=(12, 6),
    )


def test_a_packed_row_answers_as_single_prompts_do(tokenizer: PreTrainedTokenizerFast) -> None:
    """Against transformers' own forward pass, one prompt and its answer at a time."""
    torch.manual_seed(1)
    network = build_network(len(tokenizer)).eval()
    encoder = Encoder(tokenizer)
    rng = scene_random("train", 0, "packing")
    scenes = [make_scene(rng, "train") for _ in range(2)]
    rows = [(render(scene).image, dialogue(scene, rng)) for scene in scenes]
    batch = pack(encoder, rows)
    core = network.model
    with torch.no_grad():
        use_attention(network, PACKED)
        patches = core.vision_tower(pixel_values=pixels(batch.images)).last_hidden_state[:, 1:]
        embed = core.language_model.get_input_embeddings()
        begin = embed(torch.full_like(batch.tokens[:, :1], encoder.begin))
        inputs = torch.cat([begin, core.multi_modal_projector(patches), embed(batch.tokens)], dim=1)
        mask = torch.zeros(batch.attention_mask().shape).masked_fill_(~batch.attention_mask(), -1e9)
        hidden = core.language_model(
            inputs_embeds=inputs, attention_mask=mask, position_ids=batch.all_positions(), use_cache=False
        ).last_hidden_state
        use_attention(network, "sdpa")
        logits = network.lm_head(hidden[:, -batch.tokens.shape[1] :])
        left_out = 0
        for row, (_, turns) in enumerate(rows):
            for number, turn in enumerate(turns, 1):
                here = batch.turns[row] == number
                if not here.any():  # it did not fit into the row any more
                    left_out += 1
                    continue
                ids = [*encoder.full_prompt(turn.prompt), *encoder.answer(turn.answer)]
                alone = network(
                    input_ids=torch.tensor([ids[:-1]]), pixel_values=pixels(batch.images[row : row + 1])
                ).logits[0, -int(here.sum()) :]
                torch.testing.assert_close(logits[row, here], alone, atol=2e-4, rtol=1e-3)
                said = batch.labels[row, here]
                assert said[said != IGNORED].tolist() == encoder.answer(turn.answer)
                weights = batch.weights[row, here][said != IGNORED]
                assert weights[-2] == (LETTER_WEIGHT if turn.is_letter else 1.0)
                assert (weights[:-2] == 1.0).all()
    assert left_out <= 2


def test_batches_follow_from_the_step_and_rows(tokenizer: PreTrainedTokenizerFast) -> None:
    """Two processes that share a batch draw its halves, and nothing else."""
    encoder = Encoder(tokenizer)
    for whole, first, second in (
        (VisionBatches(3, range(4)), VisionBatches(3, range(2)), VisionBatches(3, range(2, 4))),
        (
            JointBatches(encoder, 3, range(4), 100),
            JointBatches(encoder, 3, range(2), 100),
            JointBatches(encoder, 3, range(2, 4), 100),
        ),
    ):
        for both, one, other in zip(whole[5], first[5], second[5], strict=True):
            if isinstance(both, torch.Tensor):
                assert torch.equal(both, torch.cat([one, other]))
            else:
                assert torch.equal(both.tokens, torch.cat([one.tokens, other.tokens]))
                assert torch.equal(both.images, torch.cat([one.images, other.images]))
    tokens, letters = LetterBatches(encoder, 3, range(6))[0]
    assert not torch.equal(tokens[:, -20:], LetterBatches(encoder, 3, range(6))[1][0][:, -20:])
    assert set(letters.tolist()) <= set(tokenizer.convert_tokens_to_ids(["A", "B"]))


def test_queries_name_what_the_scene_holds() -> None:
    queries = all_queries()
    scene = make_scene(scene_random("train", 0, "queries"), "train", 3, twins=0.0)
    for query in queries:
        target = query.target(scene)
        things = scene.of_kind(query.kind)
        if query.about == "presence":
            assert query.words[target] == ("yes" if things else "no")
        elif not things:
            assert target == IGNORED
        else:
            known = (*things[0].colours, *things[0].values)
            assert query.about == "place" or query.words[target] in known
    twins = make_scene(scene_random("train", 0, "queries"), "train", 2, twins=1.0)
    of_twins = [q for q in queries if q.kind == twins.things[0].kind and q.about != "presence"]
    assert {query.target(twins) for query in of_twins} == {IGNORED}


def test_interrupted_training_ends_like_undisturbed_training(tmp_path: Path) -> None:
    """Stopped in every stage and at a stage's end; the last bit of every weight is the same."""
    whole = trainer(tmp_path / "whole")
    whole.train()
    for stop in (1, 1, 1, 2, 2, 1):
        trainer(tmp_path / "parts").train(stop_after=stop)
    last = trainer(tmp_path / "parts")
    assert read_progress(last.checkpoint)["stage"] == 2
    last.train()
    parts = last.everything.state_dict()
    for name, tensor in whole.everything.state_dict().items():
        assert torch.equal(tensor, parts[name]), name
    model = LlavaForConditionalGeneration.from_pretrained(tmp_path / "parts" / "model", dtype=torch.float16)
    trained = last.network.state_dict()
    assert all(torch.equal(tensor, trained[name].half()) for name, tensor in model.state_dict().items())
    kept = [sorted((tmp_path / run / "steps").iterdir()) for run in ("whole", "parts")]
    for one, other in zip(*kept, strict=True):  # undisturbed by stops, and as a config's checkpoint: reads them
        assert one.name == other.name
        assert (one / "model.safetensors").read_bytes() == (other / "model.safetensors").read_bytes()
        assert '"packed' not in (one / "config.json").read_text()
        LlavaForConditionalGeneration.from_pretrained(one, dtype=torch.float16)
    assert [folder.name for folder in kept[0]] == ["00000", "00002"]
    log = [json.loads(line) for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()]
    assert [(line["stage"], line["step"]) for line in log if "right" in line] == [("letters", 2)]
    assert log[-1]["step"] == 3
    assert 0 <= log[-1]["attributes"] <= 1


class _Stopped:
    """A tokenizer at whose writing the disk is full."""

    def save_pretrained(self, folder: Path) -> None:
        raise OSError("no space left")


def test_a_kept_model_that_is_not_whole_is_not_known_as_one(tmp_path: Path) -> None:
    recipe = replace(TINY, rounds=1)
    stopped = trainer(tmp_path, recipe)
    stopped.tokenizer = _Stopped()  # type: ignore[assignment]
    with pytest.raises(OSError, match="no space left"):
        stopped.train()
    assert not list(tmp_path.glob("steps/*/config.json"))
    trainer(tmp_path, recipe).train()
    assert {path.parent.name for path in tmp_path.glob("steps/*/config.json")} == {"00000", "00002"}
    assert not (tmp_path / ".model.part").exists()


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path: Path) -> None:
    trainer(tmp_path).train(stop_after=1)
    with pytest.raises(SystemExit, match=r"made with another recipe \(seed 1, not 2\); choose another --out"):
        trainer(tmp_path, replace(TINY, seed=2)).train()


def test_the_rate_warms_up_holds_and_falls() -> None:
    recipe = Recipe(steps=(1000, 1000, 1000), warmup=100, hold=0.5)
    rates = [recipe.rate_at(2, step) / recipe.rate[2] for step in range(1000)]
    assert rates[0] == pytest.approx(0.01)
    assert rates[99:500] == pytest.approx([1.0] * 401)
    assert rates[500:] == sorted(rates[500:], reverse=True)
    assert rates[-1] == pytest.approx(0.02, abs=0.001)


def test_the_letters_stage_is_begun_anew_until_the_lookup_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No more rounds than are allowed, each with new questions, and none behind one whose lookup is known."""
    drawn: list[int] = []
    draw = LetterBatches.__getitem__

    def noted(batches: LetterBatches, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        drawn.append(step)
        return draw(batches, step)

    monkeypatch.setattr(LetterBatches, "__getitem__", noted)
    recipe = replace(TINY, steps=(2, 0, 0), rounds=3)
    guessing = trainer(tmp_path / "guessing", recipe)
    first = {name: tensor.clone() for name, tensor in guessing.everything.state_dict().items()}
    guessing.train(stop_after=2, stages=1)
    for name, tensor in guessing.everything.state_dict().items():  # its language model begins anew, and nothing else
        anew = tensor.ndim == 2 and name.startswith(("network.model.language", "network.lm"))
        assert torch.equal(tensor, first[name]) == (not anew), name
    guessing.train(stages=1)
    assert drawn == [0, 1, 2, 2, 3, 4, 4, 5]  # a round's questions are new, and so are those that end it
    assert read_progress(guessing.checkpoint)["stage"] == 1
    knowing = trainer(tmp_path / "knowing", replace(recipe, seed=2))
    monkeypatch.setattr("pixcore_mini.trainer.LETTERS_KNOWN", 0.0)
    knowing.train(stages=1)
    assert [json.loads(line)["step"] for line in (tmp_path / "knowing" / "log.jsonl").read_text().splitlines()] == [2]
    assert not (tmp_path / "knowing" / "model").exists()


def test_learning_happens(tmp_path: Path) -> None:
    """The letters' loss falls within a few steps, from what two options cost at the least."""
    recipe = Recipe(steps=(25, 1, 1), rounds=1, batch=(16, 2, 2), warmup=5, rate=(2e-3, 1e-3, 1e-3))
    short = trainer(tmp_path, recipe)
    batch = LetterBatches(short.encoder, 99, range(16))[0]
    before = short._letters_loss(batch).item()
    short.train(stop_after=25)
    after = short._letters_loss(batch).item()
    assert after < min(1.5, before / 2)
