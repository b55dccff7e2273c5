"""What `pixcore export` writes is what the run found, as each format's own library reads it."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
import os
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_export.as_labelme import export_labelme
from pixcore_export.command import export, exporter_of
from pixcore_export.fiftyone_fields import Fields
from pixcore_export.spool import Spool
from pixcore_report.reading import open_run
from pycocotools import mask as rle
from pycocotools.coco import COCO

import pixcore
from pixcore import masks
from pixcore.errors import DataError, StoreError
from pixcore.figures.rows import RowSpec
from pixcore.plugins import registry
from pixcore.records import Candidate, Image, PointPrompt, ProtocolResult, Response, Sample, SampleResult, Selection

Exported = Callable[[str], Path]
Predictions = list[dict[str, Any]]

OTHER = "=phrase, overlap/x"


def table(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_csv_tables_are_the_run(exported: Exported, predictions: Predictions) -> None:
    folder = exported("csv")
    samples = table(folder / "samples.csv")
    assert [(one["sample_id"], one["probing"], one["text"]) for one in samples] == [
        (line["sample_id"], line["protocol"], line["text"]) for line in predictions
    ]
    own = [one for one in table(folder / "candidates.csv") if not one["pool"]]
    assert [(one["counts"], int(one["mask"]), float(one["score"])) for one in own] == [
        (mask["counts"], place, score)
        for line in predictions
        for candidate in line.get("candidates", ())
        for place, (mask, score) in enumerate(zip(candidate["masks"], candidate["scores"], strict=True))
    ]
    for one in own:
        mask = rle.decode({"size": [int(one["height"]), int(one["width"])], "counts": one["counts"].encode()})
        assert int(one["pixels"]) == mask.sum()
    choices = {(one["sample_id"], one["row"]): one for one in table(folder / "choices.csv")}
    for line in predictions:
        for row, choice in line.get("choices", {}).items():
            told = choices[line["sample_id"], row]
            if isinstance(choice, dict) and "candidate" in choice:
                assert (int(told["candidate"]), int(told["mask"])) == (choice["candidate"], choice["mask"])
    tokens = table(folder / "tokens.csv")
    for line in predictions:
        said = [one for one in tokens if (one["sample_id"], one["probing"]) == (line["sample_id"], line["protocol"])]
        assert "".join(one["text"] for one in said).strip() == line["text"].strip()
        assert all(line["text"][int(one["start"]) : int(one["end"])] in one["text"] for one in said)


def test_a_controls_choice_is_among_its_own_candidates(exported: Exported) -> None:
    folder = exported("csv")
    candidates = table(folder / "candidates.csv")
    ious = {
        (one["sample_id"], one["pool"], one["candidate"], one["mask"]): one["iou"] for one in candidates if one["iou"]
    }
    chosen = [one for one in table(folder / "choices.csv") if one["outcome"] == "chosen"]
    assert {bool(one["control_of"]) for one in chosen} == {True, False}
    for one in chosen:
        assert one["iou"] == ious[one["sample_id"], one["pool"], one["candidate"], one["mask"]]


def test_parquet_holds_what_csv_does_with_types(exported: Exported) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    texts, typed = exported("csv"), exported("parquet")
    for path in texts.iterdir():
        found = parquet.read_table(typed / f"{path.stem}.parquet").to_pylist()
        told = [{name: "" if value is None else str(value) for name, value in line.items()} for line in found]
        assert told == table(path)
    kinds = parquet.read_schema(typed / "choices.parquet")
    assert {name: str(kinds.field(name).type) for name in ("row", "candidate", "iou")} == {
        **{"row": "string", "candidate": "int64", "iou": "double"}
    }


def test_pycocotools_reads_the_truth_and_each_rows_masks(
    exported: Exported, predictions: Predictions, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = exported("coco")
    truth = COCO(str(folder / "annotations.json"))
    ids = {image["sample_id"]: number for number, image in truth.imgs.items()}
    for image in truth.imgs.values():
        with PILImage.open(folder / "images" / image["file_name"]) as picture:
            assert picture.size == (image["width"], image["height"])
    files = {"oracle": "oracle.json", OTHER: "phrase-overlap-x.json"}
    asked = [line for line in predictions if line["protocol"] == "segment"]
    assert len(ids) == len(asked)
    for row, name in files.items():
        found = truth.loadRes(str(folder / "results" / "segment" / name))
        for line in asked:
            choice = line["choices"].get(row)
            mine = found.loadAnns(found.getAnnIds(imgIds=[ids[line["sample_id"]]]))
            if not isinstance(choice, dict) or "candidate" not in choice:
                assert not mine
                continue
            expected = line["candidates"][choice["candidate"]]["masks"][choice["mask"]]
            assert np.array_equal(found.annToMask(mine[0]), rle.decode(expected))
            assert math.isfinite(mine[0]["score"])
    overlaps = {}
    best = truth.loadRes(str(folder / "results" / "segment" / "oracle.json"))
    for sample, number in ids.items():
        pair = [one.loadAnns(one.getAnnIds(imgIds=[number])) for one in (best, truth)]
        if all(pair):
            segments = [[one["segmentation"] for one in ones] for ones in pair]
            overlaps[sample] = float(rle.iou(*segments, [0])[0, 0])
    samples = {one["sample_id"]: one for one in table(exported("csv") / "samples.csv") if one["probing"] == "segment"}
    assert overlaps == {name: pytest.approx(float(samples[name]["iou: oracle"])) for name in overlaps}
    assert overlaps


def chosen(line: dict[str, Any], row: str) -> np.ndarray | None:
    """The mask that a row chose, as the core's predictions have it."""
    choice = line["choices"].get(row)
    if not isinstance(choice, dict) or "candidate" not in choice:
        return None
    found: np.ndarray = rle.decode(line["candidates"][choice["candidate"]]["masks"][choice["mask"]])
    return found


