"""Load OMG-LLaVA from its release: where the files are, what they hold, how they become modules."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from pixcore_segtoken.checkpoint import CheckpointError, shapes_of
from pixcore_segtoken.keymap import Ignore
from pixcore_segtoken.loading import LoadReport, Source, load_weights, parameters_on_meta
from pixcore_segtoken.sizes import llama_config as as_llama
from pixcore_transformers.config import place
from pixcore_transformers.fitting import Weights, check_room, on_meta
from pixcore_transformers.loading import own_generation, read_json, resolve
from pixcore_transformers.placing import Placement, check_placing, dtype_of, main_device, quantize
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from pixcore.errors import ModelError, first_line
from pixcore_omg_llava.config import OmgLlavaConfig
from pixcore_omg_llava.internlm2 import Adapters, GroupedLayout, rules
from pixcore_omg_llava.keymap import CLIP, PERCEPTION, clip_rules, perception_rules, projector_rules
from pixcore_omg_llava.model import Eye, language_model
from pixcore_omg_llava.sizes import PerceptionSizes
from pixcore_omg_llava.tokenizer import MARK, InternLM2Tokenizer

_TOWERS = ("perception.backbone",)
_SIZES = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("rms_norm_eps", "hidden_act", "max_position_embeddings"),
)


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer.

    Attributes:
        eye: Perception and projectors, float32.
        language: The language model.
        tokenizer: InternLM2's, with OMG-LLaVA's tokens.
        reports: What became of the tensors, of `eye` and of `language`.
    """

    eye: Eye
    language: LlamaForCausalLM
    tokenizer: InternLM2Tokenizer
    reports: tuple[LoadReport, LoadReport]


def load(config: OmgLlavaConfig) -> Loaded:
    """Load perception, language model and tokenizer.

    Raises:
        ModelError: A file is missing, or does not fit.
    """
    check_placing(config, cache=config.cache)
    path = resolve(place(config.language, offline=config.offline), ("config.json",)) / "config.json"
    content = read_json(path)
    dtype = dtype_of(config.dtype, main_device(config), torch.float16)
    # what it says wrong, and what can't fit for itself, is told before anything large is downloaded
    least = on_meta(partial(LlamaForCausalLM, llama_config(content, path, vocabulary=content.get("vocab_size", 0))))
    check_room(config.checkpoint, Weights.of(least, language=""), config, dtype)
    finetuned, head = release_file(config, config.finetuned), release_file(config, config.perception)
    shapes = shapes_of(finetuned)
    adapters = Adapters.found_in(shapes, scale=config.lora_scale)
    rows = shapes.get("llm.base_model.model.model.tok_embeddings.weight", (content["vocab_size"],))[0]
    llama = llama_config(content, path, vocabulary=rows)
    sizes, sources = _eye_sizes(config, head, finetuned)
    check_room(config.checkpoint, weights_of(llama, adapters, config.lora, sizes), config, dtype)
    with parameters_on_meta():
        language = language_model(llama, adapters, config.lora).eval()
        eye = Eye(sizes, hidden=llama.hidden_size).eval()
    folder = resolve(place(config.language, offline=config.offline))
    tokenizer = InternLM2Tokenizer.from_folder(folder)
    tokenizer.check(rows, folder, rowless=[MARK])  # the release adds it after it has enlarged the embeddings
    language_report = _fill_language(config, language, adapters, [Source(finetuned), Source(folder)], dtype)
    eye_report = _fill_eye(config, eye, sources, sizes.class_dim)
    own_generation(folder, tokenizer.ends)
    return Loaded(eye, language, tokenizer, (eye_report, language_report))


def release_file(config: OmgLlavaConfig, name: str) -> Path:
    """Find one file of the release in the folder, or download it.

    Raises:
        ModelError: It is not there, or can't be reached.
    """
    folder = Path(config.checkpoint)
    if folder.is_dir():
        if not (folder / name).is_file():
            raise ModelError(f"{folder} has no {name}", hint="the README names the files of the release")
        return folder / name
    try:
        return Path(hf_hub_download(config.checkpoint, name, revision=config.revision, local_files_only=config.offline))
    except (LocalEntryNotFoundError, HfHubHTTPError, HFValidationError, OSError) as error:
        raise ModelError(
            f"can't get {name} of {config.checkpoint} from the hub: {first_line(error)}",
            hint="check the name and revision, or give a folder",
        ) from error


