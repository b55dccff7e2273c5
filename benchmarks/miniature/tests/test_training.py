"""A layer's line is what a run of that layer alone gives; the page says when grounding begins, from the figures."""

from __future__ import annotations

import io
import json
import re
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from pixcore_emergence.layers_command import layers
from pixcore_mini.checkpoint import save_checkpoint
from pixcore_progress.lines import LineMonitor
from rich.console import Console

from pixcore.config import resolve
from pixcore.figures.scores import candidate_ious
from pixcore.plugins import registry
from pixcore.runs.execute import execute
from pixcore.runs.plan import Run
from tests.scripts import loaded

HERE = Path(__file__).resolve().parents[1]
CARD = (HERE.parents[1] / "plugins/pixcore-mini/README.md").read_text(encoding="utf-8")
SEG_CARD = (HERE.parents[1] / "plugins/pixcore-mini-seg/README.md").read_text(encoding="utf-8")
HOW_TO = (HERE.parents[1] / "docs/howto/miniature.md").read_text(encoding="utf-8")
page = loaded(HERE / "training_page.py")
training = loaded(HERE / "training.py")


def carried_out(folder: Path, extractor: dict[str, Any]) -> Run:
    document = {
        "benchmark": {"name": "mini-world", "pairs": 2}, "model": "mini", "extractor": extractor, "grouper": "words",
        "protocols": ["segment"], "masks": "regions", "selections": ["oracle"], "control": None,
        "output": str(folder / "out"), "store": str(folder / "store"),
    }  # fmt: skip
    job = Run(resolve(document, registry()))
    assert execute(job, LineMonitor(Console(file=io.StringIO()))) == 0
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out/run.json").write_text(json.dumps(job.document(), default=str))
    return job


def test_a_layer_of_one_run_is_a_run_of_that_layer(tmp_path: Path) -> None:
    rows = tmp_path / "rows"
    carried_out(tmp_path / "every", {"name": "raw", "folder": str(rows), "reduce": "heads"})
    best = []
    for result in carried_out(tmp_path / "one", {"name": "mean", "layers": [2]}).results():
        found = result.by_probing["segment"]
        best.append(max(iou.max() for iou in candidate_ious(result.sample, found.candidates)))
    ran = CliRunner().invoke(layers, [str(tmp_path / "every/out"), "--json", "-"], catch_exceptions=False)
    lines = {line["name"]: line for line in json.loads(ran.output)["lines"]}
    assert list(lines) == ["layer 0", "layer 1", "layer 2", "layer 3", "all layers, the run's own", "matched control"]
    assert lines["layer 2"]["best"][0] == pytest.approx(100 * sum(best) / len(best), abs=1.0)  # rows are float16
    assert lines["layer 2"]["samples"] == len(best)
    assert lines["layer 2"]["inside"][0] > 0
    one = training._wanted("test-0-0000a")
    assert training.words_in_place(one, one) == 1.0


def step(at: int, less: float, right: float) -> dict[str, Any]:
    inside = [5.0, 4.0, 6.0]
    line = {"layer": 0, "head": None, "best": [50.0, 40.0, 60.0], "less": [less, less - 2, less + 2], "inside": inside}
    line |= {"by_concept": {"state": inside}, "samples": 9}
    lines = [line | {"name": "layer 0"}, line | {"name": "layer 0, head 1", "head": 1}]
    lines += [line | {"name": "all", "layer": None}, line | {"name": "control", "layer": None, "inside": None}]
    figures = {"questions": [right, right - 5, right + 5], "less": [less, less - 2, less + 2], "words": None}
    recipe = {"seed": 2, "steps": [5, 6, 400]}
    return {"step": at, "recipe": recipe, "pairs": 6, "oracle": None, "lines": lines, **figures}


def test_what_begins_first_is_said() -> None:
    steps = [step(0, 0.0, 40.0), step(100, 5.0, 50.0), step(200, 1.0, 52.0), step(300, 10.0, 90.0)]
    assert page.onset(page.curve(steps, "less"), 0.0) == 300  # at 200 the interval reached below nothing again
    assert page.halfway(page.curve(steps, "less")) == pytest.approx(100)
    assert page.halfway(page.curve(steps, "questions")) == pytest.approx(200 + 100 * 13 / 38)
    last = page.curve(steps, "questions")[-1][1][0]
    half = (50 + last) / 2
    at = page.halfway(page.curve(steps, "questions"), 50.0)
    assert 200 < at < 300
    low = page.curve(steps, "questions")[-2][1][0]
    assert at == pytest.approx(200 + 100 * (half - low) / (last - low))
    assert page.sentences(steps)[-1] == "So, in this training, attention grounds at the same kept model."
    steps[2] = step(200, 4.0, 52.0)
    assert page.sentences(steps)[-1] == "So, in this training, attention grounds before it answers."
    text = page.page("mini-2", steps)
    assert "mini (mini-2, seed 2" in text
    assert "had come to step 300 of 400" in text
    assert text.count("<svg") == 3  # of masks there is no figure
    assert "layer 0, head 1" in text
    assert "nan" not in text
    assert "test side (9 with their object there, at the last one)" in text
    silent = [one | {"lines": []} for one in steps]
    assert "test side.\nStep 0" in page.page("mini-2", silent)  # no answer names a phrase: of how many is not known