def test_a_data_set_of_hugging_face_has_pictures_masks_and_texts(
    exported: Exported, predictions: Predictions, tmp_path: Path
) -> None:
    datasets = pytest.importorskip("datasets")
    datasets.disable_progress_bars()
    folder = exported("datasets")
    found = datasets.load_dataset(str(folder), cache_dir=str(tmp_path / "cache"), split="test")
    assert isinstance(found.features["segment: oracle: mask"], datasets.Image)
    lines = {(line["sample_id"], line["protocol"]): line for line in predictions}
    assert len(found) == len({name for name, _ in lines})
    for one in found:
        line = lines[one["sample_id"], "segment"]
        assert one["segment: text"] == line["text"]
        assert one["letter: text"] == lines[one["sample_id"], "letter"]["text"]
        assert one["image"].size == one["mask"].size
        mask, drawn = chosen(line, OTHER), one[f"segment: {OTHER}: mask"]
        if mask is not None:
            assert np.array_equal(np.asarray(drawn) > 127, mask.astype(bool))


def pixels(path: Path) -> np.ndarray:
    """What a picture in a file holds."""
    with PILImage.open(path) as picture:
        return np.asarray(picture)


FIELDS = {"oracle": "segment_oracle", OTHER: "segment_phrase_overlap_x"}


def test_a_fiftyone_data_set_has_masks_heatmaps_figures_and_evaluations(
    exported: Exported, predictions: Predictions
) -> None:
    folder = exported("fiftyone")
    metadata = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))
    samples = json.loads((folder / "samples.json").read_text(encoding="utf-8"))["samples"]
    asked = {line["sample_id"]: line for line in predictions if line["protocol"] == "segment"}
    figures = {(one["sample_id"], one["row"]): one for one in table(exported("csv") / "choices.csv") if one["outcome"]}
    names = [one["name"] for one in metadata["sample_fields"]]
    assert len(set(names)) == len(names)
    assert {name for name in names if name.endswith("_map")} == {f"{name}_map" for name in FIELDS.values()}
    assert [one["sample_id"] for one in samples] == list(asked)
    ids = [one["$oid"] for one in found_ids(samples)]
    assert len(set(ids)) == len(ids)
    counted = {name: np.zeros((2, 2), int) for name in FIELDS.values()}
    for one in samples:
        assert {name for name in one if not name.startswith("_")} <= set(names)
        size = (one["metadata"]["height"], one["metadata"]["width"])
        assert pixels(folder / one["filepath"]).shape[:2] == size
        assert one["metadata"]["size_bytes"] == (folder / one["filepath"]).stat().st_size
        line = asked[one["sample_id"]]
        assert one["segment_text"] == line["text"]
        truth = pixels(folder / one["ground_truth"]["mask_path"])
        for row, name in FIELDS.items():
            mask = chosen(line, row)
            assert one.get(f"{name}_iou") == pytest.approx(float(figures[one["sample_id"], row]["iou"]))
            if mask is None:
                assert one.get(f"{name}_map") is None
                continue
            drawn = pixels(folder / one[name]["mask_path"])
            assert np.array_equal(drawn, 255 * mask)
            assert drawn.shape == truth.shape == size
            matrix = [
                [int((((truth > 0) == a) & ((drawn > 0) == b)).sum()) for b in (False, True)] for a in (False, True)
            ]
            counted[name] += np.array(matrix)
            (_, beside), (missed, hit) = matrix
            if truth.any():
                assert one[f"eval_{name}_accuracy"] == pytest.approx(one[f"{name}_iou"])
                assert one[f"eval_{name}_precision"] == pytest.approx(hit / (hit + beside))
                assert one[f"eval_{name}_recall"] == pytest.approx(hit / (hit + missed))
            heat = pixels(folder / one[f"{name}_map"]["map_path"])
            assert (heat.shape, heat.dtype, heat.min(), heat.max()) == (size, np.uint8, 0, 255)
            phrase = line["candidates"][line["choices"][row]["candidate"]]["phrase"]
            assert one[f"{name}_phrase"] == phrase
    for name, matrix in counted.items():
        run = metadata["evaluations"][f"eval_{name}"]["config"]
        assert (run["pred_field"], run["gt_field"]) == (name, "ground_truth")
        results = json.loads((folder / "evaluations" / f"eval_{name}.json").read_text(encoding="utf-8"))
        assert results["pixel_confusion_matrix"] == matrix.tolist()
        assert matrix[1, 1]


