"""LoRA adapters of LLaVA in older layouts: read under today's names, or refused by one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import Llava15Config, TransformersConfig
from pixcore_transformers.llava import Llava15
from pixcore_transformers.testing.llava import TinyLlava
from safetensors.torch import load_file, save_file
from transformers import LlamaForCausalLM

from pixcore.errors import ModelError
from tests.hub import hub

peft = pytest.importorskip("peft")

LINEAR = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
"""What LLaVA's training gives LoRA layers to: every linear layer of the language model but its head."""


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> TinyLlava:
    return TinyLlava(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def trained(parts: TinyLlava, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, torch.Tensor]]:
    """What LLaVA's `train.py --lora_enable` leaves: an adapter of a Llama, and the projector; and what they come to.

    There the language model is the whole model, whose projector is one of its parts.
    """
    language = LlamaForCausalLM(parts.text.config)
    language.load_state_dict(parts.text.state_dict())
    language.config._name_or_path = "liuhaotian/llava-v1.5-7b"
    wrapped = peft.get_peft_model(language, peft.LoraConfig(r=4, lora_alpha=16, target_modules=LINEAR))
    torch.manual_seed(5)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    folder: Path = tmp_path_factory.mktemp("lora") / "llava-v1.5-7b-mine-lora"
    wrapped.save_pretrained(folder)
    (folder / "config.json").write_text(json.dumps({"model_type": "llava_llama"}))
    projector = {
        f"model.mm_projector.{name}": torch.randn_like(held) for name, held in parts.projector.named_parameters()
    }
    torch.save(
        {f"base_model.model.{name}": held for name, held in projector.items()}, folder / "non_lora_trainables.bin"
    )
    merged = wrapped.merge_and_unload().state_dict()
    return folder, {**merged, **projector}


@pytest.fixture
def altered(trained: tuple[Path, Any], tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(trained[0], tmp_path / "altered"))


def llava(folder: Path, lora: Path | str) -> Any:
    config = Llava15Config(checkpoint=str(folder), lora_adapter=str(lora), device_map="cpu")
    return Llava15(config).loaded.model


