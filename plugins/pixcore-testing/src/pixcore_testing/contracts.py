"""The contract as pytest classes: a plugin's test file derives from one and says what is to be held to it.

    from pixcore_testing import PointSelectorContract

    class TestCorner(PointSelectorContract):
        name = "corner"  # as the plugin registered it

A component that is not registered, or that is made in a way of its own, comes from a factory:

    class TestCorner(PointSelectorContract):
        def make(self, context, options):
            return Corner(CornerConfig(side="left"), context)

Options that only a fixture knows, such as a checkpoint's folder, come from an override of the fixture `options`. Each
test fails with a line for each mistake: what was promised, what was seen, and the page that says more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from pixcore.components import Component, Context
from pixcore.entries import entry_points
from pixcore.plugins import Guest, GuestKind, Kind, Registration, load, registry
from pixcore.records import Fidelity, Image
from pixcore_testing.conformance import check_component, check_offer, check_registration, making
from pixcore_testing.findings import Finding, Report, page_of
from pixcore_testing.guests import check_command, check_guest, check_guest_offer, check_run_writer
from pixcore_testing.modules import check_module, check_observer


def hold(findings: Sequence[Finding]) -> None:
    """Fail with a line for each mistake and no traceback; skip where something could not be tried."""
    mistakes = [str(finding) for finding in findings if finding.severity == "error"]
    if mistakes:
        pytest.fail("\n".join(mistakes), pytrace=False)
    if findings:
        pytest.skip("; ".join(map(str, findings)))


def _asking(kind: Kind, asks: bool) -> dict[str, bool]:
    """The option of a kind's check that may ask services; other kinds ask none."""
    return {"asks": asks} if kind in (Kind.MODEL, Kind.SELECTIONS, Kind.JUDGE) else {}


class ComponentContract:
    """What every component promises.

    Attributes:
        kind: The kind of component.
        name: What the plugin registered it as; its registration is checked too.
        asks: Whether the service that it asks is asked: where it is the test's own, and costs nothing.
    """

    kind: ClassVar[Kind]
    name: ClassVar[str] = ""
    asks: ClassVar[bool] = False

    @pytest.fixture(params=list(Fidelity))
    def fidelity(self, request: pytest.FixtureRequest) -> Fidelity:
        """Under which fidelity it is made; checked under both."""
        fidelity: Fidelity = request.param
        return fidelity

    @pytest.fixture
    def options(self) -> Mapping[str, Any]:
        """Give its options, as a config would."""
        return {}

    @pytest.fixture
    def context(self, fidelity: Fidelity) -> Context:
        """Give what it may know of a run, such as the run's model."""
        return Context(fidelity=fidelity)

    def make(self, context: Context, options: Mapping[str, Any]) -> Component[Any]:
        """Make what is checked: the factory. By default as a run makes what is registered under `name`."""
        found = registry().get(self.kind, self.name)
        component: Component[Any] = found.create(found.config_class.model_validate(options), context)
        return component

    def check(self, component: Component[Any]) -> list[Finding]:
        """Look at it."""
        return check_component(self.kind, component, **_asking(self.kind, self.asks))

    def test_it_keeps_the_contract(self, context: Context, options: Mapping[str, Any]) -> None:
        """Shapes, types and behaviour on small synthetic inputs."""
        report = Report(page_of(self.kind.value))
        findings: list[Finding] = []
        with making(report):
            component = self.make(context, options)
            findings = self.check(component)
        hold([*report.findings, *findings])

    def test_it_is_offered_as_it_should_be(self) -> None:
        """Its plugin is light, marks its hooks and says in a line what it offers."""
        if self.name:
            hold(check_offer(registry().get(self.kind, self.name)))


class ModelAdapterContract(ComponentContract):
    """What a model adapter promises.

    Attributes:
        geometry: Whether to look where visual tokens lie, which asks for some hundred embeddings of images.
    """

    kind = Kind.MODEL
    geometry: ClassVar[bool] = True

    def embeddings(self, image: Image) -> NDArray[np.floating[Any]] | None:
        """Give an image's (visual tokens, width) by other code than the adapter's, such as the model's own processor.

        Without it (None) nobody can tell that an adapter swaps red and blue, or scales pixels otherwise.
        """
        return None

    def check(self, component: Component[Any]) -> list[Finding]:
        """Look at it."""
        return check_component(self.kind, component, geometry=self.geometry, embeddings=self.embeddings)


class AttentionExtractorContract(ComponentContract):
    """What an attention extractor promises."""

    kind = Kind.EXTRACTOR


class MapTransformContract(ComponentContract):
    """What a map transform promises."""

    kind = Kind.TRANSFORMS


class TokenGrouperContract(ComponentContract):
    """What a token grouper promises."""

    kind = Kind.GROUPER


class PointSelectorContract(ComponentContract):
    """What a point selector promises."""

    kind = Kind.POINTS


