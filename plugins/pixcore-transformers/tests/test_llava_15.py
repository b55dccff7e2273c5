"""Adapter llava-1.5 on tiny checkpoints of both layouts, against the model's parts put together by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import Llava15Config, TransformersConfig
from pixcore_transformers.llava import Llava15
from pixcore_transformers.testing.llava import TinyLlava
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, CLIPImageProcessorPil

from pixcore.components import Context
from pixcore.errors import ModelError, SampleError
from pixcore.records import Fidelity, Image, Protocol, Request
from tests.adapters import (
    AttentionAdapterSuite,
    FolderSuite,
    PlacesSuite,
    Subject,
    VisualTokensSuite,
    change_config,
    requests_of,
)


class Parts(TinyLlava):
    """The pieces put together by hand."""

    @torch.no_grad()
    def answer(self, image: PILImage.Image, prompt: str, steps: int) -> list[int]:
        """Greedy ids, by the parts alone."""
        embeddings = self.embed(image, prompt)
        new = self.text.generate(
            inputs_embeds=embeddings, attention_mask=torch.ones(embeddings.shape[:2]), max_new_tokens=steps,
            do_sample=False, pad_token_id=0,
        )  # fmt: skip
        return [int(token) for token in new[0]]

    @torch.no_grad()
    def probability(self, image: PILImage.Image, prompt: str, ids: list[int]) -> float:
        """Of some ids after the prompt."""
        embeddings = self.embed(image, prompt)
        after = self.text.get_input_embeddings()(torch.tensor([ids]))
        logits = self.text(inputs_embeds=torch.cat([embeddings, after], dim=1)).logits[0]
        log = torch.log_softmax(logits[embeddings.shape[1] - 1 : -1].double(), dim=-1)
        return float(log[torch.arange(len(ids)), ids].sum().exp())

    def embed(self, image: PILImage.Image, prompt: str) -> torch.Tensor:
        """(1, length, width): what the language model gets."""
        width, height = image.size
        side = max(image.size)
        square = PILImage.new("RGB", (side, side), (122, 116, 104))
        square.paste(image, ((side - width) // 2, (side - height) // 2))
        processor = CLIPImageProcessorPil(
            size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, do_center_crop=True
        )
        pixels = processor(square, return_tensors="pt")["pixel_values"]
        features = self.projector(self.tower(pixels, output_hidden_states=True).hidden_states[-2][:, 1:])
        tokenizer = AutoTokenizer.from_pretrained(self.save_hugging_face())
        before = (
            "A chat between a curious human and an artificial intelligence assistant. "
            "The assistant gives helpful, detailed, and polite answers to the human's questions. USER: "
        )
        first = tokenizer(before)["input_ids"]
        second = tokenizer(f"\n{prompt} ASSISTANT:")["input_ids"][1:]
        table = self.text.get_input_embeddings()
        return torch.cat([table(torch.tensor([first])), features, table(torch.tensor([second]))], dim=1)


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Parts:
    return Parts(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def original(parts: Parts) -> Path:
    return parts.save_original()


def picture(width: int, height: int, seed: int = 0) -> Image:
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)
    return Image.from_pixels(pixels)


def ask(image: Image, prompt: str = "Identify the cat's ear in the scene.", **fields: Any) -> Request:
    return Request("sample", Protocol.SEGMENT, image, prompt, **fields)


def adapter(folder: Path, fidelity: Fidelity = Fidelity.CORRECTED, **options: Any) -> Llava15:
    options = {"max_new_tokens": 9} | options
    return Llava15(Llava15Config(checkpoint=str(folder), **options), Context(fidelity=fidelity))


@pytest.mark.parametrize("size", [(40, 40), (61, 30), (25, 44)])
def test_both_layouts_answer_as_the_parts_do(parts: Parts, original: Path, size: tuple[int, int]) -> None:
    image = picture(*size)
    expected = parts.answer(image.pil(), "Identify the cat's ear in the scene.", 9)
    for folder in (original, parts.save_hugging_face()):
        [response] = adapter(folder).answer([ask(image)])
        assert [token.id for token in response.tokens] == expected


def test_a_tower_in_the_checkpoint_is_used(parts: Parts, original: Path) -> None:
    inside = parts.save_original("inside", with_tower=True)
    image = picture(30, 50)
    [one], [other] = adapter(inside).answer([ask(image)]), adapter(original).answer([ask(image)])
    assert one.text == other.text


def test_maps_lie_on_the_padded_square(original: Path) -> None:
    model, image = adapter(original), picture(61, 30)
    [response] = model.answer([ask(image)], Mean(MeanConfig()))
    assert response.maps is not None
    assert response.maps.shape == (9, TinyLlava.side**2)
    assert model.layout(image).grids[0].box == (0.0, -15.0, 61.0, 46.0)
    assert model.visual_embeddings(image).shape == (TinyLlava.side**2, 32)
    np.testing.assert_array_less(response.maps.sum(axis=1), 1.0)


@pytest.fixture(scope="module")
def subject(original: Path) -> Subject:
    prompts = ("a", "What colour is the door?", "Identify the cat's ear in the scene.", "x " * 20)
    return Subject("llava-1.5", {"checkpoint": str(original), "max_new_tokens": 9}, requests_of(prompts))


class TestAdapter(AttentionAdapterSuite, VisualTokensSuite, PlacesSuite, FolderSuite):
    """What every adapter whose attention can be read must do."""


def test_what_the_fidelities_mean(original: Path) -> None:
    request = ask(picture(40, 40), seed=1)
    greedy = adapter(original)
    drawn = adapter(original, Fidelity.PUBLISHED)
    assert (greedy.settings().temperature, drawn.settings().temperature) == (0.0, 0.2)
    assert drawn.settings().top_p is None
    assert (greedy.settings().top_k, drawn.settings().top_k) == (None, 50)
    assert adapter(original, Fidelity.PUBLISHED, top_k=3).settings().top_k == 3
    warm = adapter(original, Fidelity.PUBLISHED, temperature=2.0)
    texts = {seed: warm.answer([ask(picture(40, 40), seed=seed)])[0].text for seed in range(4)}
    assert len(set(texts.values())) > 1
    assert warm.answer([ask(picture(40, 40), seed=3)])[0].text == texts[3]
    assert drawn.answer([request])[0].text == drawn.answer([request])[0].text


def test_published_pixels_are_those_of_the_clip_processor(original: Path) -> None:
    image = picture(50, 31).pil()
    square = PILImage.new("RGB", (50, 50), (122, 116, 104))
    square.paste(image, (0, 9))
    processor = CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
    expected = processor(square, return_tensors="np")["pixel_values"][0]
    np.testing.assert_allclose(adapter(original).pixels(image), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": "model.mm_projector.2.bias"}, "lacks 1 weights: model.multi_modal_projector.linear_2.bias"),
        ({"add": "model.mm_projector.3.bias"}, "has 1 weights that LLaVA-1.5 does not: model.mm_projector.3.bias"),
    ],
)
def test_every_key_has_its_place(parts: Parts, change: dict[str, str], message: str) -> None:
    folder = parts.save_original("-".join(change), with_tower=True, **change)
    with pytest.raises(ModelError, match=message.replace(".", r"\.")):
        adapter(folder).answer([ask(picture(30, 30))])


def test_a_missing_weight_of_a_hugging_face_folder_is_named(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    shutil.copytree(parts.save_hugging_face(), folder)
    state = load_file(folder / "model.safetensors")
    del state["multi_modal_projector.linear_2.bias"]
    save_file(state, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1 weights: model\.multi_modal_projector\.linear_2\.bias"):
        adapter(folder).answer([ask(picture(30, 30))])


def test_the_original_layout_is_no_other_adapters(original: Path) -> None:
    model = TransformersAdapter(TransformersConfig(checkpoint=str(original)))
    with pytest.raises(ModelError, match=r"is in LLaVA's own layout \(model: llava-1.5 reads that of LLaVA-1.5"):
        model.answer([ask(picture(40, 30))])


@pytest.mark.parametrize("family", ["llava_next", "paligemma"])
def test_a_model_of_another_architecture_is_refused(family: str, checkpoint: Callable[..., Path]) -> None:
    """LLaVA-1.6 needs its tiles, and PaliGemma would answer LLaVA's prompt."""
    with pytest.raises(ModelError, match=rf"is a '{family}', no LLaVA-1.5 \(try model: transformers\)"):
        adapter(checkpoint(family)).answer([ask(picture(40, 30))])