def llama_config(content: Mapping[str, Any], path: Path, *, vocabulary: int) -> LlamaConfig:
    """Turn InternLM2's `config.json` into a Llama's.

    Args:
        content: What the file holds.
        path: The file, for errors.
        vocabulary: Rows of the embeddings, with the added tokens.
    """
    rope = dict(content.get("rope_scaling") or {})
    rope["rope_type"] = rope.pop("type", rope.get("rope_type", "default"))
    theta = float(content.get("rope_theta", 1e6))
    kept = {key: content[key] for key in _SIZES if key in content} | {"vocab_size": vocabulary}
    return as_llama(kept, path, rope_parameters={**rope, "rope_theta": theta})


def weights_of(
    llama: LlamaConfig, adapters: Adapters, lora: Literal["merged", "beside"], sizes: PerceptionSizes
) -> Weights:
    """Count the weights of the language model and of the eye, which is float32 whatever the dtype."""
    eye = on_meta(partial(Eye, sizes, hidden=llama.hidden_size))
    language = on_meta(partial(language_model, llama, adapters, lora))
    return Weights.of(language, language="") + Weights.of(eye, towers=_TOWERS, whole=True)


def _fill_language(
    config: OmgLlavaConfig,
    model: LlamaForCausalLM,
    adapters: Adapters,
    sources: Sequence[Source],
    dtype: torch.dtype,
) -> LoadReport:
    layout = GroupedLayout.of(model.config)
    placement = Placement(config, towers=(), language="")
    quantize(model, config, dtype)
    report = load_weights(
        model,
        sources,  # the adapters first: what waits is read again, and they are small
        [
            Ignore(r"projector(_text2vision)?\..+", "a projector"),
            *rules(layout, adapters=adapters, lora=config.lora, dtype=dtype),
        ],
        dtype=dtype,
        device=placement,
        cache=config.cache and config.cache / "language",
        package="pixcore-omg-llava",
        variant={"lora": config.lora, "lora_scale": config.lora_scale, "layout": astuple(layout)},
    )
    placement.settle(model)
    return report


def _eye_sizes(config: OmgLlavaConfig, head: Path, finetuned: Path) -> tuple[PerceptionSizes, list[Source]]:
    """Read the eye's sizes off the shapes in its files, and say where its weights are."""
    shapes = shapes_of(head)
    sources = [Source(head, PERCEPTION), Source(finetuned)]
    # Whether the release's file has the frozen backbone in it was not to be seen; without it, CLIP's own is meant.
    if not any(name.startswith("backbone.") for name in shapes):
        clip = _clip_file(resolve(place(config.clip, offline=config.offline)))
        sources.append(Source(clip, CLIP))
        shapes |= as_backbone(shapes_of(clip))
    return PerceptionSizes.from_shapes(shapes), sources


def _fill_eye(config: OmgLlavaConfig, eye: Eye, sources: Sequence[Source], class_dim: int) -> LoadReport:
    placement = Placement(config, towers=_TOWERS)
    report = load_weights(
        eye,
        sources,
        [
            Ignore(r"llm\..+", "the language model"),
            *perception_rules("perception."),
            *clip_rules("perception."),
            *projector_rules(),
        ],
        dtype=torch.float32,
        device=placement,
        cache=config.cache and config.cache / "eye",
        package="pixcore-omg-llava",
    )
    eye.perception.query_decoder.set_vocabulary(_vocabulary(release_file(config, config.vocabulary), class_dim))
    placement.settle(eye)
    return report


def _clip_file(folder: Path) -> Path:
    """Where open_clip keeps its weights in a folder from the hub."""
    for name in ("open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "open_clip_pytorch_model.bin"):
        if (folder / name).is_file():
            return folder / name
    raise ModelError(
        f"{folder} has no open_clip weights, and the file with OMG-Seg has no backbone",
        hint="set clip: to the ConvNeXt that the README names",
    )


def as_backbone(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    """Put shapes of an open_clip ConvNeXt under the names that OMG-Seg gives it."""
    renamed = {}
    for name, shape in shapes.items():
        parts = name.split(".")
        if parts[:3] == ["visual", "trunk", "stages"]:
            renamed[".".join(["backbone", f"layer{int(parts[3]) + 1}", *parts[4:]])] = shape
    return renamed


def _vocabulary(path: Path, dim: int) -> Tensor:
    """The class names' embeddings, (classes, prototypes, dim), a bare tensor in the file."""
    try:
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:  # torch's words offer to run the file
        raise CheckpointError(f"{path} is not a plain tensor, or is damaged", hint="fetch it again") from error
    if not isinstance(content, Tensor) or content.dim() != 3:
        raise CheckpointError(f"{path} holds no embeddings", hint="expected one tensor (classes, prototypes, dim)")
    if content.shape[-1] != dim:
        message = f"{path} holds embeddings of {content.shape[-1]} numbers, not of {dim}"
        raise CheckpointError(message, hint="vocabulary: the file that was made with OMG-Seg's own CLIP")
    return content.float()
