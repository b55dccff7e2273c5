from __future__ import annotations

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from pixcore_sam.config import SamConfig, SamTransformersConfig
from pixcore_sam.hub import SamTransformers
from pixcore_sam.official import Sam
from pixcore_sam.testing import small_detector, small_vision
from torch.nn.functional import interpolate

from pixcore.errors import ModelError, PluginError
from pixcore.records import Image, PointPrompt
from tests.hub import hub

transformers = pytest.importorskip("transformers")
safetensors = pytest.importorskip("safetensors.torch")

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


def _prompts_and_decoder(side: int, patch: int = 16) -> dict[str, Any]:
    return {
        "prompt_encoder_config": {"hidden_size": 32, "image_size": side, "patch_size": patch, "mask_input_channels": 8},
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


_MEMORY = {
    "memory_attention_num_layers": 1,
    "memory_attention_num_attention_heads": 1,
    "memory_attention_hidden_size": 32,
    "memory_attention_feed_forward_hidden_size": 32,
    "memory_encoder_hidden_size": 32,
    "memory_encoder_output_channels": 16,
    "mask_downsampler_embed_dim": 32,
    "memory_fuser_embed_dim": 32,
    "memory_fuser_intermediate_dim": 32,
}


def sam2_video() -> Any:
    vision = sam2().config.vision_config
    config = transformers.Sam2VideoConfig(vision_config=vision, image_size=256, **_prompts_and_decoder(256), **_MEMORY)
    return transformers.Sam2VideoModel(config)


def edgetam() -> Any:
    pytest.importorskip("timm", reason="EdgeTAM's image encoder is timm's", exc_type=ImportError)
    backbone = {
        "model_type": "timm_wrapper",
        "architecture": "repvit_m1",
        "num_classes": 2,
        "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
    }
    config = transformers.EdgeTamConfig(
        vision_config={
            "backbone_config": backbone,
            "backbone_channel_list": [384, 192, 96, 48],
            "backbone_feature_sizes": [[64, 64], [32, 32], [16, 16]],
            "fpn_hidden_size": 32,
        },
        **_prompts_and_decoder(256),
    )
    return transformers.EdgeTamModel(config)


def sam3_tracker() -> Any:
    return transformers.Sam3TrackerModel(
        transformers.Sam3TrackerConfig(vision_config=small_vision(), **_prompts_and_decoder(112, patch=14))
    )


def sam3_video() -> Any:
    tracker = {"model_type": "sam3_tracker_video", "vision_config": small_vision(), "image_size": 112}
    config = transformers.Sam3VideoConfig(
        detector_config=small_detector().config.to_dict(),
        tracker_config={**tracker, **_prompts_and_decoder(112, patch=14), **_MEMORY},
    )
    return transformers.Sam3VideoModel(config)


MODELS = {"sam_hq": sam_hq, "sam2": sam2, "edgetam": edgetam, "sam3_tracker": sam3_tracker}


@pytest.fixture(scope="module")
def model_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Any, Path]]:
    """A small model of a kind, and the folder where it was saved."""

    @cache
    def make(kind: str) -> tuple[Any, Path]:
        torch.manual_seed(0)
        model = MODELS[kind]().eval()
        folder = tmp_path_factory.mktemp(kind)
        model.save_pretrained(folder)
        (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": [0.4] * 3, "image_std": [0.3] * 3}))
        return model, folder

    return make


@pytest.mark.parametrize("size", [(300, 200), (90, 131), (1, 600)], ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("prompted", ["points", "boxes", "both"])
@pytest.mark.parametrize("kind", MODELS)
def test_other_families_give_what_their_model_gives_in_one_go(kind, prompted, size, model_of, picture):
    """Encoding once and decoding later, in batches, must equal one forward pass from pixels to masks."""
    model, folder = model_of(kind)
    (width, height), side = size, model.config.prompt_encoder_config.image_size
    image = picture(width, height)
    points = torch.tensor([[0.1, 0.2], [0.8, 0.7], [0.5, 0.5]]) * torch.tensor([width, height])
    boxes = torch.tensor([[0.1, 0.1, 0.6, 0.8], [0.5, 0.2, 0.9, 0.9], [0, 0, 1, 1]]) * torch.tensor(size * 2)
    prompts = []
    for point, box in zip(points.numpy(), boxes.tolist(), strict=True):
        placed = point[None] if prompted != "boxes" else np.zeros((0, 2), np.float32)
        prompts.append(PointPrompt(placed, np.ones(len(placed), np.int8), tuple(box) if prompted != "points" else None))
    proposals = SamTransformers(SamTransformersConfig(checkpoint=str(folder))).segment(image, prompts)

    padded = kind == "sam_hq"
    frame = (side, side)
    if padded:
        frame = (max(1, round(side * width / max(size))), max(1, round(side * height / max(size))))
    resized = np.asarray(image.pil().resize(frame, PILImage.Resampling.BILINEAR), np.float32) / 255
    pixels = np.zeros((side, side, 3), np.float32)
    pixels[: frame[1], : frame[0]] = (resized - 0.4) / 0.3
    scale = torch.tensor([frame[0] / width, frame[1] / height])
    given: dict[str, Any] = {}
    if prompted != "boxes":
        given |= {"input_points": (points * scale)[None, :, None], "input_labels": torch.ones(1, 3, 1, dtype=torch.int)}
    if prompted != "points":
        given["input_boxes"] = (boxes * scale.repeat(2))[None]
    with torch.no_grad():
        pixel_values = torch.from_numpy(pixels).permute(2, 0, 1)[None]
        output = model(pixel_values=pixel_values, multimask_output=True, **given)
    low = output.pred_masks[0]
    if padded:
        low = interpolate(low, (side, side), mode="bilinear")[..., : frame[1], : frame[0]]
    masks = interpolate(low, (height, width), mode="bilinear").numpy() > 0
    for proposal, mask, score in zip(proposals, masks, output.iou_scores[0].numpy(), strict=True):
        assert proposal.masks.shape == mask.shape == (3, height, width)
        assert proposal.scores == pytest.approx(score, abs=1e-4)
        assert np.mean(proposal.masks != mask) < 1e-3


@pytest.mark.parametrize("kind", ["sam", *MODELS])
def test_prompts_in_batches_give_the_masks_of_all_at_once(kind, model_of, converted, picture):
    folder = converted if kind == "sam" else model_of(kind)[1]
    image = picture(1600, 1200)
    places = np.random.default_rng(0).integers(0, 1200, (6, 2)).tolist()
    results = []
    for memory in (4096, 8):
        generator = SamTransformers(SamTransformersConfig(checkpoint=str(folder), memory_mb=memory))
        prompts = [PointPrompt.at(place) for place in places]
        results.append(generator.segment(image, prompts))
        batches = list(generator._batches(prompts, generator.encoded(image)))
        assert len(batches) == (generator._workers if memory == 4096 else 6)
    for one, other in zip(*results, strict=True):
        assert np.mean(one.masks != other.masks) < 1e-5  # a matrix product rounds by its shape
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_every_core_decodes_prompts_of_its_own(kind, model_of, converted, picture):
    folder = converted if kind == "sam" else model_of(kind)[1]
    generator = SamTransformers(SamTransformersConfig(checkpoint=str(folder), device="cpu", memory_mb=256))
    prompts = [PointPrompt.at(place) for place in np.random.default_rng(1).integers(0, 1200, (5, 2)).tolist()]
    before, results = torch.get_num_threads(), []
    try:
        for cores in (1, 3):
            torch.set_num_threads(cores)
            assert len(list(generator._batches(prompts, generator.encoded(picture(1600, 1200))))) == cores
            results.append(generator.segment(picture(1600, 1200), prompts))
            assert torch.get_num_threads() == cores
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        assert np.mean(one.masks != other.masks) < 1e-5
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_memory_is_what_the_config_says_and_little_on_a_cpu_that_was_not_told(model_of, picture):
    image = picture(1600, 1200)
    prompts = [PointPrompt.at((index, index)) for index in range(12)]

    def largest(**options: int) -> int:
        config = SamTransformersConfig(checkpoint=str(model_of("sam2")[1]), device="cpu", **options)
        generator = SamTransformers(config)
        return max(len(batch.indices) for batch in generator._batches(prompts, generator.encoded(image)))

    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        assert (largest(memory_mb=8), largest(memory_mb=59), largest(memory_mb=1024)) == (1, 2, 12)
        assert 2 < largest() == largest(memory_mb=64) < 12
    finally:
        torch.set_num_threads(before)


def test_a_video_checkpoint_gives_its_image_model_without_a_warning(tmp_path, picture, capfd):
    torch.manual_seed(0)
    video, image_model = sam2_video().eval(), sam2()
    image_model.load_state_dict({name: video.state_dict()[name] for name in image_model.state_dict()})
    prompt = [PointPrompt.at((30, 20))]
    found = []
    for name, model in (("video", video), ("image", image_model)):
        model.save_pretrained(tmp_path / name)
        capfd.readouterr()
        generator = SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path / name)))
        assert "can yield errors" not in capfd.readouterr().err
        found += generator.segment(picture(64, 48), prompt)
    assert np.array_equal(found[0].masks, found[1].masks)
    assert np.array_equal(found[0].scores, found[1].scores)


