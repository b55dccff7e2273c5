"""SAM's names and shapes, and what a prompt that is an embedding gives."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pixcore_segtoken.sam import PromptableSam, sam_rules, upscale
from pixcore_segtoken.testing import TINY_SAM, llama_shapes, noise, sam_shapes
from safetensors import safe_open
from safetensors.torch import save_file

from tests.goldens.segtoken import sizes_of


@pytest.fixture(scope="module")
def sam(tmp_path_factory: pytest.TempPathFactory) -> PromptableSam:
    folder = tmp_path_factory.mktemp("sam")
    save_file(noise(sam_shapes(TINY_SAM, ""), 2), folder / "model.safetensors")
    with parameters_on_meta():
        model = PromptableSam(TINY_SAM)
    load_weights(model, folder, sam_rules("", "", TINY_SAM))
    return model.eval()


@pytest.mark.parametrize(("system", "prefix"), [("lisa", "visual_model"), ("glamm", "grounding_encoder")])
def test_the_written_out_names_and_shapes_are_the_published_ones(system: str, prefix: str) -> None:
    folder = Path(__file__).resolve().parents[3] / "../shared/data/goldens" / system
    if not folder.is_dir():
        pytest.skip("the published goldens are absent")
    sizes = sizes_of(json.loads((folder / "config.json").read_text()), projector_depth=1)
    with safe_open(folder / "state.safetensors", "pt") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    start = f"model.{prefix}."
    assert sam_shapes(sizes.sam, start) == {name: shape for name, shape in shapes.items() if name.startswith(start)}
    llama = {
        name: shape for name, shape in shapes.items() if name.startswith(("lm_head", "model.layers", "model.norm"))
    }
    assert llama.items() <= llama_shapes(sizes.language).items()


def test_masks_of_a_batch_of_prompts_are_those_of_each(sam: PromptableSam) -> None:
    generator = torch.Generator().manual_seed(0)
    embedding = sam.encode(torch.randn(1, 3, 64, 64, generator=generator))
    prompts = torch.randn(3, 32, generator=generator)
    together, scores = sam.decode(embedding, prompts)
    assert together.shape == (3, 1, 16, 16)
    for index in range(3):
        alone, score = sam.decode(embedding, prompts[index : index + 1])
        torch.testing.assert_close(alone[0], together[index], rtol=0, atol=1e-4)
        torch.testing.assert_close(score[0], scores[index], rtol=0, atol=1e-5)
    assert not torch.allclose(together[0], together[1], atol=0.1)


def test_no_prompt_gives_no_mask(sam: PromptableSam) -> None:
    low_res, scores = sam.decode(torch.zeros(1, 32, 4, 4), torch.zeros(0, 32))
    assert low_res.shape == (0, 1, 16, 16)
    assert scores.shape == (0, 1)
    assert upscale(low_res, 64, (48, 64), (90, 120)).shape == (0, 90, 120)


def test_upscaling_cuts_the_padding_off() -> None:
    low_res = torch.full((1, 1, 16, 16), -1.0)
    low_res[..., :12, :] = 1.0
    masks = upscale(low_res, 64, resized=(48, 64), original=(90, 120))
    assert masks.shape == (1, 90, 120)
    assert (masks[0, :85] > 0).all()
