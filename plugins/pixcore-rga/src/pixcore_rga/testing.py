"""A tiny RGA in the published layout, with random weights."""

from __future__ import annotations

import json
from pathlib import Path

from huggingface_hub import save_torch_state_dict
from pixcore_segtoken.testing import (
    Shapes,
    affine,
    attention_shapes,
    local,
    noise,
    prompt_shapes,
    stack,
    transposed,
)
from pixcore_transformers.testing.tokenizer import tiny_tokenizer

from pixcore_rga.config import Sam2Sizes

TINY_SAM = Sam2Sizes(
    image_size=64,
    embed_dim=8,
    num_heads=1,
    stages=(1, 1, 2, 1),
    global_blocks=(3,),
    windows=(4, 2, 2, 2),
    background=(2, 2),
    prompt_dim=32,
    decoder_mlp_dim=32,
    iou_head_hidden=16,
)
_WIDTH, _INNER, _LAYERS, _HEADS, _KEYS, _PATCH = 32, 48, 2, 4, 2, 4
_SPECIAL = ("<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
_TEMPLATE = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% for turn in messages %}<|im_start|>{{ turn['role'] }}\n"
    "{% for part in turn['content'] %}"
    "{% if part['type'] in ('image', 'video') %}<|vision_start|><|{{ part['type'] }}_pad|><|vision_end|>"
    "{% else %}{{ part['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def write_tiny(folder: Path) -> dict[str, object]:
    """Write the checkpoint, and give the options of an adapter on it."""
    folder.mkdir(parents=True)
    tokenizer = tiny_tokenizer(_SPECIAL)
    tokenizer.eos_token = "<|im_end|>"
    tokenizer.add_tokens("[SEG]")
    tokenizer.chat_template = _TEMPLATE
    tokenizer.save_pretrained(folder)
    ids = dict(tokenizer.get_added_vocab())
    _write(folder / "added_tokens.json", ids)
    processing = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "patch_size": _PATCH,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "min_pixels": 16 * 16,
        "max_pixels": 80 * 80,
    }
    _write(folder / "preprocessor_config.json", processing)
    vision = {
        "depth": 2,
        "hidden_size": 32,
        "intermediate_size": 40,
        "num_heads": 2,
        "patch_size": _PATCH,
        "out_hidden_size": _WIDTH,
        "window_size": 16,
        "fullatt_block_indexes": [1],
        "tokens_per_second": 2,
    }
    language = {
        "hidden_size": _WIDTH,
        "intermediate_size": _INNER,
        "num_hidden_layers": _LAYERS,
        "num_attention_heads": _HEADS,
        "num_key_value_heads": _KEYS,
        "vocab_size": len(tokenizer),
        "rope_theta": 1000000.0,
        "rope_scaling": {"type": "default", "rope_type": "default", "mrope_section": [1, 1, 2]},
    }
    named = {"image_token_id": ids["<|image_pad|>"], "video_token_id": ids["<|video_pad|>"]}
    own = {"seg_token_idx": ids["[SEG]"], "out_dim": TINY_SAM.prompt_dim, "train_mask_decoder": True}
    kind = {"architectures": ["UniGRModel"], "model_type": "qwen2_5_vl", "tie_word_embeddings": False}
    _write(folder / "config.json", {**kind, **language, **named, **own, "vision_config": vision})
    shapes = qwen_shapes(len(tokenizer)) | sam2_shapes(TINY_SAM, "grounding_encoder.sam2_model.")
    shapes |= affine("text_hidden_fcs.0.0", _WIDTH, _WIDTH) | affine("text_hidden_fcs.0.2", TINY_SAM.prompt_dim, _WIDTH)
    tensors = local(noise(shapes, seed=3))
    tensors["lm_head.weight"][ids["[SEG]"]] *= 6  # said about every other time, and hardly ever else
    save_torch_state_dict(tensors, folder, max_shard_size="100KB")
    return {
        "checkpoint": str(folder),
        "max_new_tokens": 12,
        "max_pixels": 48 * 48,
        "sam": TINY_SAM.model_dump(),
    }


def qwen_shapes(vocabulary: int) -> Shapes:
    """List the names and shapes of Qwen2.5-VL as transformers 4.49 stores it."""
    keys = _WIDTH // _HEADS * _KEYS
    shapes: Shapes = {
        "lm_head.weight": (vocabulary, _WIDTH),
        "model.embed_tokens.weight": (vocabulary, _WIDTH),
        "model.norm.weight": (_WIDTH,),
        "visual.patch_embed.proj.weight": (32, 3, 2, _PATCH, _PATCH),
        "visual.merger.ln_q.weight": (32,),
    }
    shapes |= affine("visual.merger.mlp.0", 128, 128) | affine("visual.merger.mlp.2", _WIDTH, 128)
    for layer in range(_LAYERS):
        start = f"model.layers.{layer}."
        shapes |= {
            f"{start}self_attn.o_proj.weight": (_WIDTH, _WIDTH),
            f"{start}mlp.gate_proj.weight": (_INNER, _WIDTH),
            f"{start}mlp.up_proj.weight": (_INNER, _WIDTH),
            f"{start}mlp.down_proj.weight": (_WIDTH, _INNER),
            f"{start}input_layernorm.weight": (_WIDTH,),
            f"{start}post_attention_layernorm.weight": (_WIDTH,),
        }
        for name, made in (("q_proj", _WIDTH), ("k_proj", keys), ("v_proj", keys)):
            shapes |= affine(f"{start}self_attn.{name}", made, _WIDTH)
    for block in range(2):
        start = f"visual.blocks.{block}."
        shapes |= {f"{start}norm{index}.weight": (32,) for index in (1, 2)}
        shapes |= affine(f"{start}attn.qkv", 96, 32) | affine(f"{start}attn.proj", 32, 32)
        for name in ("gate_proj", "up_proj"):
            shapes |= affine(f"{start}mlp.{name}", 40, 32)
        shapes |= affine(f"{start}mlp.down_proj", 32, 40)
    return shapes


