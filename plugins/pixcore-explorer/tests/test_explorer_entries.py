"""A sample's line holds what a search and a filter look at."""

from __future__ import annotations

import numpy as np
from pixcore_explorer.entries import entry

from pixcore.records import Image, ProtocolResult, Response, Sample, SampleResult


def test_a_search_sees_the_whole_of_long_texts() -> None:
    image = Image.from_pixels(np.zeros((8, 8, 3), np.uint8))
    sample = Sample("one", image, question="why " * 1_000, options=("yes", "no"), answer=0, expression="a kite")
    said = f"{'there is much to see here. ' * 100}At last a red kite."
    answered = ProtocolResult("question", "why?", response=Response(said))
    line = entry(SampleResult(sample, {"question": answered}), ())
    assert "a kite" in line["text"].splitlines()
    assert line["text"].endswith("At last a red kite.")
    assert line["protocols"]["question"]["said"] == said
