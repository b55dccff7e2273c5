"""VIA's three forms give one benchmark; questions give objects; instances of the class are found."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as PILImage
from pixcore_annotate.instances import ade_instances, coco_instances, items_from_coco, items_from_table, matches
from pixcore_annotate.objects import Question, parse_question, update_table
from pixcore_annotate.via import import_via, read_via
from pixcore_coco_referring.benchmark import CocoReferring
from pixcore_coco_referring.config import CocoReferringConfig
from pixcore_datasets.polygons import from_polygons

from pixcore import masks
from pixcore.cli import main
from pixcore.errors import DataError, SampleError, UserError
from pixcore.records import Sample

XS, YS = [5, 25, 25, 5], [6, 6, 18, 18]
RING = [value for point in zip(XS, YS, strict=True) for value in point]
EXPRESSION = "the left wing"


@pytest.fixture
def images(tmp_path: Path) -> Path:
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.jpg", "b.jpg"):
        PILImage.new("RGB", (40, 30)).save(folder / name)
    return folder


def native() -> dict[str, Any]:
    region = {
        "shape_attributes": {"name": "polygon", "all_points_x": XS, "all_points_y": YS},
        "region_attributes": {"expression": EXPRESSION},
    }
    entries = {
        "a.jpg123": {"filename": "a.jpg", "size": 123, "regions": [region], "file_attributes": {}},
        "b.jpg99": {"filename": "b.jpg", "size": 99, "regions": [], "file_attributes": {"expression": "the moon"}},
    }
    return {"_via_settings": {}, "_via_img_metadata": entries, "_via_attributes": {}}


def as_json(folder: Path) -> Path:
    path = folder / "project.json"
    path.write_text(json.dumps(native()))
    return path


def as_old_json(folder: Path) -> Path:
    """VIA 1 keeps regions by number and has no settings around the images."""
    entries = native()["_via_img_metadata"]
    for entry in entries.values():
        entry["regions"] = {str(number): region for number, region in enumerate(entry["regions"])}
    path = folder / "old.json"
    path.write_text(json.dumps(entries))
    return path


def as_csv(folder: Path) -> Path:
    path = folder / "project.csv"
    columns = "filename,file_size,file_attributes,region_count,region_id,region_shape_attributes,region_attributes"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns.split(","))
        for entry in native()["_via_img_metadata"].values():
            regions = entry["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]
            for number, region in enumerate(regions):
                shape, said = json.dumps(region["shape_attributes"]), json.dumps(region["region_attributes"])
                about = json.dumps(entry["file_attributes"])
                writer.writerow([entry["filename"], entry["size"], about, len(entry["regions"]), number, shape, said])
    return path


def as_coco(folder: Path) -> Path:
    document = {
        "images": [
            {"id": 1, "width": 40, "height": 30, "file_name": "a.jpg", "expression": EXPRESSION},
            {"id": 2, "width": 40, "height": 30, "file_name": "b.jpg", "expression": "the moon"},
        ],
        "annotations": [{"id": 1, "image_id": 1, "category_id": None, "segmentation": RING, "iscrowd": 0}],
    }
    path = folder / "coco.json"
    path.write_text(json.dumps(document))
    return path


def as_older_coco(folder: Path) -> Path:
    """Some exports number images and write an annotation's image as text."""
    document = json.loads(as_coco(folder).read_text())
    for annotation in document["annotations"]:
        annotation["image_id"] = str(annotation["image_id"])
    path = folder / "older.json"
    path.write_text(json.dumps(document))
    return path


def samples(folder: Path) -> dict[str | None, Sample]:
    return {one.expression: one for one in CocoReferring(CocoReferringConfig(root=folder)).samples()}


@pytest.mark.parametrize("form", [as_json, as_old_json, as_csv, as_coco, as_older_coco])
def test_every_form_of_a_project_gives_the_same_benchmark(form: Any, tmp_path: Path, images: Path) -> None:
    target = tmp_path / "benchmark"
    assert import_via(form(tmp_path), target, images=images) == (2, 2)
    found = samples(target)
    assert found[EXPRESSION].mask == from_polygons([RING], (40, 30))
    assert found["the moon"].absent
    assert found["the moon"].image.pixels().shape == (30, 40, 3)


