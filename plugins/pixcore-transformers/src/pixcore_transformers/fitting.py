"""Whether a model fits: what its weights take of a device, by their shapes alone, before any file of them is opened."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import torch
from pixcore_checkpoints.room import free_bytes, memory_of, name_of, too_large
from torch import nn
from transformers.initialization import no_init_weights
from transformers.quantizers.quantizers_utils import should_convert_module

from pixcore.notices import notice
from pixcore.stages.memory import free_memory
from pixcore_transformers.config import PlacingConfig
from pixcore_transformers.placing import UNQUANTIZED, main_device, one_device

Built = TypeVar("Built", bound=nn.Module)

_QUANTIZED = {"8bit": 1.0, "4bit": 0.5625}
"""Bytes for each number in the layers: 4 bits have a float32 scale for 64 of them."""


@dataclass(frozen=True)
class Weights:
    """How many numbers the weights of a system are, by what the options can do about them.

    Attributes:
        layers: In the language model's linear layers, which are held in 8 or 4 bits if asked for.
        other: In all else but towers.
        whole: Of all else but towers, those that are float32 whatever the dtype.
        towers: Of each part that looks at the image and can wait in the machine's memory, and whether it is float32
            whatever the dtype.
    """

    layers: int = 0
    other: int = 0
    whole: int = 0
    towers: tuple[tuple[int, bool], ...] = ()

    @classmethod
    def of(
        cls, model: nn.Module, *, towers: Sequence[str] = (), language: str | None = None, whole: bool = False
    ) -> Weights:
        """Count a model's weights; their values are not looked at, so they may be on the meta device.

        Args:
            model: The model, before anything of it is quantized.
            towers: Names of what looks at the image; "" for all of it.
            language: Name of the language model; "" for the model itself, None where there is none.
            whole: It is float32 whatever the dtype.
        """
        counts: Counter[str] = Counter()
        seen: set[int] = set()
        for name, owner in model.named_modules():
            tower = next((each for each in towers if _within(name, each)), None)
            inner = name.removeprefix(f"{language}.") if language is not None and _within(name, language) else None
            layer = inner is not None and type(owner) is nn.Linear and should_convert_module(inner, UNQUANTIZED)
            for leaf, parameter in owner.named_parameters(recurse=False):
                if id(parameter) in seen:
                    continue
                seen.add(id(parameter))
                kind = "\0layers" if layer and leaf == "weight" else "\0whole" if whole else "\0other"
                counts[kind if tower is None else tower] += parameter.numel()
        return cls(
            counts["\0layers"], counts["\0other"], counts["\0whole"], tuple((counts[each], whole) for each in towers)
        )

    def __add__(self, more: Weights) -> Weights:
        return Weights(
            self.layers + more.layers, self.other + more.other, self.whole + more.whole, self.towers + more.towers
        )

    def waiting(self, dtype: torch.dtype) -> list[int]:
        """Count the bytes of each tower."""
        return [count * (4 if whole else dtype.itemsize) for count, whole in self.towers]

    def taken(self, dtype: torch.dtype, quantization: str | None = None, *, offload: bool = False) -> int:
        """Count the bytes that a device holds.

        Args:
            dtype: Of the weights.
            quantization: Of the language model's layers.
            offload: Towers wait elsewhere, and one of them is there at a time.
        """
        layers = math.ceil(self.layers * (_QUANTIZED[quantization] if quantization else dtype.itemsize))
        towers = self.waiting(dtype)
        there = max(towers, default=0) if offload else sum(towers)
        return layers + self.other * dtype.itemsize + 4 * self.whole + there


def on_meta(build: Callable[[], Built]) -> Built:
    """Build a model that has shapes and nothing else: in no time and no memory, however large it is."""
    with torch.device("meta"), no_init_weights():
        return build()


def check_room(checkpoint: str, weights: Weights, config: PlacingConfig, dtype: torch.dtype) -> None:
    """Refuse a model whose weights alone exceed the memory that there is.

    Args:
        checkpoint: What an error calls it.
        weights: What is to be held.
        config: Where and in how many bits.
        dtype: Of the weights.

    Raises:
        ModelError: It says what is needed, what there is, and which option makes it fit.
    """
    device = main_device(config)
    if device.type == "cpu" and dtype != torch.float32 and config.quantization is None and not fast_halves():
        notice(f"{name_of(dtype)} is several times slower than float32 on this CPU, which has no instructions for it")
    free = free_bytes(device)
    if free is None:
        return
    if not one_device(config):
        # spread as accelerate sees fit: over all GPUs, and the machine's memory
        together = sum(free_bytes(each) or 0 for each in _devices())
        needed = weights.taken(dtype, config.quantization)
        if needed > together:
            raise too_large(checkpoint, needed, "all devices together", dtype, together, "a smaller model")
        return
    offload = config.offload_towers and device.type != "cpu"
    needed = weights.taken(dtype, config.quantization, offload=offload)
    if needed > free:
        remedy = next(
            _remedies(weights, config, dtype, device, free), "no option makes it fit here: try a smaller model"
        )
        raise too_large(checkpoint, needed, memory_of(device), dtype, free, remedy)
    machine = free_memory()
    if offload and machine is not None and sum(weights.waiting(dtype)) > machine:
        raise too_large(
            checkpoint, sum(weights.waiting(dtype)), "this machine's memory", dtype, machine, "leave offload_towers out"
        )


@cache
def fast_halves() -> bool:
    """Say whether this machine's CPU multiplies in bfloat16 by instructions of its own; where it does not say, yes."""
    try:
        words = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except (OSError, ValueError):
        return True
    return bool(words & {"avx512_bf16", "amx_bf16", "bf16"})


