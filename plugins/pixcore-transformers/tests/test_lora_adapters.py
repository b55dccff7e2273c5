"""LoRA adapters: merged by peft where that is asked for, refused where it is not or where they do not fit."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig
from transformers import AutoModelForImageTextToText

from pixcore.errors import ModelError
from pixcore.notices import Notice
from pixcore.records import Image, Protocol, Request

peft = pytest.importorskip("peft")


def whole(folder: Path) -> Any:
    return AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32)


@pytest.fixture(scope="module")
def base(checkpoint: Callable[..., Path]) -> Path:
    return checkpoint("llava_next")


@pytest.fixture(scope="module")
def lora(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An adapter of the decoder's attention and of the projector, with weights as if it had been trained."""
    settings = peft.LoraConfig(r=4, lora_alpha=16, target_modules=["q_proj", "v_proj", "linear_1"])
    wrapped = peft.get_peft_model(whole(base), settings)
    torch.manual_seed(3)
    for name, parameter in wrapped.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    folder: Path = tmp_path_factory.mktemp("lora") / "adapter"
    wrapped.save_pretrained(folder)
    return folder


def adapter(folder: Path, **options: Any) -> TransformersAdapter:
    return TransformersAdapter(TransformersConfig(checkpoint=str(folder), max_new_tokens=6, **options))


def ask() -> Request:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 60, 3), dtype=np.uint8)
    return Request("one", Protocol.QUESTION, Image.from_pixels(pixels), "What is it?")


@pytest.fixture
def altered(lora: Path, tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(lora, tmp_path / "altered"))


def test_merged_weights_are_peft_s_own(base: Path, lora: Path) -> None:
    expected = peft.PeftModel.from_pretrained(whole(base), lora).merge_and_unload().state_dict()
    found = adapter(base, lora_adapter=str(lora)).loaded.model.state_dict()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in expected)
    plain = adapter(base).loaded.model.state_dict()
    changed = {name for name in expected if not torch.equal(plain[name], found[name])}
    assert {name.split(".")[-2] for name in changed} == {"q_proj", "v_proj", "linear_1"}


def test_it_answers_as_the_merged_folder_does(base: Path, lora: Path, tmp_path: Path) -> None:
    shutil.copytree(base, tmp_path / "merged")
    peft.PeftModel.from_pretrained(whole(base), lora).merge_and_unload().save_pretrained(tmp_path / "merged")
    (merged,) = adapter(tmp_path / "merged").answer([ask()])
    (found,) = adapter(base, lora_adapter=str(lora)).answer([ask()])
    (plain,) = adapter(base).answer([ask()])
    assert [token.id for token in found.tokens] == [token.id for token in merged.tokens]
    assert [token.id for token in found.tokens] != [token.id for token in plain.tokens]


def test_an_adapters_folder_is_no_checkpoint(base: Path, lora: Path) -> None:
    with pytest.raises(ModelError, match=rf"LoRA adapter, no whole model \(set checkpoint: {base} and lora_adapter: "):
        adapter(lora).answer([ask()])


def test_a_record_stands_on_its_adapter(base: Path, lora: Path, altered: Path) -> None:
    plain = adapter(base).config.fingerprint()
    merged = adapter(base, lora_adapter=str(lora)).config.fingerprint()
    assert merged.startswith(f"{plain} ")
    weights = altered / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert adapter(base, lora_adapter=str(altered)).config.fingerprint() not in (plain, merged)


def test_peft_is_named_where_it_is_missing(base: Path, lora: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pixcore_transformers.lora.is_peft_available", lambda: False)
    with pytest.raises(ModelError, match=r"needs peft \(pip install 'pixcore-transformers\[lora\]'\)"):
        adapter(base, lora_adapter=str(lora)).answer([ask()])


def test_quantized_weights_take_none(base: Path, lora: Path) -> None:
    with pytest.raises(ModelError, match="can't be merged into quantized weights"):
        adapter(base, lora_adapter=str(lora), quantization="8bit", device_map="cpu").answer([ask()])


def test_another_models_adapter_is_refused(checkpoint: Callable[..., Path], lora: Path) -> None:
    with pytest.raises(ModelError, match=r"is no adapter of .* \(name the model that it was trained on"):
        adapter(checkpoint("qwen2_5_vl"), lora_adapter=str(lora)).answer([ask()])


def test_an_adapter_that_lacks_a_layer_is_refused(base: Path, altered: Path) -> None:
    settings = json.loads((altered / "adapter_config.json").read_text(encoding="utf-8"))
    settings["target_modules"].append("k_proj")
    (altered / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.raises(ModelError, match=r"names differ, such as .*k_proj"):
        adapter(base, lora_adapter=str(altered)).answer([ask()])


def test_other_kinds_of_adapters_are_refused(base: Path, altered: Path) -> None:
    (altered / "adapter_config.json").write_text('{"peft_type": "IA3"}', encoding="utf-8")
    with pytest.raises(ModelError, match="an adapter of type IA3"):
        adapter(base, lora_adapter=str(altered)).answer([ask()])


def test_a_folder_without_an_adapter(base: Path) -> None:
    with pytest.raises(ModelError, match=r"holds no adapter_config\.json"):
        adapter(base, lora_adapter=str(base)).answer([ask()])


def test_another_base_is_told(base: Path, altered: Path) -> None:
    settings = json.loads((altered / "adapter_config.json").read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = "owner/another"
    (altered / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    with pytest.warns(Notice, match="was trained on owner/another, and is merged into"):
        _ = adapter(base, lora_adapter=str(altered)).loaded
