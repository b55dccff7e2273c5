"""LISA: published numbers, batches, fidelities, and a run from a checkpoint in the published layout."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_lisa.adapter import Lisa
from pixcore_lisa.config import LisaConfig
from pixcore_lisa.weights import PROJECTOR_DEPTH, rules
from pixcore_segtoken.checkpoint import CheckpointError
from pixcore_segtoken.testing import TINY_SAM

from pixcore import cli, masks
from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.records import Fidelity, Request, Response
from tests.adapters import PlacesSuite, RestSuite, SegmentingAdapterSuite, Subject, requests_of, run_on_mini_world
from tests.goldens import segtoken as grounded_goldens
from tests.goldens.altering import altered_set, missed_without
from tests.goldens.lisa import prepare
from tests.goldens.runner import compare, load_arrays

QUESTIONS = (
    "Can you segment the dog in this image?",
    "What colour is it? (a) red (b) blue",
    "Is a < b & c?",
    "Where is the small circle? Options:\nA. left\nB. right",
)


def requests() -> list[Request]:
    return requests_of(QUESTIONS, 4)


def adapter(options: dict[str, object], fidelity: Fidelity = Fidelity.CORRECTED, **changes: Any) -> Lisa:
    return Lisa(LisaConfig.model_validate(options | changes), Context(fidelity=fidelity))


@pytest.fixture(scope="module")
def corrected(lisa_options: dict[str, object]) -> list[Response]:
    return adapter(lisa_options).answer(requests())


@pytest.fixture(scope="module")
def subject(lisa_options: dict[str, object]) -> Subject:
    return Subject("lisa", dict(lisa_options), requests(), marked=frozenset({Fidelity.PUBLISHED, Fidelity.PAPER}))


class TestAdapter(SegmentingAdapterSuite, RestSuite):
    """What every adapter of its kind must do."""


class TestPlaces(PlacesSuite):
    """Where weights come from and lie."""


@pytest.mark.parametrize("key", ["two_seg/seg_embed", "free/mask_bits", "image/B/sam_image_embedding"])
def test_a_key_array_that_a_set_lacks_is_missed(goldens: Path, tmp_path: Path, key: str) -> None:
    assert missed_without(prepare, goldens / "lisa", tmp_path / "set", key) == [key]


def test_a_set_without_optional_arrays_and_with_a_broken_case(goldens: Path, tmp_path: Path) -> None:
    def one_case(config: dict[str, Any]) -> None:
        config["cases"] = {"broken": config["cases"]["free"], "one_seg": config["cases"]["one_seg"]}
        config["images"] = {}

    def keep(outputs: dict[str, Any]) -> None:
        for name in list(outputs):
            if not name.startswith("one_seg/") or name.endswith(("near_zero_1e-4", "image_embedding_stats")):
                del outputs[name]

    golden = prepare(altered_set(goldens / "lisa", tmp_path / "set", config=one_case, outputs=keep))
    verdicts = {verdict.name: verdict for verdict in compare(golden, golden.expected or {})}
    assert "broken/input_ids" in verdicts["broken"].note
    own = {verdict.status for name, verdict in verdicts.items() if name.startswith("one_seg/")}
    assert own == {"ok"}
    assert verdicts["one_seg/mask_bits"].difference <= 1


def test_texts_and_pixels_are_sets_of_lisa_too(goldens: Path) -> None:
    for kind, key in (("lisa_glamm_text", "lisa/prompt_*"), ("preprocess", "h48_w64_v0/sam1024_grid")):
        assert key in prepare(goldens / kind).keys


def test_the_published_numbers(goldens: Path) -> None:
    golden = prepare(goldens / "lisa")
    verdicts = list(compare(golden, golden.expected or {}))
    assert [verdict for verdict in verdicts if verdict.status in ("off", "missing")] == []
    assert sum(verdict.status == "ok" for verdict in verdicts) > 90


def test_the_decoder_alone_on_the_published_prompt(goldens: Path) -> None:
    """With the golden prompt embedding in float32 the masks are far closer: no error hides in the decoder."""
    model, config = grounded_goldens.load(goldens / "lisa", PROJECTOR_DEPTH, rules, torch.float32)
    inputs, outputs = load_arrays(goldens / "lisa/inputs.npz"), load_arrays(goldens / "lisa/outputs.npz")
    for case, settings in config["cases"].items():
        embedding = model.sam.encode(grounded_goldens.case_prompt(inputs, case, settings["image"]).sam_pixels[None])
        low_res, _ = model.sam.decode(embedding, torch.from_numpy(outputs[f"{case}/seg_embed"]))
        np.testing.assert_allclose(low_res.numpy(), outputs[f"{case}/low_res_logits"], rtol=0, atol=3e-5)


def test_the_cache_changes_nothing(lisa_options: dict[str, object], corrected: list[Response]) -> None:
    recomputed = adapter(lisa_options, recompute=True).answer(requests())
    assert [response.text for response in corrected] == [response.text for response in recomputed]
    for response, other in zip(corrected, recomputed, strict=True):
        assert response.mask is not None
        assert other.mask is not None
        differ = masks.decode(response.mask) != masks.decode(other.mask)
        assert differ.sum() <= 2


def test_published_keeps_the_first_mask_and_the_special_tokens(
    lisa_options: dict[str, object], corrected: list[Response]
) -> None:
    published = adapter(lisa_options, Fidelity.PUBLISHED).answer(requests())
    several = [response for response in published if len(response.masks) > 1]
    assert several
    assert all(response.mask == response.masks[0] for response in several)
    assert any("[SEG]" in response.text for response in published)
    assert not any("[SEG]" in response.text for response in corrected)


def test_a_published_question_is_escaped(lisa_options: dict[str, object]) -> None:
    assert "a &lt; b &amp; c" in adapter(lisa_options, Fidelity.PUBLISHED).full_prompt("a < b & c")
    assert "a < b & c" in adapter(lisa_options).full_prompt("a < b & c")


def test_the_cache_folder_holds_the_same_model(
    lisa_options: dict[str, object], corrected: list[Response], tmp_path: Path
) -> None:
    first = adapter(lisa_options, cache=tmp_path)
    assert not first.loaded.report.from_cache
    second = adapter(lisa_options, cache=tmp_path)
    assert second.loaded.report.from_cache
    assert [response.text for response in second.answer(requests())] == [response.text for response in corrected]


def test_every_key_is_loaded_or_ignored_with_a_reason(lisa_options: dict[str, object]) -> None:
    report = adapter(lisa_options).loaded.report
    assert set(report.ignored) == {
        "model.layers.0.self_attn.rotary_emb.inv_freq",
        "model.layers.1.self_attn.rotary_emb.inv_freq",
        "model.vision_tower.vision_tower.vision_model.embeddings.position_ids",
        "tower:text_model.final_layer_norm.weight",
        "tower:logit_scale",
    }
    assert all(report.ignored.values())


def test_another_systems_checkpoint_is_refused(lisa_options: dict[str, object]) -> None:
    wrong = TINY_SAM.model_dump() | {"prompt_dim": 64}
    with pytest.raises(CheckpointError, match="of another shape"):
        adapter(lisa_options, sam=wrong).answer(requests()[:1])


def test_a_tower_without_its_config_json_is_named(lisa_options: dict[str, object], tmp_path: Path) -> None:
    """Of transformers it would get the sizes of another tower, and LISA's own weights would be blamed."""
    (tmp_path / "model.safetensors").symlink_to(Path(f"{lisa_options['checkpoint']}-tower", "model.safetensors"))
    with pytest.raises(ModelError, match=re.escape(f"can't read file {tmp_path}/config.json")):
        adapter(lisa_options, vision_tower=str(tmp_path)).answer(requests()[:1])
    (tmp_path / "config.json").write_text('{"model_type": ')
    with pytest.raises(ModelError, match=re.escape(f"{tmp_path}/config.json is not JSON")):
        adapter(lisa_options, vision_tower=str(tmp_path)).answer(requests()[:1])