def found_ids(value: Any) -> list[dict[str, str]]:
    """The ids of samples and of their labels."""
    if isinstance(value, list):
        return [found for one in value for found in found_ids(one)]
    if not isinstance(value, dict):
        return []
    own = [value["_id"]] if "_id" in value else []
    return own + [found for one in value.values() for found in found_ids(one)]


def test_fields_of_odd_names_stay_apart() -> None:
    fields = Fields()
    kinds = {"": "Segmentation", "_iou": "FloatField"}
    names = [fields.add(one, kinds) for one in ("a.b$c", "A b c", "a b c iou", "__tags", "7", "\u8bed \ud800", "")]
    assert names == ["a_b_c", "a_b_c_2", "a_b_c_iou_2", "tags_2", "field_7", "\u8bed", "field_"]
    assert all(one["name"].isidentifier() for one in fields.documents)


def test_fiftyones_own_classes_read_the_data_set(
    exported: Exported, predictions: Predictions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FIFTYONE_DO_NOT_TRACK", "true")
    fo = pytest.importorskip("fiftyone", reason="FiftyOne brings a database: pip install fiftyone")
    from fiftyone.core import odm
    from fiftyone.utils.data.importers import _parse_media_fields
    from fiftyone.utils.eval import segmentation

    folder = exported("fiftyone")
    metadata = odm.import_document(str(folder / "metadata.json"))
    fields = {one["name"]: odm.SampleFieldDocument.from_dict(one).to_field() for one in metadata["sample_fields"]}
    documents, _ = odm.import_collection(str(folder / "samples.json"), key="samples")
    asked = [line for line in predictions if line["protocol"] == "segment"]
    media: dict[str, Any] = {path.name: False for path in (folder / "fields").iterdir()}
    for document, line in zip(documents, asked, strict=True):
        _parse_media_fields(document, media, str(folder))
        sample = fo.Sample.from_dict(document)
        for name in sample.field_names:
            if sample[name] is not None and name not in ("id", "created_at", "last_modified_at", "media_reference"):
                fields[name].validate(sample[name])
        for row, name in FIELDS.items():
            mask = chosen(line, row)
            if mask is None:
                continue
            drawn, truth = sample[name].get_mask(), sample["ground_truth"].get_mask()
            assert np.array_equal(drawn, 255 * mask)
            assert sample[f"{name}_map"].get_map().shape == mask.shape
            matrix = segmentation._compute_pixel_confusion_matrix(drawn, truth, (0, 255))
            expected = segmentation._compute_accuracy_precision_recall(matrix, (0, 255), "micro")
            told = [sample[f"eval_{name}_{figure}"] for figure in ("accuracy", "precision", "recall")]
            assert told == [None if one is None else pytest.approx(one) for one in expected]
    for key, run in metadata["evaluations"].items():
        config = segmentation.SimpleEvaluationConfig.from_dict(odm.RunDocument.from_dict(run).config)
        results = json.loads((folder / "evaluations" / f"{key}.json").read_text(encoding="utf-8"))
        found = segmentation.SegmentationResults.from_dict(results, None, config, key)
        assert found.metrics()["support"] == np.sum(results["pixel_confusion_matrix"][1])
    assert metadata["evaluations"]


def test_labelme_files_have_masks_and_points(exported: Exported, predictions: Predictions) -> None:
    folder = exported("labelme") / "images"
    asked = [line for line in predictions if line["protocol"] == "segment"]
    files = sorted(folder.glob("*.json"))
    assert len(files) == len(asked)
    for path, line in zip(files, asked, strict=True):
        document = json.loads(path.read_text(encoding="utf-8"))
        with PILImage.open(folder / document["imagePath"]) as picture:
            assert picture.size == (document["imageWidth"], document["imageHeight"])
        for row in ("oracle", OTHER):
            shapes = [one for one in document["shapes"] if one["label"] == f"segment: {row}"]
            expected = chosen(line, row)
            if expected is None:
                assert not shapes
                continue
            drawn = next(one for one in shapes if one["shape_type"] == "mask")
            (left, top), (right, bottom) = drawn["points"]
            mask = np.zeros_like(expected, dtype=bool)
            with PILImage.open(io.BytesIO(base64.b64decode(drawn["mask"]))) as crop:
                mask[top : bottom + 1, left : right + 1] = np.asarray(crop)
            assert np.array_equal(mask, expected.astype(bool))
            assert [one["points"] for one in shapes if one["shape_type"] == "point"]


def test_a_point_outside_of_the_object_is_told_as_one(tmp_path: Path) -> None:
    point = PointPrompt(np.array([[1, 2], [3, 0]], np.float32), np.array([1, 0], np.int8))
    candidate = Candidate(None, point, (masks.encode(np.eye(4, dtype=bool)),), (0.5,))
    chosen = {"first": Selection.chosen(0, 0)}
    outcome = ProtocolResult("segment", "?", Response("it"), (candidate,), selections=chosen)
    sample = Sample("one", Image.from_pixels(np.zeros((4, 4, 3), np.uint8)))
    config = SimpleNamespace(probings={"segment": SimpleNamespace(masks=True)})
    job = SimpleNamespace(
        rows=[RowSpec("first")],
        results=lambda: [SampleResult(sample, {"segment": outcome})],
        resolved=SimpleNamespace(config=config),
    )
    export_labelme(job, tmp_path, print)  # type: ignore[arg-type]
    shapes = json.loads((tmp_path / "images" / "000001-one.json").read_text(encoding="utf-8"))["shapes"]
    points = [(one["points"], one["description"]) for one in shapes if one["shape_type"] == "point"]
    assert points == [([[1, 2]], ""), ([[3, 0]], "not there")]


def test_labelme_reads_its_files(exported: Exported) -> None:
    reader = pytest.importorskip(
        "labelme._label_file", reason="LabelMe brings Qt: pip install labelme", exc_type=ImportError
    )
    for path in (exported("labelme") / "images").glob("*.json"):
        found = reader.read_label_file(str(path))
        for shape in found.shapes:
            (left, top), *rest = shape["points"]
            if shape["shape_type"] == "mask":
                ((right, bottom),) = rest
                assert shape["mask"].shape == (bottom - top + 1, right - left + 1)


def test_columns_that_come_late_and_odd_values_are_kept(tmp_path: Path) -> None:
    spool = Spool(tmp_path, ["first"])
    spool.add({"first": 1, "text": "half \ud800"})
    spool.add({"first": 0.5, "late": True, "text": '=1,"\n'})
    assert spool.columns == {"first": float, "text": str, "late": bool}
    assert list(spool) == [
        {"first": 1.0, "text": "half \\ud800", "late": None},
        {"first": 0.5, "text": '=1,"\n', "late": True},
    ]
    spool.close()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="how large a file may grow is limited on POSIX alone")
