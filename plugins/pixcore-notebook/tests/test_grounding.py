"""`pixcore.ground` from Python: what it gives, and what a notebook shows of it."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_notebook.keeping import _kept

import pixcore
from pixcore import masks
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.plugins import Kind, registry
from pixcore.records import Candidate, Image, PointPrompt, Response, Selection, Token, TokenGroup

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202eevil\ud800 & 'quoted' \"twice\""


@pytest.fixture(scope="module")
def found(finished: pixcore.Run) -> pixcore.Grounding:
    sample = next(one for one in finished.samples() if not one.result.sample.absent)
    return pixcore.ground(sample.image, sample.asked, config={"selections": ["phrase-overlap"]})


def test_it_says_what_the_run_says_of_the_same_image(found: pixcore.Grounding, finished: pixcore.Run) -> None:
    sample = next(one for one in finished.samples() if not one.result.sample.absent)
    recorded = sample.result.by_probing["segment"]
    choice = recorded.selections["phrase-overlap"]
    assert found.text == sample.texts["segment"]
    assert found.selection == choice
    assert [one.masks for one in found.candidates] == [one.masks for one in recorded.candidates]
    if choice.outcome == "chosen":
        own = recorded.candidates[choice.candidate or 0].masks[choice.mask or 0]
        np.testing.assert_array_equal(found.mask, masks.decode(own))
    else:
        assert not found.mask.any()
    assert found.mask.shape == (112, 112)


def test_paths_and_options_serve(found: pixcore.Grounding, tmp_path: Path) -> None:
    path = tmp_path / "scene.png"
    found.image.pil().save(path)
    short = pixcore.ground(path, found.expression, model="mini", max_new_tokens=4)
    assert found.text.startswith(short.text)
    assert len(short.response.tokens) == 4
    again = pixcore.ground(str(path), found.expression, model={"name": "mini"}, config={"points": "peak"})
    assert again.text == found.text
    assert "scene.png" in repr(again)


def test_a_model_is_kept_for_the_next_call_if_that_is_asked(found: pixcore.Grounding) -> None:
    def ground(**options: Any) -> Any:
        again = pixcore.ground(found.image, found.expression, max_new_tokens=5, **options)
        return (again.text, _kept[0]() if _kept else None)

    said, first = ground(keep=True)
    same, second = ground(keep=True)
    assert first is second is not None
    assert said == same
    assert "loaded" in vars(first)
    _, other = ground(keep=True, dtype="float32")
    assert other is not first
    assert "loaded" not in vars(first)  # two would not fit
    assert ground() == (said, None)
    assert "loaded" not in vars(other)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"expression": " "}, "the expression is empty"),
        ({"max_new_tokans": 3}, "model.max_new_tokans: no such key"),
        ({"model": "minni"}, "no installed plugin offers the model adapter 'minni'"),
        ({"config": {"benchmrk": None}}, "benchmrk: no such key"),
        ({"config": 3}, "a int is no config"),
        ({"config": {"selections": ["oracle"]}}, "every selection strategy of the config needs the ground truth"),
    ],
)
def test_a_mistake_is_one_line(found: pixcore.Grounding, arguments: dict[str, Any], said: str) -> None:
    given = {"image": found.image, "expression": "the house"} | arguments
    with pytest.raises(pixcore.UserError) as caught:
        pixcore.ground(**given)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_notebook_shows_pictures_and_text(found: pixcore.Grounding, checked: Callable[[str], str]) -> None:
    html = checked(found._repr_html_())
    assert found.text in re.sub("<[^>]+>", "", html)
    assert html.count("<img") >= 2


def test_the_picture_is_the_commands(found: pixcore.Grounding, monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[int, int]] = []
    monkeypatch.setattr(PILImage.Image, "show", lambda picture, *_: shown.append(picture.size))
    found.show()
    assert shown == [found.picture.size]


def by_hand(text: str = "the roof is red", **fields: Any) -> pixcore.Grounding:
    size = (80, 60)
    inside = np.zeros((60, 80), np.bool_)
    inside[10:30, 20:50] = True
    layout = VisualLayout.single(VisualGrid.stretched(3, 4, size))
    group = TokenGroup((0,), text[:8], 0, min(8, len(text)))
    relevance = np.arange(12, dtype=np.float32)
    candidate = Candidate(group, PointPrompt.at((30, 20)), (masks.encode(inside),), (0.5,), map=relevance)
    tokens = (Token(1, text[:8], 0, min(8, len(text))),)
    response = Response(text, tokens, layout=layout, extra=fields.pop("extra", {}))
    image = Image.from_pixels(np.full((60, 80, 3), 90, np.uint8), name=fields.pop("name", "image"))
    made = {"expression": "the roof", "model": "mini", "strategy": "mine", "selection": Selection.chosen(0, 0)} | fields
    return pixcore.Grounding(image=image, response=response, candidates=(candidate, candidate), **made)


def test_hostile_text_is_inert_wherever_it_stands(checked: Callable[[str], str]) -> None:
    reason = Selection.chosen(0, 0, reason=HOSTILE)
    evil = {"expression": HOSTILE, "model": HOSTILE, "strategy": HOSTILE, "name": HOSTILE, "extra": {"notice": HOSTILE}}
    found = by_hand(HOSTILE, selection=reason, **evil)
    html = checked(found._repr_html_())
    assert "&lt;script&gt;" in html
    assert "\\u202eevil" in html
    assert found.picture.size > (0, 0)


@pytest.mark.parametrize("selection", [Selection.absent("not there"), Selection.nothing("no phrase")])
def test_no_choice_is_an_empty_mask(selection: Selection, checked: Callable[[str], str]) -> None:
    found = by_hand(selection=selection)
    assert found.mask.shape == (60, 80)
    assert not found.mask.any()
    assert found.heat is None
    assert checked(found._repr_html_()).count("<img") == 3  # the bare image, and two candidates
    assert selection.outcome in repr(found)


def test_a_long_answer_is_bounded(checked: Callable[[str], str]) -> None:
    html = checked(by_hand("roof " * 100_000)._repr_html_())
    assert "480,000 characters more" in html


def test_heat_peaks_where_the_map_does() -> None:
    heat = by_hand().heat
    assert heat is not None
    assert heat.shape == (60, 80)
    row, col = np.unravel_index(heat.argmax(), heat.shape)
    assert row >= 40
    assert col >= 60


def test_candidates_are_a_frame() -> None:
    pytest.importorskip("pandas")
    frame = by_hand().to_pandas()
    assert frame["pixels"].tolist() == [600, 600]
    assert frame["chosen_by"].tolist() == ["mine", ""]
    assert frame["phrase"].tolist() == ["the roof", "the roof"]
    assert by_hand(strategy="").to_pandas()["chosen_by"].tolist() == ["the model's own mask", ""]


def test_without_pandas_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(pixcore.PluginError, match=r"pandas is not installed \(pip install pandas\)"):
        by_hand().to_pandas()


@pytest.mark.parametrize("expression", [None, 3, b"a cup", ["a cup"]])
def test_an_expression_is_text(found: pixcore.Grounding, expression: Any) -> None:
    with pytest.raises(pixcore.DataError, match="no expression"):
        pixcore.ground(found.image, expression, model="mini")


def test_a_models_section_may_hold_paths_and_numbers_of_numpy(found: pixcore.Grounding, tmp_path: Path) -> None:
    section = {"name": "mini", "max_new_tokens": np.int64(4), "checkpoint": tmp_path / "nowhere"}
    with pytest.raises(pixcore.ModelError, match="nowhere"):
        pixcore.ground(found.image, found.expression, model=section)
    del section["checkpoint"]
    assert len(pixcore.ground(found.image, found.expression, model=section).response.tokens) == 4


def test_a_model_that_exits_is_an_error(found: pixcore.Grounding, monkeypatch: pytest.MonkeyPatch) -> None:
    model = registry().get(Kind.MODEL, "mini").component_class
    monkeypatch.setattr(model, "answer", lambda *given: sys.exit(0))
    with pytest.raises(pixcore.PluginError, match="SystemExit: 0"):
        pixcore.ground(found.image, found.expression, model="mini")
