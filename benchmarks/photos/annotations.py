"""Writes the annotations of the benchmark `photos` from what was drawn in `pixcore annotate`.

    python benchmarks/photos/annotations.py [--look FOLDER]
    python benchmarks/photos/annotations.py --begin WORK    # a folder for the annotator, with the masks as they are
    pixcore annotate WORK --annotator pixcore                    # correct them
    python benchmarks/photos/annotations.py --take WORK     # take the corrected ones

What was decided lies beside this script, as the annotator wrote it. `--look` writes each mask over its photograph.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pixcore_annotate.journal import Journal
from pixcore_annotate.project import Item, read_tasks, write_tasks
from pixcore_photos.benchmark import ANNOTATIONS, PHOTOGRAPHS, folder

from pixcore.masks import area, decode, encode

ANNOTATOR = "pixcore"
DECISIONS = Path(__file__).parent / f"decisions-{ANNOTATOR}.jsonl"

Name = tuple[str, str]
"""A photograph, and the object in it."""

BEFORE: dict[Name, tuple[str, ...]] = {
    ("coffee", "cup"): ("spoon",),
    ("coffee", "saucer"): ("cup", "spoon"),
}
"""What lies before an object and is drawn over: it is no part of the object's mask."""


@dataclass(frozen=True)
class Asked:
    """A question with two options, the first of which is right, and what is to be segmented.

    Attributes:
        photograph: Its name.
        name: Of the object; None where the object is not there.
        expression: What is asked for.
        question: The question.
        options: The right one first.
    """

    photograph: str
    name: str | None
    expression: str
    question: str
    options: tuple[str, str]


ASKED = (
    Asked("astronaut", "helmet", "the helmet", "What color is the visor of the helmet?", ("black", "white")),
    Asked("astronaut", "shuttle", "the model of the space shuttle", "Is the model of the space shuttle to the left or "
          "to the right of the woman, as seen in the image?", ("right", "left")),
    Asked("astronaut", "patch", "the round patch on the suit", "Is the patch on the chest with names around its edge "
          "round or rectangular?", ("round", "rectangular")),
    Asked("astronaut", "tag", "the name tag", "Is there a name tag on the suit?", ("yes", "no")),
    Asked("astronaut", "hair", "the woman's hair", "Is the woman's hair short or long?", ("short", "long")),
    Asked("astronaut", "flag", "the flag", "At which side of the image is the flag?", ("left", "right")),
    Asked("astronaut", None, "the dog", "Is there a dog in the image?", ("no", "yes")),
    Asked("chelsea", "eye left", "the eye on the left side of the image", "What color are the cat's eyes?",
          ("green", "blue")),
    Asked("chelsea", "eye right", "the eye on the right side of the image", "Are the cat's eyes open or closed?",
          ("open", "closed")),
    Asked("chelsea", "nose", "the cat's nose", "What color is the cat's nose?", ("reddish", "black")),
    Asked("chelsea", None, "the cat's collar", "Does the cat wear a collar?", ("no", "yes")),
    Asked("coffee", "coffee", "the coffee in the cup", "Is the cup full to the brim?", ("no", "yes")),
    Asked("coffee", "cup", "the cup", "What color is the inside of the cup?", ("white", "red")),
    Asked("coffee", "cup", "the cup with its handle", "Does the cup's handle point to the bottom or to the top of the "
          "image?", ("bottom", "top")),
    Asked("coffee", "spoon", "the spoon", "Does the spoon lie on the saucer or on the table?", ("saucer", "table")),
    Asked("coffee", "saucer", "the saucer", "What color is the saucer?", ("red", "white")),
    Asked("coffee", None, "the fork", "Is there a fork in the image?", ("no", "yes")),
    Asked("rocket", "rocket", "the rocket", "What color is the rocket?", ("white", "red")),
    Asked("rocket", "rocket", "the rocket between the towers", "Is the rocket standing or lying?",
          ("standing", "lying")),
    Asked("rocket", None, "the moon", "Is the moon in the image?", ("no", "yes")),
    Asked("camera", "camera", "the camera", "Is the man's eye at the camera?", ("yes", "no")),
    Asked("camera", "tripod", "the tripod", "Does the camera stand on a tripod or lie in the grass?",
          ("on a tripod", "in the grass")),
    Asked("camera", "tower", "the tall building in the background", "At which side of the man is the tall building?",
          ("right", "left")),
    Asked("camera", None, "the bicycle", "Is there a bicycle in the image?", ("no", "yes")),
    Asked("coins", "largest", "the largest coin", "Is the largest coin in the left or in the right half of the image?",
          ("right", "left")),
    Asked("coins", "top right", "the coin in the top right corner", "Does the coin in the top right corner show a "
          "standing figure or a head?", ("a standing figure", "a head")),
    Asked("coins", "bottom left", "the coin in the bottom left corner", "Are there more than ten coins?",
          ("yes", "no")),
    Asked("coins", None, "the banknote", "Is there a banknote in the image?", ("no", "yes")),
)  # fmt: skip