@pytest.mark.parametrize("form", ["csv", "coco"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    form: str, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import resource

    monkeypatch.setattr("sys.dont_write_bytecode", True)  # a module's would be cut short for good
    job, limits = open_run(run, registry()), resource.getrlimit(resource.RLIMIT_FSIZE)
    _ = job.rows  # what is read of the store is read
    resource.setrlimit(resource.RLIMIT_FSIZE, (300, limits[1]))
    try:
        with pytest.raises(StoreError, match="free some space"):
            exporter_of(form)(job, tmp_path, print)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_folder_that_holds_something_is_left_alone(run: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match="is there and not empty"):
        export.main([str(run), "--to", "csv", "--out", str(tmp_path)], standalone_mode=False)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_run_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=json.dumps(str(tmp_path / "run.json"))[1:-1]):
        export.main([str(tmp_path), "--to", "csv", "--out", str(tmp_path / "out")], standalone_mode=False)


@pytest.mark.parametrize("form", ["csv", "coco", "datasets", "fiftyone", "labelme"])
def test_a_mask_that_a_model_drew_with_a_letter_is_left_out(tmp_path: Path, form: str) -> None:
    pytest.importorskip("pixcore_mini_seg")
    if form == "datasets":
        pytest.importorskip("datasets")
    config = {
        "benchmark": {"name": "mini-world", "pairs": 1},
        "model": {"name": "mini-seg", "checkpoint": "a"},
        "extractor": None,
        "store": str(tmp_path / "store"),
    }
    pixcore.run(config, output=tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "predictions.jsonl").read_text().splitlines()]
    assert any(line["protocol"] == "letter" and "mask" in line for line in lines)
    out = tmp_path / form
    export.main([str(tmp_path / "run"), "--to", form, "--out", str(out)], standalone_mode=False)
    written = [path for path in out.rglob("*") if path.is_file()]
    assert written
    assert not any(b"letter: own masks" in path.read_bytes() for path in written)
    if form == "coco":
        assert sorted(path.name for path in (out / "results").iterdir()) == ["question", "segment"]
