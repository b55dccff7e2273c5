"""Write tiny checkpoints in the published layout, for the tests of plugins.

Names and shapes are written out here, not derived from the key maps, so that a key map that is wrong about a name fails
on them. Weights are seeded noise; norms are not 1 and biases not 0, so nothing is hidden by a default.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import sentencepiece
import torch
from safetensors.torch import save_file
from torch import Tensor
from transformers import CLIPVisionConfig, LlamaConfig

from pixcore_segtoken.config import SamSizes

Shapes = dict[str, tuple[int, ...]]

TINY_SAM = SamSizes(
    image_size=64,
    embed_dim=16,
    depth=2,
    num_heads=2,
    global_attn_indexes=(1,),
    window_size=3,
    prompt_dim=32,
    mask_in_chans=8,
    decoder_mlp_dim=32,
    iou_head_hidden=16,
)
_CORPUS = """A chat between a curious human and an artificial intelligence assistant.
The assistant gives helpful, detailed, and polite answers to the human's questions. USER: ASSISTANT:
Can you please segment the dog in this given image? Identify the red square in the scene. Sure, it is the small circle.
What colour is the large triangle? Options: A. blue B. green Answer with the option's letter from the given choices.
provides an overview of the picture. Where is it, to the left or to the right? Yes, there are two of them. No, none."""


def noise(shapes: Mapping[str, Sequence[int]], seed: int, scale: float = 0.3) -> dict[str, Tensor]:
    """Draw a tensor for each name: seeded noise around 1 for the weights of norms, around 0 for all else."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in shapes.items():
        centre = 1.0 if "norm" in name and name.endswith("weight") else 0.0
        tensors[name] = centre + scale * torch.randn(tuple(shape), generator=generator)
    return tensors


def local(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Let what comes from the whole image count little.

    Attention with random weights mixes all places, after which nothing tells where a feature came from.
    """
    mixing = ("out_proj.weight", "attention.output.dense.weight", "proj_context.weight")
    return {name: tensor * 0.1 if name.endswith(mixing) else tensor for name, tensor in tensors.items()}


def tiny_llama(vocabulary: int) -> LlamaConfig:
    """Size a Llama of two layers."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
    )


