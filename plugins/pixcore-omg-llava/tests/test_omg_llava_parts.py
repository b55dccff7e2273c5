"""OMG-LLaVA's parts: the published numbers, grouped projections, crops, tokens, text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pixcore_omg_llava.internlm2 import GroupedLayout, LoraLinear, merged
from pixcore_omg_llava.masks import app_crop, content_crop, corner_crop, cut
from pixcore_omg_llava.perception import pixel_shuffle
from pixcore_omg_llava.preprocessing import centred_square, model_input
from pixcore_omg_llava.segrule import seg_places, states_at
from pixcore_omg_llava.text import answer_text, chat, corrected_text, published_text
from pixcore_omg_llava.tokenizer import InternLM2Tokenizer

from pixcore.errors import ModelError
from tests.goldens.altering import altered_set, missed_without
from tests.goldens.omg_llava import omg, prepare
from tests.goldens.omg_llava_language import internlm2
from tests.goldens.runner import GoldenSet, compare, load_arrays


def failures(golden: GoldenSet) -> list[str]:
    verdicts = list(compare(golden, golden.expected or {}))
    assert sum(verdict.status == "ok" for verdict in verdicts) > 30
    return [f"{verdict.name} {verdict.difference}" for verdict in verdicts if verdict.status != "ok"]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_published_perception(goldens: Path, dtype: torch.dtype) -> None:
    assert failures(omg(goldens / "omg", dtype)) == []


def test_the_published_language_model(goldens: Path) -> None:
    assert failures(prepare(goldens / "internlm2")) == []


def test_the_scale_of_adapters_follows_from_alpha_and_rank(goldens: Path, tmp_path: Path) -> None:
    folder = altered_set(goldens / "internlm2", tmp_path / "set", config=lambda config: config["lora"].pop("scale"))
    golden = internlm2(folder)
    assert {verdict.status for verdict in compare(golden, golden.expected or {})} == {"ok"}


@pytest.mark.parametrize(
    ("kind", "key"),
    [
        ("omg", "sq.n1.mask_list"),
        ("omg", "sq.dec.layer8.query"),
        ("omg", "sq.n3.post.pf_topleft_crop.mask2"),
        ("internlm2", "base.layer1.out"),
        ("internlm2", "lora.logits"),
    ],
)
def test_a_key_array_that_a_set_lacks_is_missed(goldens: Path, tmp_path: Path, kind: str, key: str) -> None:
    assert missed_without(prepare, goldens / kind, tmp_path / "set", key) == [key]


def test_a_batch_and_states_that_do_not_fit(goldens: Path, tmp_path: Path) -> None:
    """Two images at once: positions may be stored for each; a set of states that fails leaves the others alone."""

    def two_images(inputs: dict[str, Any]) -> None:
        inputs["sq.pixel_values"] = inputs["sq.pixel_values"].repeat(2, axis=0)
        inputs["sq.n1.llm_hidden"] = inputs["sq.n1.llm_hidden"][:, 1:]

    def two_rows(outputs: dict[str, Any]) -> None:
        outputs["sq.dec.key_pos_level0"] = outputs["sq.dec.key_pos_level0"].repeat(2, axis=0)
        outputs["sq.backbone.level3"] = outputs["sq.backbone.level3"].repeat(2, axis=0)

    golden = prepare(altered_set(goldens / "omg", tmp_path / "set", inputs=two_images, outputs=two_rows))
    verdicts = {verdict.name: verdict.status for verdict in compare(golden, golden.expected or {})}
    assert verdicts["sq.n1"] == "off"
    for name in ("sq.dec.key_pos_level0", "sq.dec.key_pos_level1", "sq.backbone.level3", "sq.n3.mask_list"):
        assert verdicts[name] == "ok"


def test_the_published_pixels(goldens: Path) -> None:
    inputs = load_arrays(goldens / "omg/inputs.npz")
    image = Image.fromarray(inputs["sq.raw_rgb"])
    np.testing.assert_array_equal(np.asarray(centred_square(image)), inputs["sq.square_rgb"])
    pixels = inputs["sq.pixel_values"][0]
    np.testing.assert_allclose(model_input(image, pixels.shape[-1]).numpy(), pixels, rtol=0, atol=1e-6)


@settings(deadline=None, max_examples=40)
@given(kv_heads=st.integers(1, 4), per_group=st.integers(1, 4), head_dim=st.integers(1, 4))
def test_joining_undoes_splitting(kv_heads: int, per_group: int, head_dim: int) -> None:
    layout = GroupedLayout(kv_heads * per_group, kv_heads, head_dim)
    rows = (layout.heads + 2 * kv_heads) * head_dim
    grouped = torch.arange(rows * 3.0).reshape(rows, 3)
    query, key, value = layout.split(grouped)
    assert len(query) == layout.heads * head_dim
    assert len(key) == len(value) == kv_heads * head_dim
    assert torch.equal(layout.join(query, key, value), grouped)


def test_rows_of_one_group_are_its_queries_then_key_then_value() -> None:
    query, key, value = GroupedLayout(heads=4, kv_heads=2, head_dim=1).split(torch.arange(8))
    assert query.tolist() == [0, 1, 4, 5]
    assert (key.tolist(), value.tolist()) == ([2, 6], [3, 7])


def test_an_adapter_beside_equals_a_merged_one() -> None:
    torch.manual_seed(0)
    base = torch.nn.Linear(6, 5, bias=False)
    beside = LoraLinear(base, rank=3, scale=0.5)
    torch.nn.init.normal_(beside.lora_a)
    torch.nn.init.normal_(beside.lora_b)
    inputs = torch.randn(4, 6)
    weight = merged(base.weight, beside.lora_a, beside.lora_b, 0.5)
    torch.testing.assert_close(beside(inputs), inputs @ weight.T)


@settings(deadline=None, max_examples=40)
@given(width=st.integers(1, 40), height=st.integers(1, 40))
def test_crops(width: int, height: int) -> None:
    side = max(width, height)
    square = centred_square(Image.new("RGB", (width, height), (255, 255, 255)))
    inside = np.asarray(square).min(axis=2) == 255
    logits = torch.from_numpy(np.where(inside, 1.0, -1.0))[None]
    content = cut(logits, content_crop(width, height))
    assert content.shape == (1, height, width)
    assert content.all()
    assert cut(logits, corner_crop(width, height)).shape == (1, height, width)
    # The demo's crop has a row or column too many where the padding is odd.
    odd = (side - min(width, height)) % 2
    left, right, top, bottom = app_crop(width, height)
    assert (right - left) * (bottom - top) == width * height + odd * side


def test_pixel_shuffle_keeps_a_cell_together() -> None:
    feature = torch.arange(2 * 4 * 4.0).reshape(1, 2, 4, 4)
    tokens = pixel_shuffle(feature)
    assert tokens.shape == (1, 4, 8)
    # Token 1 is the top right cell: rows 0-1, columns 2-3, both channels of one pixel side by side.
    expected = [feature[0, c, y, x].item() for y in (0, 1) for x in (2, 3) for c in (0, 1)]
    assert tokens[0, 1].tolist() == expected


def test_the_state_at_seg_is_the_one_after_the_predicting_one() -> None:
    states = torch.arange(5.0)[:, None]
    places = seg_places([9, 7, 9, 9, 7], seg_id=7)
    assert places == [1]  # the last token was never an input
    assert states_at(places, states).tolist() == [[2.0]]


def test_tokens_of_the_chat(internlm_folder: Path) -> None:
    tokenizer = InternLM2Tokenizer.from_folder(internlm_folder)
    ids = tokenizer.encode_with_image(chat("Is it red?"))
    image = ids.index(-200)
    assert ids[:2] == [tokenizer.bos, tokenizer.added["<|im_start|>"]]
    assert tokenizer.bos not in ids[1:]
    # Nothing is stripped beside an added token: the newlines reach the model.
    assert squeezed(tokenizer.decode(ids[1:image])) == "<|im_start|>user\n"
    assert squeezed(tokenizer.decode(ids[image + 1 :])) == "\nIsitred?<|im_end|>\n<|im_start|>assistant\n"


def squeezed(text: str) -> str:
    """Without spaces: a model with a prefix writes one after every added token."""
    return text.replace(" ", "")


def test_a_tokenizer_without_its_config_is_refused(internlm_folder: Path, tmp_path: Path) -> None:
    """No answer of it would end."""
    (tmp_path / "tokenizer.model").symlink_to(internlm_folder / "tokenizer.model")
    with pytest.raises(ModelError, match=re.escape("has no <|im_end|>")):
        InternLM2Tokenizer.from_folder(tmp_path)


def test_added_tokens_follow_the_checkpoints_own(internlm_folder: Path) -> None:
    tokenizer = InternLM2Tokenizer.from_folder(internlm_folder)
    own = [tokenizer.added[name] for name in ("<|im_end|>", "<|im_start|>")]
    new = [tokenizer.added[name] for name in ("[SEG]", "<p>", "</p>", "<region>", "<mark>")]
    assert new == list(range(own[-1] + 1, own[-1] + 6))
    assert len(tokenizer) == new[-1] + 1


@pytest.mark.parametrize("text", ["Sure, it is the dog.", "Sure, it is<p> the dog</p> and [SEG] two."])
def test_a_decoded_answer_keeps_the_spaces_inside(internlm_folder: Path, text: str) -> None:
    tokenizer = InternLM2Tokenizer.from_folder(internlm_folder)
    pieces = [tokenizer.encode(part, bos=False) for part in re.split(r"(?=<p>|\[SEG\])|(?<=</p>)|(?<=\])", text)]
    decoded = tokenizer.decode([index for piece in pieces for index in piece])
    assert squeezed(decoded) == squeezed(text)
    assert decoded.startswith("Sure, it is")
    assert "the dog" in decoded


def test_published_and_corrected_text() -> None:
    decoded = "Sure, it is<p> the dog</p> [SEG].\nAnd  that.<|im_end|>"
    assert published_text(decoded) == "Sure, it is the dog .And that."
    assert corrected_text("Sure, it is the dog .\nAnd  that.") == "Sure, it is the dog.\nAnd that."


def test_an_answer_is_cleaned_the_same_way_while_it_grows(internlm_folder: Path) -> None:
    tokenizer = InternLM2Tokenizer.from_folder(internlm_folder)
    ids = tokenizer.encode("Yes, the dog [SEG].<|im_end|>", bos=False)
    assert answer_text(tokenizer, ids, published=False) == "Yes, the dog."
    # The markers go last, so the spaces around them stay.
    assert answer_text(tokenizer, ids, published=True).split() == ["Yes,", "the", "dog", "."]