class MaskGeneratorContract(ComponentContract):
    """What a mask generator promises."""

    kind = Kind.MASKS


class SelectionStrategyContract(ComponentContract):
    """What a selection strategy promises."""

    kind = Kind.SELECTIONS


class BenchmarkContract(ComponentContract):
    """What a benchmark promises."""

    kind = Kind.BENCHMARK


class JudgeContract(ComponentContract):
    """What a judge promises."""

    kind = Kind.JUDGE


class ExecutorContract(ComponentContract):
    """What an executor promises."""

    kind = Kind.EXECUTOR


class PluginContract:
    """What a plugin promises with all that it offers.

    Attributes:
        name: The plugin's: its entry point's name.
        elsewhere: Names of what it offers whose contract a class of their own holds.
        asks: Whether services are asked: where they are the test's own, and cost nothing.
    """

    name: ClassVar[str]
    elsewhere: ClassVar[Collection[str]] = ()
    asks: ClassVar[bool] = False

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Ask for a test of everything that the plugin offers, of components under each fidelity."""
        if "offer" in metafunc.fixturenames:
            own = [one for one in registry() if one.plugin == self.name and one.name not in self.elsewhere]
            guests = [one for kind in GuestKind for one in registry().guests(kind) if one.plugin == self.name]
            cases = [*product(own, Fidelity), *product(guests, [Fidelity.CORRECTED])]
            names = [f"{one.kind}-{one.name.replace(' ', '-')}-{fidelity}" for one, fidelity in cases]
            metafunc.parametrize(("offer", "fidelity"), cases, ids=names)

    @pytest.fixture
    def options(self, offer: Guest) -> Mapping[str, Any]:
        """Give a component's options, as a config would."""
        return {}

    @pytest.fixture
    def context(self, fidelity: Fidelity) -> Context:
        """Give what a component may know of a run, such as the run's model."""
        return Context(fidelity=fidelity)

    def test_its_module_keeps_the_contract(self) -> None:
        """It is light, marks its hooks, and observes without harm."""
        hold(check_module(self.name))
        plugins = [load(target) for name, target, _ in entry_points() if name == self.name]
        hold([finding for plugin in plugins for finding in check_observer(plugin)])

    def test_what_it_offers_keeps_the_contract(
        self, offer: Guest, fidelity: Fidelity, options: Mapping[str, Any], context: Context
    ) -> None:
        """Every component, command, run writer and probing."""
        if isinstance(offer, Registration):
            config = offer.config_class.model_validate(options)
            hold(check_registration(offer, config, context, **_asking(offer.kind, self.asks)))
        else:
            hold(check_guest(offer))


class RunWriterContract:
    """What a run writer promises.

    Attributes:
        name: What the plugin registered it as.
    """

    name: ClassVar[str] = ""

    def make(self) -> Any:
        """Give the class that is checked; by default what is registered under `name`."""
        return registry().guest(GuestKind.WRITER, self.name).loaded

    def test_it_keeps_the_contract(self) -> None:
        """A whole file or none, whatever a run holds."""
        hold(check_run_writer(self.make()))

    def test_it_is_offered_as_it_should_be(self) -> None:
        """Its plugin is light, marks its hooks and says in a line what it offers."""
        if self.name:
            hold(check_guest_offer(registry().guest(GuestKind.WRITER, self.name)))


class CommandContract:
    """What a command promises.

    Attributes:
        name: What a person types after `pixcore`.
        runs: Arguments of runs that succeed, each in an empty folder.
    """

    name: ClassVar[str] = ""
    runs: ClassVar[Sequence[Sequence[str]]] = ()

    def make(self) -> Any:
        """Give the command that is checked; by default what is registered under `name`."""
        return registry().guest(GuestKind.COMMAND, self.name).loaded

    def test_it_keeps_the_contract(self) -> None:
        """It explains itself, and ends as commands do."""
        hold(check_command(self.make(), self.runs))

    def test_it_is_offered_as_it_should_be(self) -> None:
        """Its plugin is light, marks its hooks and says in a line what it offers."""
        if self.name:
            hold(check_guest_offer(registry().guest(GuestKind.COMMAND, self.name)))


class ObserverContract:
    """What a plugin that observes runs promises.

    Attributes:
        name: The plugin's: its entry point's name.
    """

    name: ClassVar[str] = ""

    def make(self) -> object:
        """Give the plugin's module, or object; by default the installed one called `name`."""
        (target,) = (target for name, target, _ in entry_points() if name == self.name)
        return load(target)

    def test_it_keeps_the_contract(self) -> None:
        """It raises nothing and changes nothing that it hears."""
        hold(check_observer(self.make()))

    def test_it_is_offered_as_it_should_be(self) -> None:
        """Its module is light and marks its hooks."""
        if self.name:
            hold(check_module(self.name))
