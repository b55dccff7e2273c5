"""Datasets of Hugging Face's library: from parquet, saved, or a folder of pictures, as load_dataset reads them."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from huggingface_hub import constants
from PIL import Image as PILImage
from pixcore_folder.config import HfDatasetConfig

from pixcore import cli, masks
from pixcore.errors import DataError
from pixcore.records import Sample
from tests.damages import assert_told

datasets = pytest.importorskip("datasets", reason="hf-dataset needs `pip install datasets`")

BOX = (slice(4, 12), slice(5, 15))


@pytest.fixture(autouse=True)
def _no_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


def benchmark(dataset: Path | str, **options: Any) -> Any:
    from pixcore_folder.hf_dataset import HfDataset

    return HfDataset(HfDatasetConfig(dataset=str(dataset), **options))


def load(dataset: Path | str, **options: Any) -> dict[str, Sample]:
    return {one.id: one for one in benchmark(dataset, **options).samples()}


def picture(colour: int = 0) -> PILImage.Image:
    return PILImage.new("RGB", (40, 30), (colour, 120, 150))


def mask(value: int = 255) -> PILImage.Image:
    values = np.zeros((30, 40), np.uint8)
    values[BOX] = value
    return PILImage.fromarray(values)


def made(**columns: Any) -> Any:
    """Two rows of pictures, masks and texts, or other columns."""
    pictures = {"image": [picture(0), picture(200)], "mask": [mask(), mask(1)], "text": ["the box", "a box"]}
    pictures |= columns
    pictures = {name: value for name, value in pictures.items() if value is not None}
    return datasets.Dataset.from_dict(pictures)


def check(samples: dict[str, Sample]) -> None:
    assert list(samples) == ["0", "1"]
    assert [one.expression for one in samples.values()] == ["the box", "a box"]
    expected = np.zeros((30, 40), bool)
    expected[BOX] = True
    for one, red in zip(samples.values(), (0, 200), strict=True):
        assert one.mask is not None
        np.testing.assert_array_equal(masks.decode(one.mask), expected)
        assert one.image.size == (40, 30)
        assert one.image.pixels()[0, 0].tolist() == [red, 120, 150]


def test_a_parquet_file(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    made().to_parquet(folder / "two.parquet")
    public = datasets.load_dataset("parquet", data_files=str(folder / "two.parquet"), split="train")
    assert public.features["image"] == datasets.Image(), "what is written is what load_dataset reads as pictures"
    check(load(folder / "two.parquet"))
    check(load(folder))
    assert list(load(folder / "two.parquet", split="train[1:]")) == ["0"]


def test_a_saved_dataset_and_one_with_splits(tmp_path: Path) -> None:
    made().save_to_disk(tmp_path / "one")
    check(load(tmp_path / "one"))
    datasets.DatasetDict(test=made(), train=made(text=["x", "y"])).save_to_disk(tmp_path / "several")
    check(load(tmp_path / "several", split="test"))
    assert_told(lambda: load(tmp_path / "several"), "has the splits test, train")
    assert_told(lambda: load(tmp_path / "several", split="tset"), "has no split 'tset' (did you mean 'test'?")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("saved", {"split": "test"}, "has no split 'test'"),
        ("saved", {"subset": "en"}, "has no subset 'en'"),
        ("saved", {"revision": "v1"}, "has no revision 'v1'"),
        ("splits", {"split": "test", "subset": "en"}, "has no subset 'en'"),
        ("a.parquet", {"subset": "en"}, "has no subset 'en'"),
        ("a.parquet", {"revision": "v1"}, "has no revision 'v1'"),
    ],
)
def test_an_option_that_a_local_dataset_can_not_follow_is_refused(
    kind: str, options: dict[str, str], message: str, tmp_path: Path
) -> None:
    made().save_to_disk(tmp_path / "saved")
    datasets.DatasetDict({"train": made(), "test": made()}).save_to_disk(tmp_path / "splits")
    made().to_parquet(tmp_path / "a.parquet")
    assert_told(lambda: load(tmp_path / kind, **options), message)


def test_a_saved_split_may_be_named(tmp_path: Path) -> None:
    made().to_parquet(tmp_path / "a.parquet")
    path = str(tmp_path / "a.parquet")
    datasets.load_dataset("parquet", data_files=path, split="train").save_to_disk(tmp_path / "saved")
    check(load(tmp_path / "saved", split="train"))
    assert_told(lambda: load(tmp_path / "saved", split="test"), "has no split 'test'")


def test_a_folder_of_pictures_with_metadata(tmp_path: Path) -> None:
    for number, red in enumerate((0, 200)):
        picture(red).save(tmp_path / f"{number}.png")
        mask().save(tmp_path / f"mask-{number}.png")
    rows = "".join(f"{n}.png,mask-{n}.png,{text}\n" for n, text in enumerate(("the box", "a box")))
    (tmp_path / "metadata.csv").write_text(f"file_name,mask_file_name,text\n{rows}")
    check(load(tmp_path))


def test_a_parquet_file_that_pandas_wrote(tmp_path: Path) -> None:
    """Bytes in a struct or alone, without the library's own notes on what they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def encoded(one: PILImage.Image) -> bytes:
        buffer = io.BytesIO()
        one.save(buffer, "PNG")
        return buffer.getvalue()

    pictures = [{"bytes": encoded(picture(red)), "path": None} for red in (0, 200)]
    columns = {"photo": pictures, "label": [encoded(mask())] * 2, "said": ["the box", "a box"]}
    pq.write_table(pa.table(columns), tmp_path / "two.parquet")
    found = benchmark(tmp_path / "two.parquet")
    check({one.id: one for one in found.samples()})
    (note,) = found.notes
    assert "image from 'photo', mask from 'label', expression from 'said' (`columns:` in the config" in note