def sam2_shapes(sizes: Sam2Sizes, prefix: str) -> Shapes:
    """List the names and shapes of SAM 2 as its own package and RGA's have them; of its memory, some."""
    width = sizes.prompt_dim
    shapes = _trunk(sizes, f"{prefix}image_encoder.trunk.")
    for index in range(4):
        shapes |= affine(f"{prefix}image_encoder.neck.convs.{index}.conv", width, sizes.embed_dim << 3 - index, 1, 1)
    shapes |= prompt_shapes(f"{prefix}sam_prompt_encoder.", width, sizes.mask_in_chans) | _decoder(
        sizes, f"{prefix}sam_mask_decoder."
    )
    shapes |= affine(f"{prefix}memory_attention.norm", width) | affine(
        f"{prefix}memory_encoder.out_proj", 8, width, 1, 1
    )
    shapes |= affine(f"{prefix}mask_downsample", 1, 1, 4, 4) | stack(f"{prefix}obj_ptr_proj.layers.", [width] * 4)
    memory = {"maskmem_tpos_enc": (7, 1, 1, 8), "no_obj_ptr": (1, width)}
    memory |= {"no_mem_embed": (1, 1, width), "no_mem_pos_enc": (1, 1, width)}
    return shapes | {f"{prefix}{name}": shape for name, shape in memory.items()}


def _trunk(sizes: Sam2Sizes, start: str) -> Shapes:
    window = sizes.windows[0]
    shapes: Shapes = {
        f"{start}pos_embed": (1, sizes.embed_dim, *sizes.background),
        f"{start}pos_embed_window": (1, sizes.embed_dim, window, window),
    }
    shapes |= affine(f"{start}patch_embed.proj", sizes.embed_dim, 3, 7, 7)
    given, block = sizes.embed_dim, 0
    for stage, count in enumerate(sizes.stages):
        made = sizes.embed_dim << stage
        for _ in range(count):
            name = f"{start}blocks.{block}."
            shapes |= affine(f"{name}norm1", given) | affine(f"{name}norm2", made)
            shapes |= affine(f"{name}attn.qkv", 3 * made, given) | affine(f"{name}attn.proj", made, made)
            shapes |= stack(f"{name}mlp.layers.", [made, 4 * made, made])
            shapes |= affine(f"{name}proj", made, given) if given != made else {}
            given, block = made, block + 1
    return shapes


def _decoder(sizes: Sam2Sizes, start: str) -> Shapes:
    width = sizes.prompt_dim
    tokens = {"iou_token": 1, "mask_tokens": 4, "obj_score_token": 1}
    shapes: Shapes = {f"{start}{name}.weight": (count, width) for name, count in tokens.items()}
    attentions = {f"{start}transformer.final_attn_token_to_image.": width // 2}
    for layer in range(2):
        block = f"{start}transformer.layers.{layer}."
        for norm in range(1, 5):
            shapes |= affine(f"{block}norm{norm}", width)
        shapes |= stack(f"{block}mlp.layers.", [width, sizes.decoder_mlp_dim, width])
        attentions[f"{block}self_attn."] = width
        for name in ("cross_attn_token_to_image", "cross_attn_image_to_token"):
            attentions[f"{block}{name}."] = width // 2
    shapes |= attention_shapes(attentions, width)
    shapes |= affine(f"{start}transformer.norm_final_attn", width)
    shapes |= transposed(f"{start}output_upscaling.0", width, width // 4)
    shapes |= transposed(f"{start}output_upscaling.3", width // 4, width // 8)
    shapes |= affine(f"{start}output_upscaling.1", width // 4)
    shapes |= affine(f"{start}conv_s0", width // 8, width, 1, 1) | affine(f"{start}conv_s1", width // 4, width, 1, 1)
    for mask in range(4):
        shapes |= stack(f"{start}output_hypernetworks_mlps.{mask}.layers.", [width, width, width, width // 8])
    hidden = sizes.iou_head_hidden
    shapes |= stack(f"{start}iou_prediction_head.layers.", [width, hidden, hidden, 4])
    return shapes | stack(f"{start}pred_obj_score_head.layers.", [width, width, width, 1])


def _write(path: Path, content: dict[str, object]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")
