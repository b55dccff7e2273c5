"""LLaVA-Grounding's parts: the published numbers, pixels, prompts, text, masks."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pixcore_llava_grounding.masks import smooth_to_image, to_image, union
from pixcore_llava_grounding.openseed import regions_of_states
from pixcore_llava_grounding.preprocessing import PADDING, padded_square
from pixcore_llava_grounding.query_decoder import Detections, inverse_sigmoid
from pixcore_llava_grounding.text import chat, drop_empty_phrases, published_text
from pixcore_transformers.spans import written_tokens
from transformers import LlamaConfig, LlamaForCausalLM

from tests.goldens.altering import altered_set, missed_without
from tests.goldens.llava_grounding import llavag_loop, openseed, prepare
from tests.goldens.runner import GoldenSet, compare, load_arrays


def failures(golden: GoldenSet) -> list[str]:
    verdicts = list(compare(golden, golden.expected or {}))
    assert verdicts
    return [f"{verdict.name} {verdict.difference}" for verdict in verdicts if verdict.status != "ok"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_published_segmenter(goldens: Path, dtype: torch.dtype) -> None:
    assert failures(openseed(goldens / "openseed", dtype)) == []


def test_the_published_loop(goldens: Path) -> None:
    assert failures(prepare(goldens / "llavag_loop")) == []


def test_a_loop_of_other_sizes(tmp_path: Path) -> None:
    """A Llama whose heads, head size and epsilon only its config tells, decoded by transformers."""
    sizes = {"num_attention_heads": 8, "num_key_value_heads": 2, "head_dim": 6, "rms_norm_eps": 1e-3}
    torch.manual_seed(0)
    llama = LlamaConfig(
        vocab_size=11, hidden_size=32, intermediate_size=24, num_hidden_layers=2, initializer_range=0.5, **sizes
    )
    model = LlamaForCausalLM(llama).double().eval()
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "state.safetensors").symlink_to(tmp_path / "model/model.safetensors")
    embeds = torch.randn(1, 5, 32).double()
    new = model.generate(inputs_embeds=embeds, max_new_tokens=9, do_sample=False, eos_token_id=None, pad_token_id=0)[0]
    ids = new.tolist()
    seg = ids[2]
    with torch.no_grad():
        states = model.model(
            inputs_embeds=torch.cat([embeds, model.model.embed_tokens(new[None])], 1)
        ).last_hidden_state
    kept = [4 + index for index, token in enumerate(ids) if token == seg]
    words = [f"w{index}" for index in range(11)]
    ending = " ".join(words[token] for token in ids)
    config = {"tiny": {"vocab": 11, "hidden": 32, "inter": 24}, "words": words, "seg_id": seg, "eos_text": ending}
    np.savez(tmp_path / "inputs.npz", inputs_embeds=embeds.numpy())
    np.savez(tmp_path / "outputs.npz", output_ids=np.array(ids), seg_states=states[:, kept].numpy())
    (tmp_path / "config.json").write_text(json.dumps(config | sizes))
    assert failures(llavag_loop(tmp_path)) == []
    (tmp_path / "config.json").write_text(json.dumps(config | sizes | {"rms_norm_eps": 1e-5}))
    assert failures(llavag_loop(tmp_path)) != []


@pytest.mark.parametrize(
    "key", ["pad.t3.pred_masks", "rect.t3.state2.masks_bits", "pad.t1.pf_union", "rect.enc.layer1"]
)
def test_a_key_array_that_a_set_lacks_is_missed(goldens: Path, tmp_path: Path, key: str) -> None:
    assert missed_without(prepare, goldens / "openseed", tmp_path / "set", key) == [key]


def test_a_text_that_the_set_does_not_hold_is_not_compared(goldens: Path, tmp_path: Path) -> None:
    def other_text(outputs: dict[str, Any]) -> None:
        outputs["pad.t1.pf_filtered_text"] = np.array("A <g_s> dog <g_e> <seg>.")
        outputs["pad.t3.pf_filtered_text"] = np.array("The <g_s> thing0 <g_e> <seg> thing1 thing2 end.")

    golden = openseed(altered_set(goldens / "openseed", tmp_path / "set", outputs=other_text))
    verdicts = {verdict.name: verdict.status for verdict in compare(golden, golden.expected or {})}
    assert verdicts.pop("pad.t1.pf_filtered_text") == "skipped"
    assert verdicts.pop("pad.t3.pf_filtered_text") == "off"
    assert set(verdicts.values()) == {"ok"}


def test_the_published_pixels(goldens: Path) -> None:
    inputs = load_arrays(goldens / "openseed/inputs.npz")
    expected = inputs["pad.model_rgb"]
    made = padded_square(Image.fromarray(inputs["pad.raw_rgb"]), expected.shape[-1])
    np.testing.assert_array_equal(made.numpy(), expected)


@settings(deadline=None, max_examples=40)
@given(width=st.integers(1, 60), height=st.integers(1, 60), size=st.sampled_from([32, 64]))
def test_an_image_fills_the_top_left(width: int, height: int, size: int) -> None:
    scale = size / max(width, height)
    square = padded_square(Image.new("RGB", (width, height), (255, 0, 0)), size).numpy()
    inside = square[0] == 255
    assert inside[0, 0]
    assert inside.sum() == max(1, round(width * scale)) * max(1, round(height * scale))
    assert (square[:, ~inside] == PADDING).all()


def test_the_prompt() -> None:
    expected = (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. USER: <image>\nCan you identify  the dog in this "
        "image? (with grounding) ASSISTANT:"
    )
    # The released expression's own space stays inside; at the ends the data mapper strips.
    assert chat(" Can you identify  the dog in this image? (with grounding) ") == expected


def test_phrases_without_a_region_lose_their_markers() -> None:
    text = "The <g_s> cat <g_e> <seg> and <g_s> a  dog <g_e> <seg> sleep."
    assert drop_empty_phrases(text, [False, False]) == text
    assert drop_empty_phrases(text, [False, True]) == "The <g_s> cat <g_e> <seg> and a dog sleep."
    assert drop_empty_phrases(text, [True, True]) == " The cat and a dog sleep."
    assert drop_empty_phrases("No <g_s> marks.", []) == "No <g_s> marks."


class Words:
    """A tokenizer of which each token is a word, as far as decoding goes."""

    words = ("<s>", "</s>", "<g_s>", "<seg>", "<g_e>", "A", "dog", "on", "grass", ".")

    def __init__(self) -> None:
        self.added, self.bos, self.eos = {"<seg>": 3}, 0, 1

    def decode(self, token_ids: list[int]) -> str:
        return " ".join(self.words[index] for index in token_ids)


@pytest.mark.parametrize(
    ("empty", "expected"),
    [
        ([False, False], ["<g_s>", "A", "dog", "<g_e>", "<seg>", "on", "<g_s>", "grass", "<g_e>", "<seg>", "."]),
        ([True, False], ["", "", "", "", "A dog", "on", "<g_s>", "grass", "<g_e>", "<seg>", "."]),
        ([False, True], ["<g_s>", "A", "dog", "<g_e>", "<seg>", "on", "", "", "", "grass", "."]),
    ],
)
def test_the_beginning_of_an_answer_is_the_beginning_of_its_text(empty: list[bool], expected: list[str]) -> None:
    ids = [
        Words.words.index(word)
        for word in ["<g_s>", "A", "dog", "<g_e>", "<seg>", "on", "<g_s>", "grass", "<g_e>", "<seg>", ".", "</s>"]
    ]
    text, tokens = written_tokens(partial(published_text, Words(), empty), ids)
    assert [text[token.start : token.end].strip() for token in tokens] == [*expected, ""]


def test_a_state_matches_several_regions_or_none() -> None:
    logits = torch.tensor([[[9.0, 0.0], [9.0, 0.0], *[[0.0, 0.0]] * 30]])
    boxes = torch.tensor([[[0.5, 0.5, 0.2, 0.4]] * 32])
    masks = torch.full((1, 32, 4, 6), -1.0)
    masks[0, 1, 0, 0] = 1.0
    one, none = regions_of_states(Detections(logits, boxes, masks))
    assert one.matched.tolist() == [0, 1]
    torch.testing.assert_close(one.boxes[0], torch.tensor([0.4, 0.3, 0.6, 0.7]))
    assert one.masks.sum() == 1
    assert len(none.matched) == 0
    assert none.boxes.tolist() == [[0.0] * 4]
    assert none.masks.shape == (1, 256, 256)
    assert not none.masks.any()


@settings(deadline=None, max_examples=40)
@given(width=st.integers(1, 50), height=st.integers(1, 50))
def test_masks_are_cut_at_the_top_left(width: int, height: int) -> None:
    side, grid = max(width, height), 16
    # Exactly the image's part of the padded square, as far as the grid can say.
    ys, xs = torch.meshgrid(torch.arange(grid), torch.arange(grid), indexing="ij")
    inside = ((xs + 1) * side <= width * grid) & ((ys + 1) * side <= height * grid)
    for mask in (to_image(inside[None], (width, height)), to_image(~inside[None], (width, height))):
        assert mask.shape == (height, width)
    everything = to_image(torch.ones(1, grid, grid, dtype=torch.bool), (width, height))
    assert everything.all()
    assert smooth_to_image(torch.ones(2, grid, grid), (width, height)).all()
    assert not smooth_to_image(torch.zeros(0, grid, grid), (width, height)).any()


def test_the_union_of_nothing_is_empty() -> None:
    assert union([], (4, 3)).shape == (3, 4)
    assert union([np.eye(3, dtype=bool), ~np.eye(3, dtype=bool)], (3, 3)).all()


def test_inverse_sigmoid_is_clamped() -> None:
    values = torch.tensor([0.0, 0.25, 1.0])
    found = inverse_sigmoid(values)
    torch.testing.assert_close(found[1].sigmoid(), values[1])
    assert found.isfinite().all()
