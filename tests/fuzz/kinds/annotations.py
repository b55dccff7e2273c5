"""Annotation files: COCO's, references to them, PixCV-Bench, PixMMVP, VIA, tables, annotators' work."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage
from pixcore_annotate.instances import ade_instances, coco_instances, items_from_table
from pixcore_coco_referring.benchmark import CocoReferring
from pixcore_coco_referring.config import CocoReferringConfig

from pixcore import masks
from pixcore.components import Context
from pixcore.errors import DataError
from tests.fuzz.forms import BYTES, CSV, JOURNAL, PNG, Form, json_form
from tests.fuzz.kinds import Act, Kind
from tests.fuzz.rule import Ending

WIDTH, HEIGHT = 24, 16
_JSON = json_form()


def _box(x: float, y: float, width: float, height: float) -> list[float]:
    return [x, y, x + width, y, x + width, y + height, x, y + height]


def _runs(x: int, y: int, width: int, height: int) -> dict[str, Any]:
    """Run lengths of a box, as COCO writes a crowd's."""
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[y : y + height, x : x + width] = True
    changes = np.flatnonzero(np.diff(np.concatenate(([False], inside.T.reshape(-1))))).tolist()
    ends = [0, *changes, inside.size]
    return {"size": [HEIGHT, WIDTH], "counts": [b - a for a, b in pairwise(ends)]}


def _coco() -> dict[str, Any]:
    size = {"width": WIDTH, "height": HEIGHT}
    inside = np.zeros((HEIGHT, WIDTH), bool)
    inside[3:9, 2:5] = True
    return {
        "info": {"year": 2026},
        "images": [
            {
                "id": 1,
                "file_name": "one.png",
                **size,
                "expression": "all of it",
                "question": "Which?",
                "options": ["x", "y"],
                "answer": 1,
                "pair": 7,
                "categories": {"kind": "a"},
            },
            {"id": 2, "file_name": "two.png", **size},
            {"id": "three", "file_name": "folder/three.png", **size, "expression": "the unicorn"},
        ],
        "annotations": [
            {
                "id": 11,
                "image_id": 1,
                "category_id": 1,
                "iscrowd": 0,
                "segmentation": [_box(2, 2, 6, 5)],
                "expression": "a box",
            },
            {"id": 12, "image_id": 1, "category_id": 1, "iscrowd": 1, "segmentation": _runs(10, 4, 5, 6)},
            {
                "id": 13,
                "image_id": 2,
                "category_id": 2,
                "segmentation": dict(masks.encode(inside)),
                "expressions": ["left one", "the small one"],
            },
        ],
        "categories": [{"id": 1, "name": "box"}, {"id": 2, "name": "cup"}],
    }


def _write(path: Path, document: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document))


