"""Load a checkpoint: from a folder or the hub, in any precision, with the tap installed."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from pixcore_checkpoints.configs import check_layers, own_kernel
from pixcore_checkpoints.loading import without_bars
from pixcore_checkpoints.shards import CONSOLIDATED, check_files, shards
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    GenerationConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from pixcore.errors import DataError, ModelError, first_line, one_line
from pixcore.files import read_object
from pixcore.notices import notice
from pixcore.stages.memory import gib, shortage
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.fitting import Weights, check_room, on_meta
from pixcore_transformers.lora import ADAPTER, ADAPTER_FILES, check_adapter, merge_adapter
from pixcore_transformers.placing import Placement, bits, check_placing, dtype_of, image_tower, main_device, one_device
from pixcore_transformers.processors import load_processor
from pixcore_transformers.tap import PREFIX, install

_SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja", "*.py")
_NAMED = 20  # entries of a file that a notice names
_FOLLOWED = frozenset({"eos_token_id", "repetition_penalty"})
_HARMLESS = frozenset(
    {"bos_token_id", "pad_token_id", "do_sample", "temperature", "top_k", "top_p", "max_length", "max_new_tokens"}
    | {"transformers_version", "_from_model_config", "use_cache", "cache_implementation", "return_dict_in_generate"}
    | {"output_attentions", "output_hidden_states", "output_scores", "output_logits"}
)
"""Entries of a generation config that are pixcore's own to set, or that change no answer."""


@dataclass(frozen=True)
class Loaded:
    """A checkpoint ready to answer.

    Attributes:
        model: In evaluation mode, frozen; its decoder on the tapped kernel.
        tokenizer: Pads on the left.
        processor: Prepares images and prompts; None where the adapter does that itself.
    """

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    processor: Any | None


def load(config: TransformersConfig) -> Loaded:
    """Load model and processor through transformers' auto classes.

    Raises:
        ModelError: Not found, not an image-text-to-text checkpoint, does not fit in memory, or a package is missing.
    """
    check_first(config)
    folder = resolve(config)
    processor = load_processor(
        folder,
        image_options=config.image_options,
        trust_remote_code=config.trust_remote_code,
        local_files_only=True,
    )
    processor.tokenizer.padding_side = "left"
    if processor.tokenizer.pad_token is None:
        processor.tokenizer.pad_token = processor.tokenizer.eos_token  # it is masked
    complete_processor(processor, folder)
    return Loaded(prepare_model(load_model(folder, config), config), processor.tokenizer, processor)


def check_first(config: TransformersConfig) -> None:
    """Refuse what a checkpoint's config.json alone can refuse, before anything else is downloaded.

    Raises:
        ModelError: It describes no image-text-to-text model, or one that does not fit in memory; or there is no
            such LoRA adapter, or it is no adapter of such a model.
    """
    adapter_folder(config)
    code = _SMALL_FILES if config.trust_remote_code else ("config.json",)
    model_config = read_config(resolve(config, code), config)
    build = partial(AutoModelForImageTextToText.from_config, trust_remote_code=config.trust_remote_code)
    check_size(build, model_config, config)