def test_a_project_in_the_benchmarks_folder_is_not_replaced(tmp_path: Path) -> None:
    target = tmp_path / "benchmark"
    import_via(as_coco(tmp_path), target)
    import_via(as_coco(tmp_path), target)
    project = target / "annotations.json"
    text = as_coco(tmp_path).read_text()
    project.write_text(text)
    with pytest.raises(DataError, match="was not made from this"):
        import_via(project, target)
    assert project.read_text() == text


def test_expressions_from_a_table_and_sizes_from_the_export(tmp_path: Path) -> None:
    table = tmp_path / "said.csv"
    table.write_text("file,expression\na.jpg,the right wing\n")
    import_via(as_coco(tmp_path), tmp_path / "benchmark", expressions=table)
    assert set(samples(tmp_path / "benchmark")) == {"the right wing", "the moon"}
    table.write_text("file,expression\nz.jpg,what\n")
    with pytest.raises(DataError, match=r"about z\.jpg"):
        import_via(as_coco(tmp_path), tmp_path / "benchmark", expressions=table)
    table.write_text("file,expression\na.jpg, \n")
    with pytest.raises(DataError, match=r"says nothing of a\.jpg"):
        import_via(as_coco(tmp_path), tmp_path / "benchmark", expressions=table)


def test_rows_of_a_file_that_say_different_things_of_it_are_refused(tmp_path: Path) -> None:
    path = as_csv(tmp_path)
    header, row, *more = path.read_text().splitlines()
    said = row.replace("{}", '"{""expression"": ""one""}"', 1).replace(EXPRESSION, "")
    path.write_text("\n".join([header, said, said.replace('""one""', '""two""'), *more]))
    with pytest.raises(DataError, match=r"says 'one' and 'two' of a\.jpg"):
        read_via(path)


def test_expressions_that_would_be_lost_are_refused(tmp_path: Path) -> None:
    path = as_coco(tmp_path)
    document = json.loads(path.read_text())
    other = {**document["annotations"][0], "id": 2, "expressions": ["the other wing", "what is right"]}
    document["annotations"].append(other)
    path.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"a\.jpg has `expressions`"):
        read_via(path)


def shaped(folder: Path, shape: dict[str, Any]) -> Path:
    document = native()
    document["_via_img_metadata"]["a.jpg123"]["regions"][0]["shape_attributes"] = shape
    path = folder / "shaped.json"
    path.write_text(json.dumps(document))
    return path


