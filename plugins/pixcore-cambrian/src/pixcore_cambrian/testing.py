"""A tiny Cambrian in the published layout, with its four towers, for tests.

Names and shapes are written out here, not derived from the key maps, so that a key map that is wrong about a name fails
on them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from math import isqrt
from pathlib import Path
from typing import Any

from pixcore_segtoken.testing import llama_shapes, local, noise, write_tower
from pixcore_segtoken.tokenizer import IMAGE_ID, encode_with_image
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    Dinov2Config,
    LlamaConfig,
    PreTrainedTokenizerFast,
    SiglipVisionConfig,
)

from pixcore_cambrian.prompt import llama_3

TOWERS = (
    "siglip/CLIP-ViT-SO400M-14-384",
    "openai/clip-vit-large-patch14-336",
    "facebook/dinov2-giant-res{}",
    "clip-convnext-XXL-res{}-multi-stage",
)
TOKENS = (36, 36, 36, 576)
_START, _END, _TURN = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
_SPECIAL = (_START, _END, _TURN, "<|start_header_id|>", "<|end_header_id|>")
_CONVNEXT = ((1, 1, 2, 1), (4, 8, 8, 16))
_SENTENCES = (
    "Is there a red circle in the scene? Identify the small square. The triangle is to the left of the circle.",
    "Answer with the option's letter from the given choices directly. Yes, there are two of them; no, none.",
)


def write_tokenizer(folder: Path) -> PreTrainedTokenizerFast:
    """Write a byte-level tokenizer with Llama 3's special tokens, which puts a start token before every text."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        show_progress=False,
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{_START} $A", special_tokens=[(_START, tokenizer.token_to_id(_START))]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=_START, eos_token=_END, clean_up_tokenization_spaces=True
    )
    fast.save_pretrained(folder)
    return fast


def sampler_shapes(
    prefix: str, query: int, width: int, factors: Sequence[int], depth: int
) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of a spatial vision aggregator as published."""
    shapes: dict[str, tuple[int, ...]] = {}
    for layer in range(depth):
        start = f"{prefix}layers.{layer}."
        shapes |= {
            f"{start}proj_context.weight": (width, width),
            f"{start}proj_in.weight": (width, query + width),
            f"{start}proj_out.linear_1.weight": (width, width),
            f"{start}proj_out.linear_2.weight": (query, width),
            f"{start}norm.weight": (width,),
            f"{start}norm.bias": (width,),
            f"{start}cross_attn.o_proj.weight": (width, width),
        }
        towers = range(len(factors))
        for name in ("q_proj", *(f"{kind}_proj_{tower}" for kind in "kv" for tower in towers)):
            shapes |= {
                f"{start}cross_attn.{name}.0.weight": (width,),
                f"{start}cross_attn.{name}.0.bias": (width,),
                f"{start}cross_attn.{name}.1.weight": (width, width),
            }
        for tower, factor in enumerate(factors):
            if factor > 1:
                shapes[f"{start}pos_embed_{tower}"] = (factor**2, width)
    return shapes


def convnext_shapes(depths: Sequence[int], widths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of CLIP's ConvNeXt in open_clip, and something of its text side."""
    shapes: dict[str, tuple[int, ...]] = {
        "visual.trunk.stem.0.weight": (widths[0], 3, 4, 4),
        "visual.trunk.stem.0.bias": (widths[0],),
        "visual.trunk.stem.1.weight": (widths[0],),
        "visual.trunk.stem.1.bias": (widths[0],),
        "visual.trunk.head.norm.weight": (widths[-1],),
        "visual.head.proj.weight": (6, widths[-1]),
        "positional_embedding": (7, 6),
        "logit_scale": (),
    }
    for stage, (depth, width) in enumerate(zip(depths, widths, strict=True)):
        start = f"visual.trunk.stages.{stage}."
        if stage:
            given = widths[stage - 1]
            shapes |= {f"{start}downsample.0.weight": (given,), f"{start}downsample.0.bias": (given,)}
            shapes |= {f"{start}downsample.1.weight": (width, given, 2, 2), f"{start}downsample.1.bias": (width,)}
        for block in range(depth):
            inside = f"{start}blocks.{block}."
            shapes |= {
                f"{inside}gamma": (width,),
                f"{inside}conv_dw.weight": (width, 1, 7, 7),
                f"{inside}conv_dw.bias": (width,),
                f"{inside}norm.weight": (width,),
                f"{inside}norm.bias": (width,),
                f"{inside}mlp.fc1.weight": (4 * width, width),
                f"{inside}mlp.fc1.bias": (4 * width,),
                f"{inside}mlp.fc2.weight": (width, 4 * width),
                f"{inside}mlp.fc2.bias": (width,),
            }
    return shapes


