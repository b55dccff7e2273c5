"""A tiny LLaVA-Grounding in the layout of its checkpoint: two `.bin` shards, and CLIP in a folder of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pixcore_segtoken.testing import (
    affine,
    clip_shapes,
    llama_shapes,
    noise,
    stack,
    tiny_llama,
    write_shards,
    write_tokenizer,
    write_tower,
)

Shapes = dict[str, tuple[int, ...]]

DIM, MASK_DIM, HIDDEN, HEADS, LEVELS, POINTS = 32, 16, 32, 4, 4, 4
EMBED, DEPTHS, SWIN_HEADS, WINDOW = 8, (1, 2, 1, 1), (1, 2, 4, 4), 3


def swin_shapes() -> Shapes:
    """Swin as its authors name it."""
    start = "seg_model.model.backbone."
    shapes = affine(f"{start}patch_embed.proj", EMBED, 3, 4, 4) | affine(f"{start}patch_embed.norm", EMBED)
    for stage, (depth, heads) in enumerate(zip(DEPTHS, SWIN_HEADS, strict=True)):
        width = EMBED * 2**stage
        for block in (f"{start}layers.{stage}.blocks.{index}." for index in range(depth)):
            shapes |= affine(f"{block}norm1", width) | affine(f"{block}norm2", width)
            shapes |= affine(f"{block}attn.qkv", 3 * width, width) | affine(f"{block}attn.proj", width, width)
            shapes |= {
                f"{block}attn.relative_position_bias_table": ((2 * WINDOW - 1) ** 2, heads),
                f"{block}attn.relative_position_index": (WINDOW**2, WINDOW**2),
            }
            shapes |= affine(f"{block}mlp.fc1", 2 * width, width) | affine(f"{block}mlp.fc2", width, 2 * width)
        if stage < 3:
            shapes |= affine(f"{start}layers.{stage}.downsample.norm", 4 * width)
            shapes |= {f"{start}layers.{stage}.downsample.reduction.weight": (2 * width, 4 * width)}
        shapes |= affine(f"{start}norm{stage}", width)
    return shapes


def deformable_shapes(start: str) -> Shapes:
    shapes = affine(f"{start}sampling_offsets", HEADS * LEVELS * POINTS * 2, DIM)
    shapes |= affine(f"{start}attention_weights", HEADS * LEVELS * POINTS, DIM)
    return shapes | affine(f"{start}value_proj", DIM, DIM) | affine(f"{start}output_proj", DIM, DIM)


def openseed_shapes() -> Shapes:
    """OpenSeeD as its checkpoint names it, duplicates included."""
    pixel, predictor = "seg_model.model.sem_seg_head.pixel_decoder.", "seg_model.model.sem_seg_head.predictor."
    shapes = swin_shapes() | {"seg_model.model.criterion.empty_weight": (5,)}
    for index, width in enumerate((2 * EMBED, 4 * EMBED, 8 * EMBED)):
        shapes |= affine(f"{pixel}input_proj.{index}.0", DIM, width, 1, 1)
        shapes |= affine(f"{pixel}input_proj.{index}.1", DIM)
    shapes |= affine(f"{pixel}input_proj.3.0", DIM, 8 * EMBED, 3, 3) | affine(f"{pixel}input_proj.3.1", DIM)
    shapes |= {f"{pixel}transformer.level_embed": (LEVELS, DIM)}
    for layer in (f"{pixel}transformer.encoder.layers.{index}." for index in range(2)):
        shapes |= deformable_shapes(f"{layer}self_attn.")
        shapes |= affine(f"{layer}linear1", 40, DIM) | affine(f"{layer}linear2", DIM, 40)
        shapes |= affine(f"{layer}norm1", DIM) | affine(f"{layer}norm2", DIM)
    shapes |= {f"{pixel}adapter_1.weight": (DIM, EMBED, 1, 1), f"{pixel}layer_1.weight": (DIM, DIM, 3, 3)}
    shapes |= affine(f"{pixel}adapter_1.norm", DIM) | affine(f"{pixel}layer_1.norm", DIM)
    shapes |= affine(f"{pixel}mask_features", MASK_DIM, DIM, 1, 1)
    for index in range(2):
        layer = f"{predictor}decoder.layers.{index}."
        shapes |= deformable_shapes(f"{layer}cross_attn.")
        shapes |= {f"{layer}self_attn.in_proj_weight": (3 * DIM, DIM), f"{layer}self_attn.in_proj_bias": (3 * DIM,)}
        shapes |= affine(f"{layer}self_attn.out_proj", DIM, DIM)
        shapes |= affine(f"{layer}linear1", 40, DIM) | affine(f"{layer}linear2", DIM, 40)
        for norm in ("norm1", "norm2", "norm3"):
            shapes |= affine(f"{layer}{norm}", DIM)
        for copy in ("bbox_embed", "decoder.bbox_embed"):
            shapes |= stack(f"{predictor}{copy}.{index}.layers.", (DIM, DIM, DIM, 4))
    shapes |= stack(f"{predictor}_bbox_embed.layers.", (DIM, DIM, DIM, 4))
    shapes |= stack(f"{predictor}decoder.ref_point_head.layers.", (2 * DIM, DIM, DIM))
    shapes |= stack(f"{predictor}mask_embed.layers.", (DIM, DIM, DIM, MASK_DIM))
    for norm in ("decoder_norm", "decoder.norm", "enc_output_norm"):
        shapes |= affine(f"{predictor}{norm}", DIM)
    shapes |= affine(f"{predictor}enc_output", DIM, DIM)
    return shapes | {
        f"{predictor}class_embed": (DIM, HIDDEN),
        f"{predictor}lang_mapper": (HIDDEN, DIM),
        f"{predictor}logit_scale": (),
    }


def write_checkpoint(folder: Path, *, own_tower: bool = False, image_size: int = 56) -> Path:
    """Write everything; with `own_tower` the checkpoint holds CLIP as well, other weights than the folder beside it."""
    folder.mkdir()
    added = write_tokenizer(folder, ("<g_s>", "<g_e>", "<seg>"))
    tower = folder.with_name(f"{folder.name}-tower")
    clip = write_tower(tower, image_size=image_size)
    language = tiny_llama(max(added.values()) + 1)
    shapes = llama_shapes(language) | openseed_shapes() | affine("model.mm_projector", HIDDEN, clip.hidden_size)
    shapes |= {"interactive_model.model.pb_embedding.weight": (2, 4)}
    tensors = noise(shapes, seed=1)
    if own_tower:
        tensors |= noise(clip_shapes(clip, "model.vision_tower.vision_tower.vision_model."), seed=9)
    # Random heads hardly ever say <seg>, and never match one region alone; longer rows do both.
    tensors["lm_head.weight"][added["<seg>"]] *= 6
    predictor = "seg_model.model.sem_seg_head.predictor."
    tensors[f"{predictor}logit_scale"] += 0.5
    feature = "seg_model.model.sem_seg_head.pixel_decoder.mask_features"
    tensors[f"{feature}.bias"] = -0.45 * tensors[f"{feature}.weight"].sum((1, 2, 3))
    content = {**language.to_diff_dict(), "model_type": "llava", "mm_vision_tower": str(tower)}
    (folder / "config.json").write_text(json.dumps(content))
    write_shards(folder, tensors)
    return folder


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """Config of an adapter on the tiny checkpoint."""
    folder = write_checkpoint(tmp_path_factory.mktemp("llava-grounding") / "tiny")
    return {"checkpoint": str(folder), "image_size": 128, "queries": 20, "max_new_tokens": 12, "threshold": 0.08}


@pytest.fixture
def options_of_a_rest(options: dict[str, object], tmp_path: Path) -> dict[str, object]:
    """Config of an adapter whose tower never reads the last 13 of its pixels."""
    return options | {"checkpoint": str(write_checkpoint(tmp_path / "tiny", image_size=69))}


@pytest.fixture(scope="session")
def options_with_own_tower(options: dict[str, object], tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = write_checkpoint(tmp_path_factory.mktemp("llava-grounding-tower") / "tiny", own_tower=True)
    return options | {"checkpoint": str(folder)}