def test_rectangles_and_circles_become_polygons(tmp_path: Path) -> None:
    rectangle = read_via(shaped(tmp_path, {"name": "rect", "x": 2, "y": 3, "width": 10, "height": 5}))["a.jpg"]
    assert [region.segmentation for region in rectangle.regions] == [[[2, 3, 12, 3, 12, 8, 2, 8]]]
    (region,) = read_via(shaped(tmp_path, {"name": "circle", "cx": 20, "cy": 15, "r": 10}))["a.jpg"].regions
    filled = masks.area(from_polygons(region.segmentation, (40, 30)))
    assert filled == pytest.approx(np.pi * 100, rel=0.03)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ({"name": "polygon", "all_points_x": [1, 2], "all_points_y": [1, 2]}, "polygon with 2 points"),
        ({"name": "point", "cx": 1, "cy": 2}, "region of shape 'point'"),
        ({"name": "rect", "x": 2}, "a damaged rect"),
    ],
)
def test_regions_without_an_area(shape: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        read_via(shaped(tmp_path, shape))


def test_what_is_no_project(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": 1}')
    with pytest.raises(DataError, match="is not a VIA project"):
        read_via(path)
    with pytest.raises(DataError, match="nothing states the size"):
        import_via(as_json(tmp_path), tmp_path / "benchmark")


def regions(folder: Path, *said: tuple[str, list[float]]) -> Path:
    """A project whose first image has rectangles, [x, y, width, height], with what is said about each."""
    document = native()
    document["_via_img_metadata"]["a.jpg123"]["regions"] = [
        {
            "shape_attributes": dict(zip(("name", "x", "y", "width", "height"), ("rect", *box), strict=True)),
            "region_attributes": {"expression": text},
        }
        for text, box in said
    ]
    path = folder / "regions.json"
    path.write_text(json.dumps(document))
    return path


@pytest.mark.parametrize("kind", ["dropdown", "radio"])
def test_what_was_chosen_from_a_list_is_what_the_list_calls_it(kind: str, tmp_path: Path, images: Path) -> None:
    document = native()
    first, second = document["_via_img_metadata"].values()
    first["regions"][0]["region_attributes"] = {"expression": "1"}
    second["file_attributes"] = {"expression": "unnamed"}
    options = {"1": EXPRESSION, "unnamed": ""}
    own = {"expression": {"type": kind, "description": "", "options": options}}
    document["_via_attributes"] = {"region": own, "file": own}
    path = tmp_path / "chosen.json"
    path.write_text(json.dumps(document))
    import_via(path, tmp_path / "benchmark", images=images)
    assert set(samples(tmp_path / "benchmark")) == {EXPRESSION, "unnamed"}


@pytest.mark.parametrize(
    "attributes", [[], {"region": 3}, {"region": {"expression": {"type": "radio"}}}, {"file": None}]
)
def test_lists_that_are_damaged_name_nothing(attributes: Any, tmp_path: Path, images: Path) -> None:
    path = tmp_path / "damaged.json"
    path.write_text(json.dumps({**native(), "_via_attributes": attributes}))
    assert import_via(path, tmp_path / "benchmark", images=images) == (2, 2)


def test_an_attribute_that_nothing_has_is_named(tmp_path: Path, images: Path) -> None:
    """All images went without an expression, and the command said it had done it."""
    path = tmp_path / "project.json"
    path.write_text(json.dumps(native()))
    with pytest.raises(DataError, match=r"has no attribute 'expresion' \(did you mean 'expression'"):
        import_via(path, tmp_path / "benchmark", images=images, attribute="expresion")


def test_a_picture_that_another_system_named_is_found(tmp_path: Path, images: Path) -> None:
    """With Windows' backslashes, as VIA has the paths that it was given there."""
    (images / "inside").mkdir()
    (images / "a.jpg").rename(images / "inside" / "a.jpg")
    path = tmp_path / "windows.json"
    path.write_text(as_coco(tmp_path).read_text().replace('"a.jpg"', r'"inside\\a.jpg"'))
    assert import_via(path, tmp_path / "benchmark", images=images) == (2, 2)
    found = samples(tmp_path / "benchmark")
    assert found[EXPRESSION].image.pixels().shape == (30, 40, 3)
    listing = json.loads((tmp_path / "benchmark" / "annotations.json").read_text())
    for image in listing["images"]:
        image["file_name"] = image["file_name"].replace("/", "\\")
    path.write_text(json.dumps(listing))
    items = items_from_coco(path, tmp_path / "benchmark")
    assert {item.image for item in items} == {str(path.resolve()) for path in images.rglob("*.jpg")}


def test_an_export_that_does_not_know_the_size_is_measured(tmp_path: Path, images: Path) -> None:
    """VIA 3 writes -1."""
    document = json.loads(as_coco(tmp_path).read_text())
    for image in document["images"]:
        image |= {"width": -1, "height": -1}
    path = tmp_path / "via3.json"
    path.write_text(json.dumps(document))
    assert import_via(path, tmp_path / "benchmark", images=images) == (2, 2)
    assert samples(tmp_path / "benchmark")[EXPRESSION].image.size == (40, 30)
    with pytest.raises(DataError, match=r"^nothing states the size of a\.jpg"):
        import_via(path, tmp_path / "other")


def test_regions_that_say_different_things_are_samples_of_their_own(tmp_path: Path, images: Path) -> None:
    left, right, more = ("the left", [2, 3, 10, 5]), ("the right", [20, 3, 8, 5]), ("the left", [2, 20, 4, 4])
    assert import_via(regions(tmp_path, left, right, more), tmp_path / "out", images=images) == (2, 2)
    found = samples(tmp_path / "out")
    areas = {said: int(masks.area(one.mask)) for said, one in found.items() if one.mask is not None}
    assert areas == {"the left": 66, "the right": 40, "the moon": 0}
    # one thing said of all regions, or of some of them, is said of the image
    import_via(regions(tmp_path, left, more, ("", [30, 20, 2, 2])), tmp_path / "out", images=images)
    mask = samples(tmp_path / "out")["the left"].mask
    assert mask is not None
    assert masks.area(mask) == 70


def test_what_an_image_says_and_what_its_region_says_are_two_samples(tmp_path: Path, images: Path) -> None:
    project = native()
    entry = project["_via_img_metadata"]["a.jpg123"]
    silent = {"shape_attributes": {"name": "rect", "x": 30, "y": 2, "width": 4, "height": 5}, "region_attributes": {}}
    entry["regions"].append(silent)
    entry["file_attributes"]["expression"] = "all of it"
    path = tmp_path / "project.json"
    path.write_text(json.dumps(project))
    import_via(path, tmp_path / "out", images=images)
    areas = {said: masks.area(one.mask) for said, one in samples(tmp_path / "out").items() if one.mask is not None}
    own = masks.area(from_polygons([RING], (40, 30)))
    assert areas == {EXPRESSION: own, "all of it": own + 20, "the moon": 0}


def test_a_region_outside_its_image_is_refused_by_name(tmp_path: Path, images: Path) -> None:
    for box in ([100, 3, 5, 5], [0.1, 0.1, 0.2, 0.2]):
        with pytest.raises(DataError, match=r"image a\.jpg: region 1 covers no pixel of 40x30"):
            import_via(regions(tmp_path, ("it", box)), tmp_path / "out", images=images)


def test_photos_are_measured_upright(tmp_path: Path, images: Path) -> None:
    exif = PILImage.Exif()
    exif[0x0112] = 6
    PILImage.new("RGB", (40, 30)).save(images / "a.jpg", exif=exif)
    import_via(regions(tmp_path, ("it", [5, 31, 10, 8])), tmp_path / "out", images=images)
    sample = samples(tmp_path / "out")["it"]
    assert sample.mask is not None
    assert (masks.size_of(sample.mask), masks.area(sample.mask)) == ((30, 40), 80)
    table = tmp_path / "objects.csv"
    table.write_text("id,image,objects\n1,a.jpg,dog\n")
    assert items_from_table(table, images, [])[0].size == (30, 40)


def test_run_lengths_in_an_export_are_kept(tmp_path: Path) -> None:
    path = as_coco(tmp_path)
    document = json.loads(path.read_text())
    pixels = np.zeros((30, 40), bool)
    pixels[20:25, 30:38] = True
    document["annotations"].append({"id": 2, "image_id": 1, "segmentation": dict(masks.encode(pixels))})
    path.write_text(json.dumps(document))
    import_via(path, tmp_path / "out")
    both = masks.decode(from_polygons([RING], (40, 30))) | pixels
    np.testing.assert_array_equal(masks.decode(samples(tmp_path / "out")[EXPRESSION].mask), both)  # type: ignore[arg-type]


def test_an_export_that_states_another_size_than_the_picture_has_is_refused(tmp_path: Path, images: Path) -> None:
    project = as_coco(tmp_path)
    exif = PILImage.Exif()
    exif[0x0112] = 6
    PILImage.new("RGB", (40, 30)).save(images / "a.jpg", exif=exif)  # outlined as it is stored, shown upright
    with pytest.raises(DataError, match=r"says that a\.jpg has 40x30 pixels, it has 30x40 upright"):
        import_via(project, tmp_path / "out", images=images)


def test_one_file_name_in_two_folders_is_two_images(tmp_path: Path, images: Path) -> None:
    document = native()
    document["_via_img_metadata"]["b.jpg99"]["filename"] = "a.jpg"
    project = tmp_path / "twice.json"
    project.write_text(json.dumps(document))
    with pytest.raises(DataError, match=r"two images a\.jpg"):
        read_via(project)
    coco = tmp_path / "instances.json"
    shape = {"width": 40, "height": 30}
    coco.write_text(
        json.dumps(
            {
                "images": [{"id": 1, "file_name": "one/a.jpg", **shape}, {"id": 2, "file_name": "two/a.jpg", **shape}],
                "annotations": [{"id": 5, "image_id": 2, "category_id": 3, "segmentation": [RING]}],
                "categories": [{"id": 3, "name": "dog"}],
            }
        )
    )
    find = coco_instances(coco)
    assert [len(find(f"{folder}/a.jpg", ["dog"], (40, 30))) for folder in ("one", "two")] == [0, 1]
    with pytest.raises(DataError, match=r"several files a\.jpg"):
        find("a.jpg", ["dog"], (40, 30))


@pytest.mark.parametrize(
    ("question", "objects"),
    [
        ("How many organs are in the image?", ("organs",)),
        ("How many television receivers can you see?", ("television receivers",)),
        (
            "Considering the relative positions of the curtain (annotated by the red box) and the person in the image "
            "provided, where is the curtain (annotated by the red box) located with respect to the person?",
            ("curtain", "person"),
        ),
        ("Which object is closer to the camera taking this photo, the car or the tree?", ("car", "tree")),
        ("Is the spoon to the left of the broccoli in the image?", ("spoon", "broccoli")),
        ("What is the meaning of this?", ()),
    ],
)
def test_objects_of_a_question(question: str, objects: tuple[str, ...]) -> None:
    assert parse_question(question) == objects


def test_parsing_again_never_touches_a_correction(tmp_path: Path) -> None:
    table = tmp_path / "objects.csv"
    questions = [
        Question("1", "a.jpg", "How many dogs are in the image?"),
        Question("2", "b.jpg", "How many cats are in the image?"),
        Question("3", "c.jpg", "What now?"),
    ]
    assert update_table(table, questions) == {"parsed": 2, "kept": 0, "unread": 1}
    rows = list(csv.DictReader(table.open()))
    rows[0]["objects"] = "dog | puppy"
    rows[1]["checked"] = "ann"
    rows[2]["objects"] = "clock"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    again = [Question(one.id, one.image, one.text.replace("cats", "lions")) for one in questions[:3]]
    assert update_table(table, again) == {"parsed": 0, "kept": 3, "unread": 0}
    after = {row["id"]: row for row in csv.DictReader(table.open())}
    assert [after[name]["objects"] for name in "123"] == ["dog | puppy", "cats", "clock"]
    assert after["2"]["parsed"] == "lions"
    update_table(table, questions[:1])  # rows of questions that are gone stay
    assert {row["id"] for row in csv.DictReader(table.open())} == {"1", "2", "3"}


def test_parsing_again_keeps_the_columns_that_a_person_added(tmp_path: Path) -> None:
    table = tmp_path / "objects.csv"
    questions = [Question(str(one), "a.jpg", "How many dogs are in the image?") for one in range(4)]
    update_table(table, questions[:3])
    rows = list(csv.DictReader(table.open()))
    rows[1]["objects"] = "puppies"
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["note", *rows[0]])
        writer.writeheader()
        writer.writerows({**row, "note": f"said of {row['id']}, twice"} for row in rows)
    update_table(table, questions[1:])  # the first is gone, the last is new
    after = {row["id"]: row for row in csv.DictReader(table.open())}
    assert {name: row["note"] for name, row in after.items()} == {
        **{str(one): f"said of {one}, twice" for one in range(3)},
        "3": "",
    }
    assert [after[name]["objects"] for name in "0123"] == ["dogs", "puppies", "dogs", "dogs"]


def test_an_id_that_is_there_twice_is_refused_before_anything_is_asked(tmp_path: Path) -> None:
    table = tmp_path / "objects.csv"
    one, other = Question("1", "a.jpg", "How many dogs?"), Question("1", "b.jpg", "How many cats?")
    asked: list[str] = []

    def parser(texts: Sequence[str]) -> list[None]:
        asked.extend(texts)
        return [None for _ in texts]

    with pytest.raises(DataError, match=r"^q\.csv has two questions with the id '1'"):
        update_table(table, [one, other], parser=parser, source="q.csv")
    assert not table.exists()
    table.write_text("id,image,question,parsed,objects,checked\n1,a.jpg,?,x,x,\n1,b.jpg,?,y,z,\n")
    before = table.read_text()
    with pytest.raises(DataError, match=r"objects\.csv has two rows with the id '1'"):
        update_table(table, [one], parser=parser)
    assert table.read_text() == before
    assert not asked


def test_another_parser_that_could_not_read_everything(tmp_path: Path) -> None:
    table = tmp_path / "objects.csv"
    questions = [Question(str(number), "a.jpg", "?") for number in range(3)]
    with pytest.raises(SampleError, match=r"^1 of 3 questions got no answer, the first: the server is slow"):
        update_table(table, questions, parser=lambda _: [("dog", "cat"), None, SampleError("the server is slow")])
    assert [row["objects"] for row in csv.DictReader(table.open())] == ["dog | cat", "", ""]
    assert update_table(table, questions[:2], parser=lambda _: [(), None]) == {"parsed": 0, "kept": 0, "unread": 2}


def test_a_model_that_gives_no_answer_takes_nothing_out_of_a_table(tmp_path: Path) -> None:
    table = tmp_path / "objects.csv"
    questions = [Question(str(number), "a.jpg", f"How many {name}?") for number, name in enumerate(("dogs are", "is"))]
    update_table(table, questions, parser=lambda _: [("dogs",), ("cats",)])
    before = table.read_text()
    with pytest.raises(SampleError, match=r"^2 of 2 questions got no answer"):
        update_table(table, questions, parser=lambda _: [SampleError("429"), SampleError("429")])
    assert table.read_text() == before
    with pytest.raises(UserError, match="refuses the key"):
        update_table(table, questions, parser=lambda _: [("birds",), UserError("the server refuses the key")])
    assert table.read_text() == before
    other = [questions[0], Question("1", "a.jpg", "How many birds?")]  # what was parsed of another question is not its
    assert update_table(table, other, parser=lambda _: [None, None]) == {"parsed": 0, "kept": 0, "unread": 2}
    assert [row["objects"] for row in csv.DictReader(table.open())] == ["dogs", ""]


class Refusing(BaseHTTPRequestHandler):
    """Takes no question."""

    def do_POST(self) -> None:
        self.send_error(401, "no such key")

    def log_message(self, *args: object) -> None:
        """Nothing is to be printed."""


def test_a_server_that_refuses_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    questions, table = tmp_path / "questions.json", tmp_path / "table.csv"
    questions.write_text(json.dumps([{"id": 4, "image": "a.jpg", "question": "How many dogs are in the image?"}]))
    command = ["benchmarks", "parse-objects", str(questions), str(table)]
    with pytest.raises(SystemExit):
        main(command)
    before = table.read_text()
    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            address = f"http://127.0.0.1:{server.server_port}/v1"
            with pytest.raises(SystemExit) as end:
                main([*command, "--model", "any", "--base-url", address, "--store", str(tmp_path / "store")])
        finally:
            server.shutdown()
            thread.join()
    assert end.value.code == 2
    assert "refuses the key (401)" in " ".join(capsys.readouterr().err.split())
    assert table.read_text() == before


def test_a_target_that_leads_to_itself_is_one_line(
    tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "loop").symlink_to("loop")
    arguments = ["benchmarks", "import-via", as_json(tmp_path), tmp_path / "loop", "--images", images]
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert end.value.code == 2
    assert capsys.readouterr().err.startswith(f"error: can't write {tmp_path / 'loop'}: ")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--base-url", "http://localhost:1/v1"], "--base-url asks no model (name one: --model)"),
        (["--model", ""], "model: got '' (string should have at least 1 character)"),
        (["--model", "any", "--base-url", "localhost"], "base_url: got 'localhost'"),
    ],
)
def test_a_server_without_a_model_and_a_model_without_a_name_are_refused(
    options: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "questions.json").write_text("[]")
    command = ["benchmarks", "parse-objects", str(tmp_path / "questions.json"), str(tmp_path / "table.csv")]
    with pytest.raises(SystemExit) as end:
        main([*command, *options, "--store", str(tmp_path / "store")])
    assert end.value.code == 2
    assert said in " ".join(capsys.readouterr().err.split())
    assert not (tmp_path / "table.csv").exists()