def begin(work: Path, decisions: Path = DECISIONS) -> None:
    """Make a folder for the annotator: a copy of each photograph, an item for each object, and what was decided."""
    items = {}
    for one in ASKED:
        if one.name is not None and (one.photograph, one.name) not in items:
            file = PHOTOGRAPHS[one.photograph].file
            with Image.open(folder() / file) as image:
                size = image.size
            place = _item_id(one.photograph, one.name)
            items[one.photograph, one.name] = Item(place, file, size, one.expression, one.question)
    write_tasks(work, list(items.values()))
    for item in items.values():
        shutil.copy(folder() / item.image, work)
    shutil.copy(decisions, work / DECISIONS.name)


def drawn(decisions: Path = DECISIONS) -> dict[Name, NDArray[np.bool_]]:
    """Read the masks that were decided, (height, width) each."""
    with TemporaryDirectory() as work:
        begin(Path(work), decisions)
        tasks = read_tasks(Path(work))
        journal = Journal(Path(work), ANNOTATOR, tasks)
        whole = {
            (one.photograph, one.name): decode(journal[place].mask(tasks[place]))
            for one in ASKED
            if one.name is not None and (place := _item_id(one.photograph, one.name))
        }
    found = {}
    for (photograph, name), mask in whole.items():
        for other in BEFORE.get((photograph, name), ()):
            mask = mask & ~whole[photograph, other]
        found[photograph, name] = mask
    return found


def _item_id(photograph: str, name: str) -> str:
    """Name an object's item."""
    return f"{photograph}-{name.replace(' ', '-')}"


def document(decisions: Path = DECISIONS) -> dict[str, Any]:
    """Write every question as an image of COCO's format, with its object's mask where it is there."""
    images, annotations = [], []
    masks = drawn(decisions)
    for number, one in enumerate(ASKED, 1):
        width, height = Image.open(folder() / PHOTOGRAPHS[one.photograph].file).size
        right = number % 2
        images.append(
            {
                "id": f"{one.photograph}-{number:02}", "file_name": PHOTOGRAPHS[one.photograph].file,
                "width": width, "height": height, "expression": one.expression, "question": one.question,
                "options": list(one.options if right == 0 else one.options[::-1]), "answer": right,
                "categories": {"photograph": one.photograph, "target": "absent" if one.name is None else "object"},
            }
        )  # fmt: skip
        if one.name is not None:
            mask = encode(masks[one.photograph, one.name])
            place = {"id": number, "image_id": images[-1]["id"], "category_id": 1, "iscrowd": 0}
            annotations.append(place | {"segmentation": dict(mask), "area": int(area(mask))})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}


def look(target: Path) -> None:
    """Write every mask over its photograph."""
    target.mkdir(parents=True, exist_ok=True)
    for (photograph, name), mask in drawn().items():
        image = np.asarray(Image.open(folder() / PHOTOGRAPHS[photograph].file).convert("RGB")).copy()
        image[mask] = image[mask] // 2 + np.array([127, 0, 60], np.uint8)
        Image.fromarray(image).save(target / f"{_item_id(photograph, name)}.png")


def main() -> None:
    """Write the file, and what is to be looked at; or make a folder for the annotator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look", type=Path, help="write every mask over its photograph there")
    parser.add_argument("--begin", type=Path, metavar="WORK", help="make a folder for the annotator, and nothing else")
    parser.add_argument("--take", type=Path, metavar="WORK", help="take what was decided in that folder")
    options = parser.parse_args()
    if options.begin is not None:
        begin(options.begin)
        return
    decisions = DECISIONS if options.take is None else options.take / DECISIONS.name
    text = json.dumps(document(decisions), indent=1) + "\n"  # damaged decisions replace nothing
    if options.take is not None:
        shutil.copy(decisions, DECISIONS)
    ANNOTATIONS.write_text(text, encoding="utf-8")
    if options.look is not None:
        look(options.look)


if __name__ == "__main__":
    main()
