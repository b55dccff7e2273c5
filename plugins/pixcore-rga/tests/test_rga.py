"""RGA: its parts against the release's and transformers' own, batches, fidelities, a run from the published layout."""

from __future__ import annotations

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as PILImage
from pixcore_rga.adapter import Rga
from pixcore_rga.config import RgaConfig
from pixcore_rga.model import positions
from pixcore_rga.sam2 import squeezed
from pixcore_segtoken.checkpoint import CheckpointError, read, shards
from safetensors.torch import save_file
from torch.nn.functional import interpolate
from transformers import Qwen2_5_VLForConditionalGeneration

from pixcore import masks
from pixcore.components import Context
from pixcore.errors import DataError, ModelError
from pixcore.records import Fidelity, Image, Protocol, Request, Response
from tests.adapters import PlacesSuite, SegmentingAdapterSuite, Subject, requests_of, run_on_mini_world

QUESTIONS = (
    "Can you identify  the dog in this image? (with grounding)",
    "What colour is it? (a) red (b) blue",
    "Is a < b & c?",
    "Where is the small circle? Options:\nA. left\nB. right",
)


def requests() -> list[Request]:
    return requests_of(QUESTIONS, 4)


def adapter(options: dict[str, object], fidelity: Fidelity = Fidelity.CORRECTED, **changes: Any) -> Rga:
    return Rga(RgaConfig.model_validate(options | changes), Context(fidelity=fidelity))


@pytest.fixture(scope="module")
def corrected(rga_options: dict[str, object]) -> list[Response]:
    return adapter(rga_options).answer(requests())


@pytest.fixture(scope="module")
def subject(rga_options: dict[str, object]) -> Subject:
    return Subject("rga", dict(rga_options), requests(), marked=frozenset({Fidelity.PUBLISHED, Fidelity.PAPER}))


class TestAdapter(SegmentingAdapterSuite):
    """What every adapter of its kind must do."""


@pytest.mark.long
class TestPlaces(PlacesSuite):
    """Where weights come from and lie."""


@pytest.fixture(scope="module")
def qwen(rga_options: dict[str, object]) -> Any:
    """The language model and its tower of the same folder, as transformers itself reads them."""
    return Qwen2_5_VLForConditionalGeneration.from_pretrained(str(rga_options["checkpoint"])).eval()


def tensors_of(options: dict[str, object]) -> dict[str, torch.Tensor]:
    return {name: tensor for file in shards(Path(str(options["checkpoint"]))) for name, tensor in read(file)}


