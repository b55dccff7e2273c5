"""Training: every [SEG] has its region's mask, and a killed training ends like an undisturbed one."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pixcore_mini.batches import all_queries
from pixcore_mini.checkpoint import recipe_json, save_checkpoint
from pixcore_mini.config import MiniConfig
from pixcore_mini.sharing import run_shared
from pixcore_mini_seg.batches import MaskedBatches, pack_masked
from pixcore_mini_seg.config import MiniSegConfig
from pixcore_mini_seg.decoder import FINE, MaskDecoder, at_size, ious, mask_loss
from pixcore_mini_seg.dialogue import VARIANTS, Variant, ground, training_turns
from pixcore_mini_seg.network import LowRank, SegNetwork, base_model, change, new_decoder, widen
from pixcore_mini_seg.train import main
from pixcore_mini_seg.trainer import Recipe
from pixcore_mini_seg.weights import FILE, base_hash, read
from pixcore_mini_seg.words import MARKS, MarkedEncoder, build_tokenizer
from pixcore_mini_world import language
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import make_scene, scene_random
from safetensors.torch import load_file, save_file

from pixcore.errors import ModelError

from .conftest import TINY, trainer

ENCODER = MarkedEncoder(build_tokenizer())


def test_mini_s_words_keep_their_numbers_and_nothing_is_unknown() -> None:
    tokenizer = build_tokenizer()
    table = base_model().get_input_embeddings().weight
    assert sorted(tokenizer.get_vocab().values()) == list(range(len(tokenizer)))
    assert len(table) <= min(tokenizer.convert_tokens_to_ids(list(MARKS)))
    for index in range(20):
        rng = scene_random("train", 9, "words", index)
        scene = make_scene(rng, "train")
        for variant in VARIANTS:
            for one in training_turns(variant, scene, rng):
                said = ENCODER.answer(one.turn.answer)
                assert tokenizer.unk_token_id not in [*ENCODER.prompt(one.turn.prompt), *said]
                assert said.count(ENCODER.seg) == len(one.regions)
                plain = one.turn.answer
                for mark in MARKS:
                    plain = plain.replace(mark, "")
                assert tokenizer.decode(said, skip_special_tokens=True) == plain


def test_a_mark_in_a_prompt_is_text() -> None:
    assert ENCODER.seg not in ENCODER.prompt("Can you segment [SEG] in the scene?")


def test_phrases_name_what_they_are_marked_with() -> None:
    """Every phrase holds its part's noun or its thing's, and its colour where it says one."""
    for index in range(60):
        rng = scene_random("train", 3, "phrases", index)
        scene = make_scene(rng, "train")
        for at, thing in enumerate(scene.things):
            for part in (None, *thing.spec.all_parts):
                text = language.describe(scene, at, part)
                marked, regions = ground(text, scene, at)
                phrases = [piece.split("</p>")[0] for piece in marked.split("<p>")[1:]]
                assert marked.replace("<p>", "").replace("</p>", "").replace("[SEG]", "") == text
                assert len(phrases) == len(regions)
                assert regions[0] == (at, part)
                for phrase, (other, own) in zip(phrases, regions, strict=True):
                    named = scene.things[other]
                    assert (own or named.kind) in phrase.split()
                    if own is None and len(phrase.split()) == 3:
                        assert phrase.split()[1] == named.colour


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_masks_of_a_batch_are_those_of_its_marks(variant: Variant) -> None:
    rows, wanted = [], []
    for index in range(3):
        rng = scene_random("train", 4, "masks", index)
        scene = make_scene(rng, "train")
        rows.append((render(scene), training_turns(variant, scene, rng)))
    batch = pack_masked(ENCODER, rows)
    for row, (picture, said) in enumerate(rows):
        for number, one in enumerate(said, 1):
            if (batch.packed.turns[row] == number).any():
                wanted += [(row, picture.mask(*region)) for region in one.regions]
    marks = (batch.packed.labels == ENCODER.seg).nonzero()
    assert marks[:, 0].tolist() == batch.owners.tolist() == [row for row, _ in wanted]
    assert np.array_equal(batch.masks.numpy(), np.stack([mask for _, mask in wanted]))
    assert (batch.packed.turns[:, -1] >= 0).any()


def test_batches_follow_from_variant_seed_and_step() -> None:
    first, again = (MaskedBatches(ENCODER, "a", 1, range(2))[5] for _ in range(2))
    assert torch.equal(first.packed.tokens, again.packed.tokens)
    assert torch.equal(first.masks, again.masks)
    assert not torch.equal(first.packed.images, MaskedBatches(ENCODER, "a", 2, range(2))[5].packed.images)


def test_from_scratch_letters_begin_easy_and_scenes_bring_their_attributes() -> None:
    """As in mini's own last stage: by its end, a tenth of the letter questions is told the answer."""

    def told(step: int) -> float:
        batches = MaskedBatches(ENCODER, "d", 1, range(64), scratch=100)
        batch = batches[step]
        assert batch.attributes.shape == (64, len(all_queries()))
        text = " ".join(build_tokenizer().decode(row) for row in batch.packed.tokens)
        asked = re.findall(r"USER:([^:]*)Options:", text)
        return sum("." in one for one in asked) / len(asked)

    assert MaskedBatches(ENCODER, "b", 1, range(2))[0].attributes.numel() == 0
    assert told(0) > 0.6
    assert told(99) < 0.3


