"""PixCV-Bench's loader: the released COCO half as it is, the rest on files in the released layout."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
import pytest
from PIL import Image as PILImage
from pixcore_datasets.commands import check_command
from pixcore_datasets.polygons import from_polygons
from pixcore_pixcvbench.benchmark import PixCVBench, parse_objects
from pixcore_pixcvbench.config import PixCVBenchConfig
from pixcore_testing import PluginContract
from pyarrow import parquet
from pycocotools import mask as coco

from pixcore import masks
from pixcore.errors import DataError
from pixcore.records import Sample
from tests.damages import assert_told, edited

RELEASED = Path(__file__).resolve().parents[3] / "../shared/data/pixcvbench"


def load(root: Path, **options: Any) -> dict[str, Sample]:
    return {one.id: one for one in PixCVBench(PixCVBenchConfig(root=root, **options)).samples()}


def test_the_released_coco_annotations() -> None:
    if not RELEASED.exists():
        pytest.skip("PixCV-Bench's released annotations are absent")
    data = PixCVBench(PixCVBenchConfig(root=RELEASED))
    samples = {one.id: one for one in data.samples()}
    assert list(samples) == [str(index) for index in range(633, 1438)]
    assert Counter(one.categories["task"] for one in samples.values()) == {"Count": 446, "Relation": 359}
    unmeasured = [one for one in samples.values() if one.mask is None]
    assert len(unmeasured) == 11  # polygons alone, and nothing states the image's size
    assert any("ADE20K" in note for note in data.notes)
    assert any("11 sample(s)" in note for note in data.notes)

    document = json.loads((RELEASED / "COCO/FinalSegmentations.json").read_text())
    names = {image["id"]: image["file_name"] for image in document["images"]}
    grouped: dict[str, list[Any]] = {}
    for annotation in document["annotations"]:
        grouped.setdefault(names[annotation["image_id"]], []).append(annotation["segmentation"])
    for sample in list(samples.values())[::20]:
        if sample.mask is None:
            continue
        height, width = sample.mask["size"]
        expected = np.zeros((height, width), bool)
        for one in grouped[Path(sample.image.name).name]:
            rles = [one] if isinstance(one, dict) else coco.frPyObjects(one, height, width)
            for rle in rles:
                expected |= coco.decode(rle).astype(bool)
        np.testing.assert_array_equal(masks.decode(sample.mask), expected)
    assert samples["1437"].expression == "giraffe and person"
    assert samples["1437"].released_expression == "('giraffe', 'person')"


def test_a_source_that_is_named_must_be_there() -> None:
    if not RELEASED.exists():
        pytest.skip("PixCV-Bench's released annotations are absent")
    assert len(load(RELEASED, sources=["COCO"])) == 805
    with pytest.raises(DataError, match=r"lacks ADE20K/FinalSegmentations\.json"):
        load(RELEASED, sources=["ADE20K", "COCO"])


def test_all_that_an_empty_folder_lacks_is_named_at_once(tmp_path: Path) -> None:
    either = "ADE20K/FinalSegmentations.json, COCO/FinalSegmentations.json"
    with pytest.raises(DataError, match=re.escape(f"lacks Objects.csv, {either}")) as told:
        load(tmp_path)
    assert "pixcore benchmarks fetch pixcvbench" in told.value.hint
    with pytest.raises(DataError, match=r"lacks Objects\.csv, COCO/FinalSegmentations\.json \(") as told:
        load(tmp_path, sources=["COCO"])
    assert "ADE20K" not in told.value.hint


FILES = ("CV-Bench/ADE20K/validation/images/ADE_val_1.jpg", "CV-Bench/ADE20K/validation/images/ADE_val_2.jpg")
ADE = ("ADE_val_1.jpg", "ADE_val_2.jpg")
SMALL = np.zeros((10, 20), bool)
SMALL[2:5, 4:10] = True


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two ADE20K samples (the second without an annotation) and a COCO one with run lengths and a polygon."""
    lines = [
        ",Id,file,Objects",
        f'0,0,{FILES[0]},"curtain, drape, drapery"',
        f'1,1,{FILES[1]},"bucket, pail"',
        "2,2,CV-Bench/COCO/coco/images/000000000007.jpg,\"('spoon', 'broccoli')\"",
    ]
    (tmp_path / "Objects.csv").write_text("\ufeff" + "\n".join(lines) + "\n")
    uncompressed = {"size": [10, 20], "counts": [200]}
    ade = {
        "categories": [],
        "images": [{"id": 0, "file_name": ADE[0]}, {"id": 1, "file_name": ADE[1]}],
        "annotations": [{"image_id": 0, "segmentation": dict(masks.encode(SMALL))}],
    }
    both = {
        "categories": [],
        "images": [{"id": 0, "file_name": "000000000007.jpg"}],
        "annotations": [
            {"image_id": 0, "segmentation": uncompressed},
            {"image_id": 0, "segmentation": [[2, 2, 8, 2, 8, 6, 2, 6]]},
        ],
    }
    for source, document in (("ADE20K", ade), ("COCO", both)):
        (tmp_path / source).mkdir()
        (tmp_path / source / "FinalSegmentations.json").write_text(json.dumps(document))
    return tmp_path