def patches(frames: list[PILImage.Image]) -> tuple[torch.Tensor, torch.Tensor]:
    """Cut frames into patches of 4 pixels and two frames, square by square, as Qwen2.5-VL is shown a video."""
    mean, std = (np.array(values, np.float32) for values in (MEAN, STD))
    values = np.stack([(np.asarray(frame, np.float32) / 255 - mean) / std for frame in frames])
    count, height, width, _ = values.shape
    grid = (count // 2, height // 4, width // 4)
    cut = values.reshape(count // 2, 2, height // 8, 2, 4, width // 8, 2, 4, 3).transpose(0, 2, 5, 3, 6, 8, 1, 4, 7)
    return torch.from_numpy(cut.reshape(np.prod(grid), -1)), torch.tensor([grid])


MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


@pytest.mark.parametrize("index", [0, 1])
def test_the_published_mask_is_that_of_one_pass_over_four_frames(
    rga_options: dict[str, object], qwen: Any, index: int
) -> None:
    """transformers' Qwen2.5-VL on a video, the projection by hand, and SAM 2 prompted in its own words."""
    request = requests()[index]
    made = adapter(rga_options, Fidelity.PUBLISHED)
    (response,) = made.answer([request])
    picture = request.image.pil()
    tokenizer = made.loaded.tokenizer
    shown = picture.resize((made.layout(request.image).grids[0].cols * 8, made.layout(request.image).grids[0].rows * 8))
    values, grid = patches([shown] * 4)
    head = "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n<|vision_start|>"
    tail = f"<|vision_end|>{request.prompt}<|im_end|>\n<|im_start|>assistant\nSure, [SEG].<|im_end|>\n"
    text = head + "<|video_pad|>" * (int(grid.prod()) // 4) + tail
    ids = torch.tensor([tokenizer._encode(text)])
    video = tokenizer._encode("<|video_pad|>")[0]
    with torch.no_grad():
        states = qwen(
            input_ids=ids,
            pixel_values_videos=values,
            video_grid_thw=grid,
            second_per_grid_ts=torch.tensor([1.0]),
            mm_token_type_ids=2 * (ids == video).int(),
            attention_mask=torch.ones_like(ids),
            output_hidden_states=True,
        ).hidden_states[-1]
        own = tensors_of(rga_options)
        state = states[0, ids[0].tolist().index(tokenizer.seg) - 1]
        hidden = (own["text_hidden_fcs.0.0.weight"] @ state + own["text_hidden_fcs.0.0.bias"]).relu()
        prompt = own["text_hidden_fcs.0.2.weight"] @ hidden + own["text_hidden_fcs.0.2.bias"]
        sam = made.loaded.model.sam.model
        *fine, coarse = sam.get_image_embeddings(squeezed(picture, 64)[None])
        points, nothing = torch.zeros(1, 1, 1, 2), -torch.ones(1, 1, 1, dtype=torch.int)
        sparse, dense = sam.get_prompt_embeddings(input_points=points, input_labels=nothing)
        logits, scores, *_ = sam.mask_decoder(
            image_embeddings=coarse,
            image_positional_embeddings=sam.get_image_wide_positional_embeddings(),
            sparse_prompt_embeddings=torch.cat([sparse, prompt[None, None, None]], dim=2),
            dense_prompt_embeddings=dense,
            multimask_output=True,
            high_resolution_features=fine,
        )
    best = logits[:, 0, scores[0, 0].argmax()][:, None]
    square = interpolate(best, (64, 64), mode="bilinear", align_corners=False)
    whole = interpolate(square, picture.size[::-1], mode="bilinear", align_corners=False)[0, 0]
    assert response.mask is not None
    assert response.text == "Sure, [SEG]."
    assert 0 < masks.area(response.mask) < picture.width * picture.height
    assert (masks.decode(response.mask) != (whole.sigmoid() > 0.5).numpy()).sum() <= 1
    assert response.extra["mask_scores"] == [round(float(scores.max()), 4)]


def test_sam_2_gives_the_numbers_of_the_releases_own_modules(rga_options: dict[str, object]) -> None:
    """Measured with RGA's model/sam2.py on this checkpoint: every fifth pixel of two masks, and their scores."""
    down, across = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    pixels = torch.stack([(across / 5).sin(), (down / 7).cos(), ((across + down) / 9).sin()])[None]
    prompts = 2 * torch.stack([torch.arange(32.0).sin(), (torch.arange(32.0) / 3).cos()])
    sam = adapter(rga_options).loaded.model.sam
    logits, scores = sam.decode(sam.encode(pixels), prompts)
    np.testing.assert_allclose(logits[:, 0, ::5, ::5].numpy(), MEASURED, rtol=0, atol=1e-3)
    np.testing.assert_allclose(scores[:, 0].numpy(), [0.331726, 0.341621], rtol=0, atol=1e-5)


MEASURED = [
    [
        [-2.3861, -10.2888, 13.3727, -6.4536],
        [-4.038, -9.0498, -4.7329, -8.3947],
        [20.5213, -13.5288, 6.8084, 15.5646],
        [-2.6477, -7.9417, -5.2334, -4.3555],
    ],
    [
        [-0.222, -8.9491, 18.2853, -4.5525],
        [-1.9229, -4.3379, -2.2431, -3.9942],
        [28.9009, -11.7812, 9.8044, 25.3604],
        [-1.2807, -3.7652, -1.7652, -2.0462],
    ],
]


@pytest.mark.parametrize("penalty", [None, 1.3])
def test_an_answer_is_what_transformers_generates(
    rga_options: dict[str, object], qwen: Any, tmp_path: Path, penalty: float | None
) -> None:
    """An image, not frames; with the checkpoint's penalty for repetition and without."""
    folder = Path(shutil.copytree(str(rga_options["checkpoint"]), tmp_path / "copy"))
    if penalty is not None:
        (folder / "generation_config.json").write_text(json.dumps({"repetition_penalty": penalty}))
    made = adapter(rga_options, checkpoint=str(folder))
    for request in requests()[:2]:
        (response,) = made.answer([request])
        (shown,) = made.show([request])
        layout = shown.layout.grids[0]
        picture = request.image.pil().resize((layout.cols * 8, layout.rows * 8))
        values, _ = patches([picture] * 2)
        ids = torch.tensor([shown.beside])
        image = made.loaded.tokenizer._encode("<|image_pad|>")[0]
        written = qwen.generate(
            input_ids=ids,
            pixel_values=values,
            image_grid_thw=torch.tensor([[1, 2 * layout.rows, 2 * layout.cols]]),
            mm_token_type_ids=(ids == image).int(),
            attention_mask=torch.ones_like(ids),
            max_new_tokens=12,
            do_sample=False,
            eos_token_id=made.loaded.tokenizer.eos,
            pad_token_id=made.loaded.tokenizer.eos,
            repetition_penalty=penalty,
        )
        assert [token.id for token in response.tokens] == written[0, ids.shape[1] :].tolist()


def test_positions_are_transformers_own(qwen: Any) -> None:
    video = qwen.config.video_token_id
    ids = torch.tensor([[5] * 3 + [video] * 24 + [7] * 4])
    expected, _ = qwen.model.get_rope_index(
        ids,
        mm_token_type_ids=2 * (ids == video).int(),
        video_grid_thw=torch.tensor([[2, 6, 8]]),
        second_per_grid_ts=torch.tensor([1.0]),
    )
    torch.testing.assert_close(positions(3, (2, 3, 4), 2, 4), expected[:, 0])
    # where time is the longest, transformers 4 goes on behind it
    assert positions(0, (2, 1, 1), 2, 1).tolist() == [[0, 2, 3], [0, 0, 3], [0, 0, 3]]


def test_what_the_published_script_asks_and_keeps(rga_options: dict[str, object]) -> None:
    asked = [replace(requests()[1], protocol=protocol) for protocol in Protocol]
    made = adapter(rga_options, Fidelity.PUBLISHED)
    decoded = [made.loaded.tokenizer._tokenizer.decode(one.beside) for one in made.show(asked)]
    for request, prompt, response in zip(asked, decoded, made.answer(asked), strict=True):
        assert prompt.count("<|video_pad|>") == made.layout(request.image).tokens
        segments = request.protocol == Protocol.SEGMENT
        assert prompt.endswith("<|im_start|>assistant\n" if segments else f"{request.prompt}<|im_end|>\n")
        assert len(response.masks) == segments
        assert (response.text == "Sure, [SEG].") == segments
    # a [SEG] of the question comes first
    marked = replace(requests()[1], prompt="Is [SEG] it?")
    (response,) = made.answer([marked])
    assert len(response.masks) == 2
    assert response.mask == response.masks[0] != response.masks[1]
    tokenizer = made.loaded.tokenizer
    ids = tokenizer._encode(" addCriterion\nA. red ")
    assert tokenizer.decode(ids, published=True) == "A. red"
    assert tokenizer.decode(ids, published=False) == " addCriterion\nA. red "


def test_a_published_run_asks_in_the_scripts_words(rga_options: dict[str, object], tmp_path: Path) -> None:
    folder = run_on_mini_world({"name": "rga", **rga_options}, tmp_path, Fidelity.PUBLISHED)
    lines = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()]
    asked = {line["protocol"]: line["prompt"] for line in lines}
    assert asked["question"].endswith(" Answer the question. Please answer in one sentence.")
    assert re.fullmatch(r"Can you identify .+ in this image\? \(with grounding\)", asked["segment"])
    assert {line["text"] for line in lines if line["protocol"] == "segment"} == {"Sure, [SEG]."}
    areas = {name: [masks.area(line["mask"]) for line in lines if line["protocol"] == name] for name in asked}
    assert not any(areas["question"] + areas["letter"])
    assert any(areas["segment"])


def test_shown_for_its_attention_the_published_model_speaks_for_itself(rga_options: dict[str, object]) -> None:
    (response,) = adapter(rga_options, Fidelity.PUBLISHED, attention=True).answer(requests()[:1])
    assert "Sure" not in response.text


def test_every_key_is_loaded_or_ignored_with_a_reason(rga_options: dict[str, object]) -> None:
    report = adapter(rga_options).loaded.report
    kinds = {name.removeprefix("grounding_encoder.sam2_model.").split(".")[0] for name in report.ignored}
    assert kinds == {
        *("memory_attention", "memory_encoder", "mask_downsample", "obj_ptr_proj"),
        *("maskmem_tpos_enc", "no_mem_pos_enc", "no_obj_ptr"),
    }
    assert set(report.ignored.values()) == {
        "of frames that follow another: each of RGA's is prompted, and begins a video"
    }


def test_the_cache_folder_holds_the_same_model(
    rga_options: dict[str, object], corrected: list[Response], tmp_path: Path
) -> None:
    assert not adapter(rga_options, cache=tmp_path).loaded.report.from_cache
    second = adapter(rga_options, cache=tmp_path)
    assert second.loaded.report.from_cache
    assert [response.masks for response in second.answer(requests())] == [response.masks for response in corrected]


OF_QWEN = ("model.", "visual.", "lm_head.")


def test_a_plain_qwen_is_refused_by_the_tensors_that_it_lacks(rga_options: dict[str, object], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(str(rga_options["checkpoint"]), tmp_path / "copy"))
    for file in folder.glob("*.safetensors"):
        kept = {name: tensor.clone() for name, tensor in read(file) if name.startswith(OF_QWEN)}
        save_file(kept, file)
    with pytest.raises(CheckpointError, match=r"without weights in our module: seg_projection\.0\.weight"):
        adapter(rga_options, checkpoint=str(folder)).answer(requests()[:1])


def test_a_checkpoint_of_another_architecture_is_refused_by_config_json(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "qwen2_vl"}))
    with pytest.raises(ModelError, match=r"of a qwen2_vl, not of a qwen2_5_vl"):
        adapter({"checkpoint": str(tmp_path)}).answer(requests()[:1])


