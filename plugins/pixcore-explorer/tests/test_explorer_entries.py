"""A sample's line holds what a search and a filter look at, and the atlas what `pixcore emergence` says."""

from __future__ import annotations

import numpy as np
import pytest
from pixcore_explorer.atlas import Atlas
from pixcore_explorer.entries import entry

from pixcore import masks
from pixcore.records import Candidate, Image, ProtocolResult, Response, Sample, SampleResult, TokenGroup


def test_a_search_sees_the_whole_of_long_texts() -> None:
    image = Image.from_pixels(np.zeros((8, 8, 3), np.uint8))
    sample = Sample("one", image, question="why " * 1_000, options=("yes", "no"), answer=0, expression="a kite")
    said = f"{'there is much to see here. ' * 100}At last a red kite."
    answered = ProtocolResult("question", "why?", response=Response(said))
    line = entry(SampleResult(sample, {"question": answered}), ())
    assert "a kite" in line["text"].splitlines()
    assert line["text"].endswith("At last a red kite.")
    assert line["protocols"]["question"]["said"] == said


def test_the_atlas_has_the_matched_control_also_where_the_first_sample_lacks_it() -> None:
    image = Image.from_pixels(np.zeros((10, 10, 3), np.uint8))

    def found(fit: int) -> tuple[Candidate, ...]:
        return (
            Candidate(TokenGroup((), "A kite", 0, 6), None, (masks.encode(np.arange(100).reshape(10, 10) < fit),), ()),
        )

    atlas = Atlas("mini", ["segment"], 0, "other-images points")
    for number, controls in enumerate([{"random points": found(20)}, {"other-images points": found(90)}]):
        sample = Sample(str(number), image, expression="a kite", mask=masks.encode(np.ones((10, 10), bool)))
        answered = ProtocolResult("segment", "Where?", Response("A kite."), found(100), controls)
        atlas.add(SampleResult(sample, {"segment": answered}))
    own, control = atlas.finish()["probings"]["segment"]["curves"]
    assert (own["points"][0][0], control["points"][0][0]) == (100, pytest.approx(90))
