"""Loading: what a user may get wrong, and what the tap changes in a model."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_checkpoints.fingerprints import fingerprint_of
from pixcore_transformers import loading
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import Llava15Config, TransformersConfig
from pixcore_transformers.generation import Sampler, Settings, Unrepeated
from pydantic import ValidationError
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForImageTextToText, BitsAndBytesConfig, GPTJConfig

from pixcore.errors import ConfigError, DataError, ModelError, NotFiniteError, SampleError
from pixcore.records import Image, Protocol, Request


def adapter(folder: Path | str, **options: Any) -> TransformersAdapter:
    return TransformersAdapter(TransformersConfig(checkpoint=str(folder), max_new_tokens=4, **options))


def ask() -> Request:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 40, 3), dtype=np.uint8)
    return Request("one", Protocol.QUESTION, Image.from_pixels(pixels), "What is it?")


@pytest.fixture
def copy(checkpoint: Callable[..., Path], tmp_path: Path) -> Path:
    """A checkpoint of one's own, to break."""
    made = tmp_path / "llava"
    made.mkdir()
    for path in checkpoint("llava").iterdir():
        (made / path.name).write_bytes(path.read_bytes())
    return made


def test_the_tower_stays_on_its_kernel(checkpoint: Callable[..., Path]) -> None:
    model = adapter(checkpoint("llava_next")).loaded.model
    assert model.config.text_config._attn_implementation == "pixcore_sdpa"
    assert model.config.vision_config._attn_implementation == "sdpa"
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_checkpoint_that_names_no_start_and_no_end_answers_to_its_limit(copy: Path) -> None:
    for path in copy.glob("*.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        for part in (content, content.get("text_config", {})):
            for name in ("bos_token", "eos_token", "bos_token_id", "eos_token_id"):
                if name in part:
                    part[name] = None
        path.write_text(json.dumps(content), encoding="utf-8")
    one = adapter(copy)
    assert one.end == ()
    assert one.loaded.tokenizer.bos_token_id is None
    (response,) = one.answer([ask()])
    assert (len(response.tokens), response.extra["finish"]) == (4, "length")


def test_the_kernel_and_the_dtype_are_options(checkpoint: Callable[..., Path]) -> None:
    folder = checkpoint("llava_next")
    eager = adapter(folder, kernel="eager").loaded.model
    assert eager.config.text_config._attn_implementation == "pixcore_eager"
    assert adapter(folder, dtype="bfloat16").loaded.model.dtype == torch.bfloat16
    assert adapter(folder).answer([ask()])[0].text == adapter(folder, kernel="eager").answer([ask()])[0].text


def test_half_precision_answers(checkpoint: Callable[..., Path]) -> None:
    [response] = adapter(checkpoint("qwen2_5_vl"), dtype="bfloat16").answer([ask()])
    assert len(response.tokens) == 4


def test_a_checkpoint_stored_in_eight_bits_answers_in_one_precision(copy: Path) -> None:
    """transformers leaves what is not quantized in half precision, whatever dtype it is asked for."""
    pytest.importorskip("bitsandbytes")
    eight = BitsAndBytesConfig(load_in_8bit=True)
    stored = AutoModelForImageTextToText.from_pretrained(copy, quantization_config=eight, dtype=torch.float16)
    halves = {name: tensor for name, tensor in stored.named_parameters() if tensor.dtype == torch.float16}
    stored.save_pretrained(copy)
    answering = adapter(copy, device_map="cpu")
    assert answering.answer([ask()])[0].text
    found = dict(answering.loaded.model.named_parameters())
    assert {tensor.dtype for tensor in found.values()} == {torch.int8, torch.float32}
    assert all(torch.equal(found[name], tensor.float()) for name, tensor in halves.items())


def test_nothing_is_loaded_before_it_is_needed(tmp_path: Path) -> None:
    assert adapter(tmp_path / "absent").capabilities == {"text", "attention"}


def test_a_gpu_that_is_not_there(checkpoint: Callable[..., Path]) -> None:
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(ModelError, match=f"device_map: {missing} names a GPU that torch .* does not find here"):
        adapter(checkpoint("llava"), device_map=missing).answer([ask()])


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"there is no folder .*absent \(a folder, or a name on the hub"):
        adapter(tmp_path / "absent").answer([ask()])


