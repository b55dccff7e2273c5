"""A user's own data: COCO files with expressions, tables of them, RefCOCO's layout; and what is wrong with them."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_coco_referring.benchmark import CocoReferring
from pixcore_coco_referring.config import CocoReferringConfig
from pixcore_datasets.polygons import from_polygons

from pixcore import cli, masks
from pixcore.errors import DataError
from pixcore.records import Sample
from tests.damages import assert_told

SQUARE = [[10, 10, 20, 10, 20, 20, 10, 20]]
OTHER = [[30, 5, 38, 5, 38, 15, 30, 15]]


def document() -> dict[str, Any]:
    return {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 40, "height": 30, "expression": "both squares"},
            {"id": 2, "file_name": "b.png", "width": 40, "height": 30, "expressions": ["the cat", "a cat"]},
            {"id": 3, "file_name": "c.png", "width": 40, "height": 30},
        ],
        "annotations": [
            {"id": 7, "image_id": 1, "segmentation": SQUARE, "expression": "the left square"},
            {"id": 8, "image_id": 1, "segmentation": OTHER, "expressions": ["the right square", "the far one"]},
            {"id": 9, "image_id": 3, "segmentation": SQUARE},
        ],
        "categories": [],
    }


def write(root: Path, content: dict[str, Any]) -> Path:
    root.mkdir(exist_ok=True)
    (root / "annotations.json").write_text(json.dumps(content))
    return root


def load(root: Path, **options: Any) -> dict[str, Sample]:
    return {one.id: one for one in CocoReferring(CocoReferringConfig(root=root, **options)).samples()}


def test_expressions_of_annotations_and_of_images(tmp_path: Path) -> None:
    samples = load(write(tmp_path / "d", document()))
    assert {name: one.expression for name, one in samples.items()} == {
        "7": "the left square",
        "8.0": "the right square",
        "8.1": "the far one",
        "1": "both squares",
        "2.0": "the cat",
        "2.1": "a cat",
    }
    assert samples["2.0"].absent
    assert samples["7"].mask == from_polygons(SQUARE, (40, 30))
    whole = masks.decode(samples["1"].mask)  # type: ignore[arg-type]
    parts = [masks.decode(samples[name].mask) for name in ("7", "8.0")]  # type: ignore[arg-type]
    np.testing.assert_array_equal(whole, parts[0] | parts[1])


@pytest.mark.parametrize(
    ("listed", "file"),
    [
        ("sub\\a.png", "sub/a.png"),
        ("caf\u00e9.png", "cafe\u0301.png"),
        ("cafe\u0301.png", "caf\u00e9.png"),
        ("sub\\cafe\u0301.png", "sub/caf\u00e9.png"),
        ("odd\\name.png", "odd\\name.png"),
    ],
)
def test_a_picture_is_found_whichever_system_wrote_its_name(listed: str, file: str, tmp_path: Path) -> None:
    """With Windows' backslashes, or accents as one character or two."""
    content = document()
    content["images"][0]["file_name"] = listed
    root = write(tmp_path / "d", content)
    (root / file).parent.mkdir(exist_ok=True)
    PILImage.new("RGB", (40, 30), "red").save(root / file)
    assert load(root)["1"].image.pil().size == (40, 30)


def test_a_picture_that_is_not_there_is_named_as_listed(tmp_path: Path) -> None:
    content = document()
    content["images"][0]["file_name"] = "sub\\\u00e9.png"
    sample = load(write(tmp_path / "d", content))["1"]
    with pytest.raises(DataError, match=r"sub\\\u00e9\.png"):
        sample.image.pil()


def test_questions_and_pairs_come_along(tmp_path: Path) -> None:
    content = document()
    facts = {"question": "How many?", "options": ["1", "2"], "answer": 1, "pair": 4, "categories": {"kind": "count"}}
    content["images"][0].update(facts)
    sample = load(write(tmp_path / "d", content))["1"]
    assert (sample.question, sample.options, sample.answer) == ("How many?", ("1", "2"), 1)
    assert (sample.pair, sample.categories) == ("4", {"kind": "count"})


def test_categories_are_texts_and_a_blank_question_is_none(tmp_path: Path) -> None:
    content = document()
    content["images"][0] |= {"question": " ", "categories": {"objects": 2, "kind": None}}
    sample = load(write(tmp_path / "d", content))["1"]
    assert (sample.question, sample.categories) == (None, {"objects": "2"})