def without(folder: Path, copy: Path, name: str) -> Path:
    """A copy of a checkpoint in which one tensor is missing."""
    shutil.copytree(folder, copy)
    state = safetensors.load_file(folder / "model.safetensors")
    del state[name]
    safetensors.save_file(state, copy / "model.safetensors", metadata={"format": "pt"})
    return copy


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("sam", "mask_decoder.mask_tokens.weight"),
        ("sam_hq", "mask_decoder.hq_token.weight"),
        ("sam2", "no_memory_embedding"),
        ("sam3_tracker", "tracker_model.mask_decoder.iou_token.weight"),
    ],
)
def test_a_checkpoint_that_lacks_a_weight_is_refused(kind, name, model_of, converted, tmp_path, capfd):
    folder = converted if kind == "sam" else model_of(kind)[1]
    capfd.readouterr()
    with pytest.raises(ModelError, match=f"lacks 1 of .*'s weights: {name.removeprefix('tracker_model.')}"):
        SamTransformers(SamTransformersConfig(checkpoint=str(without(folder, tmp_path / "copy", name))))
    assert "MISSING" not in capfd.readouterr().err  # transformers' own table, many lines long


def test_a_shared_embedding_may_stand_in_either_place_or_both(converted, tmp_path, picture):
    """Released checkpoints of SAM have it twice, those that transformers saves once."""
    name, twin = "shared_image_embedding.positional_embedding", "prompt_encoder.shared_embedding.positional_embedding"
    state = safetensors.load_file(converted / "model.safetensors")
    assert twin not in state
    image, prompt = picture(64, 48), [PointPrompt.at((30, 20))]
    (expected,) = SamTransformers(SamTransformersConfig(checkpoint=str(converted))).segment(image, prompt)
    embedding = state.pop(name)
    for case, names in (("both", (name, twin)), ("other", (twin,))):
        shutil.copytree(converted, tmp_path / case)
        there = state | {key: embedding.clone() for key in names}
        safetensors.save_file(there, tmp_path / case / "model.safetensors", metadata={"format": "pt"})
        (found,) = SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path / case))).segment(image, prompt)
        assert np.array_equal(found.masks, expected.masks)


