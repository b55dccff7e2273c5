"""GLaMM: published numbers, batches, fidelities, phrases."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pixcore_glamm.adapter import Glamm
from pixcore_glamm.config import GlammConfig
from pixcore_glamm.weights import rules
from pixcore_segtoken.config import SamSizes
from pixcore_segtoken.keymap import Ignore

from pixcore import masks
from pixcore.components import Context
from pixcore.records import Fidelity, Protocol, Request, Response
from tests.adapters import PlacesSuite, RestSuite, SegmentingAdapterSuite, Subject, requests_of
from tests.goldens.glamm import prepare
from tests.goldens.runner import compare
from tests.goldens.segtoken import sizes_of

QUESTIONS = ("Can you please segment the dog in the given image", "What colour is it?", "Describe. a & b", "Why?")


def requests() -> list[Request]:
    return requests_of(QUESTIONS, 8, Protocol.QUESTION)


def adapter(options: dict[str, object], fidelity: Fidelity = Fidelity.CORRECTED, **changes: Any) -> Glamm:
    return Glamm(GlammConfig.model_validate(options | changes), Context(fidelity=fidelity))


@pytest.fixture(scope="module")
def corrected(glamm_options: dict[str, object]) -> list[Response]:
    return adapter(glamm_options).answer(requests())


@pytest.fixture(scope="module", params=["glamm", "glamm-regcap"])
def subject(request: pytest.FixtureRequest, glamm_options: dict[str, object]) -> Subject:
    return Subject(request.param, dict(glamm_options), requests())


class TestAdapter(SegmentingAdapterSuite, RestSuite):
    """What every adapter of its kind must do."""


@pytest.mark.long
class TestPlaces(PlacesSuite):
    """Where weights come from and lie."""


def test_the_published_numbers(goldens: Path) -> None:
    golden = prepare(goldens / "glamm")
    verdicts = list(compare(golden, golden.expected or {}))
    assert [verdict for verdict in verdicts if verdict.status in ("off", "missing")] == []
    assert sum(verdict.status == "ok" for verdict in verdicts) > 100


def test_the_region_encoder_is_ignored_by_all_its_published_names(goldens: Path) -> None:
    config = json.loads((goldens / "glamm/config.json").read_text())
    keys = config["region_encoder_keys_full_size_not_in_state"]
    assert len(keys) == 43
    for key in keys:
        rule = next(rule for rule in rules(sizes_of(config, 2)) if re.fullmatch(getattr(rule, "pattern", "-"), key))
        assert isinstance(rule, Ignore)


def test_published_text_has_no_markers_and_the_first_mask(glamm_options: dict[str, object]) -> None:
    published = adapter(glamm_options, Fidelity.PUBLISHED).answer(requests())
    for response, request in zip(published, requests(), strict=True):
        assert not re.search(r"<.*?>|\[SEG\]", response.text)
        assert response.mask == (response.masks[0] if response.masks else masks.empty(request.image.size))


def test_a_mask_knows_its_phrase(glamm_options: dict[str, object]) -> None:
    """`<p> the dog </p> [SEG] and [SEG]`: the first mask is the dog's, the second nobody's."""
    one = adapter(glamm_options)
    tokenizer, model = one.loaded.tokenizer, one.loaded.model
    said = tokenizer.encode("Sure, <p> the dog </p> [SEG] and [SEG] .")[1:]
    prompt = one._prompt(requests()[0].image, "Why?")
    (answer,) = model.answer([prompt], seg_id=one.loaded.seg_id, stop_ids=[2], max_new_tokens=len(said), forced=[said])
    response = one._corrected(prompt, answer, requests()[0].image.size)
    assert len(response.masks) == 2
    assert "[SEG]" not in response.text
    (start, end), (place, same) = response.mask_spans
    assert response.text[start:end] == "the dog"
    assert place == same
    assert response.text[:place].split()[-1] == "and"


def test_published_sizes_are_those_of_vit_h() -> None:
    assert GlammConfig().sam == SamSizes()
    assert GlammConfig().checkpoint == "MBZUAI/GLaMM-FullScope"
