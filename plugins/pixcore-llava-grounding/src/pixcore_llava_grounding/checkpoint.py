"""Load LLaVA-Grounding from its checkpoint: one folder with everything, and CLIP."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pixcore_segtoken.checkpoint import read, shards
from pixcore_segtoken.clip import clip_rules, tower_rules
from pixcore_segtoken.keymap import Ignore, Rename, llama_rules
from pixcore_segtoken.loading import LoadReport, Source, load_weights, parameters_on_meta
from pixcore_segtoken.tokenizer import PublishedTokenizer
from pixcore_transformers.config import place
from pixcore_transformers.loading import own_generation, own_kernel, read_json, resolve
from pixcore_transformers.placing import Placement, check_placing, quantize
from transformers import CLIPVisionConfig, LlamaConfig

from pixcore.errors import ModelError
from pixcore_llava_grounding.config import LlavaGroundingConfig
from pixcore_llava_grounding.keymap import OPENSEED, openseed_rules
from pixcore_llava_grounding.model import Speaker
from pixcore_llava_grounding.openseed import OpenSeed
from pixcore_llava_grounding.sizes import OpenSeedSizes
from pixcore_llava_grounding.text import MARKERS

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
_OWN_TOWER, _TOWER = "model.vision_tower.vision_tower.vision_model.", "tower:"
_INTERACTIVE = Ignore(r"interactive_model\..+", "visual prompts")


@dataclass(frozen=True)
class Loaded:
    """A model ready to answer.

    Attributes:
        speaker: CLIP, projector and language model.
        segmenter: OpenSeeD, float32.
        tokenizer: The published one.
        reports: What became of the tensors, of `speaker` and of `segmenter`.
    """

    speaker: Speaker
    segmenter: OpenSeed
    tokenizer: PublishedTokenizer
    reports: tuple[LoadReport, LoadReport]


def load(config: LlavaGroundingConfig) -> Loaded:
    """Load speaker, segmenter and tokenizer.

    Raises:
        ModelError: A file is missing, or does not fit.
    """
    check_placing(config, cache=config.cache)
    folder = resolve(place(config.checkpoint, config.revision, offline=config.offline))
    shapes = {name: tuple(tensor.shape) for file in shards(folder) for name, tensor in read(file)}
    tokenizer = PublishedTokenizer.from_folder(folder)
    own_generation(folder, [tokenizer.eos])
    absent = [marker for marker in MARKERS if marker not in tokenizer.added]
    if absent:
        raise ModelError(f"the tokenizer of {folder} has no {absent[0]}", hint="fetch added_tokens.json as well")
    speaker, speaker_report = _load_speaker(config, folder, shapes)
    segmenter, segmenter_report = _load_segmenter(config, folder, shapes)
    return Loaded(speaker, segmenter, tokenizer, (speaker_report, segmenter_report))


def _load_speaker(
    config: LlavaGroundingConfig, folder: Path, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[Speaker, LoadReport]:
    content = read_json(folder / "config.json")
    tower = resolve(place(config.vision_tower or _named_tower(content, folder), offline=config.offline))
    known = LlamaConfig().to_dict()
    language = LlamaConfig(**{key: content[key] for key in content if key in known and key != "model_type"})
    with parameters_on_meta():
        speaker = Speaker(
            language, own_kernel(CLIPVisionConfig.from_pretrained(tower)), content.get("mm_vision_select_layer", -2)
        ).eval()
    placement = Placement(config, towers=("clip",), language="language")
    dtype = _DTYPES.get(config.dtype, torch.float32 if placement.device.type == "cpu" else torch.float16)
    quantize(speaker.language, config, dtype)
    sources = [Source(folder)]
    # The published loader asks for every name, so the checkpoint should hold its tower; its own weights come first.
    own_tower = any(name.startswith(_OWN_TOWER) for name in shapes)
    if not own_tower:
        sources.append(Source(tower, _TOWER))
    report = load_weights(
        speaker,
        sources,
        [
            Ignore(r"seg_model\..+", "OpenSeeD"),
            _INTERACTIVE,
            *llama_rules("model.", "language."),
            Rename(r"model\.mm_projector\.(weight|bias)", r"projector.\1"),
            *clip_rules(_OWN_TOWER, "clip."),
            *tower_rules(_TOWER, "clip."),
        ],
        dtype=dtype,
        device=placement,
        cache=config.cache and config.cache / "speaker",
        package="pixcore-llava-grounding",
    )
    placement.settle(speaker)
    return speaker, report


def _load_segmenter(
    config: LlavaGroundingConfig, folder: Path, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[OpenSeed, LoadReport]:
    own = {name.removeprefix(OPENSEED): shape for name, shape in shapes.items() if name.startswith(OPENSEED)}
    with parameters_on_meta():
        segmenter = OpenSeed(OpenSeedSizes.from_shapes(own, queries=config.queries)).eval()
    placement = Placement(config, towers=("backbone",))
    report = load_weights(
        segmenter,
        folder,
        [Ignore(r"(model|lm_head)\..+", "LLaVA"), _INTERACTIVE, *openseed_rules()],
        dtype=torch.float32,
        device=placement,
        cache=config.cache and config.cache / "segmenter",
        package="pixcore-llava-grounding",
    )
    placement.settle(segmenter)
    return segmenter, report


def _named_tower(content: Mapping[str, Any], folder: Path) -> str:
    for key in ("mm_vision_tower", "vision_tower"):
        if isinstance(content.get(key), str):
            return str(content[key])
    raise ModelError(f"{folder / 'config.json'} names no CLIP tower", hint="set vision_tower in the run's config")