@given(st.lists(st.floats(0, 100), min_size=2, max_size=8), st.none() | st.floats(0, 60))
def test_half_of_the_way_is_where_the_curve_gets_there_first(values: list[float], above: float | None) -> None:
    at = page.halfway([(100 * place, [value, None, None]) for place, value in enumerate(values)], above)
    begin = values[0] if above is None else above
    assert (at is None) == (values[-1] <= begin)
    if at is not None:
        half = (begin + values[-1]) / 2
        first = next(place for place, value in enumerate(values) if value >= half)
        assert 100 * max(0, first - 1) <= at <= 100 * first


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Which models of which trainings have been measured; each gives the figures of its own step."""
    monkeypatch.chdir(tmp_path)
    done: list[tuple[str, int]] = []

    def measure(checkpoint: Path, pairs: int) -> dict[str, Any]:
        at = int(checkpoint.name)
        done.append((checkpoint.parts[-3], at))
        return {key: value for key, value in step(at, 5.0, 50.0).items() if key not in ("step", "recipe", "pairs")}

    monkeypatch.setattr(training, "measure", measure)
    return done


def begun(out: Path, seed: int, *steps: int, weights: str = "") -> str:
    """Write what a training leaves along the way, and give its folder."""
    recipe = {"seed": seed, "steps": [5, 6, 400]}
    save_checkpoint(out / "checkpoint.safetensors", torch.nn.Linear(1, 1), None, {"recipe": recipe})
    for at in steps:
        folder = out / "steps" / f"{at:05}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.json").write_text("{}")
        (folder / "model.safetensors").write_text(f"{seed} {at} {weights}")
    return str(out)


def test_each_training_has_figures_and_a_page_of_its_own(asked: list[tuple[str, int]], tmp_path: Path) -> None:
    second, fourth = begun(Path("runs/mini/2"), 2, 0, 50), begun(Path("runs/mini/4"), 4, 50, 100)
    training.main([second])
    training.main([fourth])
    assert asked == [("2", 0), ("2", 50), ("4", 50), ("4", 100)]
    pages = {name: Path(f"runs/miniature/training-mini-{name}.html").read_text() for name in "24"}
    assert "had come to step 50 of 400" in pages["2"]
    assert "(mini-4, seed 4" in pages["4"]
    assert "had come to step 100 of 400" in pages["4"]
    assert training.name_of(tmp_path / "elsewhere/2").endswith("elsewhere-2")


def test_figures_of_other_weights_recipes_or_pairs_are_not_used(asked: list[tuple[str, int]]) -> None:
    out = begun(Path("runs/mini/2"), 2, 0, 50)
    training.main([out])
    training.main([out])
    assert asked == [("2", 0), ("2", 50)]
    begun(Path(out), 2, 50, weights="trained again")
    training.main([out])
    assert asked[2:] == [("2", 50)]
    training.main([out, "--pairs", "3"])
    assert asked[3:] == [("2", 0), ("2", 50)]
    begun(Path(out), 5, 0, weights="of another seed")
    assert training.figures_of(Path(out), 3, page_only=True) == []
    with pytest.raises(SystemExit, match="nothing of runs/mini/2 has been measured with 3 pairs"):
        training.main([out, "--pairs", "3", "--page-only"])
    assert len(asked) == 5


def record_of(seed: int | str) -> dict[str, Any]:
    """What is kept of one of mini's seeds that are not shipped."""
    record: dict[str, Any] = json.loads((HERE / f"records/mini-{seed}.json").read_text(encoding="utf-8"))
    return record


def rows_below(text: str, head: str) -> list[list[str]]:
    """The cells of a Markdown table's rows, by how its head begins."""
    lines = text[text.index(head) :].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in takewhile(lambda one: "|" in one, lines)]


