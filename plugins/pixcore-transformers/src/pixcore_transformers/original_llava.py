"""Load original LLaVA-1.5 checkpoints (liuhaotian/llava-v1.5-7b, -13b) as transformers' LLaVA, key by key.

A checkpoint is a Llama with a projector, and a CLIP tower that its config names or that it holds itself. Every key is
mapped or ignored by name; an unknown one, and one that is missing, are errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from pixcore_checkpoints.configs import check_layers, own_kernel
from pixcore_checkpoints.shards import CONSOLIDATED, check_files
from safetensors import safe_open
from transformers import (
    AutoTokenizer,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedModel,
)

from pixcore.errors import ModelError, first_line
from pixcore_transformers.config import Llava15Config, TransformersConfig, place
from pixcore_transformers.loading import (
    Loaded,
    check_size,
    generation_settings,
    model_arguments,
    prepare_model,
    read_json,
    read_weights,
    resolve,
)

Tensor = torch.Tensor

MAPPED = (
    (r"model\.(embed_tokens|layers|norm)\.", r"model.language_model.\1."),
    (r"lm_head\.", r"lm_head."),
    (r"model\.mm_projector\.0\.", r"model.multi_modal_projector.linear_1."),
    (r"model\.mm_projector\.2\.", r"model.multi_modal_projector.linear_2."),
    (r"model\.vision_tower\.vision_tower\.vision_model\.", r"model.vision_tower."),
)
"""Patterns of the original's keys, and what takes their place."""

IGNORED = (r".*\.rotary_emb\.inv_freq", r".*\.embeddings\.position_ids")
"""Buffers that the model computes by itself."""

_TOWER_KEY = "vision_model."
_TOWER_IGNORED = (r"(?!vision_model\.).*", *IGNORED)  # CLIP's text half and its projections


def is_original(folder: Path) -> bool:
    """Say whether a folder is in the original layout: its config names a vision tower."""
    return "mm_vision_tower" in _config(folder)


def load_original(config: Llava15Config) -> Loaded:
    """Load an original checkpoint.

    Raises:
        ModelError: It is none of LLaVA-1.5, a key is unknown or missing, a shape differs, or it does not fit.
    """
    named, model_config = check_original(config)
    folder, tower = resolve(config), resolve(named)
    check_files(folder)
    state = converted(folder, tower)
    check_keys(folder, model_config, state)
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    tokenizer.padding_side = "left"
    arguments = model_arguments(config, model_config) | {"config": model_config, "state_dict": state}
    del arguments["local_files_only"]
    model = read_weights(LlavaForConditionalGeneration, None, config, arguments)
    _add_placeholder(model)
    settings = generation_settings(folder)
    if settings is not None:
        model.generation_config = settings
    return Loaded(prepare_model(model, config), tokenizer, None)


def check_original(config: Llava15Config) -> tuple[TransformersConfig, LlavaConfig]:
    """Refuse what the two config.json alone can refuse, of a checkpoint and of its tower, before all other files.

    Returns:
        Where the tower is, and the model's config.

    Raises:
        ModelError: They describe no LLaVA-1.5, or one that does not fit in memory.
    """
    folder = resolve(config, ("config.json",))
    stored = _config(folder)
    if stored.get("mm_projector_type") != "mlp2x_gelu":
        raise ModelError(
            f"{folder} has projector {stored.get('mm_projector_type', 'linear')!r}",
            hint="llava-1.5 has a projector of two layers: mlp2x_gelu",
        )
    tower = place(config.vision_tower or str(stored["mm_vision_tower"]), offline=config.offline)
    towers_own = resolve(tower, ("config.json",))
    try:
        model_config = convert_config(stored, towers_own)
    except Exception as error:  # a config class may trip over anything that stands in config.json
        message = f"config.json of {config.checkpoint}, or of its tower, describes no model: {first_line(error)}"
        raise ModelError(message, hint="fetch it again") from error
    check_layers(model_config, folder / "config.json")
    check_size(LlavaForConditionalGeneration, model_config, config)
    return tower, model_config


