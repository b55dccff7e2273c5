"""Where weights are held: towers that come and go, maps, eight and four bits on what a CPU can compute."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from pixcore_segtoken.keymap import Rename
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import PlacingConfig, TransformersConfig
from pixcore_transformers.placing import (
    Placement,
    check_placing,
    image_tower,
    main_device,
    move,
    offload,
    quantize,
    spread_out,
    working_device,
)
from pixcore_transformers.testing import RECIPES
from safetensors.torch import save_file
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from pixcore.components import ModelConfig
from pixcore.errors import ModelError
from pixcore.plugins import Kind, registry

META = torch.device("meta")
"""Another device than the CPU that every machine has; it keeps shapes and no numbers."""
CPU = torch.device("cpu")


def tower() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8)).eval().requires_grad_(False)


def llama() -> LlamaForCausalLM:
    sizes = {"hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=50, **sizes)).eval().requires_grad_(False)


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_a_tower_is_on_the_device_only_while_it_works(mode: Callable[[], torch.no_grad]) -> None:
    module = tower()
    before = dict(module.state_dict())
    seen: list[str] = []
    module[0].register_forward_pre_hook(
        lambda own, _: seen.extend(tensor.device.type for tensor in (*module.parameters(), *module.buffers()))
    )
    offload(module, META)
    with mode():
        for _ in range(2):
            assert module(torch.zeros(3, 4, device=META)).device == META
    assert set(seen) == {"meta"}
    after = module.state_dict()
    assert all(after[name].data_ptr() == tensor.data_ptr() for name, tensor in before.items())


def test_a_tower_that_fails_goes_back_too() -> None:
    module = tower()
    offload(module, META)
    with pytest.raises(RuntimeError):
        module(torch.zeros(3, 5, device=META))
    assert {parameter.device for parameter in module.parameters()} == {CPU}


def test_what_is_used_twice_is_moved_once() -> None:
    module = llama()
    module.lm_head.weight = module.model.embed_tokens.weight
    move(module, lambda name: META)
    assert module.lm_head.weight is module.model.embed_tokens.weight
    assert {tensor.device for tensor in (*module.parameters(), *module.buffers())} == {META}


def test_towers_wait_and_the_rest_is_on_the_device() -> None:
    module = nn.ModuleDict({"tower": tower(), "towers": tower(), "language": tower()})
    placement = Placement(PlacingConfig(offload_towers=True), towers=["tower"], language="language")
    placement.device = META
    placement.settle(module)
    where = {name: tensor.device.type for name, tensor in module.state_dict().items()}
    assert {device for name, device in where.items() if name.startswith("tower.")} == {"cpu"}
    assert {device for name, device in where.items() if not name.startswith("tower.")} == {"meta"}
    assert module["tower"](torch.zeros(3, 4, device=META)).device == META


@pytest.mark.parametrize("family", sorted(set(RECIPES) - {"mllama"}))
def test_every_familys_tower_is_found(family: str, checkpoint: Callable[..., Path]) -> None:
    folder = str(checkpoint(family))
    model = TransformersAdapter(TransformersConfig(checkpoint=folder, offload_towers=True)).loaded.model
    name = image_tower(model)
    decoder = next(name for name, module in model.named_modules() if module is model.get_decoder())
    assert name
    assert not decoder.startswith(name)
    assert not name.startswith(decoder)


@pytest.mark.parametrize(
    ("chosen", "first"),
    [("cpu", "cpu"), ({"model": "cpu", "lm_head": "cpu"}, "cpu"), ({"": "cpu"}, "cpu"), ("auto", "cpu")],
)
def test_where_inputs_go(chosen: str | dict[str, int | str], first: str) -> None:
    if chosen == "auto" and torch.cuda.is_available():
        first = "cuda"
    assert main_device(PlacingConfig(device_map=chosen)).type == first


@pytest.mark.parametrize("chosen", ["auto", "balanced", "sequential", {"model": "cpu", "lm_head": "cpu"}])
def test_a_spread_language_model_says_the_same(chosen: str | dict[str, int | str]) -> None:
    pytest.importorskip("accelerate")
    model, ids = llama(), torch.arange(9)[None]
    expected = model(ids).logits
    spread_out(model, PlacingConfig(device_map=chosen))
    assert torch.equal(model(ids.to(working_device(model.model.embed_tokens))).logits.cpu(), expected)


def test_a_hook_says_where_a_module_computes() -> None:
    accelerate = pytest.importorskip("accelerate")
    model = llama()
    assert working_device(model) == CPU
    accelerate.cpu_offload(model, CPU)  # the weights are kept aside, and come for each layer's call
    assert next(model.model.embed_tokens.parameters()).device == META
    assert working_device(model.model.embed_tokens) == CPU


def test_a_map_that_leaves_a_part_out_is_refused() -> None:
    pytest.importorskip("accelerate")
    with pytest.raises(ModelError, match=r"device_map: .* \(name every part of the language model\)"):
        spread_out(llama(), PlacingConfig(device_map={"model": "cpu"}))


@pytest.mark.parametrize(("options", "bits"), [({"quantization": "8bit"}, 8), ({"quantization": "4bit"}, 4)])
def test_streamed_weights_are_quantized_as_they_come(tmp_path: Path, options: dict[str, str], bits: int) -> None:
    """bitsandbytes computes both on a CPU, slowly; here it is held to the arithmetic in whole numbers."""
    bnb = pytest.importorskip("bitsandbytes")
    torch.manual_seed(0)
    whole = llama()
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    with parameters_on_meta():
        model = llama()
    quantize(model, PlacingConfig.model_validate(options), torch.float32)
    load_weights(model, tmp_path, [Rename("(.+)", r"\1")], device=Placement(PlacingConfig(device_map="cpu"), towers=[]))
    layer, original = model.model.layers[1].mlp.down_proj, whole.model.layers[1].mlp.down_proj
    assert isinstance(layer, bnb.nn.Linear8bitLt if bits == 8 else bnb.nn.Linear4bit)
    assert type(model.lm_head) is nn.Linear
    assert layer.weight.nbytes == original.weight.numel() * bits // 8
    inputs = torch.randn(5, 128)
    step = original.weight.abs().amax() / (127 if bits == 8 else 7)
    rounding = step * inputs.abs().sum(-1).max() * (1 if bits == 8 else 2)
    assert (layer(inputs) - original(inputs)).abs().max() < rounding
    assert model(torch.arange(9)[None]).logits.isfinite().all()


def test_a_cache_and_quantization_do_not_go_together(tmp_path: Path) -> None:
    pytest.importorskip("bitsandbytes")
    with pytest.raises(ModelError, match="a cache holds whole weights"):
        check_placing(PlacingConfig(quantization="8bit"), cache=tmp_path)


def test_towers_and_a_map_do_not_go_together(checkpoint: Callable[..., Path]) -> None:
    pytest.importorskip("accelerate")
    config = TransformersConfig(checkpoint=str(checkpoint("llava")), offload_towers=True, device_map="auto")
    with pytest.raises(ModelError, match="map the tower to cpu instead"):
        _ = TransformersAdapter(config).loaded


def test_every_system_with_weights_has_the_same_options() -> None:
    systems = {registration.name: registration.config_class for registration in registry().all(Kind.MODEL)}
    theirs = {"lisa", "glamm", "omg-llava", "llava-grounding", "cambrian", "llava-1.5", "transformers", "mini"}
    assert theirs <= systems.keys()
    for name in theirs:
        config: type[ModelConfig] = systems[name]
        assert issubclass(config, PlacingConfig), name
        assert {"device_map", "quantization", "offload_towers", "dtype"} <= config.model_fields.keys()
        assert "device" not in config.model_fields
        assert "offload_towers" in config.not_in_key  # it changes where weights wait, never a record