def test_what_is_told_of_the_second_seed_is_its_record() -> None:
    record = record_of(2)
    told = rows_below(HOW_TO, "| joint step |")
    assert len(told) > 5
    for at, *cells in told:
        one = record["along"][at.replace(",", "")]
        plain = [f"{one[name][0]:.1f}" for name in ("questions", "words", "oracle", "control")]
        value, low, high = one["less"]
        less = f"{value:+.1f} ({low:+.1f} to {high:+.1f})".replace("-", "−")
        assert cells == [*plain, less, f"{one['plain'][0]:.1f}"]
    assert f"did not ({record['letters']['loss']:.2f}".replace("0.", ".") in CARD


@pytest.mark.parametrize("seed", [2, 3])
def test_when_a_seed_grounds_and_answers_is_told_as_its_record_has_it(seed: int) -> None:
    record = record_of(seed)
    steps = [{"step": int(at), **figures} for at, figures in record["along"].items()]
    less, right = page.curve(steps, "less"), page.curve(steps, "questions")
    own = HOW_TO[HOW_TO.index({2: "Mini's second seed", 3: "The third seed"}[seed]) :]
    own = " ".join(own[: own.index(f"records/mini-{seed}.json")].split())
    for step in (
        page.onset(less, 0.0),
        page.onset(right, page.GUESSING),
        page.halfway(less),
        page.halfway(right, 50.0),
    ):
        assert step is not None
        assert f" {step:,.0f}" in own
    if seed == 3:
        last, first = record["along"]["3500"], record["along"]["250"]
        for value, low, high in (last["less"], first["less"]):
            assert f"{low:+.1f} to {high:+.1f})" in own
            assert f"{value:.1f}" in own
        for value, low, high in (last["plain"], first["plain"]):
            assert f"{value:.1f} ({low:.1f} to {high:.1f})" in own


def test_what_the_card_tells_of_seeds_that_are_not_shipped_are_their_records() -> None:
    names = ("A†", "A", "M†", "M", "M less control")
    shipped, *others, mean = rows_below(CARD, "| seed |")
    assert [shipped[0], *(row[0] for row in others), mean[0]] == ["1, shipped", "2", "3", "mean of three"]
    values = [[float(cell.split()[0]) for cell in shipped[1:]]]
    for seed, *cells in others:
        record = record_of(seed)
        assert record["recipe"]["seed"] == int(seed)
        assert f"{100 * record['end']['attributes']:.0f}" in CARD
        figures = [record["rows"]["oracle"][name] for name in names]
        assert cells == [f"{value:.1f} ({low:.1f}–{high:.1f})" for value, low, high in figures]
        values.append([value for value, _, _ in figures])
    assert [float(cell) for cell in mean[1:]] == pytest.approx(
        [sum(one) / 3 for one in zip(*values, strict=True)], abs=0.06
    )


def test_what_the_card_tells_of_d_s_other_seeds_are_their_records() -> None:
    """Mean and range of three seeds: the shipped one's as the card has them, the others' by their records."""
    records: list[dict[str, Any]] = []
    others = []
    for seed in (2, 3):
        record = json.loads((HERE / f"records/mini-seg-d-{seed}.json").read_text(encoding="utf-8"))
        assert (record["recipe"]["variant"], record["recipe"]["seed"]) == ("d", seed)
        own, mined = record["runs"]["own"]["own masks"], record["runs"]["mined"]["oracle"]
        others.append([own[name][0] for name in ("A†", "A", "M†", "M")] + [mined[name][0] for name in ("M†", "M")])
        records.append(record)
    shipped, over_seeds = (
        next(row for row in rows_below(text, "| | A† |") if row[0] == "d")[1:]
        for text in (SEG_CARD, SEG_CARD[SEG_CARD.index("With seeds 2 and 3") :])
    )
    for cell, one, *two in zip(over_seeds, shipped, *others, strict=True):
        values = [float(one.split()[0]), *two]
        low, high = re.findall(r"\(([0-9.]+)–([0-9.]+)\)", cell)[0] if "(" in cell else (cell, cell)
        assert [float(low), float(high)] == pytest.approx([min(values), max(values)], abs=0.051)
        assert float(cell.split()[0]) == pytest.approx(sum(values) / 3, abs=0.06)
    things, parts = next(row for row in rows_below(SEG_CARD, "| | mean IoU of things |") if row[0] == "d")[1:]
    for cell, name, first in ((things, "IoU of things", 72.0), (parts, "IoU of parts", 52.4)):
        values = [first, *(100 * record["end"][name] for record in records)]
        assert cell == f"{sum(values) / 3:.1f} ({min(values):.1f}–{max(values):.1f})"
    less = [43.2, *(record["runs"]["mined"]["oracle"]["M less control"][0] for record in records)]
    flat = " ".join(SEG_CARD.split())
    assert "d's {:.1f}, {:.1f} and {:.1f}, mean {:.1f})".format(*less, sum(less) / 3) in flat