def test_a_hub_name_that_is_not_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelError, match="can't get nobody/nothing from the hub"):
        adapter("nobody/nothing", offline=True).answer([ask()])


def test_a_folder_without_a_processor(copy: Path) -> None:
    for name in ("preprocessor_config.json", "processor_config.json"):
        (copy / name).unlink()
    with pytest.raises(ModelError, match="processor"):
        adapter(copy).answer([ask()])


def test_an_unknown_architecture_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "of-the-future"}))
    with pytest.raises(ModelError, match="a 'of-the-future' model lie is not known"):
        adapter(copy).answer([ask()])


def test_code_of_a_checkpoint_is_not_run(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text()) | {"model_type": "own", "auto_map": {"AutoConfig": "own.C"}}
    (copy / "config.json").write_text(json.dumps(config))
    (copy / "own.py").write_text("raise SystemExit('ran')")
    with pytest.raises(ModelError, match="a 'own' model lie is not known"):
        adapter(copy).answer([ask()])


def test_how_much_a_checkpoint_needs(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"metadata": {"total_size": 14_126_000_000}}))
    assert loading.weight_bytes(tmp_path) == 14_126_000_000


def test_the_fingerprint_follows_the_weights(copy: Path) -> None:
    config = TransformersConfig(checkpoint=str(copy))
    before = config.fingerprint()
    assert before == TransformersConfig(checkpoint=str(copy), max_new_tokens=3).fingerprint()
    weights = copy / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    assert config.fingerprint() != before


@pytest.mark.parametrize("name", ["model.safetensors", "model.pth"])
def test_one_part_of_a_large_file_changes_the_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / name
    parts = {"tower": 30 << 20, "projector": 1 << 20, "language": 34 << 20}
    save_file({part: torch.zeros(size, dtype=torch.uint8) for part, size in parts.items()}, path)
    header = path.open("rb").read(1000)
    begin = 8 + int.from_bytes(header[:8], "little")
    seen = {fingerprint_of(path)}
    for entry in json.loads(header[8:begin]).values():
        start, end = entry["data_offsets"]
        with path.open("rb+") as file:
            file.seek(begin + start)
            file.write(b"1" * (end - start))
        seen.add(fingerprint_of(path))
        assert fingerprint_of(path) in seen
    assert len(seen) == 1 + len(parts)


def test_what_is_kept_of_a_small_file_is_the_hash_of_its_size_and_content(tmp_path: Path) -> None:
    (tmp_path / "weights.bin").write_bytes(bytes(range(256)) * 1000)
    digest = hashlib.sha256(b"256000" + bytes(range(256)) * 1000)
    assert fingerprint_of(tmp_path / "weights.bin") == digest.hexdigest()


def test_a_large_file_that_is_cut_short_has_a_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = tmp_path / "model.safetensors"
    with path.open("wb") as file:
        file.truncate(65 << 20)
    assert fingerprint_of(path) == fingerprint_of(path)


def test_the_fingerprint_follows_the_tower_where_it_is_named(copy: Path, tmp_path: Path) -> None:
    tower = tmp_path / "tower"
    tower.mkdir()
    (tower / "model.bin").write_bytes(b"one")
    own = Llava15Config(checkpoint=str(copy)).fingerprint()
    named = Llava15Config(checkpoint=str(copy), vision_tower=str(tower))
    first = named.fingerprint()
    (tower / "model.bin").write_bytes(b"two")
    assert len({own, first, named.fingerprint()}) == 3
    (tmp_path / "old").mkdir()
    (tmp_path / "old/config.json").write_text(json.dumps({"mm_vision_tower": str(tower)}))
    old = Llava15Config(checkpoint=str(tmp_path / "old"))  # whose own folder names it
    first = old.fingerprint()
    (tower / "model.bin").write_bytes(b"three")
    assert old.fingerprint() != first


