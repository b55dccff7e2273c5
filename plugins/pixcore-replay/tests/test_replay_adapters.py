"""What every adapter must do, and the contract: by a real server, a file, and a file with mini to replay it."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_testing import inputs

from pixcore.records import Fidelity, Response
from tests.adapters import AdapterSuite, AttentionAdapterSuite, MemorySuite, Subject, requests_of

REQUESTS = requests_of(["one", "two", "three", "four"])
CONTRACT = [inputs.request(inputs.WIDE), inputs.request(inputs.TALL, "What is it?", seed=1)]


@pytest.fixture
def texts(tmp_path: Path) -> str:
    """A file with a text for each request, of words that mini knows."""
    said = cycle(["The red car is on the left.", "The car is red.", "Yes.", "No."])
    lines = [
        {"sample_id": request.sample_id, "protocol": request.protocol, "text": text}
        for request, text in zip([*REQUESTS, *CONTRACT], said, strict=False)
    ]
    (tmp_path / "texts.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(tmp_path / "texts.jsonl")


class TestServed(AdapterSuite):
    """A model behind a server."""

    @pytest.fixture
    def subject(self, server: Any) -> Subject:
        server.script.answer = lambda asked: f"It says {asked.text}."
        return Subject("served", {"server": server.url, "model": "m"}, REQUESTS)


class TestRecorded(AdapterSuite):
    """The answers in a file."""

    @pytest.fixture
    def subject(self, texts: str) -> Subject:
        return Subject("recorded", {"file": texts}, REQUESTS)


class TestReplayed(AttentionAdapterSuite, MemorySuite):
    """Text from a file, attention from mini."""

    @pytest.fixture
    def subject(self, texts: str) -> Subject:
        return Subject("replayed", {"model": "mini", "text": texts}, REQUESTS)

    def test_reading_attention_changes_no_answer(self, subject: Subject) -> None:
        """But for its tokens: without a replay they are the source's, with one the local tokenizer's."""
        with subject.adapter() as adapter:
            plain = adapter.answer(subject.requests)
            read = adapter.answer(subject.requests, self.extractor(Fidelity.CORRECTED))
        assert [response.text for response in plain] == [response.text for response in read]
        assert all(response.maps is None for response in plain)
        assert all("not_reproduced" not in response.extra for response in read)

    @pytest.mark.parametrize("query", ["predicting", "emitted"])
    def test_an_answer_that_was_cut_off_is_read_without_an_end(self, query: str) -> None:
        """As the model itself is read that wrote it: the end would be one more token, and shift the maps' mean."""
        mini = {"name": "mini", "max_new_tokens": 3}
        live = self.cut_off(Subject("mini", {"max_new_tokens": 3}, REQUESTS), query)
        read = self.cut_off(Subject("replayed", {"model": mini, "text": mini}, REQUESTS), query)
        for one, other in zip(live, read, strict=True):
            assert (one.extra["finish"], other.extra["finish"]) == ("length", "length")
            assert one.tokens == other.tokens
            assert one.maps is not None
            assert other.maps is not None
            np.testing.assert_allclose(one.maps, other.maps, atol=1e-6)

    def test_an_answer_that_was_cut_off_before_its_first_token_has_its_end(self, server: Any) -> None:
        """Thoughts took all the room; else there would be maps of no token."""
        server.script.answer, server.script.choice = lambda asked: "", {"finish_reason": "length"}
        served = {"name": "served", "server": server.url, "model": "m"}
        for answer in self.cut_off(Subject("replayed", {"model": "mini", "text": served}, REQUESTS), "predicting"):
            assert (answer.text, answer.extra["finish"], len(answer.tokens)) == ("", "length", 1)

    def cut_off(self, subject: Subject, query: str) -> list[Response]:
        with subject.adapter() as adapter:
            return adapter.answer(REQUESTS, Mean(MeanConfig.model_validate({"query": query})))