def test_a_category_that_is_no_text_or_number_is_refused(tmp_path: Path) -> None:
    content = document()
    content["images"][0]["categories"] = {"kinds": ["count", "place"]}
    with pytest.raises(DataError, match=r"a\.png has the category 'kinds'.*expected a text or a number"):
        load(write(tmp_path / "d", content))


def test_expressions_from_a_table(tmp_path: Path) -> None:
    root = write(tmp_path / "d", document())
    (root / "said.csv").write_text("\ufeffannotation_id,image,expression\n9,,the square\n,c.png,all of it\n")
    samples = load(root, expressions="said.csv")
    assert samples["9"].expression == "the square"
    assert samples["3"].expression == "all of it"


def test_a_table_names_one_image_each_time(tmp_path: Path) -> None:
    content = document()
    content["images"].append({**content["images"][2], "id": 4})  # c.png again
    root = write(tmp_path / "d", content)
    (root / "said.csv").write_text("image,expression\n3,the square\n4,nothing\n2,by its id\nb.png,by its name\n")
    said = {one.id: one.expression for one in load(root, expressions="said.csv").values()}
    assert (said["3"], said["4"]) == ("the square", "nothing")
    assert [said[f"2.{place}"] for place in range(4)] == ["the cat", "a cat", "by its name", "by its id"]
    (root / "said.csv").write_text("image,expression\nc.png,the square\n")
    assert_told(lambda: load(root, expressions="said.csv"), "is about image c.png, of which there are several")


def test_a_size_that_nothing_states_comes_from_the_image(tmp_path: Path) -> None:
    content = document()
    for image in content["images"]:
        del image["width"], image["height"]
    root = write(tmp_path / "d", content)
    for name in "abc":
        PILImage.new("RGB", (50, 60)).save(root / f"{name}.png")
    assert load(root)["7"].mask["size"] == [60, 50]  # type: ignore[index]


def test_refcocos_layout(tmp_path: Path) -> None:
    root = write(tmp_path / "d", document())
    (root / "annotations.json").rename(root / "instances.json")
    references = [
        {"ref_id": 5, "ann_id": 7, "image_id": 1, "split": "val", "sentences": [{"sent": "left", "raw": "Left one"}]},
        {"ref_id": 6, "ann_id": 8, "image_id": 1, "split": "testA", "sentences": [{"sent": "right"}, {"sent": "far"}]},
    ]
    (root / "refs.json").write_text(json.dumps(references))
    options = {"annotations": "instances.json", "refs": "refs.json"}
    samples = load(root, **options)
    assert [(one.id, one.expression) for one in samples.values()] == [
        ("5", "Left one"),
        ("6.0", "right"),
        ("6.1", "far"),
    ]
    assert list(load(root, split="val", **options)) == ["5"]
    with pytest.raises(DataError, match="has no split 'train'"):
        load(root, split="train", **options)
    (root / "refs.json").write_text(json.dumps([{**references[0], "ann_id": 99}]))
    with pytest.raises(DataError, match="reference 5 lacks or misses 99"):
        load(root, **options)
    del (content := json.loads((root / "instances.json").read_text()))["annotations"][0]["id"]
    (root / "instances.json").write_text(json.dumps(content))
    (root / "refs.json").write_text(json.dumps([{**references[0], "ann_id": None}]))
    with pytest.raises(DataError, match="reference 5 lacks or misses None"):
        load(root, **options)


REFERENCE = {"ref_id": 5, "ann_id": 7, "image_id": 1, "split": "val", "sentences": [{"sent": "left"}]}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_the_released_pickle_equals_its_json(tmp_path: Path, protocol: int) -> None:
    root = write(tmp_path / "d", document())
    (root / "refs(unc).p").write_bytes(pickle.dumps([REFERENCE], protocol))
    (root / "refs.json").write_text(json.dumps([REFERENCE]))
    read, expected = (load(root, refs=name)["5"] for name in ("refs(unc).p", "refs.json"))
    assert (read.expression, read.mask) == (expected.expression, expected.mask)


def python_2(text: bytes) -> bytes:
    """Write references as Python 2's protocol 0 does: texts are bytes."""
    numbers = b"".join(b"S'%s'\nI%d\ns" % pair for pair in ((b"ref_id", 5), (b"ann_id", 7), (b"image_id", 1)))
    sentence = b"(dS'sent'\nS'" + text + b"'\ns"
    return b"(l(d" + numbers + b"S'split'\nS'val'\nsS'sentences'\n(l" + sentence + b"asa."