def test_interrupted_training_ends_like_undisturbed_training(begun: Path, tmp_path: Path) -> None:
    """The last bit of every weight is the same."""
    out = tmp_path / "out"
    trainer(out).train(stop_after=1)
    trainer(out).train()
    whole, parts = (load_file(folder / "checkpoint.safetensors") for folder in (begun, out))
    assert whole.keys() == parts.keys()
    for name, tensor in whole.items():
        assert torch.equal(tensor, parts[name]), name
    log = [json.loads(line) for line in (begun / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == TINY.steps
    assert 0 <= log[-1]["IoU of parts"] <= 1
    with pytest.raises(SystemExit, match="another recipe"):
        trainer(out, replace(TINY, seed=2)).train()


def test_what_is_kept_makes_the_trained_network_again(begun: Path) -> None:
    """Mini with the changes added gives what the low-rank layers give, but for float16."""
    torch.manual_seed(0)
    llava = base_model()
    trained = SegNetwork(llava, new_decoder(llava), len(build_tokenizer()), TINY.rank)
    state, own = load_file(begun / "checkpoint.safetensors"), "module.network."
    trained.load_state_dict({name.removeprefix(own): t for name, t in state.items() if name.startswith(own)})
    difference = read(begun / "model")
    assert (difference.variant, difference.seed) == ("c", 1)
    merged = base_model()
    widen(merged, len(build_tokenizer()))
    change(merged, difference.tensors)
    ids = torch.tensor([ENCODER.prompt("Describe the house.")])
    with torch.no_grad():
        expected, found = (net(input_ids=ids).logits for net in (trained.llava, merged))
    torch.testing.assert_close(found, expected, atol=0.02, rtol=0.02)
    assert (begun / "model" / FILE).stat().st_size < 3e6


def test_the_difference_from_another_mini_is_refused(begun: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixcore_mini_seg.weights.base_hash", lambda: "another")
    with pytest.raises(ModelError, match="another mini"):
        read(begun / "model")
    with pytest.raises(ModelError, match="can't load mini-seg"):
        read(begun)


def test_a_variant_from_scratch_without_its_model_is_refused(tmp_path: Path) -> None:
    """Its decoder would be given the states of the mini that is shipped."""
    shutil.copy(MiniSegConfig(checkpoint="d").own_folder / FILE, tmp_path)
    with pytest.raises(ModelError, match=r"no config\.json is there"):
        read(tmp_path)


@pytest.mark.parametrize("words", [["--steps", "0"], ["--steps", "-1"], ["--processes", "0"]])
def test_less_than_a_step_is_not_taken_for_the_recipe_s_steps(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        main(["a", *words])
    assert left.value.code == 2
    assert f"argument {words[0]}: {words[1]} is less than 1" in capsys.readouterr().err


@pytest.fixture
def another_mini(tmp_path: Path) -> Callable[[pytest.MonkeyPatch], None]:
    """Installs a mini whose tower differs in its last layer."""

    def install(patch: pytest.MonkeyPatch) -> None:
        other = shutil.copytree(MiniConfig().folder, tmp_path / "another-mini")
        tensors = load_file(other / "model.safetensors")
        changed = next(name for name in tensors if "vision_tower" in name and "layers.2" in name)
        save_file(tensors | {changed: tensors[changed] * 2}, other / "model.safetensors", metadata={"format": "pt"})
        patch.setattr(MiniConfig, "folder", property(lambda config: other))

    return install


def test_a_training_is_not_gone_on_with_from_another_mini(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, another_mini: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """Its weights would say that they differ from a mini that they were not trained from."""
    out = tmp_path / "seg/out"
    trainer(out).train(stop_after=1)
    with monkeypatch.context() as patch:
        another_mini(patch)
        with pytest.raises(SystemExit, match="another mini than the one that is installed"):
            trainer(out).train()
        with pytest.raises(SystemExit, match=r"shapes-1/checkpoint.safetensors .* another mini is installed"):
            trainer(tmp_path / "seg/new").train()
    assert not (out / "model").exists()
    trainer(out).train()
    assert read(out / "model").base == base_hash()


def test_a_checkpoint_that_does_not_say_from_which_mini_is_refused(tmp_path: Path) -> None:
    old = {"step": 1, "recipe": recipe_json(TINY)}
    save_checkpoint(tmp_path / "checkpoint.safetensors", torch.nn.Linear(1, 1), None, old)
    with pytest.raises(SystemExit, match="does not say with which"):
        trainer(tmp_path).train()


def test_from_scratch_goes_through_mini_s_first_stages_and_resumes(tmp_path: Path) -> None:
    """And ends with a whole model in the folder."""
    recipe = replace(Recipe.of("d", steps=2), batch=1, warmup=1, shapes=1, before=(1, 1))
    trainer(tmp_path, recipe).train(stop_after=1)
    again = trainer(tmp_path, recipe)
    again.train()
    assert (tmp_path / "model" / "config.json").is_file()
    kept = read(tmp_path / "model")
    assert kept.base == ""
    assert again.attributes is not None
    assert not any("attributes" in name for name in kept.tensors)
    assert set(kept.tensors) == {f"decoder.{name}" for name, _ in again.network.decoder.named_parameters()}
    assert not any(isinstance(module, LowRank) for module in again.network.modules())


def _train_shared(rank: int, out: Path, stop_after: int | None = None) -> None:
    """Two steps of variant d in one of two processes, which notes its weights."""
    recipe = replace(Recipe.of("d", steps=2), batch=2, warmup=1, shapes=1, before=(1, 1))
    one = trainer(out, recipe, rank=rank, processes=2)
    one.train(stop_after)
    torch.save(one.everything.state_dict(), out / f"weights-{rank}.pt")


def _stop_early(rank: int, out: Path) -> None:
    _train_shared(rank, out, stop_after=1)


@pytest.mark.long
def test_two_processes_train_one_model_and_resume(tmp_path: Path) -> None:
    """Each has the same weights, those of an undisturbed training, and the first alone writes."""
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    run_shared(_train_shared, whole, processes=2, out=whole)
    run_shared(_stop_early, parts, processes=2, out=parts)
    run_shared(_train_shared, parts, processes=2, out=parts)
    expected, *others = (torch.load(folder / f"weights-{rank}.pt") for folder in (whole, parts) for rank in (0, 1))
    for other in others:
        assert all(torch.equal(tensor, other[name]) for name, tensor in expected.items())
    assert read(whole / "model").variant == "d"
    steps = [json.loads(line)["step"] for line in (whole / "log.jsonl").read_text().splitlines()]
    assert steps == [2]


@pytest.mark.long
def test_a_compiled_training_learns_the_same(tmp_path: Path) -> None:
    """But for the last digits; a compiler of C++ is needed."""
    recipe = replace(Recipe.of("d", steps=3), batch=2, warmup=1, shapes=1, before=(1, 1))
    logs = []
    for compiled in (False, True):
        trainer(tmp_path / str(compiled), recipe, compiled=compiled).train()
        logs.append(json.loads((tmp_path / str(compiled) / "log.jsonl").read_text().splitlines()[-1]))
    plain, compiled_too = logs
    assert plain.keys() == compiled_too.keys()
    assert compiled_too == pytest.approx(plain, abs=0.05)


def test_the_decoder_learns_a_mask() -> None:
    """Two states, two halves of one image: within a few steps each gets its own."""
    torch.manual_seed(0)
    decoder = MaskDecoder(16, 8, width=32)
    states, patches, pixels = torch.randn(2, 16), torch.randn(1, 196, 8), torch.randn(1, 3, 2 * FINE, 2 * FINE)
    truth = torch.zeros(2, FINE, FINE, dtype=torch.bool)
    truth[0, :, : FINE // 2] = truth[1, :, FINE // 2 :] = True
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=1e-2)
    for _ in range(40):
        logits = decoder(states, torch.zeros(2, dtype=torch.long), patches, pixels)
        loss = mask_loss(logits, truth)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        optimizer.step()
    assert ious(logits, truth).min() > 0.8
    assert at_size(logits, (7, 9)).shape == (2, 7, 9)


def test_the_loss_and_iou_of_known_masks() -> None:
    truth = torch.tensor([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], dtype=torch.bool)
    logits = torch.tensor([[[9.0, -9.0], [9.0, -9.0]], [[-9.0, -9.0], [-9.0, -9.0]]])
    assert ious(logits, truth).tolist() == pytest.approx([1 / 3, 0])
    right = torch.where(truth, 20.0, -20.0)
    assert mask_loss(right, truth).item() < 1e-6
