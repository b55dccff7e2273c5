"""A benchmark that is written as a folder is read from it as it was."""

from __future__ import annotations

import string
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as PILImage
from pixcore_folder.benchmark import Folder
from pixcore_folder.columns import answers_meant
from pixcore_folder.config import FolderConfig
from pixcore_folder.export import write_folder

from pixcore import cli, masks
from pixcore.records import Image, Sample

TEXT = st.text(string.printable + "äß|[]\"',;é🦋", min_size=1, max_size=12).map(str.strip).filter(bool)


def facts(sample: Sample) -> tuple[object, ...]:
    return (sample.id, sample.question, sample.options, sample.expression, sample.pair, sample.categories, sample.mask)


@pytest.mark.parametrize(
    "names",
    [("A", "a", "a-2"), ("a b", "a-b"), ("x/y", "x-y"), ("a", "a.jpg"), ("c.jpg",), (200 * "椅", 200 * "椅" + "子")],
)
@pytest.mark.parametrize("unknown", [False, True])
def test_no_sample_comes_back_with_another_ones_mask(names: tuple[str, ...], unknown: bool, tmp_path: Path) -> None:
    samples = []
    for number, name in enumerate(names):
        mask = np.arange(6) <= number
        known = masks.encode(np.tile(mask, (5, 1))) if not number or not unknown else None
        picture = np.full((5, 6, 3), number, np.uint8)
        samples.append(Sample(id=name, image=Image.from_pixels(picture), expression="it", mask=known))
    write_folder(samples, tmp_path)
    found = Folder(FolderConfig(root=tmp_path)).samples()
    assert [(one.id, one.mask) for one in found] == [(one.id, one.mask) for one in samples]


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_whatever_texts_a_sample_has_come_back(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    rng = np.random.default_rng(data.draw(st.integers(0, 9)))
    samples = []
    for name in data.draw(st.lists(TEXT, min_size=1, max_size=3, unique=True)):
        options = tuple(data.draw(st.lists(TEXT, min_size=1, max_size=4, unique=True)))
        answer = data.draw(st.sampled_from([None, *range(len(options))]))
        if answer is not None and all(
            answers_meant(said, options) != {answer} for said in (options[answer], "ABCD"[answer], str(answer))
        ):
            answer = None  # options such as "B", "A", "0" can't be said in a table
        mask = data.draw(st.sampled_from([None, rng.random((5, 7)) > 0.5, np.zeros((5, 7), bool)]))
        samples.append(
            Sample(
                id=name,
                image=Image.from_pixels(rng.integers(0, 255, (5, 7, 3), np.uint8)),
                question=data.draw(TEXT),
                options=options,
                answer=answer,
                expression=data.draw(st.none() | TEXT),
                mask=None if mask is None else masks.encode(mask),
                pair=data.draw(st.none() | TEXT),
                categories={"kind": "x"},
            )
        )
    if all(sample.mask is None for sample in samples):
        samples[0] = Sample(**{**vars(samples[0]), "mask": masks.empty((7, 5))})
    folder = tmp_path_factory.mktemp("written")
    assert write_folder(samples, folder) == len(samples)
    config = FolderConfig(root=folder, categories=("kind",))
    for sample, found in zip(samples, Folder(config).samples(), strict=True):
        assert facts(found) == facts(sample)
        assert found.answer == sample.answer
        np.testing.assert_array_equal(found.image.pixels(), sample.image.pixels())


def test_the_example_runs_as_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = pytest.importorskip("pixcore_mini_world.benchmark")
    monkeypatch.chdir(tmp_path)
    command = ["benchmarks", "export", "mini-world", "my pictures", "--limit", "4", "--set", "seed=3"]
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    assert not end.value.code
    config = yaml.safe_load((tmp_path / "my pictures" / "run.yaml").read_text())
    options = {key: value for key, value in config["benchmark"].items() if key != "name"}
    samples = list(islice(world.MiniWorld(world.MiniWorldConfig(seed=3)).samples(), 4))
    assert [facts(one) for one in Folder(FolderConfig(**options)).samples()] == [facts(one) for one in samples]
    with pytest.raises(SystemExit) as end:
        cli.main(command)
    assert end.value.code == 2, "what is there is not written over"


def test_a_common_format_is_copied_as_it_is(tmp_path: Path) -> None:
    PILImage.new("RGB", (9, 8), (1, 2, 3)).save(tmp_path / "a.jpg")
    write_folder([Sample("x", Image.from_path(tmp_path / "a.jpg"), expression="it")], tmp_path / "w")
    assert (tmp_path / "w/images/x.jpg").read_bytes() == (tmp_path / "a.jpg").read_bytes()


def test_a_category_called_like_a_column_stays_one(tmp_path: Path) -> None:
    picture = Image.from_pixels(np.zeros((4, 4, 3), np.uint8))
    write_folder([Sample("x", picture, expression="it", categories={"text": "big", "category": "c"})], tmp_path)
    config = FolderConfig(root=tmp_path, categories=("text (category)",))
    (found,) = Folder(config).samples()
    assert found.categories == {"text (category)": "big", "category": "c"}
    assert found.expression == "it"


def test_what_is_written_is_read_the_same_with_a_threshold(tmp_path: Path) -> None:
    inside = np.zeros((5, 7), bool)
    inside[1:4, 2:6] = True
    picture = Image.from_pixels(np.zeros((5, 7, 3), np.uint8))
    assert write_folder([Sample(id="a", image=picture, expression="x", mask=masks.encode(inside))], tmp_path / "d") == 1
    for threshold in (None, 1, 128, 255):
        (sample,) = Folder(FolderConfig(root=tmp_path / "d", threshold=threshold)).samples()
        assert sample.mask == masks.encode(inside), threshold


@pytest.mark.parametrize("below", ["file/new", "nowhere", "loop"])
def test_a_folder_that_can_not_be_made_is_one_line(
    below: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("of/what/is/gone")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(SystemExit) as end:
        cli.main(["benchmarks", "export", "mini-world", str(tmp_path / below), "--limit", "2"])
    said = capsys.readouterr().err
    assert end.value.code == 2
    assert said.startswith("error: can't ")
    assert str(tmp_path / below) in said


def test_a_benchmark_that_has_a_folder_is_written_from_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def export(*given: str) -> tuple[object, str]:
        with pytest.raises(SystemExit) as end:
            cli.main(["benchmarks", "export", *given])
        return end.value.code, capsys.readouterr().err

    first, again, other = (str(tmp_path / name) for name in ("first", "a new one", "other"))
    assert export("mini-world", first, "--limit", "2")[0] == 0
    assert export("folder", again, "--root", first) == (0, "")
    found, written = (
        [facts(one) for one in Folder(FolderConfig(root=Path(root))).samples()] for root in (first, again)
    )
    assert found == written
    assert f"pixcore run '{again}/run.yaml'\n" in (Path(again) / "run.yaml").read_text()
    status, said = export("mini-world", other, "--root", first)
    assert (status, said) == (2, "error: the benchmark 'mini-world' has no folder (leave --root out)\n")
