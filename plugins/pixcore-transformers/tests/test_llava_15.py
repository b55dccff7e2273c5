"""Adapter llava-1.5 on tiny checkpoints of both layouts, against the model's parts put together by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sentencepiece
import torch
from PIL import Image as PILImage
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_transformers.config import Llava15Config
from pixcore_transformers.llava import Llava15
from transformers import (
    AutoTokenizer,
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    CLIPVisionModel,
    LlamaConfig,
    LlamaForCausalLM,
    LlavaConfig,
    LlavaForConditionalGeneration,
)

from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.records import Fidelity, Image, Protocol, Request

SENTENCES = [
    "A chat between a curious human and an artificial intelligence assistant.",
    "The assistant gives helpful, detailed, and polite answers to the human's questions. USER: ASSISTANT:",
    "Identify the cat's ear in the scene. What colour is the door? (a) Red (b) Blue",
    "Der Hund läuft über die Straße; 猫 の 耳 😀 é",
]
VISION = CLIPVisionConfig(
    hidden_size=24, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2, image_size=32, patch_size=4
)
SIDE = 8


class Parts:
    """A LLaVA in pieces: tower, projector, language model, tokenizer."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.folder = folder
        (folder / "text").write_text("\n".join(SENTENCES * 20), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "text"), model_prefix=str(folder / "tokenizer"), vocab_size=420, byte_fallback=True,
            model_type="bpe", character_coverage=0.98, minloglevel=2,
        )  # fmt: skip
        self.text = LlamaForCausalLM(
            LlamaConfig(
                vocab_size=420, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
                max_position_embeddings=512,
            )
        )  # fmt: skip
        self.tower = CLIPVisionModel(VISION)
        self.projector = torch.nn.Sequential(torch.nn.Linear(24, 32), torch.nn.GELU(), torch.nn.Linear(32, 32))
        with torch.no_grad():
            for module in (self.text, self.tower, self.projector):
                module.eval()
                for parameter in module.parameters():
                    if parameter.ndim >= 2:
                        parameter.normal_(std=parameter[0].numel() ** -0.5)

    def save_tokenizer(self, folder: Path) -> None:
        folder.mkdir()
        (folder / "tokenizer.model").write_bytes((self.folder / "tokenizer.model").read_bytes())
        (folder / "tokenizer_config.json").write_text(
            json.dumps(
                {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                 "legacy": True, "add_bos_token": True}
            )
        )  # fmt: skip

    def save_original(self, *, with_tower: bool, drop: str = "", add: str = "") -> Path:
        """A folder as liuhaotian's, the tower beside it or inside."""
        folder = self.folder / f"original-{with_tower}-{drop}-{add}"
        self.save_tokenizer(folder)
        tower = self.folder / "tower"
        if not tower.exists():
            # CLIP's own checkpoints keep the tower under vision_model, beside the text half
            self.tower.save_pretrained(tower)
            state = {f"vision_model.{key}": value for key, value in self.tower.state_dict().items()}
            (tower / "model.safetensors").unlink()
            extra = {"logit_scale": torch.ones(()), "text_model.final_layer_norm.weight": torch.ones(4)}
            torch.save(state | extra, tower / "pytorch_model.bin")
        config = self.text.config.to_dict() | {
            "architectures": ["LlavaLlamaForCausalLM"], "model_type": "llava", "mm_vision_tower": str(tower),
            "mm_projector_type": "mlp2x_gelu", "mm_vision_select_layer": -2, "mm_vision_select_feature": "patch",
            "mm_hidden_size": 24, "image_aspect_ratio": "pad", "torch_dtype": "float32",
        }  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config))
        state = dict(self.text.state_dict())
        state |= {f"model.mm_projector.{key}": value for key, value in self.projector.state_dict().items()}
        state |= {f"model.layers.{i}.self_attn.rotary_emb.inv_freq": torch.ones(4) for i in range(2)}
        if with_tower:
            inside = "model.vision_tower.vision_tower.vision_model."
            state |= {inside + key: value for key, value in self.tower.state_dict().items()}
            state[inside + "embeddings.position_ids"] = torch.arange(65)[None]
        if drop:
            del state[drop]
        if add:
            state[add] = torch.ones(1)
        names = sorted(state)
        torch.save({name: state[name].clone() for name in names[::2]}, folder / "pytorch_model-00001-of-00002.bin")
        torch.save({name: state[name].clone() for name in names[1::2]}, folder / "pytorch_model-00002-of-00002.bin")
        return folder

    def save_hf(self) -> Path:
        """A folder as llava-hf's: one more input and output row for the placeholder."""
        folder = self.folder / "hf"
        self.save_tokenizer(folder)
        text = self.text.config.to_dict() | {"vocab_size": 421}
        config = LlavaConfig(
            text_config=text, vision_config=VISION.to_dict(), image_token_index=420, image_seq_length=SIDE**2
        )
        model = LlavaForConditionalGeneration(config)
        state = model.state_dict()
        for key, value in self.text.state_dict().items():
            place = key if key.startswith("lm_head") else "model.language_" + key
            state[place][: len(value)].copy_(value) if value.ndim == 2 else state[place].copy_(value)
        state["lm_head.weight"][420] = 0
        for key, value in self.tower.state_dict().items():
            state[f"model.vision_tower.{key}"].copy_(value)
        for key, value in self.projector.state_dict().items():
            name = key.replace("0.", "linear_1.").replace("2.", "linear_2.")
            state[f"model.multi_modal_projector.{name}"].copy_(value)
        model.save_pretrained(folder)
        return folder

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
        tokenizer = AutoTokenizer.from_pretrained(self.folder / "hf")
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
    made = Parts(tmp_path_factory.mktemp("llava"))
    made.save_hf()
    return made


