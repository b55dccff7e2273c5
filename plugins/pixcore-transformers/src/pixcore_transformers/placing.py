"""Where a model's weights are held and in how many bits: one set of options, checks and means for every system.

A device map spreads the language model by accelerate. Towers, what looks at the image, can wait in the machine's memory
and be on the device only while they work; that needs no other package. Eight and four bits are bitsandbytes'.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import BitsAndBytesConfig, PreTrainedModel
from transformers.utils import is_accelerate_available, is_bitsandbytes_available

from pixcore.errors import ModelError
from pixcore_transformers.config import PlacingConfig

_AUTOMATIC = ("auto", "balanced", "balanced_low_0", "sequential")
UNQUANTIZED = ["lm_head", r"(?:.*\.)?(?:vision_tower|visual|vision_model|vision_encoder|image_tower)"]
"""Parts that stay in their own precision: the head, and towers under the names that transformers has for them."""


def one_device(config: PlacingConfig) -> bool:
    """Say whether the whole model is to be on one device."""
    chosen = config.device_map
    return chosen is None or (isinstance(chosen, str) and chosen not in _AUTOMATIC)


def main_device(config: PlacingConfig) -> torch.device:
    """Find where inputs go, and what no map names: the device, or the first GPU of a map.

    Raises:
        ModelError: The config names a device that is none, or that this machine or this build of torch lacks.
    """
    chosen = config.device_map
    named = [chosen] if isinstance(chosen, str) else list((chosen or {}).values())
    devices = [_device(name) for name in named if name not in _AUTOMATIC]
    if devices:
        return next((device for device in devices if device.type != "cpu"), devices[0])
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype_of(named: str, device: torch.device, on_gpu: torch.dtype) -> torch.dtype:
    """Give the dtype that a config names; "auto" is `on_gpu` on a GPU, and float32 on a CPU."""
    known = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
    return known.get(named, torch.float32 if device.type == "cpu" else on_gpu)


def check_placing(config: PlacingConfig, cache: Path | None = None) -> None:
    """Refuse what can't be here, before any file is read.

    Args:
        config: The options.
        cache: The folder for a converted copy of the weights, if there is to be one.

    Raises:
        ModelError: A device or a package is not there, or the quantization does not fit the device.
    """
    device = main_device(config)
    if config.quantization is not None and cache is not None:
        raise ModelError("a cache holds whole weights, and quantization none", hint="leave one of the two out")
    if config.quantization == "4bit" and device.type == "cpu":
        raise ModelError("quantization: 4bit needs a GPU", hint="on a CPU try dtype: bfloat16, or quantization: 8bit")
    if config.quantization is not None and not (is_bitsandbytes_available() and is_accelerate_available()):
        raise ModelError(
            f"quantization: {config.quantization} needs bitsandbytes and accelerate",
            hint="pip install 'pixcore-transformers[quantized]'",
        )
    if not one_device(config) and not is_accelerate_available():
        raise ModelError(
            "a device map needs accelerate",
            hint="pip install 'pixcore-transformers[device-map]', or name one device",
        )


def working_device(module: nn.Module) -> torch.device:
    """Find where a module computes, wherever its weights wait."""
    hook: Any = getattr(module, "_hf_hook", None)
    if hook is not None and getattr(hook, "execution_device", None) is not None:
        return torch.device(hook.execution_device)
    return next(module.parameters()).device


def bits(config: PlacingConfig, dtype: torch.dtype) -> BitsAndBytesConfig | None:
    """Write the quantization as transformers takes it."""
    if config.quantization is None:
        return None
    # in float32 it would say at every multiplication that it rounds the inputs
    logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
    return BitsAndBytesConfig(
        load_in_8bit=config.quantization == "8bit",
        load_in_4bit=config.quantization == "4bit",
        llm_int8_skip_modules=UNQUANTIZED,
        bnb_4bit_compute_dtype=dtype,
    )


def quantize(language: nn.Module, config: PlacingConfig, dtype: torch.dtype) -> None:
    """Put bitsandbytes' layers in place of a language model's linear ones, before their weights are read."""
    settings = bits(config, dtype)
    if settings is None:
        return
    from transformers.integrations import replace_with_bnb_linear

    replace_with_bnb_linear(language, modules_to_not_convert=UNQUANTIZED, quantization_config=settings)


def as_held(held: nn.Parameter, tensor: Tensor) -> nn.Parameter:
    """Make a parameter of a tensor in the form of the one that it replaces: bitsandbytes' own are quantized here."""
    kind = type(held)
    if kind is nn.Parameter:
        return nn.Parameter(tensor, requires_grad=False)
    options = {name: value for name, value in vars(held).items() if name != "SCB"}
    made: Any = kind(tensor.to("cpu"), requires_grad=False, **options)
    quantized: nn.Parameter = made.to(tensor.device)
    return quantized


