"""One architecture of each kind of layout, held to what every one is; the rest by `python -m tools.architectures`."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pixcore_transformers.layouts import FAMILIES, layout_named
from pixcore_transformers.layouts.grid import MergedGrid
from pixcore_transformers.probing import Found
from pixcore_transformers.testing import save_checkpoint
from pixcore_transformers.testing.checks import adapter_of, geometry, probe, requests, rows

from pixcore.errors import ModelError
from pixcore.records import Image

ROOT = Path(__file__).resolve().parents[3]
THIN = ["qwen3_5", "hunyuan_vl", "ovis2", "deepseek_vl"]
"""One for each kind of layout that needs no torchvision."""


@pytest.fixture(scope="module", params=THIN)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_checkpoint(request.param, tmp_path_factory.mktemp("thin") / request.param)


def test_tokens_lie_where_the_layout_says(folder: Path) -> None:
    assert geometry(folder, ((187, 71), (37, 29))) == []


def test_rows_are_those_of_eager_attention(folder: Path) -> None:
    assert rows(folder) == []


def test_the_page_says_what_the_code_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    matrix = importlib.import_module("tools.architectures")
    written = Path("docs/reference/architectures.md").read_text(encoding="utf-8")
    assert written == matrix.page(matrix.known()), "python -m tools.architectures --page"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("family", ["qwen3_vl", "internvl"])
def test_a_layout_that_is_found_is_the_written_one(
    family: str, checkpoint: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    assert probe(checkpoint(family)) == []


def test_a_record_says_that_its_layout_was_found_and_it_is_found_once(
    checkpoint: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    adapter = adapter_of(checkpoint("qwen3_vl"), layout="probe")
    adapter.layout(requests()[0].image)
    kept = list((cache / "pixcore" / "layouts").iterdir())
    monkeypatch.setattr("pixcore_transformers.probing._search", None)  # it is not searched for again
    again = adapter_of(checkpoint("qwen3_vl"), layout="probe")
    (response,) = again.answer(requests()[:1])
    assert "found by covering parts of images" in response.extra["notice"]
    assert "MergedGrid" in response.extra["notice"]
    assert isinstance(again.family, Found)
    assert list((cache / "pixcore" / "layouts").iterdir()) == kept
    assert "layout" not in again.config.model_copy(update={"layout": "auto"}).model_dump()


@pytest.mark.parametrize("known", ['{"layout": "pixcore_transformers.layouts.gone:Grid"}', '{"layout": 3}', "{}"])
def test_a_layout_that_this_version_does_not_have_is_found_again(
    known: str, checkpoint: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    adapter_of(checkpoint("internvl"), layout="probe").layout(requests()[0].image)
    kept = {path: path.read_text(encoding="utf-8") for path in (cache / "pixcore" / "layouts").iterdir()}
    for path in kept:
        path.write_text(known, encoding="utf-8")
    adapter_of(checkpoint("internvl"), layout="probe").layout(requests()[0].image)
    (found,) = [path for path, text in kept.items() if path.read_text(encoding="utf-8") == text]
    for path in kept.keys() - {found}:
        path.unlink()


def test_a_found_layout_is_that_of_images_prepared_alike(
    checkpoint: Callable[..., Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One square is all that there is without pan and scan."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))
    options = {"do_pan_and_scan": True, "pan_and_scan_min_crop_size": 20, "pan_and_scan_max_num_crops": 3}
    image = Image.from_pixels(np.zeros((71, 187, 3), np.uint8))
    assert len(adapter_of(checkpoint("gemma3"), layout="probe").layout(image).grids) == 1
    found = adapter_of(checkpoint("gemma3"), layout="probe", image_options=options).layout(image)
    written = adapter_of(checkpoint("gemma3"), image_options=options).layout(image)
    assert [grid.box for grid in found.grids] == [grid.box for grid in written.grids]
    assert len(found.grids) == 4


def test_a_layout_that_no_place_decides_is_refused(
    checkpoint: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the layout of its own, nothing that is known fits."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    others = {name: layout for name, layout in FAMILIES.items() if layout.endswith(("Windows", "Slices"))}
    monkeypatch.setattr("pixcore_transformers.probing.FAMILIES", others)
    adapter = adapter_of(checkpoint("internvl"), layout="probe")
    with pytest.raises(ModelError, match="is not sure"):
        adapter.layout(Image.from_pixels(np.zeros((310, 420, 3), np.uint8)))
    assert "family" not in adapter.__dict__
    assert not list(Path(os.environ["XDG_CACHE_HOME"]).rglob("*.json"))


def test_a_layout_is_made_by_its_name() -> None:
    assert isinstance(layout_named(FAMILIES["glm4v"]), MergedGrid)
