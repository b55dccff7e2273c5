"""Loading a checkpoint: from a folder or the hub, in any precision, with the tap installed."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    BitsAndBytesConfig,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import is_accelerate_available, is_bitsandbytes_available

from pixcore.errors import ModelError
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.processors import load_processor
from pixcore_transformers.tap import PREFIX, install

_SMALL_FILES = ("*.json", "*.model", "*.txt", "*.jinja", "*.py")
_BYTES = {torch.float32: 4.0, torch.float16: 2.0, torch.bfloat16: 2.0}
_QUANTIZED_BYTES = {"8bit": 1.0, "4bit": 0.5}


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
    folder = resolve(config)
    processor = load_processor(
        folder,
        image_options=config.image_options,
        trust_remote_code=config.trust_remote_code,
        local_files_only=True,
    )
    processor.tokenizer.padding_side = "left"
    return Loaded(prepare_model(load_model(folder, config), config), processor.tokenizer, processor)


def load_model(folder: Path, config: TransformersConfig) -> PreTrainedModel:
    """Load the weights, with a progress bar.

    Raises:
        ModelError: They can't be read, do not fit in memory, or are not all there: a model with some weights drawn at
            random answers junk and says nothing about it.
    """
    model_config = read_config(folder, config)
    arguments = model_arguments(folder, config, model_config)
    try:
        model, report = AutoModelForImageTextToText.from_pretrained(
            folder, config=model_config, output_loading_info=True, **arguments
        )
    except (ValueError, OSError, ImportError) as error:
        reason = first_line(error)
        raise ModelError(f"can't load {config.checkpoint}: {reason}", hint="is the folder whole?") from error
    except (torch.OutOfMemoryError, MemoryError) as error:
        raise _too_large(config, weight_bytes(folder), None) from error
    missing = sorted(report["missing_keys"])
    if missing:
        listing = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise ModelError(f"{config.checkpoint} lacks {len(missing)} weights: {listing}", hint="is the download whole?")
    loaded: PreTrainedModel = model
    return loaded


def resolve(config: TransformersConfig) -> Path:
    """The checkpoint's folder: as it stands, or downloaded from the hub with a progress bar.

    Raises:
        ModelError: There is neither such a folder nor such a repository, or it can't be reached.
    """
    folder = Path(config.checkpoint).expanduser()
    if folder.is_dir():
        return folder
    if folder.is_absolute() or config.checkpoint.startswith((".", "~")):
        raise ModelError(f"there is no folder {config.checkpoint}", hint="a folder, or a name on the hub: owner/name")
    return download(config.checkpoint, config.revision, offline=config.offline)


def download(name: str, revision: str | None, *, offline: bool) -> Path:
    """A hub repository's folder in the cache; safetensors are taken where there are any."""
    try:
        folder = Path(
            snapshot_download(
                name, revision=revision, allow_patterns=[*_SMALL_FILES, "*.safetensors"], local_files_only=offline
            )
        )
        if not any(folder.glob("*.safetensors")):
            snapshot_download(name, revision=revision, allow_patterns=["*.bin"], local_files_only=offline)
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"can't get {name} from the hub: {first_line(error)}",
            hint="check the name and revision, log in for a gated model, or give a folder",
        ) from error
    return folder


def read_config(folder: Path, config: TransformersConfig) -> PreTrainedConfig:
    """The model's config."""
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=config.trust_remote_code, local_files_only=True)
    except (ValueError, OSError, KeyError) as error:
        hint = "it needs the checkpoint's own code: set trust_remote_code if you trust it"
        if "trust_remote_code" not in str(error):
            hint = "transformers must know the model_type in config.json"
        raise ModelError(f"can't read the config of {config.checkpoint}: {first_line(error)}", hint=hint) from error


