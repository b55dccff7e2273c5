"""LoRA adapters: what was trained beside a model's weights, added into them by peft.

LLaVA's own training, and older versions of transformers, name the parts of a LLaVA otherwise; their adapters are read
under today's names. What LLaVA's training changed as a whole, the projector, is in a file of its own beside it.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import torch
from pixcore_checkpoints.headers import read_header
from torch import Tensor
from transformers import PreTrainedModel
from transformers.utils import is_peft_available

from pixcore.errors import ModelError, describe
from pixcore.notices import notice
from pixcore_transformers.config import TransformersConfig

ADAPTER = "adapter_config.json"
"""By this file a folder is one of an adapter."""

ADAPTER_FILES = ("*.json", "adapter_model.safetensors", "adapter_model.bin", "non_lora_*.bin")
"""What is read of an adapter's repository."""

_CHANGED = "non_lora_*.bin"  # LLaVA's non_lora_trainables.bin, and the name that later trainers have for it
_PREFIX = "base_model.model."
_RENAMED = {
    r"^model\.(embed_tokens|layers|norm)\.": r"model.language_model.\1.",
    r"^model\.mm_projector\.0\b": r"model.multi_modal_projector.linear_1",
    r"^model\.mm_projector\.2\b": r"model.multi_modal_projector.linear_2",
    r"^model\.vision_tower\.vision_tower\.vision_model\.": r"model.vision_tower.",
    r"^language_model\.model\.": r"model.language_model.",
    r"^language_model\.lm_head\b": r"lm_head",
    r"^vision_tower\.vision_model\.": r"model.vision_tower.",
    r"^multi_modal_projector\.": r"model.multi_modal_projector.",
}
"""How names begin in LLaVA's own training and in older versions of transformers, and how today."""

_MERGE_IT = "merge it where it was trained (LLaVA's merge_lora_weights.py, or peft: merge_and_unload), name that folder"


def check_adapter(folder: Path, settings: Mapping[str, Any], config: TransformersConfig) -> None:
    """Refuse an adapter that can't be merged, before any weight is read.

    Args:
        folder: Its own folder.
        settings: What its adapter_config.json holds.
        config: The options.

    Raises:
        ModelError: peft is missing, it is no LoRA, or the weights are to be quantized.
    """
    if not is_peft_available():
        raise ModelError("lora_adapter needs peft", hint="pip install 'pixcore-transformers[lora]'")
    if config.quantization is not None:
        raise ModelError(
            "a LoRA adapter can't be merged into quantized weights",
            hint="leave quantization out, or merge it first (peft: merge_and_unload) and name that folder",
        )
    kind = settings.get("peft_type")
    if kind != "LORA":
        raise ModelError(f"{folder} holds an adapter of type {kind}", hint="lora_adapter takes one of type LORA")


def merge_adapter(model: PreTrainedModel, folder: Path, config: TransformersConfig) -> PreTrainedModel:
    """Add an adapter into a model's weights.

    Raises:
        ModelError: It is not this model's: names or shapes differ; or it can't be translated.
    """
    from peft import PeftConfig, PeftModel

    settings = PeftConfig.from_pretrained(folder)
    base = settings.base_model_name_or_path
    if base and Path(base).name != Path(config.checkpoint).name:
        notice(f"{folder} was trained on {base}, and is merged into {config.checkpoint}")
    settings.inference_mode = True
    translated = _translate(settings, model, folder)
    _take_changed(model, folder, config)
    try:
        wrapped = PeftModel(model, settings)
        result = wrapped.load_adapter(str(folder), "default", key_mapping=_RENAMED if translated else None)
    except (ValueError, RuntimeError, KeyError, OSError) as error:
        raise ModelError(f"{folder} is no adapter of {config.checkpoint}: {describe(error)}", hint=_HINT) from error
    wrong = [*result.missing_keys, *result.unexpected_keys]
    if wrong:
        raise ModelError(
            f"{folder} is no adapter of {config.checkpoint}: {len(wrong)} names differ, such as {wrong[0]}", hint=_HINT
        )
    try:
        merged: PreTrainedModel = wrapped.merge_and_unload(safe_merge=True)
    except ValueError as error:  # weights that are no numbers
        raise ModelError(f"{folder} can't be merged: {describe(error)}", hint="fetch it again") from error
    return merged