def test_the_fingerprint_of_a_hub_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    config = TransformersConfig(checkpoint="owner/name")
    assert config.fingerprint() == "main"
    refs = tmp_path / "models--owner--name" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("0" * 40)
    assert config.fingerprint() == "0" * 40
    assert TransformersConfig(checkpoint="owner/name", revision="a" * 40).fingerprint() == "a" * 40


def test_configs_and_the_plugin_are_light() -> None:
    code = (
        "import sys, pixcore_transformers.plugin, pixcore_transformers.config, pixcore_attention.plugin, "
        "pixcore_attention.config; print([m for m in ('torch', 'transformers', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_default_checkpoint_of_llava() -> None:
    assert Llava15Config().checkpoint == "llava-hf/llava-1.5-7b-hf"


@pytest.mark.parametrize("kind", ["mllama", "blip-2", "of-the-future"])
def test_config_json_alone_refuses(kind: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}))
    with pytest.raises(ModelError, match=f"'{kind}'.*(not supported|not known)"):
        adapter(tmp_path).answer([ask()])


def test_a_lora_folder_is_no_model(copy: Path) -> None:
    (copy / "adapter_config.json").write_text("{}")
    with pytest.raises(ModelError, match="LoRA adapter"):
        adapter(copy).answer([ask()])


@pytest.mark.parametrize(
    "content", [{"weight_map": {"a": "../model.safetensors"}}, {"weight_map": {"a": "/model.safetensors"}}, [1], {}]
)
def test_an_index_names_files_of_its_folder(content: object, copy: Path) -> None:
    (copy / "model.safetensors").rename(copy.parent / "model.safetensors")
    (copy / "model.safetensors.index.json").write_text(json.dumps(content))
    with pytest.raises(ModelError, match=r"index\.json (is no index|names )"):
        adapter(copy).answer([ask()])


@pytest.mark.parametrize("damage", [b"", b"\x08\x00\x00\x00\x00\x00\x00\x00{}      ", b"\xff" * 200])
def test_damaged_weights_are_one_error_that_names_the_checkpoint(damage: bytes, copy: Path) -> None:
    (copy / "model.safetensors").write_bytes(damage)
    with pytest.raises(ModelError, match=str(copy)) as failed:
        adapter(copy).answer([ask()])
    assert "\n" not in str(failed.value)


def test_a_pickle_of_more_than_tensors_is_not_advertised(copy: Path) -> None:
    (copy / "model.safetensors").unlink()
    (copy / "pytorch_model.bin").write_bytes(pickle.dumps({"weight": Path("x")}))
    with pytest.raises(ModelError) as failed:
        adapter(copy).answer([ask()])
    assert "can still be loaded" not in str(failed.value)


def test_weights_that_are_there_twice_count_once(copy: Path) -> None:
    once = loading.weight_bytes(copy)
    (copy / "consolidated.safetensors").write_bytes((copy / "model.safetensors").read_bytes())
    assert loading.weight_bytes(copy) == once > 0


@pytest.mark.parametrize("kernel", ["flash_attention_2", "flex_attention", "eager"])
def test_a_kernel_of_another_machine_is_not_taken(kernel: str, copy: Path) -> None:
    change(copy / "config.json", _attn_implementation=kernel)
    assert adapter(copy).loaded.model.config.text_config._attn_implementation == "pixcore_sdpa"


def test_generation_settings_are_pixcores_own(copy: Path) -> None:
    expected = adapter(copy).answer([ask()])[0].tokens
    change(
        copy / "generation_config.json", num_return_sequences=3, num_beams=4, dola_layers="high", bad_words_ids=[[7]]
    )
    with pytest.warns(UserWarning, match="not followed: bad_words_ids, dola_layers, num_beams, num_return_sequences"):
        assert adapter(copy).answer([ask()])[0].tokens == expected
    (copy / "generation_config.json").write_text('{"eos_token_id": "</s>"}')
    with pytest.raises(ModelError, match="eos_token_id is not a token id"):
        adapter(copy).answer([ask()])


def test_a_processor_learns_of_its_tower(copy: Path) -> None:
    expected = adapter(copy).layout(ask().image).tokens
    stored = json.loads((copy / "processor_config.json").read_text())
    for name in ("patch_size", "vision_feature_select_strategy", "num_additional_image_tokens"):
        stored.pop(name, None)
    (copy / "processor_config.json").write_text(json.dumps(stored))
    assert adapter(copy).layout(ask().image).tokens == expected