def test_ids_of_annotations_identify_nothing(root: Path) -> None:
    """ADE20K's half as released: most annotations have no id, others one that stands at another image too."""
    path = root / "ADE20K/FinalSegmentations.json"
    document = json.loads(path.read_text())
    ring = [[2, 5, 8, 5, 8, 9, 2, 9]]
    document["annotations"] += [
        {"id": 1, "image_id": 0, "segmentation": dict(masks.encode(SMALL[:, ::-1]))},
        {"id": 1, "image_id": 1, "segmentation": dict(masks.encode(SMALL))},
        {"id": 1, "image_id": 1, "segmentation": ring},
    ]
    path.write_text(json.dumps(document))
    samples = load(root)
    first, second = samples["0"].mask, samples["1"].mask
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(masks.decode(first), SMALL | SMALL[:, ::-1])
    drawn = coco.decode(coco.frPyObjects(ring, 10, 20)[0]).astype(bool)
    np.testing.assert_array_equal(masks.decode(second), SMALL | drawn)


def test_an_annotation_that_covers_no_pixel_is_noted(root: Path) -> None:
    path = root / "ADE20K/FinalSegmentations.json"
    document = json.loads(path.read_text())
    document["annotations"].append({"image_id": 1, "segmentation": dict(masks.encode(np.zeros((10, 20), bool)))})
    path.write_text(json.dumps(document))
    benchmark = PixCVBench(PixCVBenchConfig(root=root))
    samples = {one.id: one for one in benchmark.samples()}
    assert samples["1"].mask is None
    assert any("ADE_val_2.jpg, annotation 0" in note for note in benchmark.notes)


def questions(
    root: Path,
    *,
    name: str = "test_2d.parquet",
    drop: tuple[str, ...] = (),
    order: int = 1,
    size: tuple[int, int] = (20, 10),
) -> None:
    picture = root / "picture.png"
    PILImage.new("RGB", size, (1, 2, 3)).save(picture)
    rows = [
        {
            "type": "2D",
            "task": task,
            "question": question,
            "choices": choices,
            "answer": answer,
            "prompt": f"{question} Select from the following choices.\n(A) x",
            "source_filename": file,
            "image": {"bytes": picture.read_bytes(), "path": None},
        }
        for file, task, question, choices, answer in (
            (ADE[0], "Count", "How many curtains are in the image?", ["3", "1", "0"], "(B)"),
            (ADE[1], "Count", "How many buckets are in the image?", ["2", "0"], "(B)"),
            ("000000000007.jpg", "Relation", "Where is the spoon?", ["above", "below"], "(A)"),
        )
    ]
    rows = [{**rows[0], "type": "3D", "source_filename": "omni.png"}, *rows[::order]]
    rows = [{key: value for key, value in row.items() if key not in drop} for row in rows]
    (root / "CV-Bench").mkdir(exist_ok=True)
    parquet.write_table(arrow.Table.from_pylist(rows), root / "CV-Bench" / name, row_group_size=2)


def test_objects_masks_and_sizes_without_images_or_questions(root: Path) -> None:
    samples = load(root)
    assert samples["0"].expression == "curtain, drape, drapery"
    assert samples["0"].categories == {"task": "Count", "source": "ADE20K"}
    np.testing.assert_array_equal(masks.decode(samples["0"].mask), SMALL)  # type: ignore[arg-type]
    assert samples["1"].mask is None  # no annotation is a gap, not an absence
    assert samples["2"].mask == from_polygons([[2, 2, 8, 2, 8, 6, 2, 6]], (20, 10))
    assert samples["0"].question is None


@pytest.mark.parametrize("name", ["test_2d.parquet", "test.parquet"])
@pytest.mark.parametrize("order", [1, -1])
def test_questions_are_joined_by_file_name_in_any_order(root: Path, name: str, order: int) -> None:
    questions(root, name=name, order=order)
    samples = load(root)
    assert samples["0"].question == "How many curtains are in the image?"
    assert (samples["0"].options, samples["0"].answer) == (("3", "1", "0"), 1)
    assert samples["1"].absent  # the question's right answer says that there is none
    assert samples["2"].answer == 0
    assert samples["2"].image.pixels()[0, 0].tolist() == [1, 2, 3]