def ade_folder(root: Path, pixels: np.ndarray) -> Path:
    (root / "one").mkdir(parents=True)
    PILImage.fromarray(pixels).save(root / "one" / "instance_000_one.png")
    entry = {"id": 0, "name": "dog, hound", "raw_name": "dog", "instance_mask": "one/instance_000_one.png"}
    (root / "one.json").write_text(json.dumps({"annotation": {"object": [entry]}}))
    return root


@pytest.mark.parametrize("values", [(0, 255), (0, 1), (0, 128, 255)])
def test_an_ade20k_mask_is_what_its_file_says(tmp_path: Path, values: tuple[int, ...]) -> None:
    pixels = np.zeros((6, 9), np.uint8)
    for place, value in enumerate(values):
        pixels[place] = value
    (found,) = ade_instances(ade_folder(tmp_path, pixels))("one.jpg", ["dog"], (9, 6))
    np.testing.assert_array_equal(masks.decode(found.mask), pixels == max(values))


@pytest.mark.parametrize("values", [(0, 7), (0, 1, 2), (0, 1, 255), (0, 127, 255)])
def test_an_ade20k_mask_with_other_values_is_refused_by_name(tmp_path: Path, values: tuple[int, ...]) -> None:
    pixels = np.asarray(values, np.uint8).reshape(1, -1).repeat(3, 0)
    find = ade_instances(ade_folder(tmp_path, pixels))
    with pytest.raises(DataError, match=r"instance_000_one\.png has the values " + ", ".join(map(str, values))):
        find("one.jpg", ["dog"], (9, 6))


