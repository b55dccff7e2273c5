"""Mistakes planted in plugins' modules, observers, run writers and commands: each is one line."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import click
import pytest
from pixcore_testing.findings import Report, page_of
from pixcore_testing.guests import check_command, check_run_writer
from pixcore_testing.modules import HOOKS, OBSERVED, check_hooks, check_observer

from pixcore import hookimpl
from pixcore.errors import DataError
from pixcore.figures.rows import RowSpec, Summary
from pixcore.files import replacing
from pixcore.records import SampleResult
from pixcore.runs.writers import PredictionsWriter, RunWriter


def module(**functions: Callable[..., Any]) -> ModuleType:
    """A plugin's module that defines these functions."""
    made = ModuleType("a_plugin")
    for name, function in functions.items():
        function.__module__ = "a_plugin"
        setattr(made, name, function)
    return made


def observed(**functions: Callable[..., Any]) -> ModuleType:
    """One whose functions are marked."""
    return module(**{name: hookimpl(function) for name, function in functions.items()})


def hooks(plugin: ModuleType) -> list[Any]:
    report = Report(page_of("plugin"))
    with report.step("plugin"):
        check_hooks(report, plugin)
    return report.findings


async def awaited(register: Any) -> None:
    """Called without an `await`, it does nothing."""


def yields(register: Any) -> Any:
    """A wrapper; without the mark of one, it does nothing."""
    yield


def test_every_hook_is_known_and_observers_are_told_of_all() -> None:
    assert {"register_judges", "register_commands", "run_finished"} <= set(HOOKS)
    assert set(OBSERVED) == {name for name, arguments in HOOKS.items() if arguments[0] == "run"}
    for name, arguments in OBSERVED.items():
        assert {"run", *arguments} == set(HOOKS[name])


def test_a_module_whose_hooks_are_hooks() -> None:
    assert hooks(observed(register_judges=lambda register: None, run_finished=lambda run: None)) == []


def test_a_wrapper_is_a_hook() -> None:
    def wraps(register: Any) -> Any:
        return (yield)

    assert hooks(module(register_judges=hookimpl(wraps, wrapper=True))) == []


@pytest.mark.parametrize(
    ("plugin", "promise", "seen"),
    [
        (module(helper=lambda: None), "has a function marked with @hookimpl", "none, so that it does nothing"),
        (
            module(register_judges=lambda register: None),
            "a function that is a hook is marked with @hookimpl",
            "'register_judges'",
        ),
        (module(register_judge=lambda register: None), "is marked with @hookimpl", "did you mean 'register_judges'?"),
        (
            observed(register_point_selector=lambda register: None),
            "a function with @hookimpl has the name of a hook",
            "'register_point_selector', did you mean 'register_point_selectors'?",
        ),
        (observed(anything=lambda register: None), "a function with @hookimpl has the name of a hook", "'anything'"),
        (observed(register_judges=lambda reg: None), "have the hook's names: register_judges(register)", "reg"),
        (
            observed(sample_finished=lambda run, sample: None),
            "have the hook's names: sample_finished(run, record)",
            "sample",
        ),
        (observed(register_judges=awaited), "a hook is a plain function", "'register_judges' is asynchronous"),
        (observed(register_judges=yields), "a hook is a plain function", "'register_judges' has a yield"),
    ],
)
def test_a_mistake_in_a_module_is_one_line(plugin: ModuleType, promise: str, seen: str, told: Any) -> None:
    told(hooks(plugin), promise, seen)


def changes(run: str, record: dict[str, Any]) -> None:
    record["probings"].clear()


def needs_a_judge(run: str, record: Mapping[str, Any]) -> None:
    for line in record["probings"].values():
        line["correct"] + 1


def starts_once(run: str) -> None:
    Path("started").touch(exist_ok=False)


def gives_back(run: str, summary: Mapping[str, Any]) -> Any:
    return summary


def test_an_observer_that_keeps_the_contract() -> None:
    heard: list[str] = []
    plugin = observed(
        run_started=lambda run, config: heard.append(config["benchmark"]["name"]),
        stage_advanced=lambda stage, done, total: heard.append(f"{stage} {done}/{total}"),
        run_finished=lambda summary: heard.append(summary["model"]),
    )
    assert check_observer(plugin) == []
    run, part = ["toy", "answer 1/2", "toy"], ["toy", "answer 1/2"]
    assert heard == run + part + run


@pytest.mark.parametrize(
    ("plugin", "promise", "seen"),
    [
        (observed(run_finished=lambda summary: summary["figures"]), "nothing is raised", "KeyError: 'figures'"),
        (observed(sample_finished=needs_a_judge), "nothing is raised", "TypeError: unsupported operand"),
        (observed(run_started=starts_once), "nothing is raised", "FileExistsError"),
        (observed(sample_finished=changes), "an observer changes nothing that it hears", "other values"),
        (observed(run_finished=gives_back), "an observer gives nothing back", "dict"),
    ],
)
def test_a_mistake_in_an_observer_is_one_line(plugin: ModuleType, promise: str, seen: str, told: Any) -> None:
    told(check_observer(plugin), promise, seen)


