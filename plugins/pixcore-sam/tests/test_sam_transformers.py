from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_sam.config import SamConfig, SamTransformersConfig
from pixcore_sam.hub import SamTransformers
from pixcore_sam.official import Sam

from pixcore.errors import ModelError
from pixcore.records import Image, PointPrompt

transformers = pytest.importorskip("transformers")

SIZES = [(256, 256), (300, 200), (200, 300), (90, 61), (640, 480), (1, 600), (600, 1)]


def prompts_for(width: int, height: int) -> list[PointPrompt]:
    rng = np.random.default_rng(width + height)
    points = np.stack([rng.integers(width, size=8), rng.integers(height, size=8)], 1).astype(np.float32)
    box = (width * 0.2, height * 0.3, width * 0.7, height * 0.8)
    return [
        *(PointPrompt.at(point) for point in points),
        PointPrompt(points[:3], np.array([1, 0, 1], np.int8)),
        PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), box),
        PointPrompt(points[:1], np.ones(1, np.int8), box),
    ]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_converted_weights_give_the_official_masks(checkpoint, converted, picture, size):
    image, prompts = picture(*size), prompts_for(*size)
    official = Sam(SamConfig(checkpoint=checkpoint)).segment(image, prompts)
    ours = SamTransformers(SamTransformersConfig(checkpoint=str(converted))).segment(image, prompts)
    for one, other in zip(official, ours, strict=True):
        assert min(overlap(a, b) for a, b in zip(one.masks, other.masks, strict=True)) > 0.999
        assert other.scores == pytest.approx(one.scores, abs=1e-3)
        assert other.stability == pytest.approx(one.stability, abs=1e-3)


def sam_hq() -> Any:
    config = transformers.SamHQConfig(
        vision_config={
            "image_size": 256,
            "patch_size": 32,
            "hidden_size": 32,
            "num_hidden_layers": 3,
            "num_attention_heads": 2,
            "mlp_dim": 64,
            "global_attn_indexes": [0, 2],
            "window_size": 3,
            "output_channels": 32,
            "num_pos_feats": 16,
        },
        prompt_encoder_config={"hidden_size": 32, "image_size": 256, "patch_size": 32, "image_embedding_size": 8},
        mask_decoder_config={"hidden_size": 32, "mlp_dim": 64, "iou_head_hidden_dim": 32, "vit_dim": 32},
    )
    return transformers.SamHQModel(config)


def _prompts_and_decoder(side: int) -> dict[str, Any]:
    return {
        "prompt_encoder_config": {"hidden_size": 32, "image_size": side, "patch_size": 16, "mask_input_channels": 8},
        "mask_decoder_config": {"hidden_size": 32, "mlp_dim": 64, "iou_head_hidden_dim": 32, "num_attention_heads": 4},
    }


def sam2() -> Any:
    backbone = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": 16,
        "num_attention_heads": 1,
        "image_size": [256, 256],
        "window_positional_embedding_background_size": [7, 7],
        "blocks_per_stage": [1, 1, 2, 1],
        "embed_dim_per_stage": [16, 32, 48, 64],
        "num_attention_heads_per_stage": [1, 2, 2, 4],
        "window_size_per_stage": [4, 4, 4, 4],
        "global_attention_blocks": [3],
    }
    config = transformers.Sam2Config(
        vision_config={
            "backbone_config": backbone,
            "backbone_channel_list": [64, 48, 32, 16],
            "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
            "fpn_hidden_size": 32,
        },
        **_prompts_and_decoder(256),
    )
    return transformers.Sam2Model(config)


MODELS = {"sam_hq": sam_hq, "sam2": sam2}