class Placement:
    """Where each tensor of a system goes as it is read, and what is done when all are there.

    Args:
        config: The options.
        towers: Prefixes of the names of what looks at the image; each is a module that is called.
        language: Name of the language model, which a map spreads; "" for the model itself, None where there is none.
    """

    def __init__(self, config: PlacingConfig, *, towers: Sequence[str], language: str | None = None) -> None:
        self._config = config
        self.device = main_device(config)
        self._spread = None if one_device(config) else language
        self._towers = tuple(towers) if config.offload_towers else ()

    def __call__(self, name: str) -> torch.device:
        """Where a tensor goes as it is read."""
        waits = any(name.startswith(f"{tower}.") for tower in self._towers)
        later = self._spread is not None and (not self._spread or name.startswith(f"{self._spread}."))
        return torch.device("cpu") if waits or later else self.device

    def settle(self, model: nn.Module) -> None:
        """Bring what no file holds to its place, and let towers come and a spread language model work."""
        move(model, self)
        for tower in self._towers:
            offload(model.get_submodule(tower), self.device)
        if self._spread is not None:
            spread_out(model.get_submodule(self._spread), self._config)


def move(model: nn.Module, place: Callable[[str], torch.device]) -> None:
    """Move parameters and buffers to their places; what is used twice stays one."""
    moved: dict[int, Tensor] = {}
    for name, owner in model.named_modules():
        for held, leaf, tensor in _tensors(owner):
            device = place(f"{name}.{leaf}" if name else leaf)
            if tensor.device != device:
                held[leaf] = moved.setdefault(id(tensor), _moved(tensor, device))


def offload(module: nn.Module, device: torch.device) -> None:
    """Let a module's weights be on a device only while it works; between its calls they are where they are now."""
    waiting: list[tuple[dict[str, Any], str, Tensor]] = []

    def come(*_: Any) -> None:
        with torch.inference_mode(mode=False):
            for owner in module.modules():
                for held, leaf, tensor in _tensors(owner):
                    waiting.append((held, leaf, tensor))
                    held[leaf] = _moved(tensor, device)

    def leave(*_: Any) -> None:
        for held, leaf, tensor in waiting:
            held[leaf] = tensor
        waiting.clear()

    module.register_forward_pre_hook(come, prepend=True)
    module.register_forward_hook(leave, always_call=True)


def image_tower(model: PreTrainedModel) -> str:
    """Name the part of a model of transformers that looks at the image.

    Raises:
        ModelError: It is not known.
    """
    tower = model.get_encoder("image")
    for name, module in model.named_modules():
        if name and module is tower:
            return str(name)
    raise ModelError(
        f"which part of {type(model).__name__} looks at the image is not known", hint="leave offload_towers out"
    )


def spread_out(language: nn.Module, config: PlacingConfig) -> None:
    """Spread a language model over devices, by a map of its parts or as accelerate sees fit.

    Raises:
        ModelError: The map leaves a part out.
    """
    from accelerate import dispatch_model, infer_auto_device_map
    from accelerate.utils import get_balanced_memory

    chosen = config.device_map
    if isinstance(chosen, str):
        whole = tuple(getattr(language, "_no_split_modules", None) or ())
        room = None
        if chosen != "sequential":
            room = get_balanced_memory(language, no_split_module_classes=whole, low_zero=chosen == "balanced_low_0")
        chosen = infer_auto_device_map(language, max_memory=room, no_split_module_classes=whole)
    try:
        dispatch_model(language, chosen)
    except ValueError as error:
        raise ModelError(f"device_map: {error}", hint="name every part of the language model") from error


def _tensors(owner: nn.Module) -> list[tuple[dict[str, Any], str, Tensor]]:
    """A module's own parameters and buffers, with where they are kept."""
    return [
        (held, leaf, tensor)
        for held in (owner._parameters, owner._buffers)
        for leaf, tensor in held.items()
        if tensor is not None
    ]


def _moved(tensor: Tensor, device: torch.device) -> Tensor:
    there = tensor.to(device)
    return nn.Parameter(there, requires_grad=False) if type(tensor) is nn.Parameter else there


def _device(name: int | str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError as error:
        listing = ", ".join(_AUTOMATIC)
        raise ModelError(
            f"device_map: {name} is no device", hint=f"cpu, cuda:0, mps or another of torch's, or {listing}"
        ) from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device_map: {name} names a GPU that torch {torch.__version__} does not find here",
            hint=f"it finds {torch.cuda.device_count()}; leave device_map out to take what there is",
        )
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise ModelError("device_map: mps needs a Mac's GPU, and this machine has none", hint="leave device_map out")
    return device
