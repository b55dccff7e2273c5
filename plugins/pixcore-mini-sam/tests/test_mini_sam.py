"""The shipped weights segment scenes that they have not seen, and a killed training ends like an undisturbed one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pixcore_mini_sam.batches import PromptBatches
from pixcore_mini_sam.config import MiniSamConfig
from pixcore_mini_sam.train import Recipe, main, train
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import make_scene, scene_random
from pixcore_sam.hub import SamTransformers
from safetensors.torch import load_file

from pixcore.records import Image, PointPrompt

TINY = Recipe(steps=2, warmup=1)


@pytest.mark.parametrize("step", [0, 2])
def test_a_prompt_stands_for_its_mask(step: int) -> None:
    """A point lies in it; a box holds it, but for a tenth of its size and the image's edge."""
    batch = PromptBatches(seed=3)[step]
    assert batch.boxes == (step == 2)
    for places, masks in zip(batch.places.numpy(), batch.masks.numpy(), strict=True):
        for place, mask in zip(places, masks, strict=True):
            rows, columns = np.nonzero(mask)
            if not batch.boxes:
                (x, y) = place[0].astype(int)
                assert mask[y, x]
                continue
            edges = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1])
            size = np.array([edges[2] - edges[0], edges[3] - edges[1]] * 2)
            assert (np.abs(place - edges) <= 0.1 * size + 1e-3).all()


def test_batches_follow_from_seed_and_step() -> None:
    first, again, other = PromptBatches(1)[4], PromptBatches(1)[4], PromptBatches(2)[4]
    assert torch.equal(first.places, again.places)
    assert torch.equal(first.masks, again.masks)
    assert not torch.equal(first.images, other.images)


def test_a_training_of_no_steps_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    """It would leave a model that has learned nothing."""
    with pytest.raises(SystemExit) as left:
        main(["--out", "nowhere", "--steps", "0"])
    assert left.value.code == 2
    assert "argument --steps: 0 is less than 1" in capsys.readouterr().err


@pytest.mark.long
def test_interrupted_training_ends_like_undisturbed_training(tmp_path: Path) -> None:
    """The last bit of every weight is the same; the model is a checkpoint as SAM's are."""
    train(TINY, tmp_path / "whole")
    train(TINY, tmp_path / "parts", stop_after=1)
    train(TINY, tmp_path / "parts")
    whole, parts = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(torch.equal(tensor, parts[name]) for name, tensor in whole.items())
    log = json.loads((tmp_path / "whole" / "log.jsonl").read_text().splitlines()[-1])
    assert {"step", "points", "boxes", "small"} == set(log)
    with pytest.raises(SystemExit, match="another recipe"):
        train(replace(TINY, seed=2), tmp_path / "whole")
    config = MiniSamConfig(checkpoint=str(tmp_path / "whole" / "model"), device="cpu")
    image = Image.from_pixels(np.zeros((40, 60, 3), np.uint8))
    proposal = SamTransformers(config).segment(image, [PointPrompt.at((30, 20))])[0]
    assert proposal.masks.shape == (3, 40, 60)


def test_the_shipped_weights_give_masks_of_unseen_things() -> None:
    """A point's best mask is mostly its thing or part, on the validation side, whose things training never draws.

    Of regions from a hundredth of the image on: the model card says how it does on smaller ones.
    """
    generator = SamTransformers(MiniSamConfig(device="cpu"))
    found = []
    for index in range(6):
        picture = render(make_scene(scene_random("validation", 5, "mini-sam", index), "validation"))
        masks = [mask for region in picture.regions if (mask := picture.mask(*region)).sum() > 112 * 112 / 100]
        pixels = [np.argwhere(mask) for mask in masks]
        prompts = [PointPrompt.at((float(at[len(at) // 2][1]), float(at[len(at) // 2][0]))) for at in pixels]
        proposals = generator.segment(Image.from_pixels(picture.image), prompts)
        for mask, proposal in zip(masks, proposals, strict=True):
            found.append(max((one & mask).sum() / (one | mask).sum() for one in proposal.masks))
    assert len(found) > 20
    assert np.mean(found) > 0.5