@pytest.mark.parametrize("value", [0, 128])
def test_an_object_of_which_nothing_is_seen_is_told_and_left_out(tmp_path: Path, value: int) -> None:
    find = ade_instances(ade_folder(tmp_path, np.full((6, 9), value, np.uint8)))
    with pytest.warns(UserWarning, match="instance_000_one.png: nothing is seen of 'dog'"):
        assert find("one.jpg", ["dog"], (9, 6)) == []


def test_an_ade20k_mask_of_16_bits_hides_what_is_hidden(tmp_path: Path) -> None:
    pixels = np.zeros((6, 9), np.uint16)
    pixels[:2], pixels[2:4] = 65535, 128 * 257
    (found,) = ade_instances(ade_folder(tmp_path, pixels))("one.jpg", ["dog"], (9, 6))
    assert masks.area(found.mask) == 18


@pytest.mark.parametrize(("size", "told"), [((6, 9), "has 6x9"), ((18, 6), "has 18x6")])
def test_a_mask_of_another_shape_than_its_picture_is_refused(tmp_path: Path, size: Any, told: str) -> None:
    find = ade_instances(ade_folder(tmp_path, np.full((6, 9), 255, np.uint8)))
    assert masks.area(find("one.jpg", ["dog"], (18, 12))[0].mask) == 18 * 12
    with pytest.raises(DataError, match=f"is annotated at 9x6 pixels, its picture {told}"):
        find("one.jpg", ["dog"], size)