@pytest.mark.parametrize(("text", "notes"), [(b"caf\\xc3\\xa9", 0), (b"caf\\xe9", 1)])
def test_python_2s_texts_are_utf_8_or_else_latin_1_which_is_said(tmp_path: Path, text: bytes, notes: int) -> None:
    root = write(tmp_path / "d", document())
    (root / "refs.p").write_bytes(python_2(text))
    benchmark = CocoReferring(CocoReferringConfig(root=root, refs="refs.p"))
    (sample,) = benchmark.samples()
    assert (sample.id, sample.expression) == ("5", "café")
    assert len(benchmark.notes) == notes
    assert all("refs.p: texts that are not UTF-8 were read as latin1" in note for note in benchmark.notes)


PICKLES: dict[str, tuple[bytes, str]] = {
    "code": (b"cos\nsystem\n(S'touch ran'\ntR.", "it names os.system"),
    "a class": (pickle.dumps([Path("a")]), "which is more than data"),
    "an array": (pickle.dumps([np.zeros(2)]), "which is more than data"),
    "something outside": (b"Pabc\n.", "outside itself"),
    "half of it": (pickle.dumps([REFERENCE])[:-20], "is no pickle of plain data"),
    "no pickle": (b"[]", "is no pickle of plain data"),
    "no references": (pickle.dumps({"a": 1}), "holds no list of references"),
}