def model_arguments(folder: Path, config: TransformersConfig, model_config: PreTrainedConfig) -> dict[str, Any]:
    """What `from_pretrained` is given; checks before reading weights that they fit.

    Raises:
        ModelError: accelerate or bitsandbytes is needed and missing, or the weights do not fit.
    """
    arguments: dict[str, Any] = {"trust_remote_code": config.trust_remote_code, "local_files_only": True}
    if config.kernel != "auto":
        arguments["attn_implementation"] = config.kernel
    arguments["dtype"] = dtype = choose_dtype(config, model_config)
    if config.quantization is not None:
        if not is_bitsandbytes_available():
            raise ModelError(
                f"quantization: {config.quantization} needs bitsandbytes",
                hint="pip install 'pixcore-transformers[quantized]', and a GPU",
            )
        arguments["quantization_config"] = BitsAndBytesConfig(
            load_in_8bit=config.quantization == "8bit",
            load_in_4bit=config.quantization == "4bit",
            bnb_4bit_compute_dtype=dtype,
        )
    device_map = config.device_map
    if device_map is None and config.quantization is not None:
        device_map = "auto"
    if device_map is not None and not _one_device(device_map):
        if not is_accelerate_available():
            raise ModelError(
                "a device map needs accelerate",
                hint="pip install 'pixcore-transformers[device-map]', or name one device",
            )
        arguments["device_map"] = device_map
    else:
        check_memory(config, folder, dtype)
    return arguments


def choose_dtype(config: TransformersConfig, model_config: PreTrainedConfig) -> torch.dtype:
    """The dtype of the weights in memory."""
    if config.dtype != "auto":
        return {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}[config.dtype]
    stored = getattr(model_config, "dtype", None) or getattr(model_config.get_text_config(), "dtype", None)
    on_cpu = choose_device(config).type == "cpu"
    return stored if isinstance(stored, torch.dtype) and not on_cpu else torch.float32


def choose_device(config: TransformersConfig) -> torch.device:
    """The one device that inputs go to, where the model is not spread over several.

    Raises:
        ModelError: The config names a GPU, and this machine or this build of torch has none.
    """
    if isinstance(config.device_map, str) and _one_device(config.device_map):
        device = torch.device(config.device_map)
        if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
            raise ModelError(
                f"device_map: {config.device_map} names a GPU that torch {torch.__version__} does not find here",
                hint=f"it finds {torch.cuda.device_count()}; leave device_map out to take what there is",
            )
        return device
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def prepare_model(model: PreTrainedModel, config: TransformersConfig) -> PreTrainedModel:
    """Freeze, place and tap a model whose weights are there."""
    model.eval().requires_grad_(False)
    if getattr(model, "hf_device_map", None) is None:
        model.to(choose_device(config))
    text = model.config.get_text_config(decoder=True)
    kernel = text._attn_implementation or "eager"
    if not kernel.startswith(PREFIX):
        install(model, kernel)
    return model


def weight_bytes(folder: Path) -> int:
    """How much the weight files of a folder hold."""
    index = next(iter(sorted(folder.glob("*.index.json"))), None)
    if index is not None:
        total = json.loads(index.read_text(encoding="utf-8")).get("metadata", {}).get("total_size")
        if total:
            return int(total)
    files = list(folder.glob("*.safetensors")) or list(folder.glob("*.bin"))
    return sum(path.stat().st_size for path in files)


def check_memory(config: TransformersConfig, folder: Path, dtype: torch.dtype) -> None:
    """Refuse a checkpoint whose weights alone exceed the device's free memory.

    Raises:
        ModelError: It says how much is needed and how much there is.
    """
    free = free_bytes(choose_device(config))
    needed = weight_bytes(folder)
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    name = stored.get("dtype") or stored.get("torch_dtype") or "float32"
    stored_size = _BYTES.get(getattr(torch, str(name).removeprefix("torch."), torch.float32), 4.0)
    size = _QUANTIZED_BYTES[config.quantization] if config.quantization else _BYTES.get(dtype, 4.0)
    needed = int(needed * size / stored_size)
    if free is not None and needed > free:
        raise _too_large(config, needed, free)


def free_bytes(device: torch.device) -> int | None:
    """Free memory of a device, or None where it can't be told."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = Path("/proc/meminfo")
    if device.type == "cpu" and meminfo.is_file():
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _one_device(device_map: str | dict[str, int | str]) -> bool:
    return isinstance(device_map, str) and device_map.split(":")[0] in ("cpu", "cuda", "mps", "xpu")


def _too_large(config: TransformersConfig, needed: int, free: int | None) -> ModelError:
    there = "" if free is None else f", {_gib(free)} are free"
    return ModelError(
        f"{config.checkpoint} needs {_gib(needed)} for its weights{there}",
        hint="try dtype: bfloat16, quantization: 4bit, or device_map: auto",
    )


def _gib(count: int) -> str:
    return f"{math.ceil(count / 2**30 * 10) / 10} GiB"


def first_line(error: Exception) -> str:
    """What an error says first."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