def siglip_shapes(config: SiglipVisionConfig) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of SigLIP in google's checkpoints, and something of what is not used."""
    width, inner, patch = config.hidden_size, config.intermediate_size, config.patch_size
    linears: dict[str, tuple[int, ...]] = {"embeddings.patch_embedding": (width, 3, patch, patch)}
    shapes: dict[str, tuple[int, ...]] = {
        "vision_model.embeddings.position_embedding.weight": ((config.image_size // patch) ** 2, width),
        "vision_model.head.probe": (1, 1, width),
        "text_model.final_layer_norm.weight": (4,),
        "logit_scale": (),
        "logit_bias": (),
    }
    for layer in range(config.num_hidden_layers):
        start = f"encoder.layers.{layer}."
        linears |= {f"{start}self_attn.{name}_proj": (width, width) for name in ("q", "k", "v", "out")}
        linears |= {f"{start}mlp.fc1": (inner, width), f"{start}mlp.fc2": (width, inner)}
        linears |= {f"{start}layer_norm{number}": (width,) for number in (1, 2)}
    linears["post_layernorm"] = (width,)
    return shapes | _affine({f"vision_model.{name}": shape for name, shape in linears.items()})


def dinov2_shapes(config: Dinov2Config) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of DINOv2 with gated MLPs in facebook's checkpoints."""
    width, patch = config.hidden_size, config.patch_size
    inner = (int(int(width * config.mlp_ratio) * 2 / 3) + 7) // 8 * 8
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.cls_token": (1, 1, width),
        "embeddings.mask_token": (1, width),
        "embeddings.position_embeddings": (1, 1 + (config.image_size // patch) ** 2, width),
    }
    linears: dict[str, tuple[int, ...]] = {
        "embeddings.patch_embeddings.projection": (width, 3, patch, patch),
        "layernorm": (width,),
    }
    for layer in range(config.num_hidden_layers):
        start = f"encoder.layer.{layer}."
        shapes |= {f"{start}layer_scale{number}.lambda1": (width,) for number in (1, 2)}
        linears |= {f"{start}attention.attention.{name}": (width, width) for name in ("query", "key", "value")}
        linears |= {f"{start}attention.output.dense": (width, width)}
        linears |= {f"{start}mlp.weights_in": (2 * inner, width), f"{start}mlp.weights_out": (width, inner)}
        linears |= {f"{start}norm{number}": (width,) for number in (1, 2)}
    return shapes | _affine(linears)


def _affine(linears: Mapping[str, tuple[int, ...]]) -> dict[str, tuple[int, ...]]:
    shapes: dict[str, tuple[int, ...]] = {}
    for name, shape in linears.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return shapes


def write_towers(folder: Path, sides: Sequence[int]) -> list[Path]:
    """Write the four towers, each as its own hub repository has it, for inputs of those sides."""
    folders = [folder / name for name in ("siglip", "clip", "dinov2", "convnext")]
    siglip = SiglipVisionConfig(
        hidden_size=12,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        image_size=sides[0],
        patch_size=14,
    )
    dinov2 = Dinov2Config(
        hidden_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=112, patch_size=14, use_swiglu_ffn=True
    )
    write_tower(folders[1], image_size=sides[1])
    for index in (0, 2, 3):
        folders[index].mkdir()
    content = {"model_type": "siglip", "vision_config": siglip.to_diff_dict()}
    (folders[0] / "config.json").write_text(json.dumps(content))
    (folders[2] / "config.json").write_text(json.dumps(dinov2.to_dict()))
    save_file(local(noise(siglip_shapes(siglip), 11)), folders[0] / "model.safetensors")
    save_file(local(noise(dinov2_shapes(dinov2), 12)), folders[2] / "model.safetensors")
    save_file(noise(convnext_shapes(*_CONVNEXT), 13), folders[3] / "open_clip_model.safetensors")
    return folders


def write_cambrian(folder: Path, sides: Sequence[int] = (84, 84, 84, 128), width: int = 16) -> dict[str, Any]:
    """Write the checkpoint in two safetensors shards, and its towers beside it.

    Args:
        folder: Where the checkpoint goes.
        sides: Of each tower's input, in pixels; fewer than four leave the last towers out.
        width: Of the connector and of the samplers.

    Returns:
        The config of an adapter on it.
    """
    folder.mkdir(parents=True)
    tokenizer = write_tokenizer(folder)
    towers = write_towers(folder.parent, sides)[: len(sides)]
    widths = (12, 16, 24, sum(_CONVNEXT[1]))[: len(sides)]
    language = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
    )
    end = tokenizer.convert_tokens_to_ids([_END, _TURN])
    place = encode_with_image(tokenizer.encode, llama_3("")).index(IMAGE_ID)
    config = {
        **language.to_diff_dict(),
        "model_type": "cambrian_llama",
        "rope_theta": 500000.0,
        "eos_token_id": end[0],
        "mm_projector_type": "sva",
        "mm_vision_tower_aux_list": [name.format(side) for name, side in zip(TOWERS, sides, strict=False)],
        "mm_vision_tower_aux_token_len_list": TOKENS[: len(sides)],
        "vision_hidden_size": width,
        "query_num_list": [36],
        "num_query_group": 1,
        "image_token_len": 36,
        "connector_only": False,
        "connector_depth": 2,
        "num_of_vision_sampler_layers": 2,
        "start_of_vision_sampler_layers": 0,
        "stride_of_vision_sampler_layers": 2,
        "image_position": place,
    }
    config.pop("rope_parameters", None)
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": end, "do_sample": True}))
    tensors = local(noise(cambrian_shapes(language, config, widths), 21))
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[::2], names[1::2]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return {"checkpoint": str(folder), "towers": [str(tower) for tower in towers], "max_new_tokens": 10}


def cambrian_shapes(
    language: LlamaConfig, config: Mapping[str, Any], tower_widths: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """List the names and shapes of the whole model as published."""
    width, hidden = int(config["vision_hidden_size"]), language.hidden_size
    factors = [isqrt(tokens) // isqrt(config["image_token_len"]) for tokens in TOKENS[: len(tower_widths)]]
    shapes = llama_shapes(language) | {"model.vision_query": (1, width), "model.image_newline": (hidden,)}
    shapes = {name: shape for name, shape in shapes.items() if not name.endswith("inv_freq")}
    linears = {"model.mm_projector.0": (hidden, width), "model.mm_projector.2": (hidden, hidden)}
    for tower, channels in enumerate(tower_widths):
        linears[f"model.mm_projector_aux_{tower}.0"] = (width, channels)
        linears[f"model.mm_projector_aux_{tower}.2"] = (width, width)
        shapes |= {f"model.mm_projector_aux_{tower}.3.{leaf}": (width,) for leaf in ("weight", "bias")}
    shapes |= _affine(linears)
    shapes |= sampler_shapes("model.vision_sampler_0.", width, width, factors, config["connector_depth"])
    for layer in range(config["num_of_vision_sampler_layers"]):
        shapes |= sampler_shapes(f"model.vision_sampler_layers.{layer}.", hidden, width, factors, 1)
    return shapes