def model_type(config: TransformersConfig) -> str:
    """Read a checkpoint's `model_type` from its config.json alone, before anything else is downloaded.

    Raises:
        ModelError: There is no such checkpoint, its config.json is missing or damaged, or it is of LLaVA's own layout.
    """
    folder = resolve(config, only=("config.json",))
    content = read_json(folder / "config.json")
    if "mm_vision_tower" in content:
        raise ModelError(
            f"{config.checkpoint} is in LLaVA's own layout",
            hint="model: llava-1.5 reads that of LLaVA-1.5; of others name the copy for transformers: llava-hf/…",
        )
    kind = content.get("model_type")
    if not isinstance(kind, str):
        raise ModelError(f"{folder / 'config.json'} names no model_type", hint="is it the config of a model?")
    return kind


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object of a checkpoint.

    Raises:
        ModelError: The file is missing, or holds something else.
    """
    try:
        return read_object(path, "is the checkpoint whole?")
    except DataError as error:
        raise ModelError(error.message, hint=error.hint) from error


def load_model(folder: Path, config: TransformersConfig) -> PreTrainedModel:
    """Load the weights, with a progress bar.

    Raises:
        ModelError: They can't be read, do not fit in memory, or are not all there: a model with some weights drawn at
            random answers junk and says nothing about it.
    """
    model_config = read_config(folder, config)
    arguments = model_arguments(config, model_config)
    settings = generation_settings(folder)
    if settings is not None:
        arguments["generation_config"] = settings
    return read_weights(AutoModelForImageTextToText, folder, config, {"config": model_config, **arguments})


def read_weights(
    architecture: Any, folder: Path | None, config: TransformersConfig, arguments: Mapping[str, Any]
) -> PreTrainedModel:
    """Read weights by `from_pretrained`.

    Args:
        architecture: A class of transformers.
        folder: Where they are; None where `arguments` hold them.
        config: The options.
        arguments: What `from_pretrained` is given besides.

    Raises:
        ModelError: They can't be read, do not fit in memory or config.json, or are not all there.
    """
    if folder is not None:
        check_files(folder)
    try:
        with without_bars():
            model, report = architecture.from_pretrained(
                folder, output_loading_info=True, ignore_mismatched_sizes=True, **arguments
            )
    except pickle.UnpicklingError as error:
        reason = "its weights hold more than tensors, or are damaged"
        raise ModelError(f"can't load {config.checkpoint}: {reason}", hint="pixcore executes no pickle") from error
    except Exception as error:
        words = shortage(error)
        if words is not None:
            held = "" if folder is None else f" ({gib(weight_bytes(folder))} in its files)"
            message = f"memory ran out while {config.checkpoint}{held} was loaded: {words}"
            raise ModelError(message, hint="try a smaller dtype, quantization, or a smaller model") from error
        reason = first_line(error)
        raise ModelError(f"can't load {config.checkpoint}: {reason}", hint=_reason_to_check(error)) from error
    for name, stored, expected in sorted(report["mismatched_keys"])[:1]:
        raise ModelError(
            f"{config.checkpoint}: {name} is {tuple(stored)} in its file, and {tuple(expected)} by config.json",
            hint="config.json and the weights are of two models",
        )
    missing = sorted(report["missing_keys"])
    if missing:
        listing = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise ModelError(f"{config.checkpoint} lacks {len(missing)} weights: {listing}", hint="is the download whole?")
    loaded: PreTrainedModel = model
    if arguments.get("dtype") == torch.float32:
        _widen(loaded)
    return loaded


def _widen(model: PreTrainedModel) -> None:
    """Bring to float32, without loss, what transformers leaves in half precision of a checkpoint stored in few bits."""
    for tensor in chain(model.parameters(), model.buffers()):
        if tensor.dtype in (torch.float16, torch.bfloat16):
            tensor.data = tensor.data.float()


def resolve(config: TransformersConfig, only: Sequence[str] | None = None) -> Path:
    """Find the checkpoint's folder: as it stands, or downloaded from the hub (`only` some files of it).

    Raises:
        ModelError: There is neither such a folder nor such a repository, or it can't be reached.
    """
    folder = Path(config.checkpoint)
    if folder.is_dir():
        return _whole(folder, config)
    if folder.is_absolute() or config.checkpoint.startswith((".", "~")):
        raise ModelError(f"there is no folder {config.checkpoint}", hint="a folder, or a name on the hub: owner/name")
    files = None if only is None else (*only, ADAPTER)
    return _whole(download(config.checkpoint, config.revision, offline=config.offline, only=files), config)


def _whole(folder: Path, config: TransformersConfig) -> Path:
    """A checkpoint's folder, unless it holds an adapter alone."""
    if (folder / ADAPTER).is_file():
        base = read_json(folder / ADAPTER).get("base_model_name_or_path") or "its base model"
        raise ModelError(
            f"{config.checkpoint} holds a LoRA adapter, no whole model",
            hint=f"set checkpoint: {base} and lora_adapter: {config.checkpoint}, or merge it (peft: merge_and_unload)",
        )
    return folder


def adapter_folder(config: TransformersConfig) -> Path | None:
    """Find the LoRA adapter that is to be merged, if there is one.

    Raises:
        ModelError: There is none at that place, or it can't be merged.
    """
    if config.lora_adapter is None:
        return None
    folder = Path(config.lora_adapter)
    if not folder.is_dir():
        folder = download(config.lora_adapter, None, offline=config.offline, only=ADAPTER_FILES)
    if not (folder / ADAPTER).is_file():
        raise ModelError(f"{config.lora_adapter} holds no {ADAPTER}", hint="lora_adapter: what peft saved")
    check_adapter(folder, read_json(folder / ADAPTER), config)
    return folder