def _remedies(
    weights: Weights, config: PlacingConfig, dtype: torch.dtype, device: torch.device, free: int
) -> Iterator[str]:
    """Give the options that make it fit, those that change the answers least first."""
    given, towers = config.quantization, config.offload_towers
    on_cpu = device.type == "cpu"

    def fits(what: torch.dtype, bits: str | None = given, *, offload: bool = towers and not on_cpu) -> bool:
        return weights.taken(what, bits, offload=offload) <= free

    if not on_cpu and not towers and weights.towers and fits(dtype, offload=True):
        yield "offload_towers: true makes it fit"
    half = torch.bfloat16 if on_cpu or _knows_bfloat16(device) else torch.float16
    if dtype == torch.float32 and fits(half):
        slow = ", but is several times slower on this CPU" if on_cpu and not fast_halves() else ""
        yield f"dtype: {name_of(half)} makes it fit{slow}"
    gpu = torch.device("cuda") if on_cpu and torch.cuda.is_available() else None
    if gpu is not None and weights.taken(half, given) <= (free_bytes(gpu) or 0):
        yield "leave device_map out: the GPU has room for it"
    if not on_cpu and device.type != "cuda":
        return
    for bits in ("8bit",) if on_cpu else ("8bit", "4bit"):
        for each in (dtype, half):
            for offload in (towers, True) if not on_cpu else (False,):
                if weights.layers and given != bits and fits(each, bits, offload=offload):
                    rest = ([f"dtype: {name_of(half)}"] if each != dtype else []) + (
                        ["offload_towers: true"] if offload and not towers else []
                    )
                    yield f"{' and '.join([f'quantization: {bits}', *rest])} makes it fit"
    if not on_cpu and weights.taken(dtype, given) <= sum(free_bytes(each) or 0 for each in _devices()):
        yield "device_map: auto spreads it over what there is"


def _devices() -> list[torch.device]:
    return [torch.device("cuda", index) for index in range(torch.cuda.device_count())] + [torch.device("cpu")]


def _within(name: str, prefix: str) -> bool:
    return not prefix or name == prefix or name.startswith(f"{prefix}.")


def _knows_bfloat16(device: torch.device) -> bool:
    return device.type != "cuda" or torch.cuda.is_bf16_supported(including_emulation=False)
