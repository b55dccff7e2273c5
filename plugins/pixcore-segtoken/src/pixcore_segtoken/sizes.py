"""How large a descendant of LLaVA is, and where its CLIP tower is: what its config.json alone says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pixcore_checkpoints.configs import check_count, own_kernel
from pixcore_transformers.loading import read_json
from transformers import LlamaConfig, PreTrainedConfig

from pixcore.errors import ModelError, describe

TowerT = TypeVar("TowerT", bound=PreTrainedConfig)

_NEEDED = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "vocab_size")


def llama_config(content: Mapping[str, Any], path: Path, **more: Any) -> LlamaConfig:
    """Take the language model's sizes out of a LLaVA's config.json.

    Args:
        content: What the file holds.
        path: The file, for errors.
        more: What else the config is to say.

    Raises:
        ModelError: A size is missing, or no size of a Llama.
    """
    for name in _NEEDED:
        size = content.get(name)
        if type(size) is not int or size < 1:
            raise ModelError(f"{path}: {name} must be a whole number above 0, not {size!r}", hint="fetch it again")
    check_count(content["num_hidden_layers"], path)
    # transformers 5 reads the two older names, and writes neither
    known = (LlamaConfig().to_dict().keys() | {"rope_theta", "rope_scaling"}) - {"model_type"}
    try:
        return LlamaConfig(**{key: content[key] for key in content if key in known and content[key] is not None} | more)
    except Exception as error:  # each entry has checks of its own
        raise ModelError(f"{path} describes no Llama: {describe(error)}", hint="fetch it again") from error


def named_tower(content: Mapping[str, Any], path: Path) -> str:
    """Find which CLIP tower a LLaVA's config.json names.

    Raises:
        ModelError: It names none.
    """
    for key in ("mm_vision_tower", "vision_tower"):
        if isinstance(content.get(key), str):
            return str(content[key])
    raise ModelError(f"{path} names no CLIP tower", hint="set vision_tower in the run's config")


def tower_config(kind: type[TowerT], folder: Path) -> TowerT:
    """Read an image tower's config, of which transformers would make up one where there is none.

    Raises:
        ModelError: config.json is missing or damaged.
    """
    read_json(folder / "config.json")
    config: TowerT = own_kernel(kind.from_pretrained(folder))
    return config