def download(name: str, revision: str | None, *, offline: bool, only: Sequence[str] | None = None) -> Path:
    """Download a hub repository; safetensors are taken where there are any, and none twice."""
    try:
        folder = Path(
            snapshot_download(
                name,
                revision=revision,
                allow_patterns=[*_SMALL_FILES, "*.safetensors"] if only is None else list(only),
                ignore_patterns=[CONSOLIDATED],
                local_files_only=offline,
            )
        )
        if only is None and not any(folder.glob("*.safetensors")):
            snapshot_download(name, revision=revision, allow_patterns=["*.bin"], local_files_only=offline)
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"can't get {name} from the hub: {first_line(error)}",
            hint="check the name and revision, log in for a gated model, or give a folder",
        ) from error
    return folder


def read_config(folder: Path, config: TransformersConfig) -> PreTrainedConfig:
    """Read the model's config."""
    try:
        found = AutoConfig.from_pretrained(folder, trust_remote_code=config.trust_remote_code, local_files_only=True)
    except Exception as error:  # a config class may trip over anything that stands in config.json
        hint = "it needs the checkpoint's own code: set trust_remote_code if you trust it"
        if "trust_remote_code" not in str(error):
            known = isinstance(error, (ValueError, OSError, KeyError))
            hint = (
                "transformers must know the model_type in config.json"
                if known
                else "config.json is damaged: fetch it again"
            )
        reason = one_line(str(error)) or type(error).__name__
        raise ModelError(f"can't read the config of {config.checkpoint}: {reason}", hint=hint) from error
    check_layers(found, folder / "config.json")
    return own_kernel(found) if config.kernel == "auto" else found


def check_size(
    build: Callable[[PreTrainedConfig], PreTrainedModel], model_config: PreTrainedConfig, config: TransformersConfig
) -> None:
    """Refuse a model that fits nowhere, by its config alone: before anything large is downloaded or opened.

    Args:
        build: Makes the model, with random weights, of its config.
        model_config: The config.
        config: The options.

    Raises:
        ModelError: The config describes no model, its weights do not fit, or what places them (accelerate,
            bitsandbytes) is missing.
    """
    check_placing(config)
    try:
        model = on_meta(partial(build, model_config))
    except Exception as error:
        message = f"config.json of {config.checkpoint} describes no model: {first_line(error)}"
        raise ModelError(message, hint=_reason_to_check(error)) from error
    towers = [tower] if (tower := _image_tower(model)) else []
    weights = Weights.of(model, towers=towers, language="")
    check_room(config.checkpoint, weights, config, choose_dtype(config, model_config))


def model_arguments(config: TransformersConfig, model_config: PreTrainedConfig) -> dict[str, Any]:
    """Collect what `from_pretrained` is given, of options that `check_size` has passed."""
    arguments: dict[str, Any] = {"trust_remote_code": config.trust_remote_code, "local_files_only": True}
    if config.kernel != "auto":
        arguments["attn_implementation"] = config.kernel
    arguments["dtype"] = dtype = choose_dtype(config, model_config)
    settings = bits(config, dtype)
    if settings is not None:
        arguments["quantization_config"] = settings
    if one_device(config):
        if settings is not None:
            arguments["device_map"] = {"": main_device(config)}
    elif config.offload_towers:
        raise ModelError("offload_towers and a device map can't go together", hint="map the tower to cpu instead")
    else:
        arguments["device_map"] = config.device_map
    return arguments


def choose_dtype(config: TransformersConfig, model_config: PreTrainedConfig) -> torch.dtype:
    """Choose the dtype of the weights in memory."""
    stored = getattr(model_config, "dtype", None) or getattr(model_config.get_text_config(), "dtype", None)
    on_gpu = stored if isinstance(stored, torch.dtype) else torch.float32
    return dtype_of(config.dtype, main_device(config), on_gpu)


def prepare_model(model: PreTrainedModel, config: TransformersConfig, *, placed: bool = False) -> PreTrainedModel:
    """Freeze, place and tap a model whose weights are there; one that is `placed` stays where it is."""
    adapter = adapter_folder(config)
    if adapter is not None:
        model = merge_adapter(model, adapter, config)
    model.eval().requires_grad_(False)
    if one_device(config) and not placed:
        Placement(config, towers=[image_tower(model)] if config.offload_towers else []).settle(model)
    stored = model.generation_config  # of all else that it may say, pixcore's own settings are complete
    model.generation_config = GenerationConfig(
        eos_token_id=stored.eos_token_id, repetition_penalty=stored.repetition_penalty
    )
    text = model.config.get_text_config(decoder=True)
    kernel = text._attn_implementation or "eager"
    if not kernel.startswith(PREFIX):
        install(model, kernel)
    return model