class Count(RunWriter):
    """How many samples went by."""

    def begin(self, folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        self.path = folder / "count.json"
        self.ids: list[str] = []

    def add(self, result: SampleResult) -> None:
        self.ids.append(result.sample.id)

    def finish(self, summary: Summary) -> Path | None:
        with replacing(self.path) as file:
            json.dump(self.ids, file)
        return self.path


class NoWriter:
    """Has nothing of a writer."""


class WantsArguments(Count):
    def __init__(self, folder: Path) -> None:
        self.folder = folder


class HalfAFile(Count):
    def begin(self, folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        super().begin(folder, run, rows)
        self.path.write_text("[")


class NamesAPath(Count):
    def finish(self, summary: Summary) -> Any:
        return str(super().finish(summary))


class NamesNoFile(Count):
    def finish(self, summary: Summary) -> Path | None:
        return self.path.with_suffix(".html")


class Elsewhere(Count):
    def finish(self, summary: Summary) -> Path | None:
        Path("count.json").write_text("[]")
        return None


class FailsWithoutAnswer(Count):
    def add(self, result: SampleResult) -> None:
        for outcome in result.by_probing.values():
            self.ids.append(outcome.response.text)  # type: ignore[union-attr]


class FailsWithoutSamples(Count):
    def finish(self, summary: Summary) -> Path | None:
        self.share = len(self.ids) / summary.samples
        return super().finish(summary)


class FailsWithoutFigures(Count):
    def finish(self, summary: Summary) -> Path | None:
        self.line = [f"{row.figures['A'].value:.1f}" for row in summary.rows]
        return super().finish(summary)


class ClosesOnce(Count):
    closed = False

    def close(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class EveryoneTogether(Count):
    """State shared between writings."""

    ids: list[str] = []  # noqa: RUF012

    def begin(self, folder: Path, run: Mapping[str, Any], rows: Sequence[RowSpec]) -> None:
        self.path = folder / "count.json"

    def close(self) -> None:
        pass


class Drops(Count):
    def add(self, result: SampleResult) -> None:
        super().add(result)
        result.by_probing.clear()  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [Count, PredictionsWriter])
def test_a_run_writer_that_keeps_the_contract(kind: type[RunWriter]) -> None:
    assert check_run_writer(kind) == []


@pytest.mark.parametrize(
    ("kind", "promise", "seen"),
    [
        (NoWriter, "is a class derived from pixcore.runs.writers.RunWriter", "NoWriter"),
        (Count(), "is a class derived from pixcore.runs.writers.RunWriter", "a Count"),
        (WantsArguments, "nothing is raised", "missing 1 required positional argument: 'folder'"),
        (HalfAFile, "a writing that is given up leaves no file", "['count.json']"),
        (NamesAPath, "what finish gives, if anything,: a Path", "str"),
        (NamesNoFile, "what finish gives is a file in the run's folder", "count.html, which is not there"),
        (Elsewhere, "a run writer writes into the run's folder alone", "['count.json'] in the working directory"),
        (FailsWithoutAnswer, "nothing is raised", "'NoneType' object has no attribute 'text'"),
        (FailsWithoutSamples, "nothing is raised", "ZeroDivisionError"),
        (FailsWithoutFigures, "nothing is raised", "KeyError: 'A'"),
        (ClosesOnce, "nothing is raised", "closed twice"),
        (EveryoneTogether, "the same results leave the same files", "other bytes in count.json"),
        (Drops, "a run writer changes no result", "another"),
    ],
)
def test_a_mistake_in_a_run_writer_is_one_line(kind: Any, promise: str, seen: str, told: Any) -> None:
    told(check_run_writer(kind), promise, seen)


@click.command()
@click.argument("name")
@click.option("--loud", is_flag=True)
def greet(name: str, loud: bool) -> int:
    """Say hello to NAME."""
    click.echo(f"hello {name}{'!' * loud}")
    return 0


@click.command()
def silent() -> None:
    pass


@click.command()
def words() -> str:
    """Give back what should be printed."""
    return "done"


@click.command()
def fails() -> int:
    """Fail."""
    return 1


@click.command()
def raises() -> None:
    """Raise."""
    raise KeyError("samples")


@click.command()
def refuses() -> None:
    """Refuse."""
    raise DataError("there is no run", hint="make one")


def function() -> None:
    """Not a command."""


def test_a_command_that_keeps_the_contract() -> None:
    assert check_command(greet, runs=[["world"], ["world", "--loud"]]) == []


@pytest.mark.parametrize(
    ("command", "runs", "promise", "seen"),
    [
        (function, [], "what a command's target names: a Command", "function"),
        (silent, [], "a command's docstring is its help", "none"),
        (words, [[]], "a command gives back its exit status, or nothing", "str 'done'"),
        (fails, [[]], "a command succeeds", "exit status 1"),
        (raises, [[]], "nothing is raised", "KeyError: 'samples'"),
        (refuses, [[]], "a command succeeds", "there is no run (make one)"),
        (greet, [[]], "a command succeeds", "Missing argument 'NAME'"),
        (greet, [["world", "--quiet"]], "a command succeeds", "No such option"),
    ],
)
def test_a_mistake_in_a_command_is_one_line(
    command: Any, runs: Sequence[Sequence[str]], promise: str, seen: str, told: Any
) -> None:
    told(check_command(command, runs), promise, seen)


MANIFEST = "Metadata-Version: 2.1\nName: {name}\nVersion: 0.1\n"


def installed(folder: Path, name: str, code: str) -> None:
    """Install a plugin the way a wheel does: a module, and its metadata beside it."""
    (folder / f"{name}_plugin.py").write_text(code)
    about = folder / f"{name}-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(MANIFEST.format(name=name))
    (about / "entry_points.txt").write_text(f"[pixcore]\n{name} = {name}_plugin\n")


HEAD = "from pixcore import hookimpl\n"
CORNER = (
    HEAD
    + "@hookimpl\ndef register_point_selectors(register):\n    register('corner', {target!r}, summary={summary!r})\n"
)
SELECTOR = """
from pixcore.components import PointSelector
from pixcore.records import PointPrompt

class Corner(PointSelector):
    def select(self, relevance):
        return PointPrompt.at((0, 0))

class Unfinished(PointSelector):
    pass
"""


@pytest.fixture
def checked(workplace: Any) -> Callable[..., list[str]]:
    """Install plugins, check a name, and give what is said of it as errors."""
    workplace.environment["PYTHONPATH"] += f":{workplace.folder}"

    def check(name: str, **plugins: str) -> list[str]:
        (workplace.folder / "corners.py").write_text(SELECTOR)
        for plugin, code in plugins.items():
            installed(workplace.folder, plugin, code)
        workplace.environment["PIXCORE_PLUGINS"] = ",".join([*plugins, "testing"])
        done = workplace("check", name, status=None)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode in (0, 2), done.stderr
        return [line for line in done.stdout.splitlines() if line.startswith("error: ")]

    return check


def corner(target: str = "corners:Corner", summary: str = "The corner.") -> str:
    return CORNER.format(target=target, summary=summary)


def test_a_plugin_that_keeps_the_contract(checked: Callable[..., list[str]]) -> None:
    assert checked("corner", mine=corner()) == []
    assert checked("mine") == []


@pytest.mark.parametrize(
    ("name", "plugins", "expected"),
    [
        ("corner", {"mine": corner(), "yours": corner()}, "both claim the point selector 'corner'"),
        ("corner", {"mine": corner("corners:Nothing")}, "names corners:Nothing, which does not exist"),
        ("corner", {"mine": corner("nowhere.at:All")}, "can't be imported: No module named 'nowhere'"),
        ("corner", {"mine": corner("pathlib:Path")}, "pathlib:Path does not derive from PointSelector"),
        ("corner", {"mine": corner("corners:Unfinished")}, "abstract method"),
        ("corner", {"mine": corner(summary="")}, "promised: a summary is one line; seen: str ''"),
        ("corner", {"mine": "import spacy\n" + corner()}, "mine_plugin loads spacy"),
        ("mine", {"mine": "print(1)\n"}, "has a function marked with @hookimpl; seen: none"),
        ("mine", {"mine": "1 / 0\n"}, "mine_plugin: ZeroDivisionError"),
        ("mine", {"mine": corner().replace("_selectors", "_selector")}, "did you mean 'register_point_selectors'?"),
        ("mine", {"mine": corner().replace("@hookimpl\n", "")}, "is marked with @hookimpl; seen: 'register_point"),
        ("mine", {"mine": corner().replace("'corner'", "'My Corner'")}, "registers the name 'My Corner'"),
        ("mine", {"mine": corner("corners.Corner")}, "registers the target 'corners.Corner'"),
        ("mine", {"mine": HEAD + "@hookimpl\ndef run_finished(run): 1 / 0\n"}, "division by zero"),
    ],
)
def test_a_mistake_in_a_plugin_is_one_line(
    name: str, plugins: dict[str, str], expected: str, checked: Callable[..., list[str]], workplace: Any
) -> None:
    (workplace.folder / "spacy.py").write_text("")  # stands for the real one
    lines = checked(name, **plugins)
    assert len(lines) == 1, lines
    assert expected in lines[0]
    assert "promised: " in lines[0]
    assert "see https://" in lines[0]