def _translate(settings: Any, model: PreTrainedModel, folder: Path) -> bool:
    """Find out whether an adapter has other names than the model; if so, let its settings say today's.

    Raises:
        ModelError: Its settings can't be translated, it lacks a layer, or it was trained on a language model alone.
    """
    there = {name for name, _ in model.named_modules()}
    old = {re.sub(r"\.lora_\w+(\.default)?(\.weight)?$", "", name) for name in _names(folder)}
    today = {_today(name, there) for name in old}
    if old <= there or not today <= there:
        return False
    base = str(settings.base_model_name_or_path or "")
    if re.search("vicuna|llama", Path(base).name.lower()) and any(name.startswith("model.layers.") for name in old):
        raise ModelError(
            f"{folder} was trained on {base}, a language model alone, and not on a LLaVA",
            hint="its release has merged weights as well, such as liuhaotian/llava-v1.5-7b: name those as checkpoint",
        )
    for name in ("rank_pattern", "alpha_pattern", "layers_to_transform", "modules_to_save"):
        if getattr(settings, name, None):
            raise ModelError(f"{folder} has names of an older layout, and such names in its {name} too", hint=_MERGE_IT)
    if settings.bias != "none":
        raise ModelError(f"{folder} has names of an older layout, and biases that were trained", hint=_MERGE_IT)
    if isinstance(settings.target_modules, str):
        raise ModelError(f"{folder} has names of an older layout, and a pattern of such names", hint=_MERGE_IT)
    # the trainer names layers by their last part; every layer of the parts that it trained has to be there
    parts = {part for part in ("model.language_model.", "model.vision_tower.") if any(map(_under(part), today))}
    last = set(settings.target_modules or ())
    lacking = {
        name for part in parts for name in there if _under(part)(name) and name.rpartition(".")[2] in last
    } - today
    if lacking:
        raise ModelError(f"{folder} lacks {len(lacking)} layers that it names, such as {min(lacking)}", hint=_MERGE_IT)
    settings.target_modules = today
    return True


def _take_changed(model: PreTrainedModel, folder: Path, config: TransformersConfig) -> None:
    """Put in place what was trained as a whole beside an adapter.

    Raises:
        ModelError: It is no weight of this model, of another shape, or damaged.
    """
    held = model.state_dict()
    for path in sorted(folder.glob(_CHANGED)):
        for key, tensor in _load(path, "cpu").items():
            name = _today(key.removeprefix(_PREFIX), held)
            weight = held.get(name)
            if weight is None or weight.is_meta or weight.shape != tensor.shape:
                raise ModelError(f"{path}: {key} is no weight of {config.checkpoint}", hint=_HINT)
            weight.copy_(tensor)


def _today(name: str, there: Collection[str]) -> str:
    """Give today's name, of a module or a weight, for one in an older layout."""
    if name not in there:
        for pattern, begin in _RENAMED.items():
            found, count = re.subn(pattern, begin, name)
            if count:
                return found
    return name


def _under(part: str) -> Callable[[str], bool]:
    return lambda name: name.startswith(part)


def _names(folder: Path) -> list[str]:
    """List an adapter's weights, without what peft puts before each name."""
    names: list[str] = []
    if (folder / "adapter_model.safetensors").is_file():
        names += read_header(folder / "adapter_model.safetensors")
    elif (folder / "adapter_model.bin").is_file():
        names += _load(folder / "adapter_model.bin", "meta")
    return [name.removeprefix(_PREFIX) for name in names]


def _load(path: Path, device: str) -> Mapping[str, Tensor]:
    """Read a pickle that holds nothing but tensors.

    Raises:
        ModelError: It is damaged, or holds something else.
    """
    try:
        content = torch.load(path, map_location=device, weights_only=True)
        if isinstance(content, Mapping) and all(isinstance(value, Tensor) for value in content.values()):
            return content
        reason = "it holds more than tensors"
    except pickle.UnpicklingError:  # torch's own words offer to run the file
        reason = "it holds more than tensors, or is damaged"
    except (RuntimeError, OSError, EOFError, ValueError) as error:
        reason = describe(error)
    raise ModelError(f"can't read {path}: {reason}", hint="fetch it again")


_HINT = "name the model that it was trained on as checkpoint"