@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_of_more_than_data_is_refused(case: str, tmp_path: Path) -> None:
    content, message = PICKLES[case]
    root = write(tmp_path / "d", document())
    (root / "refs.p").write_bytes(content)
    assert_told(lambda: load(root, refs="refs.p"), message)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"split": "val"}, "split is of the references: name them under refs"),
        ({"refs": "refs.json", "expressions": "said.csv"}, "name refs or expressions, not both"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(options: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message):
        load(write(tmp_path / "d", document()), **options)


def test_images_and_annotations_count_apart(tmp_path: Path) -> None:
    content = document()
    content["annotations"][0]["id"] = 1
    samples = load(write(tmp_path / "d", content))
    assert samples["1"].expression == "the left square"
    assert samples["image-1"].expression == "both squares"
    assert len(samples) == 6


def test_repeated_annotation_ids_identify_nothing(tmp_path: Path) -> None:
    content = document()
    content["annotations"][1]["id"] = 7
    root = write(tmp_path / "d", content)
    samples = load(root)
    left, right = samples["1-0"].mask, samples["1-1.0"].mask
    assert left is not None
    assert right is not None
    assert [np.argwhere(masks.decode(mask)).min(axis=0).tolist() for mask in (left, right)] == [[10, 10], [5, 30]]
    (root / "said.csv").write_text("annotation_id,expression\n7,the square\n")
    with pytest.raises(DataError, match="annotation 7, of which there are several"):
        load(root, expressions="said.csv")


NOWHERE = [
    [50, 5, 60, 5, 60, 20],
    [0.1, 0.1, 0.4, 0.1, 0.4, 0.4],
    [0, 0, 1, 0, 1, 1, 0, 1],  # shares of the sides: one pixel, were they pixels
    [0.02, 0.1, 0.99, 0.02, 0.9, 0.97],
    [-0.001, 0.1, 0.9, 0.02, 0.9, 1.0001],  # shares, but for rounding
    [-9, -9, -2, -9, -2, -2],
    [1e9, 1, 1e200, 1, 1e9, 9],
]


@pytest.mark.parametrize("ring", NOWHERE)
def test_an_annotation_that_covers_no_pixel_is_no_absent_object(tmp_path: Path, ring: list[float]) -> None:
    content = document()
    content["annotations"][0]["segmentation"] = [ring]
    benchmark = CocoReferring(CocoReferringConfig(root=write(tmp_path / "d", content)))
    samples = {one.id: one for one in benchmark.samples()}
    assert samples["7"].mask is None
    assert samples["1"].mask == samples["8.0"].mask  # the image's other annotation stands
    (note,) = benchmark.notes
    assert "1 annotation(s) cover no pixel" in note
    assert "image a.png, annotation 7" in note


def test_grefcocos_lists_of_annotations(tmp_path: Path) -> None:
    root = write(tmp_path / "d", document())
    sentences = [{"sent": "whatever"}]
    references = [
        {"ref_id": number, "ann_id": ids, "image_id": 1, "split": "val", "sentences": sentences}
        for number, ids in enumerate(([7, 8], [-1], [8], 7))
    ]
    (root / "refs.json").write_text(json.dumps(references))
    samples = load(root, refs="refs.json")
    sizes = [int(masks.area(samples[str(number)].mask)) for number in range(4)]  # type: ignore[arg-type]
    assert sizes == [180, 0, 80, 100]
    assert [samples[str(number)].absent for number in range(4)] == [False, True, False, False]


Change = Callable[[dict[str, Any]], Any]
INSTANCES = {
    "images": [{"id": one, "file_name": f"{one}.png", "width": 40, "height": 30} for one in (1, 2)],
    "annotations": [
        {"id": 7, "image_id": 1, "segmentation": SQUARE},
        {"id": 8, "image_id": 1, "segmentation": OTHER},
        {"id": 9, "image_id": 2, "segmentation": SQUARE},
    ],
}
CONTRADICTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "another image's annotation": ({"ann_id": 9}, "is about annotation 9, which is another image's"),
    "one of them another image's": ({"ann_id": [7, 9]}, "is about annotation 9, which is another image's"),
    "an object and none": ({"ann_id": [7, -1]}, "is about an object and says that there is none"),
    "no target, and one": ({"ann_id": [7], "no_target": True}, "is about an object and says that there is none"),
    "a target, and none": ({"ann_id": [], "no_target": False}, "names no annotation and says that there is one"),
    "an empty sentence": ({"sentences": [{"sent": " "}]}, "has an empty sentence"),
    "a sentence that is nothing": ({"sentences": [{"sent": None}]}, "has a sentence that is no text"),
    "a sentence that is a list": ({"sentences": [{"sent": "a", "raw": ["a"]}]}, "has a sentence that is no text"),
    "sentences of text": ({"sentences": ["the cat"]}, "has sentences that are no objects"),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_reference_that_contradicts_itself_is_refused(case: str, tmp_path: Path) -> None:
    changed, message = CONTRADICTIONS[case]
    root = write(tmp_path / "d", INSTANCES)
    reference = {"ref_id": 5, "ann_id": 7, "image_id": 1, "split": "val", "sentences": [{"sent": "the cat"}]}
    (root / "refs.json").write_text(json.dumps([{**reference, **changed}]))
    assert_told(lambda: load(root, refs="refs.json"), message)


@pytest.mark.parametrize("segmentation", [[], None])
def test_a_bounding_box_alone_is_no_mask(tmp_path: Path, segmentation: Any) -> None:
    content = document()
    content["annotations"][0] |= {"segmentation": segmentation, "bbox": [1, 1, 5, 5]}
    assert_told(lambda: load(write(tmp_path / "d", content)), "has no outline")


def test_a_picture_of_another_size_than_its_annotation_says_is_refused_when_it_is_read(tmp_path: Path) -> None:
    root = write(tmp_path / "d", document())
    PILImage.new("RGB", (30, 40)).save(root / "a.png")  # 40 x 30 is annotated
    image = load(root)["7"].image
    assert image.size == (40, 30)
    assert_told(image.pixels, "is (30, 40) pixels, not (40, 30)")


DAMAGES: dict[str, tuple[Change, str]] = {
    "no images": (lambda d: d.pop("images"), "has no list of images"),
    "an annotation without image": (lambda d: d["annotations"][0].pop("image_id"), "annotation 7 has no image_id"),
    "two points": (lambda d: d["annotations"][0].update(segmentation=[[1, 2, 3, 4]]), "polygon with 2 points"),
    "another size": (
        lambda d: d["annotations"][0].update(segmentation=dict(masks.empty((5, 5)))),
        "is 5x5 pixels, its image is 40x30",
    ),
    "an image's side as text": (
        lambda d: d["images"][0].update(width="wide"),
        "image 0: width is not a number of pixels",
    ),
    "a side of 400 digits": (lambda d: d["images"][0].update(height=10**400), "height is not a number of pixels"),
    "an enormous image": (lambda d: d["images"][1].update(width=10**6, height=10**6), "more than"),
    "an id that is a list": (lambda d: d["images"][0].update(id=[1]), "an id of type list"),
    "a corner of 400 digits": (
        lambda d: d["annotations"][0].update(segmentation=[[10**400, 1, 2, 3, 4, 5]]),
        "not a list",
    ),
    "options that are a number": (lambda d: d["images"][0].update(options=4), "options that are not a list"),
    "an option that is nothing": (lambda d: d["images"][0].update(options=["1", None]), "options that are not texts"),
    "an option that is a list": (lambda d: d["images"][0].update(options=[["1"], "2"]), "options that are not texts"),
    "a pair that is a list": (lambda d: d["images"][0].update(pair=[1]), "the pair [1]"),
    "an expression that is a number": (lambda d: d["annotations"][0].update(expression=4), "that is not text"),
    "no expressions": (
        lambda d: [
            one.pop(key, None) for one in d["images"] + d["annotations"] for key in ("expression", "expressions")
        ],
        "holds no expression",
    ),
    "an answer beyond the options": (
        lambda d: d["images"][0].update(options=["1"], answer=3),
        "has the answer 3",
    ),
    "no segmentation": (lambda d: d["annotations"][0].pop("segmentation"), "has no segmentation"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_every_damage_is_named(case: str, tmp_path: Path) -> None:
    change, message = DAMAGES[case]
    content = copy.deepcopy(document())
    change(content)
    assert_told(lambda: load(write(tmp_path / "d", content)), message)


def test_a_table_about_something_unknown(tmp_path: Path) -> None:
    root = write(tmp_path / "d", document())
    (root / "said.csv").write_text("annotation_id,expression\n77,the square\n")
    with pytest.raises(DataError, match="unknown annotation '77'"):
        load(root, expressions="said.csv")


def test_a_table_that_says_nothing_of_an_object_asks_nothing(tmp_path: Path) -> None:
    root = write(tmp_path / "d", document())
    (root / "said.csv").write_text("annotation_id,expression\n9, \n")
    with pytest.raises(DataError, match="says nothing of annotation 9"):
        load(root, expressions="said.csv")


def test_candidates_on_a_sample_that_is_not_scored_need_no_picture(tmp_path: Path) -> None:
    content = document()
    content["annotations"][0]["segmentation"] = [[50, 5, 60, 5, 60, 20]]  # outside the image
    root = write(tmp_path / "d", content)
    square = masks.encode(np.ones((30, 40), bool))
    candidate = {"phrase": "a square", "similarity": 0.1, "masks": [square], "scores": [0.5]}
    line = {"protocol": "segment", "text": "a square", "candidates": [candidate]}
    lines = [{**line, "sample_id": "7"}, {**line, "sample_id": "1", "choices": {"mine": "absent"}}]
    path = tmp_path / "predictions.jsonl"
    path.write_text("\n".join(json.dumps(one) for one in lines))
    for select in ("oracle", "mask-score", "spacy-similarity"):
        main = ["score", str(path), "--benchmark", "coco-referring", "--root", str(root), "--select", select]
        with pytest.raises(SystemExit) as end:
            cli.main([*main, "--missing", "skip"])
        assert not end.value.code


def checked(capsys: pytest.CaptureFixture[str], root: Path, *settings: str) -> tuple[int, str]:
    """What `pixcore benchmarks check` ends with, and all that it says."""
    options = [part for setting in settings for part in ("--set", setting)]
    with pytest.raises(SystemExit) as end:
        cli.main(["benchmarks", "check", "coco-referring", "--root", str(root), *options])
    return int(end.value.code or 0), "".join(capsys.readouterr())


def test_the_check_looks_for_the_files_that_options_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = write(tmp_path / "d", document())
    (root / "annotations.json").rename(root / "instances.json")
    (root / "refs.json").write_text(json.dumps([REFERENCE]))
    for name in "abc":
        PILImage.new("RGB", (40, 30)).save(root / f"{name}.png")
    settings = ("annotations=instances.json", "refs=refs.json")
    code, said = checked(capsys, root, *settings)
    assert (code, "1 samples, 0 with an empty mask" in said) == (0, True)
    assert "ok      refs.json" in said
    code, said = checked(capsys, root, "annotations=instances.json", "refs=refs(unc).p")
    assert (code, "refs(unc).p missing" in said) == (2, True)
    assert_told(lambda: load(root, annotations="instances.json", refs="refs(unc).p"), "lacks refs(unc).p")


def test_the_check_names_pictures_that_are_not_there_or_not_those_of_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = write(tmp_path / "d", document())
    PILImage.new("RGB", (40, 30)).save(root / "a.png")
    code, said = checked(capsys, root)
    assert (code, "1 picture(s) are not there" in said, "b.png" in said) == (0, True, True)
    PILImage.new("RGB", (30, 40)).save(root / "b.png")
    code, said = checked(capsys, root)
    assert (code, "b.png is (30, 40) pixels" in said, "1 picture(s) can't be used" in said) == (2, True, True)
