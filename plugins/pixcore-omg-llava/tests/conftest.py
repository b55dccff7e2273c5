"""A tiny OMG-LLaVA in the layout of its release: three files, and InternLM2 in a folder of its own."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import pytest
import sentencepiece
import torch
from pixcore_segtoken.testing import affine, noise, write_shards, write_tokenizer
from torch import Tensor

Shapes = dict[str, tuple[int, ...]]

DIM, HEADS, QUERIES, CLASS_DIM = 32, 4, 12, 16
WIDTHS, DEPTHS = (8, 16, 24, 32), (1, 1, 2, 1)
HIDDEN, INNER, LAYERS, LLM_HEADS, KV_HEADS, RANK = 32, 48, 2, 8, 2, 4
INTERNLM_TOKENS = ("<|im_end|>", "<|im_start|>")


def backbone_shapes() -> Shapes:
    """ConvNeXt as OMG-Seg names it."""
    start = "backbone."
    shapes = affine(f"{start}stem.0", WIDTHS[0], 3, 4, 4) | affine(f"{start}stem.1", WIDTHS[0])
    for stage, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True), 1):
        layer = f"{start}layer{stage}."
        if stage > 1:
            before = WIDTHS[stage - 2]
            shapes |= affine(f"{layer}downsample.0", before) | affine(f"{layer}downsample.1", width, before, 2, 2)
        for block in (f"{layer}blocks.{index}." for index in range(depth)):
            shapes |= {f"{block}gamma": (width,)} | affine(f"{block}conv_dw", width, 1, 7, 7)
            shapes |= affine(f"{block}norm", width) | affine(f"{block}mlp.fc1", 4 * width, width)
            shapes |= affine(f"{block}mlp.fc2", width, 4 * width)
    return shapes | affine(f"{start}head.0.norm", WIDTHS[-1])


def head_shapes() -> Shapes:
    """mmdet's pixel decoder and query decoder, and what OMG-Seg puts around them."""
    head = "panoptic_head."
    pixel = f"{head}pixel_decoder."
    shapes: Shapes = {f"{pixel}level_encoding.weight": (3, DIM), f"{pixel}lateral_convs.0.conv.weight": (DIM, 8, 1, 1)}
    for index, width in enumerate(reversed(WIDTHS[1:])):
        shapes |= affine(f"{pixel}input_convs.{index}.conv", DIM, width, 1, 1)
        shapes |= affine(f"{pixel}input_convs.{index}.gn", DIM)
    for layer in (f"{pixel}encoder.layers.{index}." for index in range(2)):
        shapes |= affine(f"{layer}self_attn.sampling_offsets", HEADS * 3 * 4 * 2, DIM)
        shapes |= affine(f"{layer}self_attn.attention_weights", HEADS * 3 * 4, DIM)
        shapes |= affine(f"{layer}self_attn.value_proj", DIM, DIM) | affine(f"{layer}self_attn.output_proj", DIM, DIM)
        shapes |= affine(f"{layer}ffn.layers.0.0", 40, DIM) | affine(f"{layer}ffn.layers.1", DIM, 40)
        shapes |= affine(f"{layer}norms.0", DIM) | affine(f"{layer}norms.1", DIM)
    shapes |= affine(f"{pixel}lateral_convs.0.gn", DIM) | affine(f"{pixel}output_convs.0.gn", DIM)
    shapes |= {f"{pixel}output_convs.0.conv.weight": (DIM, DIM, 3, 3)}
    shapes |= affine(f"{pixel}mask_feature", DIM, DIM, 1, 1)
    for layer in (f"{head}transformer_decoder.layers.{index}." for index in range(3)):
        for attention in (f"{layer}cross_attn.attn.", f"{layer}self_attn.attn."):
            shapes |= {f"{attention}in_proj_weight": (3 * DIM, DIM), f"{attention}in_proj_bias": (3 * DIM,)}
            shapes |= affine(f"{attention}out_proj", DIM, DIM)
        shapes |= affine(f"{layer}ffn.layers.0.0", 40, DIM) | affine(f"{layer}ffn.layers.1", DIM, 40)
        for index in range(3):
            shapes |= affine(f"{layer}norms.{index}", DIM)
    shapes |= affine(f"{head}transformer_decoder.post_norm", DIM)
    for name, rows in (("query_embed", QUERIES), ("query_feat", QUERIES), ("level_embed", 3)):
        shapes |= {f"{head}{name}.weight": (rows, DIM)}
    for name, made in (("mask_embed", DIM), ("iou_embed", 1), ("cls_proj", CLASS_DIM)):
        for index, out in ((0, DIM), (2, DIM), (4, made)):
            shapes |= affine(f"{head}{name}.{index}", out, DIM)
    shapes |= affine(f"{head}mask_pooling_proj.0", DIM) | affine(f"{head}mask_pooling_proj.1", DIM, DIM)
    return shapes | {f"{head}mask_tokens.weight": (1, DIM)} | affine(f"{head}pos_linear", DIM, 2 * DIM)


