"""ReasonSeg's released layout: outlines, labels, texts, encodings; and its evaluation, which ignores some pixels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_datasets.commands import check_command
from pixcore_referring.config import ReasonSegConfig
from pixcore_referring.outlines import drawn
from pixcore_referring.reasonseg import IGNORED, ReasonSeg

from pixcore import cli, masks
from pixcore.records import Sample
from tests.damages import assert_told

SIZE = (40, 30)


def box(left: float, top: float, right: float, bottom: float) -> list[list[float]]:
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


def shape(label: str, *corners: float) -> dict[str, Any]:
    return {"label": label, "labels": [label], "shape_type": "polygon", "points": box(*corners), "group_id": None}


def document(**changed: Any) -> dict[str, Any]:
    shapes = [shape("target", 5, 5, 14.9, 14), shape("target", 20, 5, 24, 9), shape("flag", 0, 0, 39, 29)]
    return {"text": ["the thing to sit on", "what to sit on"], "is_sentence": False, "shapes": shapes} | changed


def write(root: Path, content: dict[str, Any], name: str = "a", split: str = "val") -> Path:
    folder = root / split
    folder.mkdir(parents=True, exist_ok=True)
    PILImage.new("RGB", SIZE, (90, 120, 150)).save(folder / f"{name}.jpg")
    (folder / f"{name}.json").write_text(json.dumps(content))
    return root


def load(root: Path, **options: Any) -> dict[str, Sample]:
    return {sample.id: sample for sample in ReasonSeg(ReasonSegConfig(root=root, **options)).samples()}


def target(sample: Sample) -> np.ndarray[Any, Any]:
    assert sample.mask is not None
    return masks.decode(sample.mask)


def test_several_outlines_are_one_target_and_flags_none(tmp_path: Path) -> None:
    (sample,) = load(write(tmp_path, document())).values()
    expected = np.zeros(SIZE[::-1], bool)
    expected[5:15, 5:15] = expected[5:10, 20:25] = True  # 14.9 is cut to 14; lines belong to the mask
    assert (target(sample) == expected).all()
    assert sample.extra == {IGNORED: None}
    assert (sample.id, sample.expression, sample.categories) == ("a", "the thing to sit on", {"query": "short"})
    assert sample.question == "What is the thing to sit on in this image? Please output segmentation mask."


def test_a_long_text_is_its_own_instruction_and_all_texts_can_be_asked(tmp_path: Path) -> None:
    samples = load(write(tmp_path, document(is_sentence=True)), texts="all")
    assert list(samples) == ["a.0", "a.1"]
    assert samples["a.1"].question == "what to sit on Please output segmentation mask."
    assert samples["a.1"].categories == {"query": "long"}


@pytest.mark.parametrize("order", [1, -1])
def test_the_smaller_of_two_overlapping_outlines_stands(tmp_path: Path, order: int) -> None:
    shapes = [shape("target", 0, 0, 19, 19), shape("Ignore_1", 5, 5, 14, 14), shape("target", 8, 8, 9, 9)][::order]
    (sample,) = load(write(tmp_path, document(shapes=shapes))).values()
    ignored = masks.decode(sample.extra[IGNORED])
    assert (int(ignored.sum()), int(target(sample).sum())) == (96, 304)  # 100 - 4, and 400 - 96
    assert not (ignored & target(sample)).any()


def test_of_two_equal_outlines_the_first_stands_as_in_the_release(tmp_path: Path) -> None:
    shapes = [shape("ignore", 5, 5, 9, 9), shape("target", 5, 5, 9, 9)]
    (sample,) = load(write(tmp_path, document(shapes=shapes))).values()
    assert sample.absent
    assert masks.area(sample.extra[IGNORED]) == 25


def test_splits_are_folders_and_an_annotation_may_be_in_windows_encoding(tmp_path: Path) -> None:
    root = write(tmp_path, document(), split="train")
    text = json.dumps(document(text=["Pelé’s café"]), ensure_ascii=False).encode("cp1252")
    write(root, document(), "b", "test")
    (root / "test/b.json").write_bytes(text)
    assert list(load(root, split="train")) == ["a"]
    assert load(root, split="test")["b"].expression == "Pelé’s café"
    assert_told(lambda: load(root), "lacks val/")


def test_outlines_far_outside_cross_the_image_as_they_should() -> None:
    far = drawn([(-(10**9), -(10**9)), (10**9, -(10**9)), (10**9, 10**9), (-(10**9), 10**9)], SIZE)
    assert far.all()
    assert not drawn([(100, 100), (120, 100), (120, 120)], SIZE).any()


def test_a_bow_tie_is_filled_by_the_even_odd_rule() -> None:
    # corners inside out: the inner square of two windings is a hole, but for its line
    ring = [(2, 2), (22, 2), (22, 22), (2, 22), (2, 2), (8, 8), (16, 8), (16, 16), (8, 16), (8, 8)]
    mask = drawn(ring, SIZE)
    assert mask[5, 5]
    assert not mask[12, 12]
    assert mask[8, 12]


@pytest.mark.parametrize("corners", [(100, 100, 120, 120), (0.1, 0.1, 0.9, 0.9)], ids=["outside", "0 to 1"])
def test_a_target_that_covers_no_pixel_is_no_absent_object(corners: tuple[float, ...], tmp_path: Path) -> None:
    write(tmp_path, document(shapes=[shape("target", *corners)]))
    write(tmp_path, document(shapes=[shape("target", *corners), shape("target", 5, 5, 14, 14)]), "b")
    write(tmp_path, document(shapes=[shape("ignore", 5, 5, 14, 14)]), "c")  # which says that there is no target
    benchmark = ReasonSeg(ReasonSegConfig(root=tmp_path))
    areas = {one.id: None if one.mask is None else int(masks.area(one.mask)) for one in benchmark.samples()}
    assert areas == {"a": None, "b": 100, "c": 0}
    assert benchmark.notes == (
        "2 image(s) have an outline that covers no pixel, which is left out; without another the image is not scored: "
        "a, b",
    )


def test_an_annotation_without_its_jpg_is_told(tmp_path: Path) -> None:
    write(tmp_path, document())
    write(tmp_path, document(), "b")
    (tmp_path / "val/b.jpg").rename(tmp_path / "val/b.JPEG")
    benchmark = ReasonSeg(ReasonSegConfig(root=tmp_path))
    assert [one.id for one in benchmark.samples()] == ["a"]
    assert benchmark.notes == ("1 annotation(s) have no .jpg beside them: left out (b.json)",)


DAMAGES: dict[str, tuple[dict[str, Any], str]] = {
    "no shapes": ({"shapes": None}, "has no list of shapes"),
    "a shape without label": ({"shapes": [{"points": [[1, 2]]}]}, "shape 0 has no label"),
    "a point of three": ({"shapes": [{"label": "target", "points": [[1, 2, 3]]}]}, "points that are not a list of [x"),
    "no points": ({"shapes": [{"label": "target", "points": []}]}, "shape 0 has no points"),
    "a corner at infinity": ({"shapes": [{"label": "target", "points": [[1e999, 2]]}]}, "is no place in an image"),
    "text that is one text": ({"text": "the cat"}, "text is no list of texts"),
    "no text": ({"text": []}, "text is no list of texts"),
    "an empty text": ({"text": [" "]}, "text is no list of texts"),
    "a number for is_sentence": ({"is_sentence": 1}, "is_sentence is neither true nor false"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_every_damage_is_named(case: str, tmp_path: Path) -> None:
    changed, message = DAMAGES[case]
    root = write(tmp_path, document(**changed))
    assert_told(lambda: load(root), message)


FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no annotation": (lambda val: (val / "a.json").unlink(), "a.json"),
    "half an annotation": (lambda val: (val / "a.json").write_text('{"text": ['), "is not JSON"),
    "no object": (lambda val: (val / "a.json").write_text("[]"), "holds no object"),
    "a damaged image": (lambda val: (val / "a.jpg").write_bytes(b"no"), "can't read image"),
    "no image": (lambda val: (val / "a.jpg").unlink(), "holds no .jpg"),
}


@pytest.mark.parametrize("case", FILES)
def test_every_damaged_file_is_named(case: str, tmp_path: Path) -> None:
    damage, message = FILES[case]
    root = write(tmp_path, document())
    damage(root / "val")
    assert_told(lambda: load(root), message)


def scored(root: Path, found: dict[str, NDArray[np.bool_]], capsys: pytest.CaptureFixture[str]) -> str:
    """What `pixcore score` prints of one mask for each image, in one line."""
    lines = [
        {
            "sample_id": name,
            "protocol": "segment",
            "text": "it",
            "candidates": [{"phrase": "it", "masks": [masks.encode(mask)], "scores": [0.5]}],
        }
        for name, mask in found.items()
    ]
    path = root / "predictions.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines))
    with pytest.raises(SystemExit) as end:
        cli.main(["score", str(path), "--benchmark", "reasonseg", "--root", str(root), "--select", "oracle"])
    assert not end.value.code
    return " ".join(capsys.readouterr().out.split())


def test_giou_and_ciou_leave_ignored_pixels_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "d", document(shapes=[shape("target", 0, 0, 9, 9), shape("ignore", 10, 0, 19, 9)]))
    write(root, document(shapes=[shape("target", 0, 0, 19, 9)]), "b")
    found = np.zeros(SIZE[::-1], bool)
    found[:10, :20] = True  # a: 100 of the target, 100 ignored; b: all 200
    found[:10, 20:25] = True  # and 50 that are wrong in both
    told = scored(root, dict.fromkeys("ab", found), capsys)
    # a: 100 / 150, b: 200 / 250; the table itself has a: 100 / 250
    assert "gIoU 73.33, cIoU 75.00 without ignored pixels" in told
    assert "1 of 2 samples have some" in told
    assert "60.0" in told


def test_both_figures_without_ignored_pixels_have_intervals(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {}
    ignored = shape("ignore", 30, 20, 39, 29)
    for number, name in enumerate("abcdefghijkl"):
        write(tmp_path, document(shapes=[shape("target", 0, 0, 19, number % 9), ignored]), name)
        PILImage.new("RGB", SIZE, (20 * number,) * 3).save(tmp_path / "val" / f"{name}.jpg")  # images of their own
        found[name] = np.zeros(SIZE[::-1], bool)
        found[name][: number % 9 + 1, : 10 + number % 4] = True  # 10 to 13 of the target's 20 columns
    told = scored(tmp_path, found, capsys)
    # by hand: columns 10, 11, 12, 13 three times each; Student's t of 11 degrees of freedom is 2.201
    shares = np.array([10, 11, 12, 13] * 3) / 20
    reach = 2.200985 * shares.std(ddof=1) / np.sqrt(12)
    low, high = 100 * (shares.mean() - reach), 100 * (shares.mean() + reach)
    assert f"gIoU {100 * shares.mean():.2f} [{low:.2f}, {high:.2f}], cIoU" in told


def test_shapes_that_are_no_polygons_are_drawn_as_in_the_release_and_told(tmp_path: Path) -> None:
    corners = {"label": "target", "shape_type": "rectangle", "points": [[5, 5], [14, 14]]}
    write(tmp_path, document(shapes=[corners, {**corners, "label": "flag", "shape_type": "circle"}]))
    write(tmp_path, document(), "b")
    benchmark = ReasonSeg(ReasonSegConfig(root=tmp_path))
    samples = {one.id: one for one in benchmark.samples()}
    assert (int(target(samples["a"]).sum()), int(target(samples["b"]).sum())) == (10, 125)  # a line of 10 pixels
    (note,) = benchmark.notes
    assert note.startswith("1 image(s) have shapes that are no polygons (a: rectangle)")


def test_the_check_looks_for_the_split_that_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(tmp_path, document(), split="test")
    for split, code in (("val", 2), ("test", 0)):
        with pytest.raises(SystemExit) as end:
            cli.main(["benchmarks", "check", "reasonseg", "--root", str(tmp_path), "--set", f"split={split}"])
        assert (end.value.code or 0) == code
    assert "1 samples, 0 with an empty mask" in capsys.readouterr().out


def test_the_check_refuses_two_samples_of_one_id_as_runs_do(tmp_path: Path) -> None:
    write(tmp_path, document())
    write(tmp_path, document(text=["what to sit on"]), "a.0")
    command = ["reasonseg", "--root", str(tmp_path), "--set", "texts=all"]
    assert_told(lambda: check_command.main(command, standalone_mode=False), "two samples with the id 'a.0'")