@pytest.fixture(scope="module")
def original(parts: Parts) -> Path:
    return parts.save_original(with_tower=False)


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
    for folder in (original, parts.folder / "hf"):
        [response] = adapter(folder).answer([ask(image)])
        assert [token.id for token in response.tokens] == expected


def test_a_tower_in_the_checkpoint_is_used(parts: Parts, original: Path) -> None:
    inside = parts.save_original(with_tower=True)
    image = picture(30, 50)
    [one], [other] = adapter(inside).answer([ask(image)]), adapter(original).answer([ask(image)])
    assert one.text == other.text


def test_maps_lie_on_the_padded_square(original: Path) -> None:
    model, image = adapter(original), picture(61, 30)
    [response] = model.answer([ask(image)], Mean(MeanConfig()))
    assert response.maps is not None
    assert response.maps.shape == (9, SIDE**2)
    assert model.layout(image).grids[0].box == (0.0, -15.0, 61.0, 46.0)
    assert model.visual_embeddings(image).shape == (SIDE**2, 32)
    np.testing.assert_array_less(response.maps.sum(axis=1), 1.0)


def test_a_batch_is_its_samples_one_by_one(original: Path) -> None:
    prompts = [
        "a",
        "What colour is the door?",
        "Identify the cat's ear in the scene.",
        "x " * 20,
        "b c",
        "d",
        "e f g h",
    ]
    requests = [ask(picture(20 + 7 * i, 50 - 4 * i, seed=i), prompt) for i, prompt in enumerate([*prompts, "the last"])]
    for fidelity in Fidelity:
        model = adapter(original, fidelity)
        together = model.answer(requests, Mean(MeanConfig(), model.context))
        for request, batched in zip(requests, together, strict=True):
            [alone] = model.answer([request], Mean(MeanConfig(), model.context))
            assert alone.text == batched.text
            np.testing.assert_allclose(alone.maps, batched.maps, atol=1e-5)


def test_what_the_fidelities_mean(original: Path) -> None:
    request = ask(picture(40, 40), seed=1)
    greedy = adapter(original)
    drawn = adapter(original, Fidelity.PUBLISHED)
    assert (greedy.settings().temperature, drawn.settings().temperature) == (0.0, 0.2)
    assert drawn.settings().top_p is None
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
    folder = parts.save_original(with_tower=True, **change)
    with pytest.raises(ModelError, match=message.replace(".", r"\.")):
        adapter(folder).answer([ask(picture(30, 30))])


def test_a_missing_weight_of_a_hugging_face_folder_is_named(parts: Parts, tmp_path: Path) -> None:
    folder = tmp_path / "broken"
    parts.save_tokenizer(folder)
    model = LlavaForConditionalGeneration.from_pretrained(parts.folder / "hf")
    state = {key: value for key, value in model.state_dict().items() if "linear_2.bias" not in key}
    model.save_pretrained(folder, state_dict=state)
    with pytest.raises(ModelError, match=r"lacks 1 weights: model\.multi_modal_projector\.linear_2\.bias"):
        adapter(folder).answer([ask(picture(30, 30))])


def test_probability_is_a_product_over_tokens(parts: Parts, original: Path) -> None:
    model, image, prompt = adapter(original), picture(40, 30), "Is the door red?"
    continuations = ["Yes", "No", "the cat's ear", "a"]
    found = model.probability(image, prompt, continuations)
    tokenizer = model.loaded.tokenizer
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in continuations]
    expected = [parts.probability(image.pil(), prompt, own) for own in ids]
    np.testing.assert_allclose(found, expected, rtol=1e-3)
