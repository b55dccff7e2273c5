from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from pixcore_sam.config import SamConfig
from pixcore_sam.generator import Promptable, _encoded, _threshold, fitted, resized
from pixcore_sam.official import Sam, _build, modeling
from pixcore_sam.testing import save_small_sam

from pixcore.errors import ModelError, PluginError
from pixcore.records import Image, PointPrompt

GOLDENS = Path(__file__).resolve().parents[3] / "../shared/data/goldens/attend-and-segment"
SIZES = [(256, 256), (300, 200), (200, 300), (640, 480), (90, 61), (1000, 40)]


def prompts_for(width: int, height: int) -> list[PointPrompt]:
    """One point, several with a negative one, a box, and a box with a point; some of each."""
    rng = np.random.default_rng(width * height)

    def places(count: int) -> np.ndarray:
        return np.stack([rng.integers(width, size=count), rng.integers(height, size=count)], 1).astype(np.float32)

    prompts = []
    for _ in range(3):
        prompts.append(PointPrompt.at(*places(1)))
        prompts.append(PointPrompt(places(3), np.array([1, 1, 0], np.int8)))
        (x0, y0), (x1, y1) = np.sort(places(2), axis=0).tolist()
        box = (x0, y0, x1 + 1, y1 + 1)
        prompts.append(PointPrompt(np.zeros((0, 2), np.float32), np.zeros(0, np.int8), box))
        prompts.append(PointPrompt(places(1), np.ones(1, np.int8), box))
    return prompts


def alike(prompts: list[PointPrompt]) -> list[list[int]]:
    kinds: dict[tuple[int, bool], list[int]] = {}
    for index, prompt in enumerate(prompts):
        kinds.setdefault((len(prompt.points), prompt.box is not None), []).append(index)
    return list(kinds.values())


def batch_sizes(generator: Promptable[Any], image: Image, prompts: list[PointPrompt]) -> list[int]:
    return [len(batch.indices) for batch in generator._batches(prompts, generator.encoded(image))]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    union = (one | other).sum()
    return float((one & other).sum() / union) if union else 1.0


@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def test_masks_and_scores_are_predict_torchs(official, make_official, checkpoint, picture, size):
    width, height = size
    image, prompts = picture(width, height), prompts_for(width, height)
    generator = Sam(SamConfig(checkpoint=checkpoint))
    proposals = generator.segment(image, prompts)
    predictor = official.SamPredictor(make_official())
    predictor.set_image(image.pixels())
    for indices in alike(prompts):
        chosen = [prompts[index] for index in indices]
        coords, labels, boxes = None, None, None
        if len(chosen[0].points):
            points = np.stack([prompt.points for prompt in chosen])
            coords = torch.as_tensor(predictor.transform.apply_coords(points, predictor.original_size)).float()
            labels = torch.as_tensor(np.stack([prompt.labels for prompt in chosen])).int()
        if chosen[0].box is not None:
            given = np.array([prompt.box for prompt in chosen])
            boxes = torch.as_tensor(predictor.transform.apply_boxes(given, predictor.original_size)).float()
        masks, scores, _ = predictor.predict_torch(coords, labels, boxes, multimask_output=True)
        for index, mask, score in zip(indices, masks.numpy(), scores.numpy(), strict=True):
            assert (proposals[index].masks != mask).mean() < 1e-4
            assert proposals[index].scores == pytest.approx(score, abs=1e-5)
            assert mask.shape == (3, height, width)
    share = np.mean([proposal.masks.mean() for proposal in proposals])
    assert 0.05 < share < 0.95  # else all this would compare nothing


def test_stability_is_the_packages(official, make_official, checkpoint, picture):
    calculate = importlib.import_module("segment_anything.utils.amg").calculate_stability_score
    image, prompt = picture(300, 200), PointPrompt.at((150, 90))
    (proposal,) = Sam(SamConfig(checkpoint=checkpoint)).segment(image, [prompt])
    predictor = official.SamPredictor(make_official())
    predictor.set_image(image.pixels())
    logits, _, _ = predictor.predict(prompt.points, prompt.labels, return_logits=True)
    assert proposal.stability == pytest.approx(calculate(torch.as_tensor(logits), 0.0, 1.0).numpy(), abs=1e-6)