def test_the_older_columns(root: Path) -> None:
    questions(root, drop=("question",))
    assert load(root)["2"].question == "Where is the spoon?"


@pytest.mark.parametrize(
    ("drop", "message"),
    [(("source_filename",), "no column with the source image's file name"), (("choices",), "no column 'choices'")],
)
def test_columns_that_are_needed(root: Path, drop: tuple[str, ...], message: str) -> None:
    questions(root, drop=drop)
    with pytest.raises(DataError, match=message):
        load(root)


@pytest.mark.parametrize("choices", ['["3", "1"]', None])
def test_choices_that_are_no_list_are_no_options(choices: str | None, root: Path) -> None:
    questions(root)
    path = root / "CV-Bench/test_2d.parquet"
    table = parquet.read_table(path)
    place = table.column_names.index("choices")
    parquet.write_table(table.set_column(place, "choices", arrow.array([choices] * len(table), arrow.string())), path)
    assert_told(lambda: load(root), "choices that are no list")


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"question": " ", "prompt": None}, "row 1 has no question"),
        ({"question": None, "prompt": None}, "row 1 has no question"),
        ({"choices": ["3", None, "0"]}, "row 1 has a choice without text"),
        ({"choices": ["3", " ", "0"]}, "row 1 has a choice without text"),
    ],
)
@pytest.mark.parametrize("drop", [(), ("prompt",)])
def test_a_question_or_choice_without_words_is_refused(
    changed: dict[str, Any], message: str, drop: tuple[str, ...], root: Path
) -> None:
    questions(root)
    path = root / "CV-Bench/test_2d.parquet"
    rows = parquet.read_table(path).drop_columns(list(drop)).to_pylist()
    rows[1].update({name: value for name, value in changed.items() if name not in drop})
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    assert_told(lambda: load(root), message)


def test_ade_masks_of_another_size_than_the_image_are_scaled(root: Path) -> None:
    path = root / FILES[0]
    path.parent.mkdir(parents=True)
    PILImage.new("RGB", (40, 30)).save(path)
    scaled = masks.decode(load(root)["0"].mask)  # type: ignore[arg-type]
    expected = np.asarray(PILImage.fromarray(SMALL).resize((40, 30), PILImage.Resampling.NEAREST))
    np.testing.assert_array_equal(scaled, expected)


def test_masks_have_the_size_of_the_picture_that_is_shown(root: Path) -> None:
    questions(root, size=(40, 30))
    path = root / FILES[0]
    path.parent.mkdir(parents=True)
    PILImage.new("RGB", (60, 50)).save(path)
    for images, size in (("questions", (40, 30)), ("sources", (60, 50))):
        sample = load(root, images=images)["0"]
        assert sample.image.pil().size == size
        scaled = PILImage.fromarray(SMALL).resize(size, PILImage.Resampling.NEAREST)
        np.testing.assert_array_equal(masks.decode(sample.mask), np.asarray(scaled))  # type: ignore[arg-type]


SPOON = "000000000007.jpg"
OUTLINE = [[2, 2, 8, 2, 8, 6, 2, 6]]


@pytest.mark.parametrize("stated", [True, False])
def test_polygons_are_scaled_like_the_run_lengths_beside_them(root: Path, stated: bool) -> None:
    """By the size that the file states, or else that of another annotation of the image."""
    path = root / "COCO/FinalSegmentations.json"
    document = json.loads(path.read_text())
    if stated:
        document["images"][0].update(width=20, height=10)
        document["annotations"].pop(0)
    path.write_text(json.dumps(document))
    (root / "images").mkdir()
    PILImage.new("RGB", (60, 30)).save(root / "images" / SPOON)
    assert load(root)["2"].mask == from_polygons([[3 * value for value in OUTLINE[0]]], (60, 30))


def test_polygons_whose_size_nothing_states_stay(root: Path) -> None:
    edited("COCO/FinalSegmentations.json", lambda d: d["annotations"].pop(0))(root)
    (root / "images").mkdir()
    PILImage.new("RGB", (60, 30)).save(root / "images" / SPOON)
    assert load(root)["2"].mask == from_polygons(OUTLINE, (60, 30))