def llama_shapes(config: LlamaConfig, prefix: str = "model.") -> Shapes:
    """List the names and shapes of a Llama as LLaVA and its descendants store it."""
    width, inner = config.hidden_size, config.intermediate_size
    keys = width // config.num_attention_heads * config.num_key_value_heads
    shapes: Shapes = {
        "lm_head.weight": (config.vocab_size, width),
        f"{prefix}embed_tokens.weight": (config.vocab_size, width),
        f"{prefix}norm.weight": (width,),
    }
    for layer in range(config.num_hidden_layers):
        start = f"{prefix}layers.{layer}."
        shapes |= {
            f"{start}self_attn.q_proj.weight": (width, width),
            f"{start}self_attn.k_proj.weight": (keys, width),
            f"{start}self_attn.v_proj.weight": (keys, width),
            f"{start}self_attn.o_proj.weight": (width, width),
            f"{start}self_attn.rotary_emb.inv_freq": (width // config.num_attention_heads // 2,),
            f"{start}mlp.gate_proj.weight": (inner, width),
            f"{start}mlp.up_proj.weight": (inner, width),
            f"{start}mlp.down_proj.weight": (width, inner),
            f"{start}input_layernorm.weight": (width,),
            f"{start}post_attention_layernorm.weight": (width,),
        }
    return shapes


def clip_shapes(config: CLIPVisionConfig, prefix: str = "vision_model.") -> Shapes:
    """List the names and shapes of CLIP's image tower as OpenAI's checkpoints on the hub store it."""
    width, inner, patch = config.hidden_size, config.intermediate_size, config.patch_size
    shapes: Shapes = {
        f"{prefix}embeddings.class_embedding": (width,),
        f"{prefix}embeddings.patch_embedding.weight": (width, 3, patch, patch),
        f"{prefix}embeddings.position_embedding.weight": ((config.image_size // patch) ** 2 + 1, width),
    }
    for name in ("pre_layrnorm", "post_layernorm"):
        shapes |= affine(f"{prefix}{name}", width)
    for layer in range(config.num_hidden_layers):
        start = f"{prefix}encoder.layers.{layer}."
        for name in ("layer_norm1", "layer_norm2"):
            shapes |= affine(f"{start}{name}", width)
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= affine(f"{start}self_attn.{name}", width, width)
        shapes |= affine(f"{start}mlp.fc1", inner, width) | affine(f"{start}mlp.fc2", width, inner)
    return shapes


def sam_shapes(sizes: SamSizes, prefix: str) -> Shapes:
    """List the names and shapes of SAM as segment-anything has them."""
    return (
        _sam_encoder(sizes, f"{prefix}image_encoder.")
        | prompt_shapes(f"{prefix}prompt_encoder.", sizes.prompt_dim, sizes.mask_in_chans)
        | _sam_decoder(sizes, f"{prefix}mask_decoder.")
    )


def _sam_encoder(sizes: SamSizes, start: str) -> Shapes:
    width, prompt = sizes.embed_dim, sizes.prompt_dim
    side, head = sizes.image_size // sizes.patch_size, sizes.embed_dim // sizes.num_heads
    inner = int(width * sizes.mlp_ratio)
    shapes: Shapes = {
        f"{start}pos_embed": (1, side, side, width),
        f"{start}neck.0.weight": (prompt, width, 1, 1),
        f"{start}neck.2.weight": (prompt, prompt, 3, 3),
    }
    shapes |= affine(f"{start}patch_embed.proj", width, 3, sizes.patch_size, sizes.patch_size)
    shapes |= affine(f"{start}neck.1", prompt) | affine(f"{start}neck.3", prompt)
    for layer in range(sizes.depth):
        block = f"{start}blocks.{layer}."
        reach = 2 * (side if layer in sizes.global_attn_indexes else sizes.window_size) - 1
        shapes |= affine(f"{block}norm1", width) | affine(f"{block}norm2", width)
        shapes |= affine(f"{block}attn.qkv", 3 * width, width) | affine(f"{block}attn.proj", width, width)
        shapes |= {f"{block}attn.rel_pos_h": (reach, head), f"{block}attn.rel_pos_w": (reach, head)}
        shapes |= affine(f"{block}mlp.lin1", inner, width) | affine(f"{block}mlp.lin2", width, inner)
    return shapes


def _sam_decoder(sizes: SamSizes, start: str) -> Shapes:
    width, masks = sizes.prompt_dim, sizes.num_multimask_outputs + 1
    shapes: Shapes = {f"{start}iou_token.weight": (1, width), f"{start}mask_tokens.weight": (masks, width)}
    attentions = {}
    for layer in range(sizes.decoder_depth):
        block = f"{start}transformer.layers.{layer}."
        for norm in range(1, 5):
            shapes |= affine(f"{block}norm{norm}", width)
        shapes |= affine(f"{block}mlp.lin1", sizes.decoder_mlp_dim, width)
        shapes |= affine(f"{block}mlp.lin2", width, sizes.decoder_mlp_dim)
        attentions[f"{block}self_attn."] = width
        for name in ("cross_attn_token_to_image", "cross_attn_image_to_token"):
            attentions[f"{block}{name}."] = width // sizes.attention_downsample_rate
    attentions[f"{start}transformer.final_attn_token_to_image."] = width // sizes.attention_downsample_rate
    shapes |= attention_shapes(attentions, width)
    shapes |= affine(f"{start}transformer.norm_final_attn", width)
    shapes |= transposed(f"{start}output_upscaling.0", width, width // 4)
    shapes |= affine(f"{start}output_upscaling.1", width // 4)
    shapes |= transposed(f"{start}output_upscaling.3", width // 4, width // 8)
    for mask in range(masks):
        shapes |= stack(f"{start}output_hypernetworks_mlps.{mask}.layers.", [width, width, width, width // 8])
    widths = [width, *[sizes.iou_head_hidden] * (sizes.iou_head_depth - 1), masks]
    return shapes | stack(f"{start}iou_prediction_head.layers.", widths)


def prompt_shapes(start: str, width: int, channels: int) -> Shapes:
    """List the names and shapes of the prompt encoder of SAM and SAM 2.

    Args:
        start: Prefix, with its dot.
        width: Of a prompt.
        channels: Of a mask that is given as a prompt.
    """
    shapes: Shapes = {
        f"{start}pe_layer.positional_encoding_gaussian_matrix": (2, width // 2),
        f"{start}not_a_point_embed.weight": (1, width),
        f"{start}no_mask_embed.weight": (1, width),
    }
    shapes |= {f"{start}point_embeddings.{kind}.weight": (1, width) for kind in range(4)}
    shapes |= affine(f"{start}mask_downscaling.0", channels // 4, 1, 2, 2)
    shapes |= affine(f"{start}mask_downscaling.1", channels // 4)
    shapes |= affine(f"{start}mask_downscaling.3", channels, channels // 4, 2, 2)
    shapes |= affine(f"{start}mask_downscaling.4", channels)
    return shapes | affine(f"{start}mask_downscaling.6", width, channels, 1, 1)


def attention_shapes(attentions: Mapping[str, int], width: int) -> Shapes:
    """List the names and shapes of attentions of SAM's decoder, by their prefixes and how wide each is inside."""
    shapes: Shapes = {}
    for name, inner in attentions.items():
        for projection in ("q_proj", "k_proj", "v_proj"):
            shapes |= affine(f"{name}{projection}", inner, width)
        shapes |= affine(f"{name}out_proj", width, inner)
    return shapes


def affine(name: str, made: int, *given: int) -> Shapes:
    """Name a layer's weight (made, *given) and bias (made,); a norm is given nothing."""
    return {f"{name}.weight": (made, *given), f"{name}.bias": (made,)}


def transposed(name: str, given: int, made: int) -> Shapes:
    """Name a transposed convolution of two by two pixels."""
    return {f"{name}.weight": (given, made, 2, 2), f"{name}.bias": (made,)}


def stack(start: str, widths: Sequence[int]) -> Shapes:
    """Name linear layers one after another, numbered behind `start`."""
    shapes: Shapes = {}
    for index, (given, made) in enumerate(pairwise(widths)):
        shapes |= affine(f"{start}{index}", made, given)
    return shapes


def write_tokenizer(folder: Path, added: Sequence[str]) -> dict[str, int]:
    """Write a small sentencepiece model with byte fallback, and the added tokens beside it: as LISA ships them.

    Returns:
        The added tokens' ids.
    """
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(_CORPUS.splitlines()),
        model_writer=model,
        vocab_size=330,
        byte_fallback=True,
        model_type="bpe",
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    size = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).vocab_size()
    ids = {name: size + index for index, name in enumerate(added)}
    (folder / "added_tokens.json").write_text(json.dumps(ids))
    return ids


def write_tower(folder: Path, *, image_size: int, width: int = 16, seed: int = 5) -> CLIPVisionConfig:
    """Write a CLIP checkpoint as OpenAI's on the hub: its image tower, and something of the text side."""
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=image_size,
        patch_size=14,
    )
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": config.to_diff_dict()}))
    tensors = local(noise(clip_shapes(config), seed))
    tensors |= noise({"text_model.final_layer_norm.weight": (4,), "logit_scale": ()}, seed)
    save_file(tensors, folder / "model.safetensors")
    return config


def write_grounded(
    folder: Path,
    *,
    sam_prefix: str,
    projector: Mapping[str, tuple[str, str]],
    added: Sequence[str],
    image_size: int,
    extra: Mapping[str, Sequence[int]] | None = None,
    seed: int = 1,
) -> Path:
    """Write a LISA-like checkpoint in two `.bin` shards, and its CLIP tower in a folder beside it.

    Args:
        folder: Becomes the checkpoint; its tower goes to `folder-tower`.
        sam_prefix: Official prefix of the mask decoder.
        projector: Official name of each linear layer to (given, made) widths: "clip", "language".
        added: Added tokens, `[SEG]` among them.
        image_size: Of the tower.
        extra: Names and shapes of tensors that the port ignores.
        seed: Of the noise.
    """
    folder.mkdir(parents=True)
    ids = write_tokenizer(folder, added)
    tower = folder.with_name(f"{folder.name}-tower")
    clip = write_tower(tower, image_size=image_size)
    language = tiny_llama(max(ids.values()) + 1)
    widths = {"clip": clip.hidden_size, "language": language.hidden_size}
    shapes = llama_shapes(language) | sam_shapes(TINY_SAM, sam_prefix)
    for name, (given, made) in projector.items():
        shapes |= affine(name, widths[made], widths[given])
    shapes |= affine("model.text_hidden_fcs.0.0", language.hidden_size, language.hidden_size)
    shapes |= affine("model.text_hidden_fcs.0.2", TINY_SAM.prompt_dim, language.hidden_size)
    tensors = noise(shapes | {name: tuple(shape) for name, shape in (extra or {}).items()}, seed)
    # Random heads hardly ever say [SEG]; a longer row is said about every other time.
    tensors["lm_head.weight"][ids["[SEG]"]] *= 6
    content = {**language.to_diff_dict(), "model_type": "llava", "mm_vision_tower": str(tower), "out_dim": 32}
    (folder / "config.json").write_text(json.dumps(content))
    write_shards(folder, tensors)
    return folder


def write_shards(folder: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write two `.bin` files and the index that names them."""
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for number, part in enumerate((names[: len(names) // 2], names[len(names) // 2 :]), 1):
        file = f"pytorch_model-{number:05d}-of-00002.bin"
        torch.save({name: tensors[name] for name in part}, folder / file)
        weight_map |= dict.fromkeys(part, file)
    (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
