"""LLaVA-Grounding: batches, fidelities, key coverage, and a run from a checkpoint in the published layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from pixcore_llava_grounding.adapter import LlavaGrounding
from pixcore_llava_grounding.config import LlavaGroundingConfig
from pixcore_segtoken.checkpoint import CheckpointError, read, shards

from pixcore import masks
from pixcore.components import Context
from pixcore.errors import ModelError, NotFiniteError
from pixcore.records import Fidelity, Request, Response
from tests.adapters import SIZES, PlacesSuite, RestSuite, SegmentingAdapterSuite, Subject, requests_of

QUESTIONS = (
    "Can you identify the dog in this image? (with grounding)",
    "Is it red?",
    "What is it? (a) a square (b) a circle",
    " Where is the small circle? Options:\nA. left\nB. right",
)


def requests() -> list[Request]:
    return requests_of(QUESTIONS, 0)


def adapter(options: dict[str, object], fidelity: Fidelity = Fidelity.CORRECTED, **changes: Any) -> LlavaGrounding:
    return LlavaGrounding(LlavaGroundingConfig.model_validate(options | changes), Context(fidelity=fidelity))


@pytest.fixture(scope="module")
def corrected(options: dict[str, object]) -> list[Response]:
    return adapter(options).answer(requests())


@pytest.fixture(scope="module")
def subject(options: dict[str, object]) -> Subject:
    return Subject(
        "llava-grounding",
        dict(options),
        requests(),
        flips=2,
        marker="<seg>",
        marked=frozenset({Fidelity.PUBLISHED, Fidelity.PAPER}),
        silent=frozenset({Fidelity.PUBLISHED}),
    )


class TestAdapter(SegmentingAdapterSuite, RestSuite):
    """What every adapter of its kind must do."""


@pytest.mark.long
class TestPlaces(PlacesSuite):
    """Where weights come from and lie."""


def test_published_masks_have_the_image_size_and_are_united(published: list[Response]) -> None:
    for response, size in zip(published, SIZES, strict=True):
        assert response.mask == masks.union(response.masks, size)
        assert masks.size_of(response.mask) == size
        assert len(response.mask_spans) == len(response.masks)
    assert any(masks.area(response.mask) for response in published)


@pytest.fixture(scope="module")
def published(options: dict[str, object]) -> list[Response]:
    return adapter(options, Fidelity.PUBLISHED).answer(requests())


def test_both_fidelities_find_the_same_regions(corrected: list[Response], published: list[Response]) -> None:
    for response, other in zip(corrected, published, strict=True):
        regions = response.extra["regions"]
        assert regions == other.extra["regions"]
        # A <seg> without a region has an empty mask; the published script drops it.
        assert [masks.area(mask) > 0 for mask in response.masks] == [count > 0 for count in regions]
        assert len(other.masks) == sum(count > 0 for count in regions)
        (overlap,) = masks.iou([response.mask], [other.mask])[0]
        assert overlap > 0.5
    assert any(0 in response.extra["regions"] for response in corrected)


def test_markers_stay_in_the_published_text_alone(corrected: list[Response], published: list[Response]) -> None:
    assert any("<seg>" in response.text for response in published)
    assert not any("<seg>" in response.text for response in corrected)
    for response in published:
        assert "".join(token.text for token in response.tokens) == response.text


def test_matches_that_are_no_numbers_are_no_empty_mask(options: dict[str, object]) -> None:
    one = adapter(options)
    (scale,) = (weight for name, weight in one.loaded.segmenter.named_parameters() if name.endswith("logit_scale"))
    with torch.no_grad():
        scale.fill_(1000.0)  # its exponential is infinite
    with pytest.raises(NotFiniteError, match="are not finite in float32"):
        one.answer(requests()[:1])


def test_without_seg_there_is_an_empty_mask(options: dict[str, object]) -> None:
    (response,) = adapter(options, max_new_tokens=1).answer(requests()[:1])
    assert response.masks == ()
    assert response.mask == masks.empty(SIZES[0])


def test_every_key_is_loaded_or_ignored_with_a_reason(options: dict[str, object]) -> None:
    speaker, segmenter = adapter(options).loaded.reports
    used = {official for report in (speaker, segmenter) for names in report.loaded.values() for official in names}
    never = {official for official in (*speaker.ignored, *segmenter.ignored) if official not in used}
    official = {name for file in shards(Path(str(options["checkpoint"]))) for name, _ in read(file)}
    assert official <= used | never
    kinds = {
        "rotary_emb.inv_freq", "relative_position_index", "criterion.empty_weight", "bbox_embed.", "decoder.norm.",
        "lang_mapper", "interactive_model.", "tower:text_model.", "tower:logit_scale",
    }  # fmt: skip
    assert all(any(kind in name for kind in kinds) for name in never)
    assert all(any(kind in name for name in never) for kind in kinds)
    assert all((speaker.ignored | segmenter.ignored).values())


def test_a_tower_inside_the_checkpoint_comes_first(
    options: dict[str, object], options_with_own_tower: dict[str, object]
) -> None:
    inside, beside = (adapter(chosen).loaded.speaker.clip for chosen in (options_with_own_tower, options))
    name = "model.post_layernorm.weight"
    assert not torch.equal(inside.get_parameter(name), beside.get_parameter(name))


def test_the_wrong_sizes_are_refused(options: dict[str, object], tmp_path: Path) -> None:
    folder = Path(str(options["checkpoint"]))
    for file in folder.iterdir():
        (tmp_path / file.name).symlink_to(file)
    content = json.loads((folder / "config.json").read_text()) | {"intermediate_size": 44}
    (tmp_path / "config.json").unlink()
    (tmp_path / "config.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="of another shape"):
        adapter(options, checkpoint=str(tmp_path)).answer(requests()[:1])


def test_a_folder_without_its_added_tokens_is_refused(options: dict[str, object], tmp_path: Path) -> None:
    for file in Path(str(options["checkpoint"])).iterdir():
        if file.name != "added_tokens.json":
            (tmp_path / file.name).symlink_to(file)
    with pytest.raises(ModelError, match="has no <g_s>"):
        adapter(options, checkpoint=str(tmp_path)).answer(requests()[:1])


def test_a_tower_without_its_config_json_is_named(options: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").symlink_to(Path(f"{options['checkpoint']}-tower", "model.safetensors"))
    with pytest.raises(ModelError, match=r"can't read file .*config\.json"):
        adapter(options, vision_tower=str(tmp_path)).answer(requests()[:1])


def test_the_cache_folder_holds_the_same_model(
    options: dict[str, object], corrected: list[Response], tmp_path: Path
) -> None:
    first = adapter(options, cache=tmp_path)
    assert not any(report.from_cache for report in first.loaded.reports)
    second = adapter(options, cache=tmp_path)
    assert all(report.from_cache for report in second.loaded.reports)
    assert [response.masks for response in second.answer(requests())] == [response.masks for response in corrected]