def convert_config(stored: Mapping[str, Any], tower: Path) -> LlavaConfig:
    """Make the config of transformers' LLaVA for an original one and its tower's folder."""
    text = {key: value for key, value in stored.items() if key in LlamaConfig().to_dict() and key != "model_type"}
    text.pop("architectures", None)
    text.pop("transformers_version", None)
    vision = own_kernel(CLIPVisionConfig.from_pretrained(tower, local_files_only=True))
    return LlavaConfig(
        text_config=LlamaConfig(**text).to_dict(),
        vision_config=vision.to_dict(),
        image_token_index=int(stored["vocab_size"]),  # one past the vocabulary: no text can hold it
        image_seq_length=(vision.image_size // vision.patch_size) ** 2,
        vision_feature_layer=int(stored.get("mm_vision_select_layer", -2)),
        vision_feature_select_strategy="full" if stored.get("mm_vision_select_feature") == "cls_patch" else "default",
        projector_hidden_act="gelu",
        tie_word_embeddings=bool(stored.get("tie_word_embeddings", False)),
        dtype=stored.get("torch_dtype", "float16"),
    )


def converted(folder: Path, tower: Path) -> dict[str, Tensor]:
    """Give all tensors under transformers' names; the tower's from its own folder unless the checkpoint holds it.

    Raises:
        ModelError: A key is neither mapped nor ignored.
    """
    state: dict[str, Tensor] = {}
    unknown: list[str] = []
    for key, tensor in read_tensors(folder):
        name = rename(key)
        if name is not None:
            state[name] = tensor
        elif not _matches(key, IGNORED):
            unknown.append(key)
    if unknown:
        raise ModelError(
            f"{folder} has {len(unknown)} weights that LLaVA-1.5 does not: {', '.join(sorted(unknown)[:3])}, …",
            hint="is it another model, or a LoRA that is to be merged first?",
        )
    if not any(name.startswith("model.vision_tower.") for name in state):
        for key, tensor in read_tensors(tower):
            if not _matches(key, _TOWER_IGNORED):
                state["model.vision_tower." + key.removeprefix(_TOWER_KEY)] = tensor
    return state


def rename(key: str) -> str | None:
    """Give the name of an original key in transformers' LLaVA; None if it is not mapped."""
    if _matches(key, IGNORED):
        return None
    for pattern, ours in MAPPED:
        name, count = re.subn(f"^{pattern}", ours, key)
        if count:
            return name
    return None


def check_keys(folder: Path, config: LlavaConfig, state: Mapping[str, Tensor]) -> None:
    """Hold names and shapes to those of the model.

    Raises:
        ModelError: One is missing, left over, or of another shape.
    """
    with torch.device("meta"):
        expected = LlavaForConditionalGeneration(config).state_dict()
    tied = {"lm_head.weight"} if config.tie_word_embeddings else set()
    missing = sorted(expected.keys() - state.keys() - tied)
    extra = sorted(state.keys() - expected.keys())
    shapes = sorted(key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape)
    for names, what in ((missing, "lacks"), (extra, "has unexpected"), (shapes, "has other shapes for")):
        if names:
            listing = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
            raise ModelError(f"{folder} {what} {len(names)} weights: {listing}", hint="is the download whole?")


def read_tensors(folder: Path) -> Iterator[tuple[str, Tensor]]:
    """Read names and tensors of a folder's weight files, mapped from disk; pickles hold nothing but tensors.

    Raises:
        ModelError: There are none, or one is damaged.
    """
    files = sorted(path for path in folder.glob("*.safetensors") if not path.match(CONSOLIDATED)) or sorted(
        path for path in folder.glob("*.bin") if path.name not in ("training_args.bin", "mm_projector.bin")
    )
    if not files and (folder / "mm_projector.bin").is_file():
        raise ModelError(
            f"{folder} holds a projector alone, no whole model",
            hint="name a whole checkpoint: a projector is trained for one language model, and merged with it in LLaVA",
        )
    if not files:
        raise ModelError(f"{folder} holds no weights", hint="expected *.safetensors or pytorch_model*.bin")
    for path in files:
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    for name in file.keys():  # noqa: SIM118 - not a mapping
                        yield name, file.get_tensor(name)
            else:
                yield from torch.load(path, map_location="cpu", weights_only=True, mmap=True).items()
        except (RuntimeError, OSError, EOFError) as error:
            raise ModelError(f"{path} is damaged: {error}", hint="download it again") from error


def _add_placeholder(model: PreTrainedModel) -> None:
    """One more input embedding, for the image's placeholder; the output has none, so it is never generated."""
    table = model.get_input_embeddings()
    extended = torch.nn.Embedding(
        table.num_embeddings + 1, table.embedding_dim, device=table.weight.device, dtype=table.weight.dtype
    )
    with torch.no_grad():
        extended.weight[:-1] = table.weight
        extended.weight[-1] = 0
    model.set_input_embeddings(extended)


def _config(folder: Path) -> dict[str, Any]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} holds no config.json", hint="give the checkpoint's folder, or a name on the hub")
    return read_json(path)


def _matches(key: str, patterns: tuple[str, ...]) -> bool:
    return any(re.fullmatch(pattern, key) for pattern in patterns)
