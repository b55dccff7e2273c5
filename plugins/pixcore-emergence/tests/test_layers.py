"""`pixcore layers` on a small run: its lines by hand, and rows that are not the run's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from pixcore_attention.raw import file_name
from pixcore_emergence.layers import ALL, CONTROL, by_layer
from pixcore_emergence.layers_command import layers

import pixcore
from pixcore import masks
from pixcore.errors import ConfigError, DataError
from pixcore.records import Candidate, Sample


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("pixcore_mini", "pixcore_mini_world", "pixcore_groupers", "pixcore_regions"):
        pytest.importorskip(package)
    work = tmp_path_factory.mktemp("layers")
    config = {
        "benchmark": {"name": "mini-world", "pairs": 3},
        "extractor": {"name": "raw", "folder": str(work / "rows"), "reduce": "heads"},
        "selections": ["oracle"],
        "control": [{"points": "random", "selection": "oracle"}],
        "protocols": ["segment"],
        "store": str(work / "store"),
    }
    pixcore.run(config, output=work / "run")
    return work


def best(sample: Sample, candidates: tuple[Candidate, ...]) -> float:
    truth = masks.decode(sample.mask) if sample.mask is not None else np.zeros(0)
    drawn = [masks.decode(mask) for one in candidates for mask in one.masks]
    return max(((one & truth).sum() / (one | truth).sum() for one in drawn), default=0.0)


def test_lines_are_what_one_counts_by_hand(folder: Path) -> None:
    job = pixcore.open_run(folder / "run")._job
    lines = {line.name: line for line in by_layer(job, "segment")}
    own, control, inside = [], [], {name: [] for name in lines}
    for result in job.results():
        sample, outcome = result.sample, result.by_probing["segment"]
        groups = [one.group for one in outcome.candidates if one.group is not None and one.group.tokens]
        if sample.mask is None or sample.absent or outcome.response is None or not groups:
            continue
        own.append(best(sample, outcome.candidates))
        control.append(best(sample, outcome.controls["random points"]))
        rows = np.load(folder / "rows" / file_name(sample.id, "segment"))[: len(outcome.response.tokens)]
        truth, layout = masks.decode(sample.mask), outcome.response.layout
        for name in set(inside) - {CONTROL}:
            maps = rows.mean(axis=(1, 2), dtype=np.float32) if name == ALL else rows[:, lines[name].layer, 0]
            seen = [layout.to_image(maps[list(one.tokens)].mean(0), sample.image.size) for one in groups]
            inside[name].append(np.mean([one[truth].sum() / one.sum() - truth.mean() for one in seen]))
    assert [lines[name].samples for name in lines] == [len(own)] * len(lines)
    assert lines[ALL].best.value == pytest.approx(100 * np.mean(own))
    assert lines[CONTROL].best.value == pytest.approx(100 * np.mean(control))
    assert lines[ALL].less.value == pytest.approx(100 * np.mean(np.subtract(own, control)))
    for name in set(inside) - {CONTROL}:
        assert lines[name].inside.value == pytest.approx(100 * np.mean(inside[name]), abs=0.05)


def test_samples_whose_answer_has_no_phrase_are_told(folder: Path) -> None:
    names = pytest.importorskip("pixcore_spacy.pipelines").installed("en")
    if not names:
        pytest.skip("no English pipeline of spaCy's is installed")
    config = {
        "benchmark": {"name": "mini-world", "pairs": 3},
        "model": {"name": "mini", "max_new_tokens": 3},  # "There is no", "The red lamp"
        "grouper": {"name": "noun-phrases", "pipeline": names[0]},
        "extractor": {"name": "raw", "folder": str(folder / "short"), "reduce": "heads"},
        "selections": ["oracle"],
        "protocols": ["segment"],
        "store": str(folder / "store"),
    }
    pixcore.run(config, output=folder / "short-run")
    job = pixcore.open_run(folder / "short-run")._job
    there = [one.by_probing["segment"].candidates for one in job.results() if not one.sample.absent]
    silent = sum(not candidates for candidates in there)
    assert 0 < silent < len(there)
    lines = by_layer(job, "segment")
    assert {(line.samples, line.left_out) for line in lines} == {(len(there) - silent, silent)}
    told = CliRunner().invoke(layers, [str(folder / "short-run")]).output
    assert f"{silent} left out" in " ".join(told.split())


def test_rows_that_another_run_wrote_over_are_not_measured(folder: Path) -> None:
    job = pixcore.open_run(folder / "run")._job
    path = sorted((folder / "rows").iterdir())[0]
    kept, rows = path.read_bytes(), np.load(path)
    try:
        np.save(path, np.random.default_rng(0).random(rows.shape).astype(np.float16))
        with pytest.raises(DataError, match="another run wrote over it"):
            by_layer(job, "segment")
        path.write_bytes(kept[: len(kept) // 2])
        with pytest.raises(DataError, match="a kill cut it short"):
            by_layer(job, "segment")
        path.unlink()
        with pytest.raises(DataError, match="are not at"):
            by_layer(job, "segment")
    finally:
        path.write_bytes(kept)
    assert by_layer(job, "segment")


def test_a_probing_without_masks_is_refused(folder: Path) -> None:
    job = pixcore.open_run(folder / "run")._job
    with pytest.raises(ConfigError, match=r"no masks under 'segmnt'.*segment"):
        by_layer(job, "segmnt")


def test_a_run_without_an_extractor_kept_no_rows(folder: Path) -> None:
    config = {"benchmark": {"name": "mini-world", "pairs": 1}, "extractor": None, "store": str(folder / "store")}
    job = pixcore.run(config, output=folder / "answers")._job
    with pytest.raises(ConfigError, match=r"kept no rows of layers.*extractor: \{name: raw"):
        by_layer(job, "segment")