def test_a_transparent_mask_is_refused(tmp_path: Path) -> None:
    pixels = np.full((6, 9, 4), 255, np.uint8)
    pixels[3:, :, 3] = 0
    with pytest.raises(DataError, match="partly transparent"):
        ade_instances(ade_folder(tmp_path, pixels))("one.jpg", ["dog"], (9, 6))


def test_instances_with_one_id_are_told_apart_and_items_are_not(tmp_path: Path, images: Path) -> None:
    """One is kept by its id: were it another's too, both would be."""
    pixels = np.zeros((30, 40), np.uint8)
    pixels[:5] = 255
    folder = ade_folder(tmp_path / "ade", pixels)
    sheet = folder / "one.json"
    entry = json.loads(sheet.read_text())["annotation"]["object"][0]
    without = {key: value for key, value in entry.items() if key != "id"}
    (folder / "a.json").write_text(json.dumps({"annotation": {"object": [entry, entry, without, without]}}))
    table = tmp_path / "table.csv"
    table.write_text("id,image,objects\n1,a.jpg,dog\n")
    (item,) = items_from_table(table, images, [ade_instances(folder), ade_instances(folder)])
    assert len({instance.id for instance in item.instances}) == len(item.instances) == 8
    table.write_text("id,image,objects\n1,a.jpg,dog\n1,b.jpg,dog\n")
    with pytest.raises(DataError, match="two rows with the id '1'"):
        items_from_table(table, images, [])