@pytest.mark.parametrize("kept", [0, 1], ids=["run lengths", "a polygon"])
def test_a_turned_picture_is_refused(root: Path, kept: int) -> None:
    def alone(document: Any) -> None:
        document["images"][0].update(width=20, height=10)
        document["annotations"] = [document["annotations"][kept]]

    edited("COCO/FinalSegmentations.json", alone)(root)
    (root / "images").mkdir()
    PILImage.new("RGB", (10, 20)).save(root / "images" / SPOON)
    assert_told(lambda: load(root), f"image {SPOON} is annotated at 20x10 pixels, its picture has 10x20")


def test_a_picture_of_another_shape_is_noted(root: Path) -> None:
    (root / "images").mkdir()
    PILImage.new("RGB", (30, 30)).save(root / "images" / SPOON)
    notes = PixCVBench(PixCVBenchConfig(root=root)).notes
    (note,) = (one for one in notes if "shape" in one)
    assert note.startswith("1 image(s) have another shape than their annotations")
    assert SPOON in note


def test_a_picture_that_can_not_be_read_costs_its_sample_alone(root: Path) -> None:
    questions(root)
    path = root / "CV-Bench/test_2d.parquet"
    rows = parquet.read_table(path).to_pylist()
    rows[1]["image"]["bytes"] = b"torn"
    parquet.write_table(arrow.Table.from_pylist(rows), path)
    samples = load(root)
    assert samples["0"].image.size == samples["2"].image.pil().size == (20, 10)
    with pytest.raises(DataError, match="can't decode image"):
        samples["0"].image.pil()


def test_objects_are_parsed_without_running_anything() -> None:
    assert parse_objects("grandstand, covered stand", where="x") == ("grandstand, covered stand",)
    assert parse_objects(" ('box', 'chair') ", where="x") == ("box", "chair")
    assert parse_objects("['box', 'chair']", where="x") == ("box", "chair")  # as another tool writes them
    for bad in ("(__import__('os').getcwd(),)", "('a', 1)", "('a'", "()", "[]", "['a'", "('a', ' ')", " "):
        with pytest.raises(DataError, match="has the objects"):
            parse_objects(bad, where="x")


SEGMENTATIONS = "ADE20K/FinalSegmentations.json"
DAMAGES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no table": (lambda root: (root / "Objects.csv").unlink(), "lacks Objects.csv"),
    "no annotations": (
        lambda root: [(root / name / "FinalSegmentations.json").unlink() for name in ("ADE20K", "COCO")],
        "lacks ADE20K/FinalSegmentations.json, COCO/FinalSegmentations.json",
    ),
    "an image that is not annotated": (
        edited(SEGMENTATIONS, lambda d: d["images"][0].update(file_name="other.jpg")),
        "has no image ADE_val_1.jpg (Id 0)",
    ),
    "an image twice": (
        edited(SEGMENTATIONS, lambda d: d["images"][1].update(file_name=ADE[0])),
        "has two images ADE_val_1.jpg",
    ),
    "an annotation without image": (
        edited(SEGMENTATIONS, lambda d: d["annotations"][0].pop("image_id")),
        "no image_id",
    ),
    "run lengths that do not fill": (
        edited("COCO/FinalSegmentations.json", lambda d: d["annotations"][0]["segmentation"].update(counts=[7])),
        "do not fill 20x10 pixels",
    ),
    "an Id twice": (
        lambda root: (root / "Objects.csv").write_text((root / "Objects.csv").read_text().replace("\n1,1,", "\n1,0,")),
        "two rows with the Id 0",
    ),
    "a table that breaks off behind its header": (
        lambda root: (root / "Objects.csv").write_text("Id,file,Objects\n"),
        "Objects.csv has no row about an image of ADE20K or COCO",
    ),
    "damaged parquet": (
        lambda root: ((root / "CV-Bench").mkdir(), (root / "CV-Bench/test.parquet").write_bytes(b"PAR1 nonsense")),
        "can't read",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_every_damage_is_named(case: str, root: Path) -> None:
    damage, message = DAMAGES[case]
    damage(root)
    assert_told(lambda: load(root), message)


def test_the_check_refuses_a_folder_without_samples_as_runs_do(root: Path) -> None:
    (root / "Objects.csv").write_text("Id,file,Objects\n")
    command = ["pixcvbench", "--root", str(root)]
    assert_told(lambda: check_command.main(command, standalone_mode=False), "Objects.csv has no row")


class TestPlugin(PluginContract):
    """Everything that this plugin offers keeps the contract, on the small files with pictures beside them."""

    name = "pixcvbench"

    @pytest.fixture
    def options(self, root: Path) -> Mapping[str, Any]:
        (root / "images").mkdir()
        for name in (*ADE, "000000000007.jpg"):
            PILImage.new("RGB", (20, 10), (90, 120, 150)).save(root / "images" / name)
        return {"root": str(root)}