def test_columns_are_guessed_and_can_be_named(tmp_path: Path) -> None:
    columns = {"image": None, "mask": None, "text": None, "picture": [picture(0), picture(200)]}
    made(**columns, seg=[mask(), mask()], a=["the box", "a box"]).to_parquet(tmp_path / "two.parquet")
    check(load(tmp_path / "two.parquet"))
    made(**columns, seg=[mask(), mask()], a=["the box", "a box"], b=["x", "y"]).to_parquet(tmp_path / "three.parquet")
    assert_told(lambda: load(tmp_path / "three.parquet"), "no column that is plainly the expression")
    check(load(tmp_path / "three.parquet", columns={"expression": "a"}))


def test_masks_in_other_forms(tmp_path: Path) -> None:
    inside = np.asarray(mask()) > 0
    rle = masks.encode(inside)
    square = [[5.0, 4.0, 15.0, 4.0, 15.0, 12.0, 5.0, 12.0]]
    for name, column in (("rle", [rle, rle]), ("polygons", [square] * 2), ("rows", [inside.astype(int).tolist()] * 2)):
        made(mask=column).save_to_disk(tmp_path / name)
        check(load(tmp_path / name))


def in_form(values: Any, tmp_path: Path, **options: Any) -> list[Sample]:
    """The samples of a dataset whose two masks are rows of these numbers."""
    made(mask=[np.asarray(values).tolist()] * 2).save_to_disk(tmp_path / "rows")
    return list(load(tmp_path / "rows", **options).values())