def test_a_tokenizer_without_seg_is_refused(rga_options: dict[str, object], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(str(rga_options["checkpoint"]), tmp_path / "copy"))
    for path in folder.glob("*.json"):
        path.write_text(path.read_text().replace("[SEG]", "[MARK]"))
    with pytest.raises(ModelError, match=r"has no \[SEG\]"):
        adapter(rga_options, checkpoint=str(folder)).answer(requests()[:1])


@pytest.mark.parametrize("template", [None, "{% for", "{{ messages[0].content[1].text }}"], ids=str)
def test_a_template_that_shows_no_image_is_refused(
    template: str | None, rga_options: dict[str, object], tmp_path: Path
) -> None:
    """When the checkpoint is read, and not sample by sample."""
    folder = Path(shutil.copytree(str(rga_options["checkpoint"]), tmp_path / "copy"))
    (folder / "chat_template.jinja").unlink()
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)
    with pytest.raises(ModelError, match="has no chat template that shows an image"):
        adapter(rga_options, checkpoint=str(folder)).answer(requests()[:1])


@pytest.mark.parametrize("size", [(1, 201), (402, 2), (1, 200)], ids=str)
def test_an_image_that_is_too_long_fails_by_itself(rga_options: dict[str, object], size: tuple[int, int]) -> None:
    long = replace(requests()[0], image=Image.from_pixels(np.zeros((*size[::-1], 3), np.uint8)))
    made = adapter(rga_options)
    if max(size) > 200 * min(size):
        with pytest.raises(DataError, match=f"an image of {size[0]}x{size[1]} pixels is too long"):
            made.answer([long])
    else:
        assert made.answer([long])[0].mask is not None