def test_a_template_of_ones_own_takes_the_place_of_the_published_one(original: Path) -> None:
    """Its other braces are text, and the published prompt written as a template is the published prompt."""
    request = [ask(picture(40, 30))]
    published = (
        "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the human's questions. USER: <image>\n{prompt} ASSISTANT:"
    )
    plain, same = adapter(original), adapter(original, prompt_template=published)
    assert same.prompt_ids("Where is it?") == plain.prompt_ids("Where is it?")
    other = adapter(original, prompt_template='Say {"place": 1} of <image>: {prompt}')
    assert other.prompt_ids("Where?") != plain.prompt_ids("Where?")
    assert len(other.answer(request)) == 1


def test_a_template_that_writes_the_start_token_has_it_once(original: Path) -> None:
    without, written = (start + "[INST] <image>\n{prompt} [/INST]" for start in ("", "<s>"))
    expected = adapter(original, prompt_template=without).prompt_ids("Where?")
    start = AutoTokenizer.from_pretrained(original).bos_token_id
    assert expected.count(start) == 1
    assert adapter(original, prompt_template=written).prompt_ids("Where?") == expected


@pytest.mark.parametrize("layout", ["original", "hugging face"])
def test_a_question_can_not_say_where_the_image_goes(parts: Parts, original: Path, layout: str) -> None:
    model = adapter(
        original if layout == "original" else parts.save_hugging_face(), prompt_template="{prompt} <image> ASSISTANT:"
    )
    asked = Request("0", Protocol.QUESTION, picture(40, 30), "Is <image> there?")
    with pytest.raises(SampleError, match="holds '<image>'"):
        model.answer([asked])


