"""A model that is shown its images enlarged: what it writes and looks at is of the image as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_places.config import EnlargedConfig, WrittenPlacesConfig
from pixcore_places.enlarged import Enlarged
from pixcore_places.groupers import WrittenPlaces

from pixcore.components import Context
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.plugins import Kind, registry
from pixcore.records import Image, Request, Response
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


def test_pixels_of_the_image_are_of_the_enlarged_one() -> None:
    config = EnlargedConfig(of={"name": "silent"}, times=2)
    grouper = WrittenPlaces(WrittenPlacesConfig(convention="pixels"), Context(model_config=config))
    ((group,),) = grouper.group_asked([(ASKED, Response("[40, 40, 80, 60]"))])
    assert group.prompt is not None
    assert group.prompt.box == pytest.approx((20, 20, 40, 30))
