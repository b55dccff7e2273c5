"""Load LLaVA-Grounding from its checkpoint: one folder with everything, and CLIP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from pixcore_segtoken.checkpoint import shapes_of
from pixcore_segtoken.clip import clip_rules, tower_rules
from pixcore_segtoken.keymap import Ignore, Rename, llama_rules
from pixcore_segtoken.loading import LoadReport, Source, load_weights, parameters_on_meta
from pixcore_segtoken.sizes import llama_config, named_tower, tower_config
from pixcore_segtoken.tokenizer import PublishedTokenizer
from pixcore_transformers.config import place
from pixcore_transformers.fitting import Weights, check_room, on_meta
from pixcore_transformers.loading import own_generation, read_json, resolve
from pixcore_transformers.placing import Placement, check_placing, dtype_of, main_device, quantize
from transformers import CLIPVisionConfig, LlamaForCausalLM

from pixcore.errors import ModelError
from pixcore_llava_grounding.config import LlavaGroundingConfig
from pixcore_llava_grounding.keymap import OPENSEED, openseed_rules
from pixcore_llava_grounding.model import Speaker
from pixcore_llava_grounding.openseed import OpenSeed
from pixcore_llava_grounding.sizes import OpenSeedSizes
from pixcore_llava_grounding.text import MARKERS

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

    @property
    def language(self) -> LlamaForCausalLM:
        """The Llama that speaks."""
        return self.speaker.language


def load(config: LlavaGroundingConfig) -> Loaded:
    """Load speaker, segmenter and tokenizer.

    Raises:
        ModelError: A file is missing, or does not fit.
    """
    check_placing(config, cache=config.cache)
    make_speaker, tower, dtype = _speaker(config)
    weights = speaker_weights(make_speaker)
    check_room(config.checkpoint, weights, config, dtype)  # before the rest is downloaded
    folder = resolve(place(config.checkpoint, config.revision, offline=config.offline))
    shapes = shapes_of(folder)
    make_segmenter = _segmenter(config, shapes)
    check_room(config.checkpoint, weights + segmenter_weights(make_segmenter), config, dtype)
    with parameters_on_meta():
        speaker, segmenter = make_speaker().eval(), make_segmenter().eval()
    tokenizer = PublishedTokenizer.from_folder(folder)
    tokenizer.check(speaker.language.config.vocab_size, folder)
    own_generation(folder, [tokenizer.eos])
    absent = [marker for marker in MARKERS if marker not in tokenizer.added]
    if absent:
        raise ModelError(f"the tokenizer of {folder} has no {absent[0]}", hint="fetch added_tokens.json as well")
    speaker_report = _fill_speaker(config, speaker, folder, tower, shapes, dtype)
    segmenter_report = _fill_segmenter(config, segmenter, folder)
    return Loaded(speaker, segmenter, tokenizer, (speaker_report, segmenter_report))


def speaker_weights(make: Callable[[], Speaker]) -> Weights:
    """Count the weights of CLIP, projector and language model."""
    return Weights.of(on_meta(make), towers=("clip",), language="language")


def segmenter_weights(make: Callable[[], OpenSeed]) -> Weights:
    """Count OpenSeeD's weights, which are float32 whatever the dtype."""
    return Weights.of(on_meta(make), towers=("backbone",), whole=True)


def _speaker(config: LlavaGroundingConfig) -> tuple[Callable[[], Speaker], str, torch.dtype]:
    """Read two config.json alone: what makes the speaker, the name of its tower, and its dtype."""
    named = place(config.checkpoint, config.revision, offline=config.offline)
    path = resolve(named, ("config.json",)) / "config.json"
    content = read_json(path)
    tower = config.vision_tower or named_tower(content, path)
    clip = tower_config(CLIPVisionConfig, resolve(place(tower, offline=config.offline), ("config.json",)))
    make = partial(Speaker, llama_config(content, path), clip, content.get("mm_vision_select_layer", -2))
    dtype = dtype_of(config.dtype, main_device(config), torch.float16)
    return make, tower, dtype


def _fill_speaker(
    config: LlavaGroundingConfig,
    speaker: Speaker,
    folder: Path,
    tower: str,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: torch.dtype,
) -> LoadReport:
    placement = Placement(config, towers=("clip",), language="language")
    quantize(speaker.language, config, dtype)
    sources = [Source(folder)]
    # The published loader asks for every name, so the checkpoint should hold its tower; its own weights come first.
    own_tower = any(name.startswith(_OWN_TOWER) for name in shapes)
    if not own_tower:
        sources.append(Source(resolve(place(tower, offline=config.offline)), _TOWER))
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
    return report


def _segmenter(config: LlavaGroundingConfig, shapes: Mapping[str, tuple[int, ...]]) -> Callable[[], OpenSeed]:
    own = {name.removeprefix(OPENSEED): shape for name, shape in shapes.items() if name.startswith(OPENSEED)}
    return partial(OpenSeed, OpenSeedSizes.from_shapes(own, queries=config.queries))


def _fill_segmenter(config: LlavaGroundingConfig, segmenter: OpenSeed, folder: Path) -> LoadReport:
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
    return report
