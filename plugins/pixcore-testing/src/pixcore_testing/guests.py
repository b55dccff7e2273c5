"""Hold commands, run writers and probings to their contract."""

from __future__ import annotations

import contextlib
import copy
import hashlib
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from click.testing import CliRunner

from pixcore.components import Context, ModelConfig
from pixcore.config import ProbingSection
from pixcore.errors import PixcoreError
from pixcore.figures.rows import Figure, Row, RowSpec, Summary
from pixcore.plugins import Guest, GuestKind
from pixcore.records import Fidelity, ProtocolResult, SampleResult, Score, Selection, Verdict
from pixcore.runs.writers import RunWriter
from pixcore_testing import inputs
from pixcore_testing.findings import Finding, Report, described, page_of
from pixcore_testing.modules import check_module

_ROWS = (RowSpec("oracle", uses_ground_truth=True), RowSpec("random"))
_RUN: Mapping[str, Any] = {"config": {"benchmark": {"name": "toy"}, "seed": 0, "output": "run"}, "versions": {}}


def check_guest(guest: Guest) -> list[Finding]:
    """Check a command, a run writer or a probing as a plugin registered it."""
    found = check_guest_offer(guest)
    if not found and guest.kind is GuestKind.PROBING:
        found += check_probing(guest.name, guest.loaded)
    elif not found:
        found += (check_command if guest.kind is GuestKind.COMMAND else check_run_writer)(guest.loaded)
    return found


def check_probing(name: str, template: Any) -> list[Finding]:
    """Hold a probing to its contract: a template for every model, under every fidelity, in the fields that there are.

    Args:
        name: The probing's.
        template: The function that makes its template of a model's config and a fidelity.
    """
    report = Report(page_of("probing"))
    for fidelity in Fidelity:
        with report.step(f"template ({fidelity})"):
            section = ProbingSection(name=name, template=template(ModelConfig(), fidelity))
            report.expect(bool(section.probing.asks), "the template asks for something of a sample", section.template)
    return report.findings


def check_guest_offer(guest: Guest) -> list[Finding]:
    """Check how a command, a run writer or a probing is offered, without running it."""
    report = Report(page_of(guest.kind.value))
    with report.step("registration", "what is registered can be imported"):
        report.one_line(guest.summary)
        _ = guest.loaded
    return [*report.findings, *check_module(guest.plugin)]


def check_command(command: Any, runs: Iterable[Sequence[str]] = ()) -> list[Finding]:
    """Hold a command to its contract: it explains itself, refuses what it does not know, and ends as commands do.

    Args:
        command: A `click.Command`.
        runs: Arguments of runs that should succeed, each run in a folder of its own. Without any, nothing is run but
            its help.
    """
    report = Report(page_of("command"))
    with report.step("command"):
        if not report.instance(command, "what a command's target names", click.Command):
            return report.findings
        report.expect(bool((command.help or "").strip()), "a command's docstring is its help", "none")
    _call(report, command, ["--help"], "--help")
    if not report.broken:
        for arguments in runs:
            _call(report, command, arguments, " ".join(arguments) or "without arguments")
    return report.findings


