"""The contract classes hold what a subclass names or makes, and fail with a line for each mistake."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import pixcore_testing
import pytest
from pixcore_testing import CommandContract, ObserverContract, PointSelectorContract, RunWriterContract
from pixcore_testing.conformance import CHECKS
from pixcore_testing.contracts import ComponentContract
from pixcore_testing.findings import DOCS, page_of

from pixcore.components import Component, Context, NoConfig, PointSelector
from pixcore.plugins import Kind
from pixcore.records import PointPrompt

ROOT = Path(__file__).parents[3]


class Corner(PointSelector[NoConfig]):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt.at((0, 0))


class Below(Corner):
    def select(self, relevance: Any) -> PointPrompt:
        return PointPrompt.at((0, relevance.shape[0]))


class TestAComponentFromAFactory(PointSelectorContract):
    def make(self, context: Context, options: Mapping[str, Any]) -> Component[Any]:
        return Corner(NoConfig(), context)


class TestARunWriter(RunWriterContract):
    name = "predictions"


class TestACommand(CommandContract):
    name = "schema"
    runs = ([],)


class TestAnObserver(ObserverContract):
    def make(self) -> object:
        return pixcore_testing


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_check_and_a_contract(kind: Kind) -> None:
    assert kind in CHECKS
    contract = getattr(pixcore_testing, f"{kind.interface.__name__}Contract")
    assert issubclass(contract, ComponentContract)
    assert contract.kind is kind


class Broken(PointSelectorContract):
    def make(self, context: Context, options: Mapping[str, Any]) -> Component[Any]:
        return Below(NoConfig(), context)


class Unmade(PointSelectorContract):
    def make(self, context: Context, options: Mapping[str, Any]) -> Component[Any]:
        return Corner(NoConfig(), context, 3)  # type: ignore[call-arg]


class Failing(CommandContract):
    runs = (["--loud"],)

    def make(self) -> Any:
        return click.Command("fail", help="Fails.")


@pytest.mark.parametrize(
    ("contract", "promise"),
    [(Broken, "points are (x, y) inside the image"), (Unmade, "made as Class(config, context)")],
)
def test_a_broken_contract_is_a_line_and_no_traceback(contract: Any, promise: str) -> None:
    with pytest.raises(pytest.fail.Exception, match="promised: ") as failure:
        contract().test_it_keeps_the_contract(Context(), {})
    assert not failure.value.pytrace
    (line,) = str(failure.value.msg).splitlines()
    assert promise in line


def test_a_command_that_fails_is_a_line() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"--loud: promised: a command succeeds; seen: No such option"):
        Failing().test_it_keeps_the_contract()


def test_the_pages_that_findings_name_are_there() -> None:
    site = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert f"site_url: {DOCS}\n" in site
    for kind in (*map(str, Kind), "command", "run writer", "observer", "plugin"):
        page = page_of(kind).removeprefix(DOCS).partition("/#")[0].rstrip("/")
        assert f": {page}.md\n" in site, kind
