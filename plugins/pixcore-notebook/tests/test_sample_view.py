"""A sample made by hand: text that means harm, an image that is gone, a probing that failed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pixcore_notebook.runs import SampleView

from pixcore import masks
from pixcore.figures.rows import RowSpec
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import (
    Candidate,
    Image,
    PointPrompt,
    ProtocolResult,
    Response,
    Sample,
    SampleResult,
    Score,
    Selection,
    TokenGroup,
    Verdict,
)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\x1b[31m\u202eevil\ud800 & 'quoted' \"twice\""
SIZE = (40, 30)


def view(
    text: str, image: Image | None = None, categories: dict[str, str] | None = None, truth: bool = True, **fields: Any
) -> SampleView:
    inside = np.zeros((30, 40), np.bool_)
    inside[5:20, 5:20] = True
    rle = masks.encode(inside)
    group = TokenGroup((0,), text, 0, len(text))
    candidate = Candidate(group, PointPrompt.at((9, 9)), (rle,), (0.5,), map=np.arange(4, dtype=np.float32))
    layout = VisualLayout.single(VisualGrid.stretched(2, 2, SIZE))
    result = ProtocolResult(
        text,
        text,
        response=Response(text, layout=layout),
        candidates=(candidate,),
        selections={text: Selection.chosen(0, 0, reason=text)},
        scores={text: Score("one", text, iou=1.0)},
        graded=True,
        verdict=Verdict(None, text),
        ious=(np.ones(1),),
        **fields,
    )
    sample = Sample(
        text,
        image or Image.from_pixels(np.full((30, 40, 3), 90, np.uint8)),
        question=text,
        options=(text, text),
        answer=1,
        expression=text,
        mask=rle if truth else None,
        categories=categories or {text: text},
    )
    return SampleView(SampleResult(sample, {text: result}), [RowSpec(text)])


def test_hostile_text_is_inert_wherever_it_stands(checked: Callable[[str], str]) -> None:
    html = checked(view(HOSTILE, error=HOSTILE)._repr_html_())
    assert html.count("&lt;script&gt;") >= 9
    assert html.count("<img") == 3


def test_a_long_name_is_broken(browser: Any) -> None:
    tab = browser.new_page(viewport={"width": 600, "height": 400})
    tab.set_content(view("name" * 60)._repr_html_())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 600
    tab.close()


def test_hostile_text_steers_no_terminal() -> None:
    shown = repr(view(HOSTILE + "\n" + "long " * 1000))
    assert shown.isprintable()
    assert len(shown) < 400


def test_lines_say_what_the_records_say() -> None:
    one = view("roof")
    (line,) = one.lines()
    assert (line["text"], line["correct"], line["iou: roof"], line["roof"]) == ("roof", False, 1.0, "roof")
    (mask,) = one.candidate_lines()
    assert (mask["pixels"], mask["iou"], mask["chosen_by"], mask["x"]) == (225, 1.0, "roof", 9.0)


@pytest.mark.parametrize(
    ("became", "correct"),
    [
        ({"graded": True, "verdict": Verdict(True)}, True),
        ({"graded": True, "verdict": Verdict(None)}, False),
        ({"graded": True, "error": "no memory"}, False),
        ({"graded": False}, None),
    ],
)
def test_an_answer_is_right_as_figures_count_it(became: dict[str, Any], correct: bool | None) -> None:
    """One that its judge could not read was None, which pandas' means leave out: 90.0 where the table had 86.7."""
    one = view("roof")
    own = replace(one.result.by_probing["roof"], **became)
    (line,) = SampleView(SampleResult(one.result.sample, {"roof": own}), [RowSpec("roof")]).lines()
    assert line["correct"] is correct


def test_no_category_takes_the_place_of_a_line_s_own_column() -> None:
    own = ("sample_id", "pair", "expression", "absent", "probing", "prompt", "text", "correct", "error", "iou: roof")
    (plain,) = view("roof").lines()
    assert set(own) <= plain.keys()
    (line,) = view("roof", categories=dict.fromkeys((*own, "category: text", "state"), "mine")).lines()
    assert {name: line[name] for name in own} == {name: plain[name] for name in own}
    assert all(line[f"category: {name}"] == "mine" for name in (*own, "category: text"))
    assert line["state"] == "mine"


def test_a_picture_without_a_truth_is_not_called_the_true_mask(checked: Callable[[str], str]) -> None:
    assert "“roof”: the true mask" in view("roof")._repr_html_()
    html = checked(view("roof", truth=False)._repr_html_())
    assert "“roof”" in html
    assert "“roof”: the true mask" not in html


def test_without_a_truth_nobody_knows_whether_the_object_is_absent() -> None:
    assert [view("roof", truth=truth).lines()[0]["absent"] for truth in (True, False)] == [False, None]


def test_an_image_that_is_gone_costs_no_more_than_its_picture(checked: Callable[[str], str]) -> None:
    gone = view("roof", Image.from_path("/nowhere/roof.png"))
    html = checked(gone._repr_html_())
    assert "<img" not in html
    assert "can't be read" in html or "can&#39;t be read" in html
    assert "roof" in re.sub("<[^>]+>", "", html)
    assert gone.thumbnail() == ""


@pytest.mark.parametrize("outcome", ["absent", "nothing", "failed"])
def test_what_was_not_chosen_has_no_picture(outcome: Any, checked: Callable[[str], str]) -> None:
    one = view("roof")
    (result,) = one.result.by_probing.values()
    result.selections["roof"] = Selection(outcome, reason="why")  # type: ignore[index]
    assert checked(one._repr_html_()).count("<img") == 1