def language_shapes(vocabulary: int) -> Shapes:
    """InternLM2 as its checkpoint on the hub names it."""
    grouped = (LLM_HEADS + 2 * KV_HEADS) * (HIDDEN // LLM_HEADS)
    shapes: Shapes = {
        "model.tok_embeddings.weight": (vocabulary, HIDDEN),
        "model.norm.weight": (HIDDEN,),
        "output.weight": (vocabulary, HIDDEN),
    }
    for layer in (f"model.layers.{index}." for index in range(LAYERS)):
        shapes |= {
            f"{layer}attention.wqkv.weight": (grouped, HIDDEN),
            f"{layer}attention.wo.weight": (HIDDEN, HIDDEN),
            f"{layer}feed_forward.w1.weight": (INNER, HIDDEN),
            f"{layer}feed_forward.w3.weight": (INNER, HIDDEN),
            f"{layer}feed_forward.w2.weight": (HIDDEN, INNER),
            f"{layer}attention_norm.weight": (HIDDEN,),
            f"{layer}ffn_norm.weight": (HIDDEN,),
        }
    return shapes


def finetuned_shapes(vocabulary: int) -> Shapes:
    """The fine-tuned file: adapters, embeddings and output in full, both projectors."""
    shapes: Shapes = {}
    for name, shape in language_shapes(vocabulary).items():
        official = f"llm.base_model.model.{name.removesuffix('.weight')}"
        if name.startswith("output"):
            shapes[f"{official}.base_layer.weight"] = shape
        elif "tok_embeddings" in name:
            shapes[f"{official}.weight"] = shape
        if not ("norm" in name or "tok_embeddings" in name):
            shapes[f"{official}.lora_A.weight"] = (RANK, shape[1])
            shapes[f"{official}.lora_B.weight"] = (shape[0], RANK)
    tokens = 4 * WIDTHS[-1]
    shapes |= affine("projector.model.query_proj", tokens, 2 * DIM)
    shapes |= affine("projector.model.model.0", HIDDEN, tokens) | affine("projector.model.model.2", HIDDEN, HIDDEN)
    shapes |= affine("projector.model.model_feat.0", HIDDEN, tokens + 2 * DIM)
    shapes |= affine("projector.model.model_feat.2", HIDDEN, HIDDEN)
    shapes |= {"projector.model.seperate_embed.weight": (1, HIDDEN)}
    shapes |= affine("projector_text2vision.model.0", 2 * DIM, HIDDEN)
    return shapes | affine("projector_text2vision.model.2", 2 * DIM, 2 * DIM)


@dataclass(frozen=True)
class Release:
    """Where the tiny release lies, and what is in it."""

    folder: Path
    language: Path
    seg: int
    base: dict[str, Tensor]
    finetuned: dict[str, Tensor]

    def options(self) -> dict[str, object]:
        """Config of an adapter on it."""
        return {
            "checkpoint": str(self.folder),
            "language": str(self.language),
            "clip": str(self.folder),
            "image_size": 256,
            "max_new_tokens": 12,
        }


def write_release(root: Path, *, backbone: bool = True) -> Release:
    """Write everything; without `backbone`, ConvNeXt goes to open_clip's own file in a folder `clip`."""
    folder, language = root / "omg", root / "internlm2"
    folder.mkdir()
    language.mkdir()
    added = write_tokenizer(language, INTERNLM_TOKENS)
    (language / "added_tokens.json").unlink()
    listed = {str(index): {"content": name} for name, index in added.items()} | {"1": {"content": "<s>"}}
    (language / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": listed}))
    vocabulary = max(added.values()) + 1
    config = {
        "model_type": "internlm2",
        "vocab_size": vocabulary,
        "hidden_size": HIDDEN,
        "intermediate_size": INNER,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": LLM_HEADS,
        "num_key_value_heads": KV_HEADS,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1000000,
        "rope_scaling": {"type": "dynamic", "factor": 2.0},
        "max_position_embeddings": 4096,
        "hidden_act": "silu",
    }
    (language / "config.json").write_text(json.dumps(config))
    base = noise(language_shapes(vocabulary), seed=1)
    write_shards(language, base)
    # [SEG], <p>, </p> and <region> follow; <mark> is added after the embeddings have been enlarged.
    finetuned = noise(finetuned_shapes(vocabulary + 4), seed=2)
    # Random heads hardly ever say [SEG]; a longer row is said about every other time.
    finetuned["llm.base_model.model.output.base_layer.weight"][vocabulary] *= 6
    torch.save({"state_dict": finetuned}, folder / "omg_llava_7b_finetune_8gpus.pth")
    eye = noise(head_shapes(), seed=3)
    # About zero on average, so that random masks are neither empty nor full.
    feature = "panoptic_head.pixel_decoder.mask_feature"
    eye[f"{feature}.bias"] = -0.45 * eye[f"{feature}.weight"].sum((1, 2, 3))
    convnext = noise(backbone_shapes(), seed=4)
    for name, tensor in convnext.items():
        # Blocks add little to what they are given, as in a trained network: a token then sees its own place best.
        if name.endswith("gamma"):
            tensor *= 0.05
    if backbone:
        eye |= convnext
    else:
        save_open_clip(convnext, root / "clip")
    torch.save({"state_dict": eye}, folder / "omg_seg_convl.pth")
    embeddings = torch.randn(7, 3, CLASS_DIM, generator=torch.Generator().manual_seed(5))
    torch.save(
        torch.nn.functional.normalize(embeddings, dim=-1), folder / "convnext_large_d_320_CocoPanopticOVDataset.pth"
    )
    return Release(folder, language, vocabulary, base, finetuned)


def save_open_clip(convnext: dict[str, Tensor], folder: Path) -> None:
    """ConvNeXt under open_clip's names, with a little of the text side."""
    folder.mkdir()
    named = {"logit_scale": torch.zeros(()), "text.token_embedding.weight": torch.zeros(4, 4)}
    for name, tensor in convnext.items():
        _, stage, *rest = name.split(".")
        if stage.startswith("layer"):
            named[".".join(["visual", "trunk", "stages", str(int(stage[-1]) - 1), *rest])] = tensor
        elif stage == "stem":
            named[".".join(["visual", "trunk", "stem", *rest])] = tensor
    torch.save(named, folder / "open_clip_pytorch_model.bin")


@pytest.fixture(scope="session")
def release(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return write_release(tmp_path_factory.mktemp("omg"))


@pytest.fixture(scope="session")
def release_without_backbone(tmp_path_factory: pytest.TempPathFactory) -> Release:
    return write_release(tmp_path_factory.mktemp("omg-clip"), backbone=False)


@pytest.fixture(scope="session", params=[False, True], ids=["no prefix", "prefix"])
def internlm_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tokenizer whose model writes a space before each text, and one whose model does not."""
    folder = tmp_path_factory.mktemp("tokenizer")
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(["Sure, it is the dog. Is it red? user assistant", "Yes, there are two."]),
        model_writer=model,
        vocab_size=300,
        byte_fallback=True,
        model_type="bpe",
        hard_vocab_limit=False,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        add_dummy_prefix=request.param,
        num_threads=1,
        minloglevel=2,
    )
    (folder / "tokenizer.model").write_bytes(model.getvalue())
    size = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).vocab_size()
    listed = {str(size + index): {"content": name} for index, name in enumerate(INTERNLM_TOKENS)}
    (folder / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": listed}))
    return folder