def test_sam_3_without_its_tracker_is_refused(tmp_path):
    small_detector().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match=r"lacks \d+ of Sam3TrackerModel's weights.*facebook/sam3 has its tracker"):
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))


def test_sam_3s_tracker_is_found_in_the_released_layout_alone(tmp_path):
    """What is released has detector and tracker side by side; what transformers saves of the two has other names."""
    torch.manual_seed(0)
    model = sam3_video()
    model.save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="facebook/sam3 has its tracker"):
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))
    saved = safetensors.load_file(tmp_path / "model.safetensors")
    released = {name.replace("tracker_model.tracker_model.", "tracker_model."): each for name, each in saved.items()}
    safetensors.save_file(released, tmp_path / "model.safetensors", metadata={"format": "pt"})
    loaded = SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))._model
    for ours, theirs in [
        (loaded.mask_decoder, model.tracker_model.mask_decoder),
        (loaded.prompt_encoder, model.tracker_model.prompt_encoder),
        (loaded.vision_encoder.backbone, model.detector_model.vision_encoder.backbone),
        (loaded.vision_encoder.neck, model.tracker_neck),
    ]:
        for name, values in ours.state_dict().items():
            assert torch.equal(values, theirs.state_dict()[name]), name


def test_edgetam_without_timm_says_what_to_install(tmp_path):
    if importlib.util.find_spec("timm") is not None:
        pytest.skip("timm is installed")
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "edgetam"}))
    safetensors.save_file({"nothing": torch.zeros(1)}, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(PluginError, match=r'EdgeTAM.*needs timm and torchvision.*pip install "pixcore-sam\[edgetam\]"'):
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))


