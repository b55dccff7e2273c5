"""A reviewer's word stands while what was reviewed does, and decides what is exported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as PILImage
from pixcore_annotate.desks import Reviewing, runs_of
from pixcore_annotate.instances import items_from_coco
from pixcore_annotate.journal import Journal, state_from_json
from pixcore_annotate.merge import export, merge
from pixcore_annotate.project import Item, State, read_tasks, write_tasks
from pixcore_annotate.review import Review, Reviews
from pycocotools import mask as coco

from pixcore import masks
from pixcore.cli import main
from pixcore.errors import DataError

HOUSE = State(("17",), (), "the house", "done")
DOOR = State(("23",), (), "the house", "done")


def test_a_review_stands_while_the_decision_does(folder: Path) -> None:
    tasks = read_tasks(folder)
    journal, reviews = Journal(folder, "ann", tasks), Reviews(folder, "ben", tasks)
    journal.decide("item-0", HOUSE)
    reviews.decide(("ann", "item-0"), Review("ben", "returned", HOUSE, "the door is meant"))
    again = Reviews(folder, "ben", tasks)
    assert again.of("ann", "item-0", HOUSE) == Review("ben", "returned", HOUSE, "the door is meant")
    assert again.of("ann", "item-0", DOOR) is None
    assert again.of("carl", "item-0", HOUSE) is None
    assert again.undo() == ("ann", "item-0")
    assert Reviews(folder, "ben", tasks).of("ann", "item-0", HOUSE) is None


def test_what_was_returned_is_undecided_and_what_was_accepted_settles_a_conflict(folder: Path) -> None:
    tasks = read_tasks(folder)
    for who, state in (("ann", HOUSE), ("carl", DOOR)):
        Journal(folder, who, tasks).decide("item-0", state)
    Journal(folder, "ann", tasks).decide("item-1", HOUSE)
    assert [conflict.item for conflict in merge(folder).conflicts] == ["item-0"]
    reviews = Reviews(folder, "ben", tasks)
    reviews.decide(("ann", "item-0"), Review("ben", "accepted", HOUSE))
    reviews.decide(("ann", "item-1"), Review("ben", "returned", HOUSE, "no"))
    merged = merge(folder)
    assert (merged.states, merged.conflicts) == ({"item-0": HOUSE}, ())
    assert (merged.undecided, merged.returned) == (("item-1", "item-2"), ("item-1",))
    # another annotator's decision about the returned item counts; so does the same one's next
    Journal(folder, "carl", tasks).decide("item-1", DOOR)
    assert merge(folder).states["item-1"] == DOOR
    Journal(folder, "ann", tasks).decide("item-1", replace(HOUSE, keep=("23",)))
    assert merge(folder).returned == ()


def test_undo_takes_back_no_review_of_what_is_not_shown(folder: Path) -> None:
    tasks = read_tasks(folder)
    for who in ("ann", "carl"):
        for name in ("item-0", "item-1"):
            Journal(folder, who, tasks).decide(name, HOUSE)
    first = Reviewing(Journal(folder, "ann", tasks), Reviews(folder, "ben", tasks))
    assert not first.undoable
    for name in ("item-0", "item-1"):
        first.decide(tasks[name], {"verdict": "accepted"})
    assert first.undoable
    # the day after, ben goes on with carl's, where nothing is reviewed yet
    second = Reviewing(Journal(folder, "carl", tasks), Reviews(folder, "ben", tasks))
    assert (second.undoable, second.undo()) == (False, None)
    second.decide(tasks["item-0"], {"verdict": "returned", "note": "no"})
    assert (second.undoable, second.undo(), second.undo()) == (True, "item-0", None)
    # ann has opened item-1 again: the page shows it no more
    Journal(folder, "ann", tasks).decide("item-1", replace(HOUSE, status="open"))
    third = Reviewing(Journal(folder, "ann", tasks), Reviews(folder, "ben", tasks))
    assert (third.undoable, third.undo()) == (False, None)
    assert Reviews(folder, "ben", tasks).of("ann", "item-1", HOUSE) == Review("ben", "accepted", HOUSE)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ({"of": "ann", "item": "nobody", "verdict": "accepted"}, "unknown item"),
        ({"of": "ann", "item": "item-0", "verdict": "fine"}, "verdict 'fine'"),
        ({"of": "ann", "item": "item-0", "verdict": "accepted", "state": None}, "damaged state"),
    ],
)
def test_a_damaged_line_is_told(folder: Path, line: dict[str, str], told: str) -> None:
    (folder / "reviews-ben.jsonl").write_text(json.dumps(line) + "\n")
    with pytest.raises(DataError, match=f"reviews-ben.jsonl line 1.*{told}"):
        merge(folder)


def refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_a_second_person_reviews(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tasks = read_tasks(folder)
    refused(["annotate", str(folder), "--review", "ann", "--no-browser"])
    assert "nobody called 'ann' has decided anything" in capsys.readouterr().err
    journal = Journal(folder, "ann", tasks)
    journal.decide("item-0", replace(HOUSE, status="open"))
    with pytest.raises(DataError, match="ann has finished no item"):
        Reviewing(journal, Reviews(folder, "ben", tasks))
    refused(["annotate", str(folder), "--review", "ann", "--annotator", "ann", "--no-browser"])
    assert "ann can't review ann" in capsys.readouterr().err


@given(st.data())
def test_the_mask_is_what_is_kept_and_painted_without_what_was_erased(data: st.DataObject) -> None:
    drawn = arrays(bool, (7, 9))
    painted, erased = data.draw(drawn), data.draw(drawn)
    item = Item("a", "a.png", (9, 7), "it")
    body = {"keep": [], "polygons": [], "expression": "it", "status": "open"}
    runs = {key: runs_of(masks.encode(mask)) for key, mask in (("painted", painted), ("erased", erased))}
    sent = {key: {"size": [7, 9], "counts": counts} for key, counts in runs.items()}
    state = state_from_json({**body, **sent}, item)
    assert np.array_equal(masks.decode(state.mask(item)), painted & ~erased)
    # pycocotools reads the page's runs as the same mask
    official = coco.decode(coco.frPyObjects({"size": [7, 9], "counts": runs["painted"]}, 7, 9))
    assert np.array_equal(official.astype(bool), painted)


def test_a_journal_of_before_there_were_brushes_is_read(folder: Path) -> None:
    state = {"keep": ["23"], "polygons": [], "expression": "the door", "status": "done"}
    (folder / "decisions-ann.jsonl").write_text(json.dumps({"item": "item-0", "state": state}) + "\n")
    assert Journal(folder, "ann", read_tasks(folder))["item-0"] == State(("23",), (), "the door", "done")


def test_pixels_of_another_picture_are_refused(folder: Path) -> None:
    item = read_tasks(folder)["item-0"]
    body = {"keep": [], "polygons": [], "expression": "x", "status": "open"}
    with pytest.raises(DataError, match="what is painted is 5x5 pixels"):
        state_from_json({**body, "painted": masks.encode(np.ones((5, 5), bool))}, item)


def test_a_coco_file_alone_begins_the_work(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    PILImage.new("RGB", (40, 30)).save(tmp_path / "a.png")
    PILImage.new("RGB", (40, 30)).save(tmp_path / "b.png")
    square = [[5, 5, 15, 5, 15, 15, 5, 15]]
    other = [[20, 5, 30, 5, 30, 15, 20, 15]]
    document = {
        "images": [
            {"id": 1, "file_name": "a.png", "width": 40, "height": 30},
            {"id": 2, "file_name": "b.png", "width": 40, "height": 30, "expression": "the moon"},
        ],
        "annotations": [
            {"id": 7, "image_id": 1, "category_id": 3, "segmentation": square, "expression": "the red one"},
            {"id": 8, "image_id": 1, "category_id": 3, "segmentation": other},
            {"id": 9, "image_id": 1, "category_id": 3, "segmentation": square},
        ],
        "categories": [{"id": 3, "name": "box"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(document))
    work = tmp_path / "work"
    # the name ends it before anything is served
    arguments = ["annotate", str(work), "--no-browser", "--annotator", "!"]
    refused([*arguments, "--instances", str(tmp_path / "coco.json")])
    assert "items: 3, candidate masks: 3" in capsys.readouterr().err
    said = [(item.expression, [one.id for one in item.instances]) for item in read_tasks(work).values()]
    assert said == [("the red one", ["7"]), ("box", ["8", "9"]), ("the moon", [])]
    assert masks.area(read_tasks(work)["1-1"].instances[0].mask) == 100
    refused(["annotate", str(tmp_path / "other"), "--instances", str(tmp_path)])
    assert "--instances alone is one COCO file" in capsys.readouterr().err


ASKED = {
    "question": "Up or down?",
    "options": ["up", "down"],
    "answer": 1,
    "pair": "p1",
    "categories": {"direction": "vertical"},
}


def coco_file(folder: Path, *images: dict[str, Any], said: Sequence[tuple[int | str, str]]) -> Path:
    """Write a COCO file of pictures of 40 x 30 pixels, and what is said of a square in them."""
    for image in images:
        PILImage.new("RGB", (40, 30)).save(folder / image["file_name"])
    square = [[5, 5, 15, 5, 15, 15, 5, 15]]
    notes = [
        {"id": number, "image_id": image, "category_id": 1, "segmentation": square, "expression": text}
        for number, (image, text) in enumerate(said)
    ]
    document = {"images": images, "annotations": notes, "categories": [{"id": 1, "name": "box"}]}
    path = folder / "coco.json"
    path.write_text(json.dumps(document))
    return path


def test_what_a_coco_benchmark_asks_is_in_the_exported_one(tmp_path: Path) -> None:
    images: list[dict[str, Any]] = [
        {"id": 1, "file_name": "a.png", **ASKED},
        {"id": 2, "file_name": "b.png", "expression": "the moon"},
    ]
    path = coco_file(tmp_path, *images, said=[(1, "the red one"), (1, "the blue one")])
    work = tmp_path / "work"
    write_tasks(work, items_from_coco(path, tmp_path))
    items = read_tasks(work)
    states = {name: State(tuple(one.id for one in item.instances), status="done") for name, item in items.items()}
    document = json.loads(export(work, states, tmp_path / "out").read_text())
    found = {image["id"]: {key: image[key] for key in ASKED if key in image} for image in document["images"]}
    assert found == {"1-0": ASKED, "1-1": ASKED, "2": {}}


def test_a_question_that_is_not_text_is_refused_by_name(tmp_path: Path) -> None:
    path = coco_file(tmp_path, {"id": 1, "file_name": "a.png", "question": ["Up?"]}, said=[])
    with pytest.raises(DataError, match=r"image a\.png has a question that is not text"):
        items_from_coco(path, tmp_path)


@pytest.mark.parametrize("other", ["1-0", "1"])
def test_items_of_a_coco_file_with_one_id_are_refused(other: str, tmp_path: Path) -> None:
    images: list[dict[str, Any]] = [
        {"id": 1, "file_name": "a.png"},
        {"id": other, "file_name": "b.png", "expression": "the moon"},
    ]
    said = [(1, "the red one"), (1, "the blue one")] if other == "1-0" else [(1, "the red one")]
    path = coco_file(tmp_path, *images, said=said)
    with pytest.raises(DataError, match=rf"image b\.png makes a second item with the id '{other}'"):
        items_from_coco(path, tmp_path)