@pytest.mark.parametrize("text", ["Is <image> there?", "Is </s> there?"])
def test_a_mark_in_a_text_fails_its_sample(text: str, checkpoint: Callable[..., Path]) -> None:
    request = Request("one", Protocol.QUESTION, ask().image, text)
    with pytest.raises(SampleError, match="reads as a mark of its own"):
        adapter(checkpoint("llava")).answer([request])


def test_a_template_may_hold_braces(checkpoint: Callable[..., Path]) -> None:
    made = adapter(checkpoint("llava"), prompt_template='<image>{prompt} Say {"place": 1}.')
    assert made.full_prompt("Where {is} it?") == '<image>Where {is} it? Say {"place": 1}.'
    with pytest.raises(ValueError, match=r"must hold \{prompt\}"):
        adapter(checkpoint("llava"), prompt_template="<image>")


def test_a_template_without_the_images_place_is_told(checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(SampleError, match=r"<image> .* \(set prompt_template, with the image's placeholder in it\)"):
        adapter(checkpoint("llava"), prompt_template="USER: {prompt} ASSISTANT:").answer([ask()])


def test_a_checkpoint_without_a_chat_template_is_no_samples_fault(copy: Path) -> None:
    (copy / "chat_template.jinja").unlink()
    with pytest.raises(ModelError, match=r"has no chat template \(set prompt_template: the whole prompt, with"):
        adapter(copy).answer([ask()])
    assert adapter(copy, prompt_template="<image>\n{prompt}").answer([ask()])


def test_a_decoder_with_attention_of_its_own_is_told_what_is_left(copy: Path) -> None:
    config = AutoConfig.from_pretrained(copy)
    text = config.text_config
    config.text_config = GPTJConfig(vocab_size=text.vocab_size, n_embd=32, n_layer=2, n_head=4, rotary_dim=4)
    AutoModelForImageTextToText.from_config(config).save_pretrained(copy)
    with pytest.raises(ModelError, match="the attention of LlavaForConditionalGeneration can't be read") as error:
        adapter(copy).answer([ask()])
    assert "served" in error.value.hint


def test_a_template_that_the_tokenizer_alone_has_is_used(copy: Path) -> None:
    expected, template = adapter(copy).full_prompt("Where?"), copy / "chat_template.jinja"
    settings = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    settings["chat_template"] = template.read_text(encoding="utf-8")
    (copy / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    template.unlink()
    assert adapter(copy).full_prompt("Where?") == expected


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ raise_exception('roles must alternate') }}", "roles must alternate"),
        ("{% for %}", "Expected an expression"),
        ("{{ '<image>' + messages[0]['content'] }}", "can only concatenate str"),  # a text model's
        ("{{ messages[0]['content'][0]['no']['where'] }}", "has no attribute 'no'"),
        (
            "<image>{% if messages[0]['content'] is string %}{{ messages[0]['content'] }}{% endif %}",
            "leaves the question",
        ),
    ],
)
def test_a_template_that_is_no_use_is_no_samples_fault(template: str, reason: str, copy: Path) -> None:
    (copy / "chat_template.jinja").write_text(template, encoding="utf-8")
    with pytest.raises(ModelError, match=reason) as error:
        adapter(copy).answer([ask()])
    assert error.value.hint.startswith("set prompt_template: ")


def test_a_template_may_change_the_question(copy: Path) -> None:
    (copy / "chat_template.jinja").write_text("<image>{{ messages[0]['content'][1]['text'] | trim | upper }}")
    assert adapter(copy).full_prompt(" Where? ") == "<image>WHERE?"
    assert adapter(copy).full_prompt(" ") == "<image>"