def test_a_torchvision_that_does_not_fit_gives_the_fix(converted, tmp_path):
    """transformers imports torchvision where it is installed, and says nothing useful where that fails."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    (tmp_path / "torchvision-0.1.dist-info").mkdir()
    (tmp_path / "torchvision-0.1.dist-info" / "METADATA").write_text("Name: torchvision\nVersion: 0.1\n")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from pixcore.errors import PluginError\n"
        "from pixcore_sam.config import SamTransformersConfig\n"
        "from pixcore_sam.hub import SamTransformers\n"
        f"try:\n    SamTransformers(SamTransformersConfig(checkpoint={str(converted)!r}))\n"
        "except PluginError as error:\n    print(error)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "the installed torchvision does not fit torch" in result.stdout, result.stderr
    assert "pip install torch and torchvision together from one index" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("kind", ["sam", *MODELS])
def test_what_can_not_fit_is_refused_before_it_is_downloaded(kind, model_of, converted, tmp_path):
    folder = Path(shutil.copytree(converted if kind == "sam" else model_of(kind)[1], tmp_path / "copy"))
    config = json.loads((folder / "config.json").read_text())
    (config.get("tracker_config") or config)["mask_decoder_config"]["mlp_dim"] = 10**10
    (folder / "config.json").write_text(json.dumps(config))
    with hub(tmp_path / "cache") as server:
        name = server.serve(folder)
        with pytest.raises(ModelError) as refused:
            SamTransformers(SamTransformersConfig(checkpoint=name, device="cpu"))
    needed = re.fullmatch(
        rf"{name} needs ([\d.]+) GiB of this machine's memory for its weights in float32, [\d.]+ GiB are free",
        refused.value.message,
    )
    assert needed is not None, refused.value
    assert float(needed[1]) > 1000
    assert "a smaller one fits: facebook/sam" in refused.value.hint or "free some memory" in refused.value.hint
    assert {Path(file).name for file in server.sent} <= {"config.json"}


@pytest.mark.parametrize(("kind", "layers"), [("sam", 2 * 10**9), ("sam2", [2 * 10**9])])
def test_two_billion_layers_are_not_built(kind, layers, model_of, converted, tmp_path):
    folder = converted if kind == "sam" else model_of(kind)[1]
    config = json.loads((folder / "config.json").read_text())
    vision = config["vision_config"]
    if kind == "sam":
        vision["num_hidden_layers"] = layers
    else:
        vision["backbone_config"]["blocks_per_stage"] = layers
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match=r"config\.json of .* has 2000000000 layers"):
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_a_checkpoint_from_the_hub_gives_its_folders_masks(kind, model_of, converted, tmp_path, picture):
    folder = converted if kind == "sam" else model_of(kind)[1]
    image, prompts = picture(90, 61), prompts_for(90, 61)
    expected = SamTransformers(SamTransformersConfig(checkpoint=str(folder))).segment(image, prompts)
    with hub(tmp_path / "cache") as server:
        found = SamTransformers(SamTransformersConfig(checkpoint=server.serve(folder))).segment(image, prompts)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one.masks, other.masks)


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
    with pytest.raises(ModelError, match=r"has no config\.json that names a model_type"):
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "bert"}))
    with pytest.raises(ModelError, match="is a 'bert', no SAM"):
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))


@pytest.mark.parametrize("absent", [(), ("model.safetensors",), ("model.safetensors", "config.json")], ids=len)
def test_an_adapter_is_not_put_on_by_half_nor_left_off_in_silence(absent, converted, tmp_path):
    """transformers would put it on where peft is installed; what prompts share is read off the bare weights."""
    shutil.copytree(converted, tmp_path / "tuned", ignore=shutil.ignore_patterns(*absent))
    (tmp_path / "tuned" / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2}))
    with pytest.raises(ModelError, match="holds a LoRA adapter, no whole model") as error:
        SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path / "tuned")))
    assert "merge_and_unload" in str(error.value)


@pytest.mark.parametrize("mean", [None, [0.5]], ids=str)
def test_a_mean_that_is_none_is_a_damaged_file(mean, converted, tmp_path):
    folder = shutil.copytree(converted, tmp_path / "copy")
    (folder / "preprocessor_config.json").write_text(json.dumps({"image_mean": mean, "image_std": mean}))
    with pytest.raises(ModelError, match="can't load"):
        SamTransformers(SamTransformersConfig(checkpoint=str(folder), device="cpu"))


@pytest.mark.parametrize("device", ["gpu", "cuda:63"])
def test_a_device_that_is_not_there_is_named(device, converted):
    with pytest.raises(ModelError, match=f"device '{device}'") as error:
        SamTransformers(SamTransformersConfig(checkpoint=str(converted), device=device))
    assert error.value.hint == "auto, cpu, cuda or cuda:1"


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


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_a_decoder_of_few_tokens_gives_transformers_own_logits_inside_the_picture(converted, picture, size):
    generator = SamTransformers(SamTransformersConfig(checkpoint=str(converted), device="cpu"))
    encoded = generator.encoded(picture(*size))
    with torch.inference_mode():
        prepared = generator._prepared(encoded.features, encoded)
        for batch in generator._batches(prompts_for(*size), encoded):
            logits, scores = generator._decode(prepared, batch)
            expected = generator._model(
                image_embeddings=encoded.features[0],
                input_points=batch.points[None] if batch.points is not None else None,
                input_labels=batch.labels[None] if batch.labels is not None else None,
                input_boxes=batch.boxes[None] if batch.boxes is not None else None,
                multimask_output=True,
            )
            rows, columns = (min(32, -(-length // 8) + 4) for length in encoded.frame)
            assert logits.shape[2] <= rows
            assert logits.shape[3] <= columns
            whole = expected.pred_masks[0]
            inside = whole[..., : logits.shape[2], : logits.shape[3]]
            torch.testing.assert_close(logits, inside, rtol=1e-4, atol=1e-5 * float(whole.abs().max()))
            torch.testing.assert_close(scores, expected.iou_scores[0], rtol=1e-4, atol=1e-4)
            shown = generator._restore(logits, encoded)
            padded = interpolate(whole, generator._side, mode="bilinear", align_corners=False)
            cut = padded[..., : encoded.frame[0], : encoded.frame[1]]
            restored = interpolate(cut, encoded.size, mode="bilinear", align_corners=False)
            torch.testing.assert_close(shown, restored, rtol=1e-3, atol=1e-4 * float(whole.abs().max()))


def test_a_last_attention_of_another_width_is_decoded_by_transformers_itself(tmp_path, picture):
    torch.manual_seed(0)
    small = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 32, "image_size": 256}
    config = transformers.SamConfig(
        vision_config={**small, "global_attn_indexes": [0], "output_channels": 32, "num_pos_feats": 16},
        prompt_encoder_config={"hidden_size": 32, "image_size": 256, "image_embedding_size": 16},
        mask_decoder_config={
            "hidden_size": 32,
            "mlp_dim": 32,
            "attention_downsample_rate": 1,
            "iou_head_hidden_dim": 32,
        },
    )
    transformers.SamModel(config).save_pretrained(tmp_path)
    generator = SamTransformers(SamTransformersConfig(checkpoint=str(tmp_path)))
    assert generator.segment(picture(90, 60), [PointPrompt.at((5, 6))])[0].masks.shape == (3, 60, 90)


@pytest.mark.parametrize("kind", ["sam", "sam2"])
def test_a_kernel_that_a_config_names_is_not_asked_for(kind, model_of, converted, tmp_path, picture):
    source = converted if kind == "sam" else model_of(kind)[1]
    folder = tmp_path / "named"
    shutil.copytree(source, folder)
    stored = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    stored |= {"_attn_implementation": "flash_attention_2", "attn_implementation": "flash_attention_2"}
    (folder / "config.json").write_text(json.dumps(stored), encoding="utf-8")
    prompts = [PointPrompt.at((20, 30))]
    results = [
        SamTransformers(SamTransformersConfig(checkpoint=str(one), device="cpu")).segment(picture(90, 60), prompts)
        for one in (source, folder)
    ]
    for one, other in zip(*results, strict=True):
        assert np.array_equal(one.masks, other.masks)