def generation_settings(folder: Path) -> GenerationConfig | None:
    """Read what pixcore follows of a folder's generation_config.json: end tokens and repetition penalty.

    All else that would change an answer is named, and is not followed.

    Raises:
        ModelError: One of the two is of another type.
    """
    path = folder / "generation_config.json"
    if not path.is_file():
        return None
    stored = read_json(path)
    _tell_unfollowed(path, {name: value for name, value in stored.items() if name not in _FOLLOWED})
    end, penalty = stored.get("eos_token_id"), stored.get("repetition_penalty")
    ends = end if isinstance(end, list) else [] if end is None else [end]
    if any(type(number) is not int or not 0 <= number < 2**31 for number in ends):
        raise ModelError(f"{path}: eos_token_id is not a token id: {end!r}", hint="a number, or a list of numbers")
    if penalty is not None and not (type(penalty) in (int, float) and 0 < penalty < math.inf):
        raise ModelError(f"{path}: repetition_penalty must be above 0, not {penalty!r}", hint="1 is none")
    return GenerationConfig(eos_token_id=end, repetition_penalty=penalty)


def own_generation(folder: Path, ends: Collection[int]) -> None:
    """Name what a folder's generation_config.json says, for a system whose published loop follows none of it.

    Args:
        folder: The checkpoint.
        ends: The ids that end an answer, whatever the file says.
    """
    path = folder / "generation_config.json"
    stored = read_json(path) if path.is_file() else {}
    end = stored.get("eos_token_id")
    same = set(end if isinstance(end, list) else [end]) <= {None, *ends}
    neutral = {"eos_token_id"} if same else set()
    if stored.get("repetition_penalty") == 1:
        neutral.add("repetition_penalty")
    _tell_unfollowed(path, {name: value for name, value in stored.items() if name not in neutral})


def _tell_unfollowed(path: Path, entries: Mapping[str, Any]) -> None:
    names = sorted(name for name, value in entries.items() if name not in _HARMLESS and value is not None)
    if names:
        notice(f"{path}: not followed: {', '.join(names[:_NAMED])}{', ...' if len(names) > _NAMED else ''}")


def complete_processor(processor: Any, folder: Path) -> None:
    """Fill in what a LLaVA's processor_config.json lacks, from the tower that config.json describes.

    Raises:
        ModelError: The tower does not say either.
    """
    if not hasattr(processor, "num_additional_image_tokens"):
        return
    content = read_json(folder / "config.json")
    path = folder / "processor_config.json"
    given = read_json(path) if path.is_file() else {}
    tower = content.get("vision_config") or {}
    clip = tower.get("model_type", "clip_vision_model") == "clip_vision_model"
    for name, value in (
        ("patch_size", tower.get("patch_size")),
        ("vision_feature_select_strategy", content.get("vision_feature_select_strategy", "default")),
        ("num_additional_image_tokens", 1 if clip else 0),  # CLIP's class token
    ):
        if given.get(name) is not None:
            continue
        if value is None:
            raise ModelError(f"{path} has no {name}", hint=f"set {name} there, or in config.json's vision_config")
        setattr(processor, name, value)


def weight_bytes(folder: Path) -> int:
    """Add up how much the weight files of a folder hold."""
    index = next(iter(sorted(folder.glob("*model*.index.json"))), None)
    if index is not None:
        metadata = read_json(index).get("metadata")
        total = metadata.get("total_size") if isinstance(metadata, dict) else None
        if isinstance(total, int) and total > 0:
            return total
        return sum((folder / name).stat().st_size for name in shards(index) if (folder / name).is_file())
    kinds = ("model*.safetensors", "*.safetensors", "*.bin")
    files = next(filter(None, (list(folder.glob(kind)) for kind in kinds)), [])
    return sum(path.stat().st_size for path in files)


def _reason_to_check(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "install the package that it names, or set kernel: sdpa"
    if "size mismatch" in str(error) or "shape" in str(error):
        return "config.json and the weights are of two models"
    return "a file of the folder is missing or damaged: fetch it again"


def _image_tower(model: PreTrainedModel) -> str | None:
    try:
        return image_tower(model)
    except ModelError:
        return None