@pytest.mark.parametrize("kind", MODELS)
def test_other_families_give_what_their_model_gives_in_one_go(kind, tmp_path, picture):
    """Encoding once and decoding later, in batches, must equal one forward pass from pixels to masks."""
    torch.manual_seed(0)
    model = MODELS[kind]().eval()
    model.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.4] * 3, "image_std": [0.3] * 3}))
    generator = SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))
    image = picture(300, 200)
    points = [(20.0, 30.0), (250.0, 150.0), (150.0, 100.0)]
    proposals = generator.segment(image, [PointPrompt.at(point) for point in points])

    from PIL import Image as PILImage

    frame = (256, 171) if kind == "sam_hq" else (256, 256)
    resized = np.asarray(image.pil().resize(frame, PILImage.Resampling.BILINEAR), np.float32) / 255
    pixels = np.zeros((256, 256, 3), np.float32)
    pixels[: frame[1]] = (resized - 0.4) / 0.3
    moved = torch.tensor(points) * torch.tensor([frame[0] / 300, frame[1] / 200])
    with torch.no_grad():
        output = model(
            pixel_values=torch.from_numpy(pixels).permute(2, 0, 1)[None],
            input_points=moved[None, :, None],
            input_labels=torch.ones(1, 3, 1, dtype=torch.int),
            multimask_output=True,
        )
    scores = output.iou_scores[0].numpy()
    low = output.pred_masks[0]
    if kind == "sam_hq":
        low = torch.nn.functional.interpolate(low, (256, 256), mode="bilinear")[..., : frame[1], :]
    masks = torch.nn.functional.interpolate(low, (200, 300), mode="bilinear").numpy() > 0
    for proposal, mask, score in zip(proposals, masks, scores, strict=True):
        assert proposal.masks.shape == mask.shape
        assert proposal.scores == pytest.approx(score, abs=1e-4)
        assert min(overlap(a, b) for a, b in zip(proposal.masks, mask, strict=True)) > 0.999


def test_an_image_is_encoded_once(converted, picture):
    generator = SamTransformers(SamTransformersConfig(checkpoint=str(converted)))
    calls = []
    generator._model.vision_encoder.register_forward_hook(lambda *_: calls.append(1))
    generator.segment(picture(77, 33), [PointPrompt.at((1, 1))])
    generator.segment(picture(77, 33), [PointPrompt.at((2, 2)), PointPrompt.at((3, 3))])
    assert len(calls) == 1


def test_a_missing_checkpoint_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="can't find the checkpoint"):
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path / "nowhere")))


def test_a_checkpoint_of_something_else_is_told_apart(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="is a 'bert', no SAM"):
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))


def test_an_unknown_device_is_named(converted):
    with pytest.raises(ModelError, match="device 'gpu'"):
        SamTransformers(SamTransformersConfig(checkpoint=str(converted), device="gpu"))


def test_fingerprints(converted, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    weights, precision = SamTransformersConfig(checkpoint=str(converted), device="cpu").fingerprint().split()
    assert (len(weights), precision) == (64, "float32")
    assert SamTransformersConfig(checkpoint="a/b", revision="v1", device="cpu").fingerprint() == "v1 float32"
    refs = tmp_path / "models--a--b" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text("0123\n")
    assert SamTransformersConfig(checkpoint="a/b", precision="float16").fingerprint() == "0123 float16"


def test_the_plugin_and_its_configs_do_not_import_torch():
    code = (
        "import sys, pixcore_sam.plugin, pixcore_sam.config as config\n"
        "config.SamTransformersConfig()\n"
        "config.SamTransformersConfig(device='cpu').fingerprint()\n"
        "config.SamTransformersConfig(precision='bfloat16').fingerprint()\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_png_and_array_of_one_picture_are_two_contents_but_one_result(converted, tmp_path, picture):
    """The cache goes by bytes; what is in them decides the masks."""
    image = picture(64, 48)
    image.pil().save(tmp_path / "other.bmp")
    generator = SamTransformers(SamTransformersConfig(checkpoint=str(converted)))
    prompt = [PointPrompt.at((30, 20))]
    (one,) = generator.segment(image, prompt)
    (other,) = generator.segment(Image.from_path(Path(tmp_path / "other.bmp")), prompt)
    assert np.array_equal(one.masks, other.masks)