@pytest.mark.parametrize("kind", [bool, np.uint8, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("threshold", [None, 1])
def test_rows_of_numbers_are_labels_whatever_their_type(kind: Any, threshold: int | None, tmp_path: Path) -> None:
    inside = np.asarray(mask()) > 0
    for one in in_form(inside.astype(kind), tmp_path, threshold=threshold):
        assert one.mask == masks.encode(inside)


def test_a_threshold_takes_rows_of_true_and_false(tmp_path: Path) -> None:
    inside = np.asarray(mask()) > 0
    assert [one.mask for one in in_form(inside, tmp_path, threshold=128)] == [masks.encode(inside)] * 2


@pytest.mark.parametrize("odd", [0.5, float("nan"), float("inf"), 1e300])
def test_rows_of_fractions_are_refused(odd: float, tmp_path: Path) -> None:
    values = np.asarray(mask()).astype(float)
    values[3, 3] = odd
    assert_told(lambda: in_form(values, tmp_path), "row 0, column 'mask' has values that are not whole numbers")


@pytest.mark.parametrize("kind", [bool, np.uint8, float])
@pytest.mark.parametrize(
    ("values", "size"),
    [
        (np.asarray(mask())[::2, ::2], "20x15"),
        (np.asarray(mask()).T, "30x40"),
        (np.asarray(mask()).repeat(2, axis=0).repeat(2, axis=1), "80x60"),
        (np.asarray(mask())[2:], "40x28"),
        (np.asarray(mask())[:, 2:], "38x30"),
        (np.asarray(mask())[::4, ::5], "8x8"),
        (np.asarray(mask())[::4, ::8], "5x8"),
        (np.add.outer(np.arange(15), np.arange(20)) % 16, "20x15"),
        (np.tile([0, 0, 255, 255, 255, 0, 0, 0], (6, 1)), "8x6"),
    ],
)
def test_rows_of_another_size_are_no_outlines(kind: Any, values: Any, size: str, tmp_path: Path) -> None:
    told = f"row 0, column 'mask' is {size} pixels, its picture"
    assert_told(lambda: in_form(values.astype(kind), tmp_path), told)


@pytest.mark.parametrize(
    ("rings", "area"),
    [
        ([[5, 4, 15, 4, 15, 12, 5, 12]], 80),
        ([[5, 4, 15, 4, 15, 12, 5, 12], [20, 4, 30, 4, 30, 12, 20, 12]], 160),
        ([[x, 4, x + 2, 4, x + 2, 6, x, 6] for x in range(0, 36, 3)], 48),
        ([[x, y, x + 2, y, x + 2, y + 2, x, y + 2] for y in range(0, 27, 3) for x in range(0, 36, 3)], 9 * 48),
        ([[5, 4, 15, 4, 15, 12, 5, 12], [20, 4, 30, 4, 30, 12, 20, 12, 20, 8]], 160),
    ],
    ids=["one", "two", "a line of boxes", "a grid of boxes", "of several lengths"],
)
@pytest.mark.parametrize("kind", [int, float])
def test_rings_of_one_length_are_outlines_still(rings: Any, area: int, kind: Any, tmp_path: Path) -> None:
    made(mask=[[[kind(value) for value in ring] for ring in rings]] * 2).save_to_disk(tmp_path / "rings")
    assert [masks.area(one.mask) for one in load(tmp_path / "rings").values() if one.mask] == [area] * 2


@pytest.mark.parametrize("points", [[[5, 4], [15, 4], [15, 12]], [[], []]])
def test_points_one_by_one_are_told_as_polygons_that_lack_some(points: Any, tmp_path: Path) -> None:
    assert_told(lambda: in_form(points, tmp_path), "points (a polygon needs at least three)")


def test_a_mask_of_which_nothing_is_given_is_unknown(tmp_path: Path) -> None:
    nothing = [{"bytes": None, "path": "m.png"}, {"bytes": None, "path": None}]
    mask().save(tmp_path / "m.png")
    made(mask=nothing).to_parquet(tmp_path / "d.parquet")
    assert [one.mask is None for one in load(tmp_path / "d.parquet").values()] == [False, True]


def test_values_absence_and_nothing(tmp_path: Path) -> None:
    several = np.zeros((30, 40), np.uint8)
    several[0, :3], several[1, :4] = 2, 3
    rows = {"image": [picture()] * 4, "text": list("abcd"), "value": ["2", None, None, None]}
    rows |= {"mask": [PILImage.fromarray(several), None, mask(0), mask()], "absent": [None, None, None, True]}
    made(**rows).to_parquet(tmp_path / "four.parquet")
    found = benchmark(tmp_path / "four.parquet")
    samples = list(found.samples())
    assert [None if one.mask is None else masks.area(one.mask) for one in samples] == [3, None, 0, 0]
    assert found.notes[-1].startswith("1 sample(s) have a mask with nothing in it")


def test_questions_and_ids(tmp_path: Path) -> None:
    rows = {"id": [7, 8], "question": ["Which?"] * 2, "options": [["x", "y"]] * 2, "answer": [1, 0]}
    made(**rows, category=["p", "q"]).save_to_disk(tmp_path / "saved")
    samples = load(tmp_path / "saved")
    assert [(name, one.options, one.answer) for name, one in samples.items()] == [
        ("7", ("x", "y"), 1),
        ("8", ("x", "y"), 0),
    ]
    assert samples["7"].categories == {"category": "p"}


def test_only_what_is_taken_is_decoded(tmp_path: Path) -> None:
    made(mask=[b"no picture", b"no picture"]).save_to_disk(tmp_path / "saved")
    found = benchmark(tmp_path / "saved")
    assert len(found) == 2
    assert_told(lambda: next(found.samples()), "row 0, column 'mask'")


def test_what_can_not_be_loaded_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert_told(lambda: load("nobody/no-such-dataset"), "can't load the dataset nobody/no-such-dataset")
    assert_told(lambda: load(tmp_path / "mine.parquet"), "mine.parquet (check the path)")  # the hub is not asked for it
    (tmp_path / "x.csv").write_text("a\n")
    assert_told(lambda: load(tmp_path / "x.csv"), "is no parquet or arrow file")
    (tmp_path / "x.parquet").write_bytes(b"PAR1")
    capfd.readouterr()
    assert_told(lambda: load(tmp_path / "x.parquet"), "can't load the dataset")
    assert not capfd.readouterr().err, "what the library says stands in the error alone"
    made(mask=[mask().resize((5, 5))] * 2).save_to_disk(tmp_path / "small")
    assert_told(lambda: load(tmp_path / "small"), "row 0, column 'mask' is 5x5 pixels, its picture")
    made(text=["", "x"]).save_to_disk(tmp_path / "empty")
    assert_told(lambda: load(tmp_path / "empty"), "row 0 has neither an expression nor a question")


@pytest.mark.parametrize("kind", ["rle", "polygon", "rows"])
def test_a_picture_that_can_not_be_read_costs_its_own_sample_alone(tmp_path: Path, kind: str) -> None:
    inside = np.zeros((30, 40), bool)
    inside[BOX] = True
    segmentation = {
        "rle": dict(masks.encode(inside)),
        "polygon": [[5.0, 4.0, 15.0, 4.0, 15.0, 12.0, 5.0, 12.0]],
        "rows": inside.astype(int).tolist(),
    }[kind]
    whole = io.BytesIO()
    picture().save(whole, "PNG")
    pictures = [{"bytes": b"no picture", "path": None}, {"bytes": whole.getvalue(), "path": None}]
    made(image=pictures, mask=[segmentation] * 2).to_parquet(tmp_path / "two.parquet")
    bad, good = load(tmp_path / "two.parquet", columns={"image": "image", "mask": "mask"}).values()
    assert good.mask is not None
    assert masks.decode(good.mask).sum() == inside.sum()
    assert bad.mask == (None if kind == "polygon" else good.mask)
    with pytest.raises(DataError, match="row 0, column 'image'"):
        bad.image.pil()


def test_the_check_of_files_names_the_command_that_reads_samples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["benchmarks", "check", "hf-dataset", "--root", "."])
    assert end.value.code == 2
    assert "has no files to get (pixcore check hf-dataset reads its samples)" in capsys.readouterr().err
