"""What a line of predictions and a sample of a run cost in memory; `python -m tests.soak` does it at full length."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from pixcore_scoring.evaluation import Evaluator
from pixcore_scoring.source import open_source

from pixcore import plugins
from pixcore.config import read_yaml, resolve
from pixcore.figures.summary import Tally
from pixcore.runs.execute import execute
from pixcore.runs.plan import Run
from tests import soak
from tests.workplace import TOY

MOST_A_LINE = 400
"""Bytes, while caches of a bounded size fill up; a few tens at full length."""

MOST_A_SAMPLE = 6_000
"""Bytes, likewise: at so few samples what is kept of a file in memory still grows; some 320 at full length."""


@pytest.fixture
def registry(monkeypatch) -> Iterator[plugins.Registry]:
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("PIXCORE_PLUGINS", "toy,scoring")
    plugins.registry.cache_clear()
    yield plugins.registry()
    plugins.registry.cache_clear()


class Silent:
    """Hears how a run goes on, and says nothing."""

    def begin(self, stage: str, total: int, done: int) -> None: ...
    def advance(self, count: int = 1) -> None: ...
    def written(self, tokens: int, most: int) -> None: ...
    def failed(self, stage: str, item: object, error: Exception) -> None: ...
    def end(self) -> None: ...


def growth(work: Callable[[int], None], short: int, long: int) -> float:
    """Bytes that the peak of memory grows by for each of what there is more of."""
    work(short)  # what is imported or made once
    peaks = []
    for length in (short, long):
        gc.collect()
        tracemalloc.start()
        work(length)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    return (peaks[1] - peaks[0]) / (long - short)


@pytest.mark.long
def test_a_line_of_predictions_costs_a_few_hundred_bytes(tmp_path: Path, registry: plugins.Registry) -> None:
    def score(lines: int) -> None:
        arguments = soak.predictions(tmp_path, lines)
        settings = [arguments[at + 1] for at, word in enumerate(arguments) if word == "--set"]
        source = open_source(Path(arguments[1]), registry, benchmark="toy-boxes", settings=settings)
        evaluator = Evaluator(Tally(source.file.rows, source.fidelity))
        for result in source.file:
            evaluator.add(result)
        found = evaluator.evaluation(benchmark="toy-boxes", model="made")
        assert found.summary.samples == lines // 3

    assert growth(score, 600, 3000) < MOST_A_LINE


def test_a_sample_of_a_run_costs_a_few_kilobytes(tmp_path: Path, registry: plugins.Registry) -> None:
    def run(samples: int) -> None:
        folder = tmp_path / str(samples)
        folder.mkdir(exist_ok=True)
        soak.run(folder, samples)
        document = read_yaml(folder / "run.yaml")
        job = Run(resolve(document, registry))
        assert execute(job, Silent()) == 0
        assert sum(1 for _ in job.results()) == samples

    assert growth(run, 40, 200) < MOST_A_SAMPLE


def test_the_command_tells_what_each_costs(monkeypatch, capsys) -> None:
    monkeypatch.setattr(sys, "argv", ["soak", "predictions", "--length", "120"])
    assert soak.main() == 0
    assert "bytes each" in capsys.readouterr().out


def test_a_soaked_run_is_a_run(tmp_path: Path) -> None:
    assert soak.run(tmp_path, 10) == ["run", str(tmp_path / "run.yaml")]
    assert yaml.safe_load((tmp_path / "run.yaml").read_text())["benchmark"]["pairs"] == 5
