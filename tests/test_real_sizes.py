"""Every system at its default config, by the shapes of its release: what weights and a long answer take of a card.

No weights are there, and no memory is taken: models are built on the meta device.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
from pixcore_cambrian.towers import Tower, build_tower
from pixcore_cambrian.weights import sizes_of
from pixcore_cambrian.weights import weights_of as cambrian_weights
from pixcore_llava_grounding.checkpoint import segmenter_weights, speaker_weights
from pixcore_llava_grounding.model import Speaker
from pixcore_llava_grounding.openseed import OpenSeed
from pixcore_llava_grounding.sizes import OpenSeedSizes
from pixcore_omg_llava.checkpoint import weights_of as omg_weights
from pixcore_omg_llava.internlm2 import Adapters
from pixcore_omg_llava.sizes import PerceptionSizes
from pixcore_rga.adapter import weights_of as rga_weights
from pixcore_rga.config import Sam2Sizes
from pixcore_rga.model import Sizes as RgaSizes
from pixcore_segtoken.adapter import weights_of as grounded_weights
from pixcore_segtoken.config import SamSizes
from pixcore_segtoken.grounded import GroundedSizes
from pixcore_transformers.config import PlacingConfig
from pixcore_transformers.fitting import Weights, on_meta
from safetensors.torch import save_file
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    Qwen2_5_VLConfig,
)

from pixcore.plugins import Kind, registry

CARD = 23.6
"""GiB that a card of 24 GB gives to one process."""

WORKING = 2.0
"""GiB that one long answer takes beside the weights: keys and values of 2,000 tokens are 1.0 GiB of a Llama 7B, and the
largest activation, SAM's ViT-H in one window of 1,024 pixels, is 0.4 GiB."""

VICUNA = {
    "hidden_size": 4096,
    "intermediate_size": 11008,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "vocab_size": 32000,
}
LLAMA_3 = VICUNA | {"intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 128256}
INTERNLM2 = VICUNA | {"intermediate_size": 14336, "num_key_value_heads": 8, "vocab_size": 92549}


def clip(side: int) -> CLIPVisionConfig:
    """CLIP ViT-L/14."""
    return CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=side,
        patch_size=14,
    )


def llava(text: dict[str, int]) -> Weights:
    config = LlavaConfig(text_config=LlamaConfig(**text | {"vocab_size": 32064}).to_dict(), vision_config=clip(336))
    model = on_meta(partial(LlavaForConditionalGeneration, config))
    return Weights.of(model, towers=("model.vision_tower",), language="")


def grounded(side: int, depth: int, vocabulary: int) -> Weights:
    sizes = GroundedSizes(LlamaConfig(**VICUNA | {"vocab_size": vocabulary}), clip(side), SamSizes(), depth)
    return grounded_weights(sizes)


def omg_llava() -> Weights:
    eye = PerceptionSizes(
        backbone_widths=(192, 384, 768, 1536),
        backbone_depths=(3, 3, 27, 3),
        dim=256,
        heads=8,
        encoder_layers=6,
        encoder_hidden=1024,
        decoder_layers=9,
        decoder_hidden=2048,
        queries=300,
        mask_dim=256,
        class_dim=768,
    )
    return omg_weights(LlamaConfig(**INTERNLM2), Adapters(), "merged", eye)


def llava_grounding() -> Weights:
    seed = OpenSeedSizes(
        embed_dim=192,
        depths=(2, 2, 18, 2),
        swin_heads=(6, 12, 24, 48),
        window=12,
        mlp_ratio=4.0,
        dim=512,
        mask_dim=512,
        text_dim=512,
        levels=4,
        encoder_layers=6,
        encoder_heads=8,
        encoder_hidden=2048,
        decoder_layers=9,
        decoder_heads=8,
        decoder_hidden=2048,
    )
    spoken = speaker_weights(partial(Speaker, LlamaConfig(**VICUNA | {"vocab_size": 32004}), clip(224)))
    return spoken + segmenter_weights(partial(OpenSeed, seed))


def rga() -> Weights:
    """Qwen2.5-VL 7B and SAM 2's Hiera-L."""
    text = {
        "hidden_size": 3584,
        "intermediate_size": 18944,
        "num_hidden_layers": 28,
        "num_attention_heads": 28,
        "num_key_value_heads": 4,
        "vocab_size": 151666,
        "rope_parameters": {"rope_type": "default", "rope_theta": 1e6, "mrope_section": [16, 24, 24]},
    }
    vision = {"hidden_size": 1280, "intermediate_size": 3420, "depth": 32, "num_heads": 16, "out_hidden_size": 3584}
    return rga_weights(RgaSizes(Qwen2_5_VLConfig(text_config=text, vision_config=vision), Sam2Sizes()))