def _call(report: Report, command: click.Command, arguments: Sequence[str], where: str) -> None:
    """Call a command as `pixcore` does: it gives back its exit status, or raises what ends in one line."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), report.step(where):
        ended = CliRunner().invoke(command, list(arguments), standalone_mode=False)
        given = ended.return_value
        if isinstance(ended.exception, PixcoreError | click.ClickException):
            said = getattr(ended.exception, "format_message", lambda: str(ended.exception))()
            report.expect(False, "a command succeeds", " ".join(said.split()))
        elif ended.exception is not None:
            raise ended.exception
        whole = given is None or (isinstance(given, int) and not isinstance(given, bool))
        if report.expect(whole, "a command gives back its exit status, or nothing", described(given)):
            report.expect(not given, "a command succeeds", f"exit status {given}")


def check_run_writer(kind: Any) -> list[Finding]:
    """Hold a run writer to its contract: a whole file or none, whatever the run holds, in the run's folder.

    Args:
        kind: The class, which is made without arguments for every writing.
    """
    report = Report(page_of("run writer"))
    with report.step("run writer"):
        right = isinstance(kind, type) and issubclass(kind, RunWriter)
        promise = "what a run writer's target names is a class derived from pixcore.runs.writers.RunWriter"
        if not report.expect(right, promise, described(kind)):
            return report.findings
    with tempfile.TemporaryDirectory() as made, contextlib.chdir(made):
        folder = Path(made, "run")
        folder.mkdir()
        with report.step("a writing that is given up"):
            writer = kind()
            writer.begin(folder, copy.deepcopy(dict(_RUN)), _ROWS)
            for result in _results()[:2]:
                writer.add(result)
            writer.close()
            writer.close()
            left = sorted(_contents(folder))
            report.expect(not left, "a writing that is given up leaves no file (pixcore.files.replacing)", f"{left}")
        if not report.broken:
            _write(report, kind, folder, "a run of four samples", _results())
        if not report.broken:
            first = _contents(folder)
            _write(report, kind, folder, "the same run again", _results())
            promise = "the same results leave the same files"
            changed = [name for name, digest in _contents(folder).items() if first.get(name) != digest]
            report.expect(not changed, promise, f"other bytes in {', '.join(changed)}")
        if not report.broken:
            _write(report, kind, folder, "a run without samples", [])
        stray = sorted(path.name for path in Path(made).iterdir() if path != folder)
        report.expect(not stray, "a run writer writes into the run's folder alone", f"{stray} in the working directory")
    return report.findings


def _write(
    report: Report, kind: Callable[[], RunWriter], folder: Path, where: str, results: Sequence[SampleResult]
) -> None:
    with report.step(where):
        writer = kind()
        writer.begin(folder, copy.deepcopy(dict(_RUN)), _ROWS)
        for result in results:
            before = copy.deepcopy(dict(result.sample.categories)), set(result.by_probing)
            writer.add(result)
            same = before == (dict(result.sample.categories), set(result.by_probing))
            report.expect(same, "a run writer changes no result: others see it too", "another")
        path = writer.finish(_summary(len(results)))
        writer.close()
        if path is not None and report.instance(path, "what finish gives, if anything,", Path):
            inside = path.exists() and folder.resolve() in path.resolve().parents
            promise = "what finish gives is a file in the run's folder"
            report.expect(inside, promise, f"{path.name}, which is {'elsewhere' if path.exists() else 'not there'}")


def _contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def _results() -> list[SampleResult]:
    """Four samples: one as it should be, one without candidates, one that failed, one of a model with masks."""
    sample, response, found = inputs.sample(), inputs.response(), inputs.candidates()
    scores = {row.key: Score("sample 0", "segment", iou=0.5, best_iou=0.7, predicted_area=9) for row in _ROWS}
    chosen = {row.key: Selection.chosen(0, 1, reason="the first") for row in _ROWS}
    nothing = {row.key: Selection.nothing("no candidate") for row in _ROWS}
    verdict = Verdict(True, "a word")
    outcomes = (
        ProtocolResult("segment", "Identify it.", response, found, {}, chosen, scores, verdict),
        ProtocolResult("segment", "Identify it.", response, (), {}, nothing, scores),
        ProtocolResult("segment", "Identify it.", error="ModelError: no answer"),
        ProtocolResult("question", "Left?", replace(response, mask=sample.mask), (), {}, {}, {}, Verdict(None), True),
    )
    return [
        SampleResult(replace(sample, id=f"sample {index}"), {outcome.protocol: outcome})
        for index, outcome in enumerate(outcomes)
    ]


def _summary(samples: int) -> Summary:
    figure = Figure(50.0, 40.0, 60.0, samples) if samples else Figure(None)
    rows = tuple(Row(row.key, {"M": figure}, uses_ground_truth=row.uses_ground_truth) for row in _ROWS)
    return Summary("toy", "toy", Context().fidelity.value, samples, int(samples > 0), rows)
