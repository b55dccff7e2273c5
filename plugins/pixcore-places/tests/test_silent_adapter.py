"""The model that says nothing does what every adapter must."""

from __future__ import annotations

import pytest

from tests.adapters import AdapterSuite, Subject, requests_of


class TestSilent(AdapterSuite):
    @pytest.fixture
    def subject(self) -> Subject:
        return Subject("silent", {}, requests_of(["one", "two", "three", "four"]))