def test_a_tower_of_no_name_is_not_the_current_folder(lisa_options: dict[str, object], tmp_path: Path) -> None:
    config = json.loads(Path(str(lisa_options["checkpoint"]), "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"mm_vision_tower": ""}))
    with pytest.raises(ModelError, match="a checkpoint's part has an empty name"):
        adapter(lisa_options, checkpoint=str(tmp_path)).answer(requests()[:1])


BOTH = ["oracle", "mask-score"]


def rows_of(path: Path) -> dict[str, Any]:
    path = path / "summary.json" if path.is_dir() else path
    return {row["key"]: row["figures"] for row in json.loads(path.read_text())["rows"]}


def test_what_it_looks_at_and_its_own_masks_stand_in_one_table(lisa_options: dict[str, object], tmp_path: Path) -> None:
    """The oracle, a strategy and the control on LISA's attention beside its own masks, as two runs have them."""
    mined = {"extractor": "mean", "grouper": "words", "points": "peak", "masks": "regions", "selections": BOTH}
    model = {"name": "lisa", "attention": "with-masks", **lisa_options}
    control = {"points": "random", "selection": "oracle"}
    for name in ("both", "own", "looked"):
        (tmp_path / name).mkdir()
    folder = run_on_mini_world(model, tmp_path / "both", **mined, control=control, protocols=["segment"])
    table = rows_of(folder)
    assert list(table) == ["own masks", *BOTH, "random points, oracle pick", "random points, mask-score pick"]
    alone = run_on_mini_world({"name": "lisa", **lisa_options}, tmp_path / "own", protocols=["segment"])
    assert table["own masks"] == rows_of(alone)["own masks"]
    looked = run_on_mini_world(
        model | {"attention": True}, tmp_path / "looked", **mined, control=control, protocols=["segment"]
    )
    assert {key: row for key, row in table.items() if key != "own masks"} == rows_of(looked)
    scored = tmp_path / "scored.json"
    with pytest.raises(SystemExit) as end:
        cli.main(["score", str(folder), "--json", str(scored)])
    assert not end.value.code
    assert rows_of(scored) == table