def test_outlines_are_brought_to_the_pictures_scale(tmp_path: Path) -> None:
    """Outlines of 400 x 300 pixels, and a picture of 200 x 150: they would cover its corner."""
    image = {"id": 1, "file_name": "a.jpg", "width": 400, "height": 300}
    note = {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[200, 100, 400, 100, 400, 300, 200, 300]]}
    path = tmp_path / "coco.json"
    path.write_text(json.dumps({"images": [image], "annotations": [note], "categories": [{"id": 1, "name": "dog"}]}))
    (found,) = coco_instances(path)("a.jpg", ["dog"], (200, 150))
    expected = np.zeros((150, 200), bool)
    expected[50:, 100:] = True
    assert masks.iou([found.mask], [masks.encode(expected)])[0, 0] == 1
    with pytest.raises(DataError, match="is annotated at 400x300 pixels, its picture has 150x200"):
        coco_instances(path)("a.jpg", ["dog"], (150, 200))


def test_instances_of_the_class_from_coco_and_ade20k(tmp_path: Path, images: Path) -> None:
    coco = tmp_path / "instances.json"
    document = {
        "images": [{"id": 1, "file_name": "a.jpg", "width": 40, "height": 30}],
        "annotations": [
            {"id": 5, "image_id": 1, "category_id": 3, "segmentation": [RING]},
            {"id": 6, "image_id": 1, "category_id": 4, "segmentation": [RING]},
        ],
        "categories": [{"id": 3, "name": "dog"}, {"id": 4, "name": "cat"}],
    }
    coco.write_text(json.dumps(document))
    ade = tmp_path / "ade"
    (ade / "b").mkdir(parents=True)
    pixels = np.zeros((30, 40), np.uint8)
    pixels[4:9, 3:20] = 255
    pixels[9:14, 3:20] = 128  # hidden by something else
    PILImage.fromarray(pixels).save(ade / "b" / "instance_000_b.png")
    sheet = {"annotation": {"object": [{"id": 0, "name": "bucket, pail", "instance_mask": "b/instance_000_b.png"}]}}
    (ade / "b.json").write_text(json.dumps(sheet))

    table = tmp_path / "objects.csv"
    table.write_text("id,image,objects,question\n1,a.jpg,dogs,How many?\n2,b.jpg,pail | cup,Where?\n")
    one, two = items_from_table(table, images, [coco_instances(coco), ade_instances(ade)])
    assert [(instance.id, instance.label) for instance in one.instances] == [("5", "dog")]
    assert one.instances[0].mask == from_polygons([RING], (40, 30))
    assert [instance.label for instance in two.instances] == ["bucket, pail"]
    np.testing.assert_array_equal(masks.decode(two.instances[0].mask), pixels == 255)
    assert two.expression == "pail and cup"