def _rows(path: Path, *rows: tuple[Any, ...]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _picture(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(5).integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    PILImage.fromarray(pixels).save(path)


# --- coco-referring ---------------------------------------------------------------------------------------------------


def _make_coco(folder: Path) -> None:
    _write(folder / "annotations.json", _coco())


def _make_references(folder: Path) -> None:
    _make_coco(folder)
    references = [
        {"ref_id": 1, "ann_id": 11, "image_id": 1, "split": "val", "sentences": [{"sent": "a box", "raw": "A box"}]},
        {"ref_id": 2, "ann_id": [11, 12], "image_id": 1, "split": "val", "sentences": [{"sent": "both"}]},
        {"ref_id": 3, "ann_id": [-1], "image_id": 2, "split": "testA", "sentences": [{"sent": "none"}]},
        {"ref_id": 4, "ann_id": 13, "image_id": 2, "split": "val", "sentences": [{"sent": "x"}, {"sent": "y"}]},
    ]
    _write(folder / "refs.json", references)


def _make_table(folder: Path) -> None:
    _make_coco(folder)
    _rows(
        folder / "said.csv",
        ("image", "annotation_id", "expression"),
        ("one.png", "", "everything"),
        ("", "13", "the third, in words"),
        ("three", "", "nothing there"),
    )


def _samples(**options: Any) -> list[Any]:
    """What identifies each sample: ids, words, and the pixels of its ground truth."""
    found = CocoReferring(CocoReferringConfig(root=Path(), **options), Context()).samples()
    return sorted(
        (one.id, one.expression, one.question, one.options, one.answer, one.pair, sorted(one.categories.items()))
        + ((one.mask["counts"], one.mask["size"]) if one.mask is not None else ())
        + (one.absent, one.image.name)
        for one in found
    )


def _absent_only_where_it_is_said(ending: Ending) -> str | None:
    """An object is absent where its image has no annotation, or one whose run lengths are empty."""
    document = json.loads(Path("annotations.json").read_bytes().decode("utf-8-sig"))
    annotated = {entry["image_id"] for entry in document["annotations"]}
    without = {entry["file_name"] for entry in document["images"] if entry["id"] not in annotated}
    for sample in ending.value:
        absent, name = sample[-2:]
        if absent and not any(str(Path(file)) == name for file in without):
            return f"sample {sample[0]} of {name} is absent, and the file has annotations of it"
    return None


_CHECK = ("benchmarks", "check", "coco-referring", "--root", ".")

# --- the benchmarks of the paper --------------------------------------------------------------------------------------


def _make_pixcv(folder: Path) -> None:
    size = {"width": WIDTH, "height": HEIGHT}
    ade = {
        "images": [{"id": 1, "file_name": "a.jpg", **size}, {"id": 2, "file_name": "b.jpg"}],
        "annotations": [  # ids are repeated and missing in the released file
            {"id": 1, "image_id": 1, "segmentation": [_box(1, 1, 5, 5)]},
            {"id": 1, "image_id": 1, "segmentation": _runs(8, 2, 4, 4)},
            {"image_id": 2, "segmentation": _runs(0, 0, 9, 9)},
        ],
    }
    coco = {
        "images": [{"id": 5, "file_name": "c.jpg", **size}],
        "annotations": [{"id": 9, "image_id": 5, "segmentation": [_box(3, 3, 9, 6)]}],
    }
    _write(folder / "ADE20K/FinalSegmentations.json", ade)
    _write(folder / "COCO/FinalSegmentations.json", coco)
    _rows(
        folder / "Objects.csv",
        ("Id", "file", "Objects"),
        ("0", "img/2D/relation/ADE20K/a.jpg", "('lamp', 'desk, table')"),
        ("1", "img/2D/count/ADE20K/b.jpg", "pail, bucket"),
        ("2", "img/2D/count/COCO/c.jpg", "cup"),
    )


def _make_pixmmvp(folder: Path) -> None:
    size = {"width": WIDTH, "height": HEIGHT}
    document = {
        "images": [{"id": number, "file_name": f"{number}.jpg", **size} for number in range(1, 5)],
        "annotations": [
            {"id": number, "image_id": number, "segmentation": [_box(number, 2, 5, 5)]} for number in range(1, 4)
        ],
    }
    _write(folder / "Segmentations.json", document)
    _rows(
        folder / "Objects.csv",
        ("Index", "Object"),
        *((number, " the dog's nose" if number < 4 else "None") for number in range(1, 5)),
    )
    _rows(
        folder / "Questions.csv",
        ("lndex", "Question", "Options", "Correct Answer"),
        *(
            (number, "Open or not?", "(a) Open (b) Closed (or so)", "(a)" if number % 2 else "(b)")
            for number in range(1, 5)
        ),
    )
    _rows(folder / "visual_patterns.csv", ("Index", "Pattern"), *((number, "State") for number in range(1, 5)))
    folder.joinpath("meta_none.txt").write_text("4.jpg\n")


def _make_folder(folder: Path) -> None:
    values = np.zeros((HEIGHT, WIDTH), np.uint8)
    values[2:6, 3:9], values[8:12, 10:20] = 1, 2
    for name in ("one", "sub/two"):
        for kind, picture in (("images", PILImage.new("RGB", (WIDTH, HEIGHT))), ("masks", PILImage.fromarray(values))):
            folder.joinpath(kind, name).parent.mkdir(parents=True, exist_ok=True)
            picture.save(folder / kind / f"{name}.png")
    rows = [
        {"image": "one", "expression": "the left one", "value": "1", "absent": "no", "options": "", "answer": ""},
        {"image": "one.png", "expression": "both", "value": "1 2", "absent": "", "options": "x | y", "answer": "B"},
        {"image": "sub/two", "expression": "a cup", "value": "", "absent": "yes", "options": "", "answer": ""},
    ]
    _rows(folder / "table.csv", tuple(rows[0]), *(tuple(row.values()) for row in rows))
    listed = [{**row, "value": [1], "options": ["x", "y"], "answer": 1} for row in rows[:2]]
    folder.joinpath("table.json").write_text(json.dumps(listed))


# --- building one's own -----------------------------------------------------------------------------------------------


def _shapes() -> list[tuple[dict[str, Any], dict[str, str]]]:
    polygon = {"name": "polygon", "all_points_x": [2, 9, 9, 2], "all_points_y": [2, 2, 8, 8]}
    return [
        (polygon, {"expression": "the left one"}),
        ({"name": "rect", "x": 10, "y": 2, "width": 6, "height": 5}, {"expression": "the right one"}),
        ({"name": "ellipse", "cx": 12, "cy": 8, "rx": 5, "ry": 3, "theta": 0.3}, {"expression": "the left one"}),
        ({"name": "circle", "cx": 6, "cy": 6, "r": 4}, {}),
    ]


def _make_via(folder: Path) -> None:
    regions = [{"shape_attributes": shape, "region_attributes": said} for shape, said in _shapes()]
    metadata = {
        "one.png123": {"filename": "one.png", "size": 123, "regions": regions[:3], "file_attributes": {}},
        "two.png456": {
            "filename": "two.png",
            "size": 456,
            "regions": {"0": regions[3]},
            "file_attributes": {"expression": "the ball"},
        },
    }
    _write(folder / "project.json", {"_via_settings": {}, "_via_img_metadata": metadata})
    columns = ("#filename", "file_size", "file_attributes", "region_count", "region_id", "region_shape_attributes")
    rows = [
        (name, 1, "{}", 2, number, json.dumps(shape), json.dumps(said))
        for number, (name, (shape, said)) in enumerate(zip(("one.png", "one.png", "two.png"), _shapes(), strict=False))
    ]
    _rows(folder / "project.csv", (*columns, "region_attributes"), *rows)
    export = _coco()
    several = export["annotations"][-1]
    several["expression"] = several.pop("expressions")[0]  # VIA has one alone
    _write(folder / "export.json", export)
    _rows(folder / "said.csv", ("file", "expression"), ("one.png", "what I mean"))
    for name in ("one.png", "two.png", "folder/three.png"):
        _picture(folder / "images" / name)


_PICTURE = ("image images/",)
"""A project that names another picture is told by that picture's name."""


def _importing(*arguments: str) -> Act:
    def check(ending: Ending) -> str | None:
        _read_again(Path("made/annotations.json"))
        return None

    return Act(("benchmarks", "import-via", *arguments, "made", "--images", "images"), check)


def _read_again(path: Path) -> None:
    """What pixcore writes, pixcore reads."""
    json.loads(path.read_text(), parse_constant=lambda name: 1 / 0)
    benchmark = CocoReferring(CocoReferringConfig(root=path.parent), Context())
    try:
        samples = list(benchmark.samples())
    except DataError as error:
        # what tasks carry through is for the benchmark to judge
        if not any(word in error.message for word in ("holds no expression", "answer", "options", "odd question")):
            raise
        return
    assert all(sample.mask is not None for sample in samples) or benchmark.notes


def _make_questions(folder: Path) -> None:
    text = "Considering the relative positions of the lamp and the desk in the image provided, where is the lamp?"
    _rows(folder / "questions.csv", ("id", "image", "question"), ("1", "a.jpg", text), ("2", "b.jpg", "How many cups?"))
    _write(folder / "questions.json", [{"id": 1, "image": "a.jpg", "question": text}])
    columns = ("id", "image", "question", "parsed", "objects", "checked")
    _rows(folder / "table.csv", columns, ("1", "a.jpg", text, "lamp | desk", "lamp", ""), ("9", "z", "?", "", "", "x"))


def _parse_objects(questions: str) -> Act:
    return Act(("benchmarks", "parse-objects", questions, "table.csv"))


def _make_ade(folder: Path) -> None:
    _picture(folder / "images/one.jpg")
    _rows(folder / "objects.csv", ("id", "image", "objects"), ("1", "one.jpg", "lamp | cups"))
    sheet = {
        "annotation": {
            "object": [
                {"id": 0, "name": "lamp", "raw_name": "lamp", "instance_mask": "one/instance_0.png"},
                {"id": 1, "name": "cup, mug", "instance_mask": "one/instance_1.png"},
            ]
        }
    }
    _write(folder / "ade/one.json", sheet)
    for number in range(2):
        path = folder / f"ade/one/instance_{number}.png"
        path.parent.mkdir(exist_ok=True)
        pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
        pixels[2:8, 3 + 9 * number : 9 + 9 * number] = 255
        pixels[8:12] = 128
        PILImage.fromarray(pixels).save(path)
    coco = _coco()
    coco["images"][0]["file_name"] = "one.jpg"
    coco["categories"][0]["name"] = "lamp"
    _write(folder / "instances.json", coco)


def _items() -> list[Any]:
    finders = [ade_instances(Path("ade")), coco_instances(Path("instances.json"))]
    items = items_from_table(Path("objects.csv"), Path("images"), finders)
    return [
        (item.id, item.expression, sorted((one.id, one.label, one.mask["counts"]) for one in item.instances))
        for item in items
    ]


def _make_work(folder: Path) -> None:
    _make_ade(folder)
    items = [
        {
            "id": f"item-{number}",
            "image": "images/one.jpg",
            "size": [WIDTH, HEIGHT],
            "expression": "the lamp",
            "question": "Which?",
            "instances": [{"id": "7", "label": "lamp", "mask": _runs(2, 2, 6, 6)}],
            "extra": {"options": ["a", "b"], "answer": 0},
        }
        for number in range(3)
    ]
    _write(folder / "tasks.json", {"items": items})
    states = [
        {"keep": ["7"], "polygons": [], "expression": "a lamp", "status": "done"},
        {"keep": [], "polygons": [_box(3, 3, 8, 8)], "expression": "drawn", "status": "done"},
        {"keep": [], "polygons": [], "expression": "gone", "status": "absent"},
    ]
    entries: list[dict[str, Any]] = [
        {"item": f"item-{number}", "state": state, "at": "2026-01-01T10:00:00+0000"}
        for number, state in enumerate(states)
    ]
    entries[1:1] = [{"item": "item-0", "state": states[2]}, {"undo": True}]
    for name in ("ann", "bob"):
        lines = "".join(json.dumps(entry) + "\n" for entry in entries)
        folder.joinpath(f"decisions-{name}.jsonl").write_text(lines)


def _exported(ending: Ending) -> str | None:
    document = json.loads(Path("made/annotations.json").read_text())
    if document["images"]:
        _read_again(Path("made/annotations.json"))
    return None


_EXPORT = Act(("annotate", ".", "--export", "made", "--prefer", "ann"), _exported, loud=True)


def _listed(form: Form, *files: str) -> dict[str, Form]:
    return dict.fromkeys(files, form)


KINDS = (
    Kind(
        "coco",
        _make_coco,
        {"annotations.json": _JSON},
        (Act(_CHECK), Act(_samples, _absent_only_where_it_is_said)),
        share=8,
        names=("can't read image",),
    ),
    Kind(
        "references",
        _make_references,
        {"refs.json": _JSON, "annotations.json": _JSON},
        (Act((*_CHECK, "--set", "refs=refs.json")), Act(lambda: _samples(refs="refs.json"))),
        share=4,
        names=("can't read image",),
    ),
    Kind(
        "expressions",
        _make_table,
        {"said.csv": CSV},
        (Act((*_CHECK, "--set", "expressions=said.csv")), Act(lambda: _samples(expressions="said.csv"))),
        share=2,
    ),
    Kind(
        "pixcvbench",
        _make_pixcv,
        {
            **_listed(_JSON, "ADE20K/FinalSegmentations.json", "COCO/FinalSegmentations.json"),
            "Objects.csv": CSV,
        },
        (Act(("benchmarks", "check", "pixcvbench", "--root", ".")),),
        share=4,
    ),
    Kind(
        "pixmmvp",
        _make_pixmmvp,
        {
            "Segmentations.json": _JSON,
            **_listed(CSV, "Objects.csv", "Questions.csv", "visual_patterns.csv"),
            "meta_none.txt": BYTES,
        },
        (Act(("benchmarks", "check", "pixmmvp", "--root", ".")),),
        share=3,
    ),
    Kind(
        "folder",
        _make_folder,
        {"table.csv": CSV, "masks/one.png": PNG, "images/one.png": PNG},
        (Act(("benchmarks", "check", "folder", "--root", ".", "--set", "table=table.csv")),),
        share=3,
    ),
    Kind(
        "folder-json",
        _make_folder,
        {"table.json": json_form(None)},
        (Act(("benchmarks", "check", "folder", "--root", ".", "--set", "table=table.json")),),
        share=2,
    ),
    Kind(
        "via-json",
        _make_via,
        {"project.json": json_form(3)},
        (_importing("project.json"),),
        share=3,
        names=_PICTURE,
    ),
    Kind("via-csv", _make_via, {"project.csv": CSV}, (_importing("project.csv"),), share=2, names=_PICTURE),
    Kind(
        "via-coco",
        _make_via,
        {"export.json": json_form(9)},
        (_importing("export.json"),),
        share=2,
        names=_PICTURE,
    ),
    Kind(
        "via-expressions",
        _make_via,
        {"said.csv": CSV, "images/one.png": PNG},
        (_importing("project.json", "--expressions", "said.csv"),),
    ),
    Kind(
        "questions-csv", _make_questions, {"questions.csv": CSV, "table.csv": CSV}, (_parse_objects("questions.csv"),)
    ),
    Kind("questions-json", _make_questions, {"questions.json": json_form()}, (_parse_objects("questions.json"),)),
    Kind(
        "ade20k",
        _make_ade,
        {
            "ade/one.json": _JSON,
            "instances.json": _JSON,
            "objects.csv": CSV,
            "ade/one/instance_0.png": PNG,
        },
        (Act(_items),),
        share=3,
        names=("image images", "mask ade"),
    ),
    Kind(
        "annotate",
        _make_work,
        {"tasks.json": json_form(None), "decisions-ann.jsonl": JOURNAL},
        (_EXPORT,),
        share=3,
    ),
)