def test_a_mask_that_no_pixel_comes_near_is_not_stable():
    logits = np.full((1, 2, 4, 4), -9, np.float32)
    logits[0, 1] = 9
    masks, stability = _threshold(logits)
    assert masks.sum(axis=(-1, -2)).tolist() == [[0, 16]]
    assert stability.tolist() == [[0, 1]]


@pytest.mark.parametrize("size", [(1, 600), (600, 1), (3, 2000)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_the_longest_images_keep_one_pixel_of_their_shorter_side(official, make_official, checkpoint, picture, size):
    """`SamPredictor` resizes them to nothing; given one pixel, it says what we say."""
    width, height = size
    image, frame = picture(width, height), (1, 256) if width > height else (256, 1)
    points = [(width // 2, height // 2), (width - 1, height - 1)]
    proposals = Sam(SamConfig(checkpoint=checkpoint)).segment(image, [PointPrompt.at(point) for point in points])
    predictor = official.SamPredictor(make_official())
    small = np.array(image.pil().resize(frame[::-1], PILImage.Resampling.BILINEAR))
    predictor.set_torch_image(torch.as_tensor(small).permute(2, 0, 1)[None], (height, width))
    moved = torch.tensor(points, dtype=torch.float64) * torch.tensor([frame[1] / width, frame[0] / height])
    masks, scores, _ = predictor.predict_torch(moved.float()[:, None], torch.ones(2, 1, dtype=torch.int))
    for proposal, mask, score in zip(proposals, masks.numpy(), scores.numpy(), strict=True):
        assert np.array_equal(proposal.masks, mask)
        assert proposal.scores == pytest.approx(score, abs=1e-5)


def test_images_are_resized_as_torchvision_resizes_them(official, picture):
    """Where there is a torchvision that fits; elsewhere segment-anything itself has been given Pillow's resizing."""
    try:
        functional = importlib.import_module("torchvision.transforms.functional")
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"torchvision can't be imported: {error}")
    for size in SIZES:
        pixels = picture(*size).pixels()
        frame = fitted(pixels.shape[:2], 256)
        assert np.array_equal(resized(pixels, frame), functional.resize(PILImage.fromarray(pixels), list(frame)))


def test_batches_of_any_size_give_the_same_masks_in_the_same_order(checkpoint, picture):
    image = picture(1600, 1200)
    prompts = prompts_for(1600, 1200)[:8]
    all_at_once, one_by_one = (Sam(SamConfig(checkpoint=checkpoint, memory_mb=size)) for size in (4096, 8))
    assert batch_sizes(all_at_once, image, prompts) == [2, 2, 2, 2]
    assert batch_sizes(one_by_one, image, prompts) == [1] * 8
    for one, other in zip(all_at_once.segment(image, prompts), one_by_one.segment(image, prompts), strict=True):
        assert np.mean(one.masks != other.masks) < 1e-5  # a matrix product rounds by its shape
        assert one.scores == pytest.approx(other.scores, abs=1e-5)


def test_an_image_is_encoded_once_a_run(checkpoint, picture):
    encoded = 0

    def count(*_: object) -> None:
        nonlocal encoded
        encoded += 1

    def generator(**options: object) -> Sam:
        made = Sam(SamConfig.model_validate({"checkpoint": checkpoint, **options}))
        made._model.image_encoder.register_forward_hook(count)
        return made

    image, same, other = picture(111, 99, seed=5), picture(111, 99, seed=5), picture(111, 99, seed=6)
    first = generator()
    first.segment(image, [PointPrompt.at((3, 4))])
    first.segment(same, [PointPrompt.at((5, 6))])
    first.close()
    generator().segment(same, [PointPrompt.at((7, 8))])  # the next stage of the run
    assert encoded == 1
    generator().segment(other, [PointPrompt.at((3, 4))])
    assert encoded == 2
    small = generator(cache_mb=0)
    for each in (image, other, image):
        small.segment(each, [PointPrompt.at((3, 4))])
    assert encoded == 4  # only the last image is kept, and `image` had to make room


def test_what_is_asked_twice_is_decoded_once(checkpoint, picture):
    generator = Sam(SamConfig(checkpoint=checkpoint))
    decoded = []
    # it reads the score of each prompt once, from the first of its tokens
    generator._model.mask_decoder.iou_prediction_head.register_forward_hook(
        lambda _, given, __: decoded.append(len(given[0]))
    )
    prompts = [PointPrompt.at(place) for place in [(3, 4), (9, 9), (3, 4), (3, 4), (9, 9)]]
    proposals = generator.segment(picture(40, 30), prompts)
    assert sum(decoded) == 2
    for index, same in [(0, 2), (0, 3), (1, 4)]:
        assert np.array_equal(proposals[index].masks, proposals[same].masks)
    assert not np.array_equal(proposals[0].masks, proposals[1].masks)


def test_no_prompt_asks_for_nothing(checkpoint, picture):
    assert Sam(SamConfig(checkpoint=checkpoint)).segment(picture(20, 20), []) == []


def test_reduced_precision_changes_little(checkpoint, picture):
    image, prompts = picture(300, 200), prompts_for(300, 200)
    full = Sam(SamConfig(checkpoint=checkpoint)).segment(image, prompts)
    half = Sam(SamConfig(checkpoint=checkpoint, precision="bfloat16")).segment(image, prompts)
    overlaps = [
        overlap(a, b)
        for one, other in zip(full, half, strict=True)
        for a, b in zip(one.masks, other.masks, strict=True)
    ]
    assert 0.8 < np.mean(overlaps) < 1


@pytest.mark.parametrize("name", ["vit_b", "vit_l", "vit_h"])
def test_the_released_sizes_are_read_from_their_checkpoints(official, name):
    modeling = importlib.import_module("segment_anything.modeling")
    with torch.device("meta"):
        released = official.sam_model_registry[name]()
    built = _build(modeling, released.state_dict())
    assert {key: value.shape for key, value in built.state_dict().items()} == {
        key: value.shape for key, value in released.state_dict().items()
    }
    for ours, theirs in zip(built.modules(), released.modules(), strict=True):
        assert type(ours) is type(theirs)
        for attribute in ("num_heads", "window_size", "img_size", "eps", "internal_dim", "input_image_size"):
            assert getattr(ours, attribute, None) == getattr(theirs, attribute, None)


def test_points_reach_the_model_where_the_published_code_put_them(make_official, tmp_path, picture):
    if not GOLDENS.exists():
        pytest.skip("../shared/data/goldens absent")
    import json

    torch.save(make_official(side=1024, patch=128).state_dict(), tmp_path / "sam.pth")
    generator = Sam(SamConfig(checkpoint=tmp_path / "sam.pth"))
    outputs = np.load(GOLDENS / "attention_outputs.npz")
    compared = 0
    for case in json.loads((GOLDENS / "attention_cases.json").read_text()):
        for name in (name for name in outputs if name.startswith(f"{case['case']}/") and name.endswith("/points")):
            encoded = generator.encoded(picture(case["image_width"], case["image_height"]))
            moved = generator._to_frame(outputs[name].astype(np.float64), encoded)
            assert np.array_equal(moved, outputs[name.replace("points", "points_sam1024")])
            compared += 1
    assert compared >= 40


def test_a_missing_checkpoint_is_named(official, tmp_path):
    with pytest.raises(ModelError, match=r"there is no SAM checkpoint .*nowhere\.pth"):
        Sam(SamConfig(checkpoint=tmp_path / "nowhere.pth"))


def test_a_damaged_checkpoint_is_no_stack_trace(official, checkpoint, tmp_path):
    (tmp_path / "half.pth").write_bytes(checkpoint.read_bytes()[:5000])
    with pytest.raises(ModelError, match="can't read the SAM checkpoint"):
        Sam(SamConfig(checkpoint=tmp_path / "half.pth"))


def test_what_can_not_fit_is_refused_by_its_shapes_alone(official, tmp_path):
    state = torch.load(save_small_sam(tmp_path / "small.pth"), weights_only=True)
    state["image_encoder.blocks.0.mlp.lin1.weight"] = torch.zeros(1).expand(10**6, 10**6)  # no file holds so much
    torch.save(state, tmp_path / "large.pth")
    with pytest.raises(
        ModelError, match=r"large\.pth needs 372\d\.\d GiB of this machine's memory.* in float32"
    ) as refused:
        Sam(SamConfig(checkpoint=tmp_path / "large.pth", device="cpu"))
    assert "sam_vit_" in refused.value.hint or "free some memory" in refused.value.hint


def test_another_layout_is_told_apart(official, tmp_path):
    torch.save({"vision_encoder.pos_embed": torch.zeros(1, 8, 8, 4)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="not a checkpoint of segment-anything's layout"):
        Sam(SamConfig(checkpoint=tmp_path / "other.pth"))


def test_a_checkpoint_that_would_run_code_is_refused(official, tmp_path):
    torch.save({"image_encoder.pos_embed": Path("x")}, tmp_path / "code.pth")
    with pytest.raises(ModelError, match="can't read the SAM checkpoint"):
        Sam(SamConfig(checkpoint=tmp_path / "code.pth"))


def test_a_torchvision_that_does_not_fit_is_no_obstacle(checkpoint, picture, tmp_path):
    """There is nothing to mend, so nothing is said."""
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "raise RuntimeError('operator torchvision::nms does not exist')"
    )
    image = picture(90, 61)
    image.pil().save(tmp_path / "image.png")
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "import numpy as np\n"
        "from pathlib import Path\n"
        "from pixcore.records import Image, PointPrompt\n"
        "from pixcore_sam.config import SamConfig\n"
        "from pixcore_sam.official import Sam\n"
        f"image = Image.from_path(Path({str(tmp_path / 'image.png')!r}))\n"
        f"(found,) = Sam(SamConfig(checkpoint={str(checkpoint)!r})).segment(image, [PointPrompt.at((30, 40))])\n"
        f"np.save({str(tmp_path / 'masks.npy')!r}, found.masks)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
    (expected,) = Sam(SamConfig(checkpoint=checkpoint)).segment(image, [PointPrompt.at((30, 40))])
    assert np.array_equal(np.load(tmp_path / "masks.npy"), expected.masks)


def test_without_the_package_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "segment_anything", None)
    with pytest.raises(PluginError, match=r'needs segment-anything.*pip install "pixcore-sam\[official\]"'):
        modeling()


def test_the_whole_package_can_be_imported_after_its_models(checkpoint):
    code = (
        "from pixcore_sam.config import SamConfig\n"
        "from pixcore_sam.official import Sam\n"
        "from pixcore_sam.testing import segment_anything\n"
        f"model = Sam(SamConfig(checkpoint={str(checkpoint)!r}))._model\n"
        "segment_anything()\n"
        "import sys; assert type(model) is sys.modules['segment_anything.build_sam'].Sam\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr


def test_the_fingerprint_follows_the_content(tmp_path):
    path = tmp_path / "weights.pth"
    content = bytearray(np.random.default_rng(0).bytes(5_000_000))
    path.write_bytes(content)
    first = SamConfig(checkpoint=path).fingerprint()
    content[-1] ^= 1
    path.write_bytes(content)
    assert SamConfig(checkpoint=path).fingerprint() != first
    assert SamConfig(checkpoint=tmp_path / "nowhere", device="cpu").fingerprint() == "main float32"


def test_the_fingerprint_follows_the_precision_that_auto_comes_to(checkpoint, monkeypatch):
    def fingerprint(**options: str) -> str:
        return SamConfig.model_validate({"checkpoint": checkpoint, **options}).fingerprint()

    assert Sam(SamConfig(checkpoint=checkpoint, device="cpu")).precision is torch.float32
    assert fingerprint(device="cpu") == fingerprint(precision="float32") != fingerprint(precision="bfloat16")
    monkeypatch.setattr("importlib.metadata.version", lambda _: "2.13.0+cu130")
    for answers, expected in [((True, True), "bfloat16"), ((True, False), "float32"), ((False, True), "float32")]:
        monkeypatch.setattr(torch.cuda, "is_available", lambda answers=answers: answers[0])
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda answers=answers: answers[1])
        assert fingerprint() == fingerprint(device="cuda:1") == fingerprint(precision=expected)
        assert fingerprint(device="cpu") == fingerprint(precision="float32")


def test_encoded_images_of_all_checkpoints_share_one_budget(official, checkpoint, picture, tmp_path):
    other = save_small_sam(tmp_path / "other.pth", seed=1)
    for path, precision in [(checkpoint, "float32"), (other, "float32"), (checkpoint, "bfloat16")]:
        generator = Sam(SamConfig(checkpoint=path, precision=precision, cache_mb=0))
        generator.encoded(picture(50, 40))
        assert len(_encoded) == 1
    kept = Sam(SamConfig(checkpoint=other)).encoded(picture(50, 40))
    Sam(SamConfig(checkpoint=checkpoint)).encoded(picture(50, 40))
    assert Sam(SamConfig(checkpoint=other)).encoded(picture(50, 40)) is kept