@pytest.mark.parametrize("template", ["{prompt}", "<image> <image> {prompt}", "<image>"])
def test_a_template_without_its_places_is_refused(template: str) -> None:
    with pytest.raises(ValidationError, match="prompt_template must hold"):
        Llava15Config(checkpoint="any", prompt_template=template)


def test_an_option_without_effect_is_refused() -> None:
    with pytest.raises(ValidationError, match="image_options has no effect on this model"):
        Llava15Config(checkpoint="any", image_options={"do_resize": False})


@pytest.mark.parametrize("layout", ["original", "hugging face"])
def test_a_repetition_penalty_is_followed_in_both_layouts(
    parts: Parts, original: Path, tmp_path: Path, layout: str
) -> None:
    source = original if layout == "original" else parts.save_hugging_face()
    folder = tmp_path / "penalised"
    shutil.copytree(source, folder)
    (folder / "generation_config.json").write_text('{"repetition_penalty": 1.7}', encoding="utf-8")
    assert adapter(folder).settings().repetition_penalty == 1.7
    assert adapter(source).settings().repetition_penalty == 1.0


def test_probability_is_a_product_over_tokens(parts: Parts, original: Path) -> None:
    model, image, prompt = adapter(original), picture(40, 30), "Is the door red?"
    continuations = ["Yes", "No", "the cat's ear", "a"]
    found = model.probability(image, prompt, continuations)
    tokenizer = model.loaded.tokenizer
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in continuations]
    expected = [parts.probability(image.pil(), prompt, own) for own in ids]
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_a_run_that_spells_every_option_out_is_read_again() -> None:
    """As `run.json` does, which `pixcore report` reads."""
    config = Llava15Config.model_validate({"kernel": "sdpa"})
    assert Llava15Config.model_validate(config.model_dump()) == config


def test_the_other_layout_is_refused_by_its_config_json_too(parts: Parts, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((parts.save_hugging_face() / "config.json").read_bytes())
    change_config(tmp_path, lambda content: {"intermediate_size": 10**10})
    with pytest.raises(ModelError, match=r"needs [\d.]+ GiB of this machine's memory for its weights in float32"):
        adapter(tmp_path, device_map="cpu").answer([ask(picture(40, 40))])
