"""OMG-LLaVA: batches, fidelities, adapters, key coverage, and a run from a release in the published layout."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from pixcore_omg_llava.adapter import OmgLlava
from pixcore_omg_llava.checkpoint import llama_config
from pixcore_omg_llava.config import OmgLlavaConfig
from pixcore_segtoken.checkpoint import CheckpointError
from pixcore_testing.geometry import check_geometry
from pydantic import ValidationError

from pixcore import masks
from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.records import Fidelity, Request, Response
from tests.adapters import SIZES, PlacesSuite, SegmentingAdapterSuite, Subject, requests_of

QUESTIONS = (
    "Can you please segment the dog in the given image",
    "Is it red?",
    "What is it? (a) a square (b) a circle",
    "Where is the small circle? Options:\nA. left\nB. right",
)


def requests() -> list[Request]:
    return requests_of(QUESTIONS, 0)


def adapter(release: Any, fidelity: Fidelity = Fidelity.CORRECTED, **changes: Any) -> OmgLlava:
    return OmgLlava(OmgLlavaConfig.model_validate(release.options() | changes), Context(fidelity=fidelity))


@pytest.fixture(scope="module")
def corrected(release: Any) -> list[Response]:
    return adapter(release).answer(requests())


@pytest.fixture(scope="module")
def subject(release: Any) -> Subject:
    return Subject("omg-llava", dict(release.options()), requests(), flips=2, folder="language")


class TestAdapter(SegmentingAdapterSuite):
    """What every adapter of its kind must do."""


@pytest.mark.long
class TestPlaces(PlacesSuite):
    """Where weights come from and lie."""


def test_the_input_is_whole_cells(release: Any) -> None:
    """A token folds 64 x 64 pixels: a side with a rest is refused, and an odd number of cells lies right."""
    for side in (65, 127, 378, 1000):
        with pytest.raises(ValidationError, match="multiple of 64"):
            OmgLlavaConfig.model_validate(release.options() | {"image_size": side})
    one = adapter(release, image_size=192)
    (grid,) = one.layout(requests()[2].image).grids
    assert (grid.rows, grid.cols, grid.box) == (3, 3, (0, 0, 70, 70))
    assert check_geometry(one) == []


def test_no_mask_is_empty(corrected: list[Response]) -> None:
    assert all(masks.area(response.mask) > 0 for response in corrected)


@pytest.fixture(scope="module")
def published(release: Any) -> list[Response]:
    return adapter(release, Fidelity.PUBLISHED).answer(requests())


def test_published_keeps_the_first_mask(published: list[Response]) -> None:
    several = [response for response in published if len(response.masks) > 1]
    assert several
    assert all(response.mask == response.masks[0] for response in several)
    assert any(response.mask != masks.union(response.masks, masks.size_of(response.masks[0])) for response in several)


def test_published_cuts_a_centred_image_at_the_corner(
    release: Any, published: list[Response], corrected: list[Response]
) -> None:
    for size, wrong, right in zip(SIZES, published, corrected, strict=True):
        square = size[0] == size[1]
        assert (wrong.masks == right.masks) == square


def test_without_seg_there_is_an_empty_mask(release: Any) -> None:
    (response,) = adapter(release, max_new_tokens=1).answer(requests()[:1])
    assert response.masks == ()
    assert response.mask == masks.empty(SIZES[0])


def test_tokens_tile_the_published_text_too(published: list[Response]) -> None:
    for response in published:
        assert "".join(token.text for token in response.tokens) == response.text


def test_adapters_beside_the_weights_say_what_merged_ones_say(release: Any, corrected: list[Response]) -> None:
    beside = adapter(release, lora="beside").answer(requests())
    assert [response.text for response in beside] == [response.text for response in corrected]


def test_adapters_matter(release: Any) -> None:
    """Another scale has to give another model, or the test above shows nothing."""
    mine, other = adapter(release).loaded, adapter(release, lora_scale=0.25).loaded
    name = "model.layers.0.self_attn.v_proj.weight"
    weights = [loaded.language.get_parameter(name) for loaded in (mine, other)]
    assert not torch.allclose(*weights, atol=1e-2)


def test_embeddings_come_from_the_fine_tuned_file(release: Any) -> None:
    language = adapter(release).loaded.language
    expected = release.finetuned["llm.base_model.model.model.tok_embeddings.weight"]
    assert torch.equal(language.model.embed_tokens.weight, expected)
    assert len(expected) == len(release.base["model.tok_embeddings.weight"]) + 4


def test_every_key_is_loaded_or_ignored_with_a_reason(release: Any) -> None:
    eye, language = adapter(release).loaded.reports
    used = {official for report in (eye, language) for names in report.loaded.values() for official in names}
    never = {official for official in (*eye.ignored, *language.ignored) if official not in used}
    assert never == {
        "visual_encoder.backbone.head.0.norm.weight",
        "visual_encoder.backbone.head.0.norm.bias",
        "visual_encoder.panoptic_head.mask_tokens.weight",
        "visual_encoder.panoptic_head.pos_linear.weight",
        "visual_encoder.panoptic_head.pos_linear.bias",
        "model.tok_embeddings.weight",
        "output.weight",
    }
    assert set(release.base) | set(release.finetuned) <= used | never
    assert all((eye.ignored | language.ignored).values())


def test_the_backbone_may_come_from_open_clip(
    release: Any, release_without_backbone: Any, corrected: list[Response]
) -> None:
    clip = release_without_backbone.folder.parent / "clip"
    other = adapter(release_without_backbone, clip=str(clip)).answer(requests())
    assert [response.text for response in other] == [response.text for response in corrected]
    assert [response.masks for response in other] == [response.masks for response in corrected]


def test_an_unknown_key_is_refused(release: Any, tmp_path: Path) -> None:
    for file in release.folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    broken = tmp_path / "omg_llava_7b_finetune_8gpus.pth"
    broken.unlink()
    torch.save(release.finetuned | {"projector.model.query_cross_attn.norm.weight": torch.zeros(3)}, broken)
    with pytest.raises(CheckpointError, match="query_cross_attn"):
        adapter(release, checkpoint=str(tmp_path)).answer(requests()[:1])


def test_a_missing_file_is_named(release: Any) -> None:
    with pytest.raises(ModelError, match=r"has no other\.pth"):
        adapter(release, perception="other.pth").answer(requests()[:1])


def test_the_cache_folder_holds_the_same_model(release: Any, corrected: list[Response], tmp_path: Path) -> None:
    first = adapter(release, cache=tmp_path)
    assert not any(report.from_cache for report in first.loaded.reports)
    second = adapter(release, cache=tmp_path)
    assert all(report.from_cache for report in second.loaded.reports)
    assert [response.text for response in second.answer(requests())] == [response.text for response in corrected]


@pytest.mark.parametrize("change", [{"lora_scale": 0.25}, {"lora": "beside"}])
def test_the_cache_folder_is_not_read_for_another_model(release: Any, change: dict[str, Any], tmp_path: Path) -> None:
    name = "model.layers.0.mlp.up_proj.weight"
    mine = adapter(release, cache=tmp_path).loaded.language.get_parameter(name)
    other = adapter(release, cache=tmp_path, **change).loaded
    assert not other.reports[1].from_cache
    if "lora_scale" in change:
        assert not torch.allclose(other.language.get_parameter(name), mine, atol=1e-2)


def test_another_release_is_another_fingerprint(release: Any, release_without_backbone: Any) -> None:
    configs = [OmgLlavaConfig.model_validate(one.options()) for one in (release, release_without_backbone)]
    assert configs[0].fingerprint() != configs[1].fingerprint()


def test_scaled_rotation_is_carried_over() -> None:
    sizes = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    rope = {"rope_scaling": {"type": "dynamic", "factor": 2.0}, "rope_theta": 1000000}
    scaled = llama_config(sizes | rope, Path("config.json"), vocabulary=9)
    assert scaled.rope_parameters["rope_type"] == "dynamic"
    plain = llama_config(sizes | {"rope_scaling": None, "rope_theta": 1000000}, Path("config.json"), vocabulary=9)
    assert plain.rope_parameters == {"rope_type": "default", "rope_theta": 1000000.0}


def test_class_names_of_another_clip_are_refused(release: Any, tmp_path: Path) -> None:
    for file in release.folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    torch.save(torch.ones(7, 3, 5), tmp_path / "others.pth")
    with pytest.raises(CheckpointError, match=r"others\.pth holds embeddings of 5 numbers, not of \d+"):
        adapter(release, checkpoint=str(tmp_path), vocabulary="others.pth").answer(requests()[:1])
