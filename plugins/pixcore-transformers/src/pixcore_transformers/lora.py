"""LoRA adapters: what was trained beside a model's weights, added into them by peft."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel
from transformers.utils import is_peft_available

from pixcore.errors import ModelError, describe
from pixcore.notices import notice
from pixcore_transformers.config import TransformersConfig

ADAPTER = "adapter_config.json"
"""By this file a folder is one of an adapter."""


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
        ModelError: It is not this model's: names or shapes differ.
    """
    from peft import PeftConfig, PeftModel

    settings = PeftConfig.from_pretrained(folder)
    base = settings.base_model_name_or_path
    if base and Path(base).name != Path(config.checkpoint).name:
        notice(f"{folder} was trained on {base}, and is merged into {config.checkpoint}")
    settings.inference_mode = True
    try:
        wrapped = PeftModel(model, settings)
        result = wrapped.load_adapter(str(folder), "default")
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


_HINT = "name the model that it was trained on as checkpoint"
