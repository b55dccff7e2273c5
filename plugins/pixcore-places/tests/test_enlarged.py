"""A model that is shown its images enlarged: what it writes and looks at is of the image as it is."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_places.config import EnlargedConfig, SilentConfig, WrittenPlacesConfig
from pixcore_places.enlarged import Enlarged
from pixcore_places.groupers import WrittenPlaces, resizing_of
from pixcore_places.silent import Silent

from pixcore.components import Context
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.plugins import Kind, registry
from pixcore.records import Image, Request, Response
from pixcore.services import Expense
from tests.adapters import AdapterSuite, Subject, requests_of

PIXELS = np.random.default_rng(0).integers(0, 255, (70, 140, 3)).astype(np.uint8)
ASKED = Request("1", "box", Image.from_pixels(PIXELS), "where?")


class TestEnlarged(AdapterSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("enlarged", {"of": "silent"}, requests_of(["one", "two", "three", "four"]))


def test_it_answers_as_the_model_does_that_is_shown_the_larger_image(tmp_path: Path) -> None:
    testing = pytest.importorskip("pixcore_transformers.testing")
    testing.save_checkpoint("qwen2_5_vl", tmp_path / "tiny")
    options = {"checkpoint": str(tmp_path / "tiny"), "max_new_tokens": 4}
    adapter = Enlarged(EnlargedConfig(of={"name": "transformers", **options}, times=2))
    registration = registry().get(Kind.MODEL, "transformers")
    plain = registration.create(registration.config_class.model_validate(options), Context())
    larger = Image.from_pixels(np.asarray(ASKED.image.pil().resize((280, 140))))  # Pillow's default, as released
    mean = Mean(MeanConfig.model_validate({}))
    (found,) = adapter.answer([ASKED], mean)
    (expected,) = plain.answer([replace(ASKED, image=larger)], mean)
    assert found.text == expected.text
    assert found.maps is not None
    np.testing.assert_array_equal(found.maps, expected.maps)
    assert found.layout is not None
    assert found.layout.grids[0].box == adapter.layout(ASKED.image).grids[0].box == (0, 0, 140, 70)
    assert expected.layout.grids[0].box == (0, 0, 280, 140)
    assert adapter.capabilities == {"text", "attention"}
    assert adapter.config.family == plain.config.family
    adapter.close()


@pytest.mark.parametrize("looked", [True, False])
def test_pixels_that_it_writes_are_of_what_it_saw(looked: bool) -> None:
    config = EnlargedConfig(of={"name": "transformers", "checkpoint": "Qwen/Qwen2.5-VL-7B-Instruct"}, times=2)
    said = '[{"bbox_2d": [28, 14, 140, 70], "label": "it"}]'
    grouper = WrittenPlaces(WrittenPlacesConfig(convention="qwen2.5-vl"), Context(model_config=config))
    layout = VisualLayout.single(VisualGrid.stretched(5, 10, ASKED.image.size)) if looked else None
    ((group,),) = grouper.group_asked([(ASKED, replace(Response(said), layout=layout))])
    assert group.prompt is not None
    assert group.prompt.box == pytest.approx((14, 7, 70, 35))  # it saw 280 x 140


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize(
    "bounds", [{}, {"max_pixels": 3000}, {"size": {"shortest_edge": 60_000, "longest_edge": 90_000}}]
)
def test_a_model_that_is_loaded_here_says_how_it_resizes(times: int, bounds: dict[str, Any], tmp_path: Path) -> None:
    testing = pytest.importorskip("pixcore_transformers.testing")
    testing.save_checkpoint("qwen2_5_vl", tmp_path / "tiny")
    options = {"checkpoint": str(tmp_path / "tiny"), "image_options": bounds}
    config = EnlargedConfig(of={"name": "transformers", **options}, times=times)
    (grid,) = Enlarged(config).layout(ASKED.image).grids
    middle = json.dumps([{"point_2d": [grid.cols * 4, grid.rows * 4]}])  # the tiny one's tokens are 8 pixels wide
    grouper = WrittenPlaces(
        WrittenPlacesConfig(), Context(model_config=config if times > 1 else config.inside()[0].config)
    )
    ((group,),) = grouper.group_asked([(ASKED, Response(middle))])
    assert group.prompt is not None
    assert group.prompt.points.tolist() == [[69.5, 34.5]]


def test_so_does_one_that_is_loaded_by_its_name_on_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub = pytest.importorskip("huggingface_hub")
    monkeypatch.setattr(hub.constants, "HF_HUB_CACHE", str(tmp_path))
    repository = tmp_path / "models--owner--tuned"
    for part in ("refs", "snapshots/0123"):
        (repository / part).mkdir(parents=True)
    (repository / "refs" / "main").write_text("0123")
    (repository / "snapshots" / "0123" / "preprocessor_config.json").write_text(
        json.dumps({"min_pixels": 784, "max_pixels": 4 * 784, "patch_size": 14, "merge_size": 2})
    )
    config = pytest.importorskip("pixcore_transformers.config").TransformersConfig(checkpoint="owner/tuned")
    assert resizing_of(config) == {"least": 784, "most": 3136, "multiple": 28}
    assert resizing_of(config.model_copy(update={"revision": "other"})) == {}
    assert resizing_of(config.model_copy(update={"checkpoint": "owner/of/nothing"})) == {}


def test_it_is_asked_as_its_model_is(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pixcore_replay")
    served = EnlargedConfig(of={"name": "served", "model": "some", "base_url": "http://localhost:1/v1"})
    recorded = EnlargedConfig(of={"name": "recorded", "file": "predictions.jsonl"})
    assert [(one.asks_service, one.by_sample) for one in (served, recorded)] == [(True, False), (False, True)]
    asked: list[tuple[int, int]] = []

    class Model(Silent):
        def expected_cost(self, request: Request) -> Expense:
            asked.append(request.image.size)
            return Expense("some")

        def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> NDArray[np.float64]:
            asked.append(image.size)
            return np.zeros(len(continuations))

    adapter = Enlarged(EnlargedConfig(of={"name": "silent"}, times=2))
    monkeypatch.setattr(adapter, "_inner", Model(SilentConfig()))
    adapter.expected_cost(ASKED)
    adapter.probability(ASKED.image, "is it?", ["yes"])
    assert asked == [(280, 140)] * 2


def test_pixels_of_the_image_are_of_the_enlarged_one() -> None:
    config = EnlargedConfig(of={"name": "silent"}, times=2)
    grouper = WrittenPlaces(WrittenPlacesConfig(convention="pixels"), Context(model_config=config))
    ((group,),) = grouper.group_asked([(ASKED, Response("[40, 40, 80, 60]"))])
    assert group.prompt is not None
    assert group.prompt.box == pytest.approx((20, 20, 40, 30))
