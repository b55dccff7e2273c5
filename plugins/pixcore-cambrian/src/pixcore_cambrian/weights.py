"""Map Cambrian's published sizes and key names to ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixcore_segtoken.keymap import Ignore, Rename, Rule, llama_rules
from pixcore_segtoken.sizes import llama_config
from pixcore_transformers.fitting import Weights, on_meta

from pixcore.errors import ModelError
from pixcore_cambrian.model import Cambrian, CambrianSizes
from pixcore_cambrian.towers import Tower

_NEEDED = (
    *("connector_only", "mm_vision_tower_aux_list", "mm_vision_tower_aux_token_len_list", "vision_hidden_size"),
    *("query_num_list", "image_token_len", "connector_depth", "image_position"),
)

# Channels of SigLIP SO400M, CLIP ViT-L, DINOv2 giant, and the four stages of ConvNeXt-XXL together.
PUBLISHED_TOWER_WIDTHS = (1152, 1024, 1536, 5760)


def sizes_of(
    config: Mapping[str, Any],
    tower_widths: Sequence[int] = PUBLISHED_TOWER_WIDTHS,
    path: Path = Path("config.json"),
) -> CambrianSizes:
    """Read the sizes in a published `config.json`.

    Args:
        config: Its content.
        tower_widths: Channels of each tower, which that file does not hold.
        path: The file, for errors.

    Raises:
        ModelError: An entry is missing.
    """
    needed = _NEEDED if config.get("connector_only") else (*_NEEDED, "num_of_vision_sampler_layers")
    absent = [name for name in needed if name not in config]
    if absent:
        raise ModelError(f"{path} has no {absent[0]}", hint="is it the config of a Cambrian-1?")
    start, stride = config.get("start_of_vision_sampler_layers", 0), config.get("stride_of_vision_sampler_layers", 1)
    count = 0 if config["connector_only"] else config["num_of_vision_sampler_layers"]
    return CambrianSizes(
        language=llama_config(config, path),
        tower_widths=tuple(tower_widths),
        tower_tokens=tuple(config["mm_vision_tower_aux_token_len_list"]),
        width=config["vision_hidden_size"],
        query_tokens=tuple(config["query_num_list"]),
        image_tokens=config["image_token_len"],
        connector_depth=config["connector_depth"],
        sampler_layers=tuple(start + stride * index for index in range(count)),
        image_position=config["image_position"],
    )


def weights_of(sizes: CambrianSizes, towers: Sequence[Tower]) -> Weights:
    """Count the weights of Cambrian and of its towers."""
    cambrian = on_meta(lambda: Cambrian(sizes))
    return sum((Weights.of(tower, towers=("",)) for tower in towers), Weights.of(cambrian, language="language"))


def rules() -> Sequence[Rule]:
    """Give the key map of `nyu-visionx/cambrian-8b` and its sisters with a spatial vision aggregator."""
    return (
        *llama_rules(official="model.", ours="language."),
        Rename(r"model\.vision_query", "query"),
        Rename(r"model\.image_newline", "newline"),
        Rename(r"model\.mm_projector\.([02])\.(weight|bias)", r"projector.\1.\2"),
        Rename(r"model\.mm_projector_aux_(\d+)\.([023])\.(weight|bias)", r"tower_projections.\1.\2.\3"),
        *sampler_rules(r"model\.vision_sampler_(\d+)\.", r"connectors.\1."),
        *sampler_rules(r"model\.vision_sampler_layers\.(\d+)\.", r"samplers.\1."),
        Ignore(r"model\.vision_tower_aux_list\..+", "the towers come from their own checkpoints"),
    )


def sampler_rules(pattern: str, target: str) -> Sequence[Rule]:
    r"""Give the key map of one `Sampler`.

    Args:
        pattern: Regular expression of its official prefix, with exactly one group (or none: then use `(?P<n>)`).
        target: Our prefix, using the group.
    """
    layer = rf"{pattern}layers\.(\d+)\."
    ours = rf"{target}layers.\2."
    return (
        Rename(rf"{layer}(proj_context|proj_in)\.weight", rf"{ours}\3.weight"),
        Rename(rf"{layer}norm\.(weight|bias)", rf"{ours}norm.\3"),
        Rename(rf"{layer}proj_out\.linear_1\.weight", rf"{ours}proj_out.0.weight"),
        Rename(rf"{layer}proj_out\.linear_2\.weight", rf"{ours}proj_out.2.weight"),
        Rename(rf"{layer}cross_attn\.q_proj\.([01])\.(weight|bias)", rf"{ours}attention.q_proj.\3.\4"),
        Rename(rf"{layer}cross_attn\.([kv])_proj_(\d+)\.([01])\.(weight|bias)", rf"{ours}attention.\3_proj.\4.\5.\6"),
        Rename(rf"{layer}cross_attn\.o_proj\.weight", rf"{ours}attention.o_proj.weight"),
        Rename(rf"{layer}pos_embed_(\d+)", rf"{ours}position.\3"),
    )