def test_a_tokenizer_without_padding_pads_with_its_end(copy: Path, checkpoint: Callable[..., Path]) -> None:
    settings = json.loads((copy / "tokenizer_config.json").read_text(encoding="utf-8"))
    del settings["pad_token"]
    (copy / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    asked = [ask(), Request("two", Protocol.QUESTION, ask().image, "And what is behind it, to the left?")]
    padded, own = adapter(copy), adapter(checkpoint("llava"))
    for model in (padded, own):
        model.__dict__["seen"] = None  # a batch of both, one padded
    assert padded.loaded.tokenizer.pad_token == "</s>"
    assert [one.text for one in padded.answer(asked)] == [one.text for one in own.answer(asked)]


@pytest.mark.parametrize("options", [{"top_p": 0.9}, {"top_k": 5}, {"top_k": 5, "temperature": 0}])
def test_a_choice_among_tokens_needs_a_temperature(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"has no effect on greedy answers \(set a temperature"):
        TransformersConfig(checkpoint="any", **options).check_ready()
    TransformersConfig(checkpoint="any", **{**options, "temperature": 0.5}).check_ready()
    if "temperature" not in options:
        Llava15Config(checkpoint="any", **options).check_ready()  # its published run draws


def test_what_overflows_is_told_with_its_dtype(copy: Path) -> None:
    weights = load_file(copy / "model.safetensors")
    for name in weights:
        if name.endswith(("up_proj.weight", "down_proj.weight")):
            weights[name] *= 3000
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    assert adapter(copy).answer([ask()])
    with pytest.raises(NotFiniteError, match=r"logits are not finite in float16 .*bfloat16, or float32"):
        adapter(copy, dtype="float16").answer([ask()])


def test_a_repetition_penalty_does_not_see_padding() -> None:
    ids = torch.tensor([[0, 0, 5], [3, 4, 5]])
    scores = torch.full((2, 6), 2.0)
    mask = torch.tensor([[0, 0, 1], [1, 1, 1]])
    assert Unrepeated(2.0, mask)(ids, scores).tolist() == [[2, 2, 2, 2, 2, 1], [2, 2, 2, 1, 1, 1]]


def test_sampling_stays_among_the_likeliest() -> None:
    scores = torch.arange(6.0).expand(40, 6)
    drawn = Sampler(Settings(1, (), temperature=50.0, top_k=2), range(40))(torch.zeros(40, 1, dtype=torch.long), scores)
    assert set(drawn.argmax(dim=1).tolist()) == {4, 5}


def test_no_mac_no_mps(checkpoint: Callable[..., Path]) -> None:
    if torch.backends.mps.is_available():
        pytest.skip("this is a Mac")
    with pytest.raises(ModelError, match="device_map: mps needs"):
        adapter(checkpoint("llava"), device_map="mps").answer([ask()])


def change(path: Path, **changes: Any) -> None:
    """Set entries of a JSON file."""
    stored = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**stored, **changes}))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="named pipes are POSIX")
@pytest.mark.parametrize("name", ["config.json", "model.safetensors", "inside/model.safetensors.index.json"])
def test_a_pipe_in_a_checkpoints_folder_is_refused_before_anything_reads_it(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    os.mkfifo(path)
    with pytest.raises(ModelError, match="is a pipe or a device"):
        fingerprint_of(tmp_path)
    with pytest.raises(DataError, match="is a pipe or a device"):
        fingerprint_of(path)


@pytest.mark.parametrize(
    ("alias", "name", "value"),
    [
        ("pretrained", "checkpoint", "a/b"),
        ("torch_dtype", "dtype", "float16"),
        ("attn_implementation", "kernel", "sdpa"),
        ("adapter", "lora_adapter", "a/lora"),
    ],
)
def test_the_names_that_hugging_face_has_are_understood_and_named_in_errors(alias: str, name: str, value: str) -> None:
    whole = {"checkpoint": "a/b", name: value}
    own = TransformersConfig.model_validate(whole)
    del whole[name]
    assert TransformersConfig.model_validate({**whole, alias: value}) == own
    assert alias not in own.model_dump()
    with pytest.raises(ValidationError, match=f"{name} and {alias} are two names of one option: leave one out"):
        TransformersConfig.model_validate({**whole, name: value, alias: value})
    with pytest.raises(ValidationError) as refused:
        TransformersConfig.model_validate({**whole, alias: 3})
    assert refused.value.errors()[0]["loc"][0] == alias