@pytest.mark.parametrize(
    ("label", "asked", "same"),
    [
        ("person", "people", True),
        ("bench", "benches", True),
        ("bucket, pail", "pail", True),
        ("knife", "knives", True),
        ("glass", "glasses", True),
        ("cat", "caterpillars", False),
        ("bus", "buses", True),
        ("house", "houses", True),
        ("microwave", "microwaves", True),
        ("tie", "ties", True),
        ("stove, kitchen stove", "stoves", True),
        ("potato", "potatoes", True),
        ("berry", "berries", True),
        ("shelf", "shelves", True),
        ("tub", "tubes", False),
        ("椅子", "椅子", True),
        ("椅子", "桌子", False),
        ("7", "9", False),
    ],
)
def test_classes_match_in_singular_and_plural(label: str, asked: str, same: bool) -> None:
    assert matches(label, [asked]) is same


def test_building_on_the_command_line(tmp_path: Path, images: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["benchmarks", "import-via", as_json(tmp_path), tmp_path / "out", "--images", images]
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    assert not end.value.code
    assert "2 images, 2 with an expression" in " ".join(capsys.readouterr().err.split())
    questions = tmp_path / "questions.json"
    questions.write_text(json.dumps([{"id": 4, "image": "a.jpg", "question": "How many dogs are in the image?"}]))
    with pytest.raises(SystemExit) as end:
        main(["benchmarks", "parse-objects", str(questions), str(tmp_path / "table.csv")])
    assert not end.value.code
    assert [row["objects"] for row in csv.DictReader((tmp_path / "table.csv").open())] == ["dogs"]
    questions.write_text('[{"id": 4}]')
    with pytest.raises(SystemExit) as end:
        main(["benchmarks", "parse-objects", str(questions), str(tmp_path / "table.csv")])
    assert end.value.code == 2