def settings(folder: Path, **changes: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.filterwarnings("ignore::pixcore.notices.Notice")
@pytest.mark.parametrize("layout", ["original", "hugging-face"])
@pytest.mark.parametrize("form", ["safetensors", "bin"])
def test_an_adapter_of_llavas_training_is_merged(
    layout: str, form: str, parts: TinyLlava, trained: tuple[Path, dict[str, torch.Tensor]], altered: Path
) -> None:
    if form == "bin":
        torch.save(load_file(altered / "adapter_model.safetensors"), altered / "adapter_model.bin")
        (altered / "adapter_model.safetensors").unlink()
    base = parts.save_original() if layout == "original" else parts.save_hugging_face()
    found = llava(base, altered).state_dict()
    for name, expected in trained[1].items():
        today = re.sub(r"^model\.(layers|norm|embed_tokens)", r"model.language_model.\1", name)
        today = today.replace("mm_projector.0", "multi_modal_projector.linear_1")
        held = found[today.replace("mm_projector.2", "multi_modal_projector.linear_2")]
        torch.testing.assert_close(held[: len(expected)], expected)  # one more row for the image's placeholder
    tower = parts.tower.state_dict()
    assert all(torch.equal(found[f"model.vision_tower.{name}"], tower[name]) for name in tower)


@pytest.mark.filterwarnings("ignore::pixcore.notices.Notice")
def test_it_is_fetched_from_the_hub_with_its_projector(
    parts: TinyLlava, trained: tuple[Path, dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    with hub(tmp_path / "cache") as server:
        found = llava(parts.save_hugging_face(), server.serve(trained[0])).state_dict()
    expected = trained[1]["model.mm_projector.0.weight"]
    assert torch.equal(found["model.multi_modal_projector.linear_1.weight"], expected)


def test_names_of_older_versions_of_transformers(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    from transformers import AutoModelForImageTextToText

    base = checkpoint("llava")
    model = AutoModelForImageTextToText.from_pretrained(base, dtype=torch.float32)
    config = peft.LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "linear_1"])
    wrapped = peft.get_peft_model(model, config)
    torch.manual_seed(3)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    wrapped.save_pretrained(tmp_path)
    old = {}
    for name, tensor in load_file(tmp_path / "adapter_model.safetensors").items():
        inner = name.removeprefix("base_model.model.model.")
        inner = re.sub("^language_model", "language_model.model", inner)
        old["base_model.model." + re.sub("^vision_tower", "vision_tower.vision_model", inner)] = tensor
    assert any("language_model.model.layers" in name for name in old)
    assert any("vision_model.encoder" in name for name in old)
    save_file(old, tmp_path / "adapter_model.safetensors")
    made = TransformersAdapter(TransformersConfig(checkpoint=str(base), lora_adapter=str(tmp_path), device_map="cpu"))
    found, expected = made.loaded.model.state_dict(), wrapped.merge_and_unload().state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"base_model_name_or_path": "lmsys/vicuna-7b-v1.5"},
            r"trained on lmsys/vicuna-7b-v1.5, a language model alone",
        ),
        (
            {"rank_pattern": {"model.layers.0.self_attn.q_proj": 8}},
            "names of an older layout, and such names in its rank_pattern too",
        ),
        ({"alpha_pattern": {"model.layers.0": 8}}, "such names in its alpha_pattern too"),
        ({"bias": "all"}, "biases that were trained"),
        ({"target_modules": r"model\.layers\.\d+\.self_attn\.q_proj"}, "a pattern of such names"),
    ],
)
def test_what_can_not_be_translated_is_refused(
    changes: dict[str, Any], message: str, parts: TinyLlava, altered: Path
) -> None:
    settings(altered, **changes)
    with pytest.raises(ModelError, match=message):
        llava(parts.save_hugging_face(), altered)


def test_a_layer_that_is_not_there_is_named(parts: TinyLlava, altered: Path) -> None:
    tensors = load_file(altered / "adapter_model.safetensors")
    kept = {name: tensor for name, tensor in tensors.items() if "layers.1.mlp.up_proj" not in name}
    save_file(kept, altered / "adapter_model.safetensors")
    with pytest.raises(ModelError, match=r"lacks 1 layers .*model\.language_model\.layers\.1\.mlp\.up_proj"):
        llava(parts.save_hugging_face(), altered)


@pytest.mark.parametrize("name", ["base_model.model.model.mm_projector.0.weight", "model.elsewhere.weight"])
def test_a_projector_of_another_model_is_refused(name: str, parts: TinyLlava, altered: Path) -> None:
    torch.save({name: torch.zeros(3, 3)}, altered / "non_lora_trainables.bin")
    with pytest.raises(ModelError, match=rf"non_lora_trainables\.bin: {re.escape(name)} is no weight of"):
        llava(parts.save_hugging_face(), altered)


def test_what_runs_code_is_refused(parts: TinyLlava, altered: Path) -> None:
    torch.save({"weight": Path("x")}, altered / "non_lora_trainables.bin")
    with pytest.raises(ModelError, match=r"can't read .*non_lora_trainables\.bin: it holds more than tensors"):
        llava(parts.save_hugging_face(), altered)


def test_a_projector_alone_is_no_checkpoint(parts: TinyLlava, tmp_path: Path) -> None:
    """What LLaVA's first training stage leaves."""
    copy = Path(shutil.copytree(parts.save_original(), tmp_path / "pretrained", ignore=shutil.ignore_patterns("*.bin")))
    torch.save({}, copy / "mm_projector.bin")
    with pytest.raises(ModelError, match="holds a projector alone, no whole model"):
        _ = Llava15(Llava15Config(checkpoint=str(copy), device_map="cpu")).loaded