def cambrian(folder: Path) -> Weights:
    stored = LLAMA_3 | {
        "connector_only": False,
        "num_of_vision_sampler_layers": 10,
        "start_of_vision_sampler_layers": 0,
        "stride_of_vision_sampler_layers": 3,
        "mm_vision_tower_aux_token_len_list": [576, 576, 576, 9216],
        "vision_hidden_size": 1024,
        "query_num_list": [576],
        "image_token_len": 576,
        "connector_depth": 3,
        "image_position": 91,
    }
    return cambrian_weights(sizes_of(stored | {"mm_vision_tower_aux_list": []}), towers(folder))


def towers(folder: Path) -> list[Tower]:
    """Cambrian's four towers, of which the last one tells its sizes by a file with a few numbers."""
    configs = {
        "siglip/CLIP-ViT-SO400M-14-384": {
            "model_type": "siglip_vision_model",
            "hidden_size": 1152,
            "intermediate_size": 4304,
            "num_hidden_layers": 27,
            "num_attention_heads": 16,
            "image_size": 384,
            "patch_size": 14,
        },
        "openai/clip-vit-large-patch14-336": clip(336).to_dict(),
        "facebook/dinov2-giant-res378": {
            "model_type": "dinov2",
            "hidden_size": 1536,
            "num_hidden_layers": 40,
            "num_attention_heads": 24,
            "use_swiglu_ffn": True,
            "image_size": 518,
            "patch_size": 14,
        },
        "clip-convnext-XXL-multi-stage": {},
    }
    made = []
    for index, (name, content) in enumerate(configs.items()):
        own = folder / str(index)
        own.mkdir()
        (own / "config.json").write_text(json.dumps(content))
        depths, widths = (3, 4, 30, 3), (384, 768, 1536, 3072)
        gammas = {
            f"visual.trunk.stages.{stage}.blocks.{block}.gamma": torch.zeros(width)
            for stage, (depth, width) in enumerate(zip(depths, widths, strict=True))
            for block in range(depth)
        }
        save_file(gammas, own / "model.safetensors")
        made.append(on_meta(partial(build_tower, name, own, 9216 if not content else 576)))
    return made


def taken(weights: Weights, quantization: str | None = None, *, offload: bool = False) -> float:
    return weights.taken(torch.float16, quantization, offload=offload) / 2**30


@pytest.mark.parametrize(
    ("system", "counted", "needed"),
    [
        (partial(grounded, 224, 1, 32003), 7.70e9, 14.4),  # LISA-7B: Vicuna, CLIP ViT-L, SAM ViT-H
        (partial(grounded, 336, 2, 32007), 7.72e9, 14.4),  # GLaMM-GCG
        (llava_grounding, 7.31e9, 14.1),
        (omg_llava, 8.0e9, 15.3),
        (rga, 8.53e9, 15.9),  # UniGR-7B: Qwen2.5-VL 7B, SAM 2 Hiera-L
        (partial(llava, VICUNA), 7.06e9, 13.2),  # LLaVA-1.5 7B
    ],
    ids=["lisa", "glamm", "llava-grounding", "omg-llava", "rga", "llava-1.5"],
)
def test_a_system_at_its_default_fits_a_card_of_24_gb(
    system: Callable[[], Weights], counted: float, needed: float
) -> None:
    weights = system()
    numbers = weights.layers + weights.other + weights.whole + sum(count for count, _ in weights.towers)
    assert numbers == pytest.approx(counted, rel=0.02)
    assert taken(weights) == pytest.approx(needed, abs=0.3)
    assert taken(weights) + WORKING < CARD


def test_every_system_with_weights_has_the_options_that_make_it_fit() -> None:
    """Whoever reads a checkpoint has a place for it, bits, and towers that wait; none of them is one without effect."""
    have = {}
    for each in registry().all(Kind.MODEL):
        config = each.config_class
        if "checkpoint" in config.model_fields:
            without: frozenset[str] = getattr(config, "without_effect", frozenset())
            have[each.name] = set(PlacingConfig.model_fields) & config.model_fields.keys() - without
    assert set(have) >= {
        "transformers",
        "llava-1.5",
        "cambrian",
        "lisa",
        "glamm",
        "omg-llava",
        "llava-grounding",
        "rga",
        "mini",
    }
    options = {"device_map", "quantization", "offload_towers"}
    small = {"mini-seg": {"quantization"}}  # 17 MB, and what differs from mini is added to whole weights
    assert {name for name, found in have.items() if not options <= found | small.get(name, set())} == set()


def test_cambrian_fits_with_little_to_spare_and_an_option_makes_room(tmp_path: Path) -> None:
    weights = cambrian(tmp_path)
    assert sum(count for count, _ in weights.towers) == pytest.approx(2.7e9, rel=0.1)
    assert taken(weights) + WORKING < CARD
    assert taken(weights, offload=True) < taken(weights) - 2.5


def test_a_13b_needs_an_option_that_is_told() -> None:
    weights = llava(
        VICUNA | {"hidden_size": 5120, "intermediate_size": 13824, "num_hidden_layers": 40, "num_attention_heads": 40}
    )
    assert taken(weights) > CARD
    assert taken(weights, "8bit") + WORKING < CARD
