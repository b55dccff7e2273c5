"""Draws the masks of the benchmark `photos` from outlines, and writes the package's COCO file.

    python benchmarks/photos/draw.py [--look FOLDER]

Outlines are corners of polygons and ellipses in pixels of the photograph, set by eye on it with a grid over it;
`--look` writes each mask over its photograph, to be looked at. The file opens in `pixcore annotate` as well.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pixcore_photos.benchmark import ANNOTATIONS, PHOTOGRAPHS, folder

from pixcore.masks import area, encode

Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Outline:
    """What a mask is drawn from.

    Attributes:
        polygons: Corners (x, y) of each.
        ellipses: Centre and radii (x, y, rx, ry) of each.
        without: Names of other outlines of the photograph that lie before it.
    """

    polygons: Sequence[Points] = ()
    ellipses: Sequence[tuple[float, float, float, float]] = ()
    without: Sequence[str] = ()


@dataclass(frozen=True)
class Asked:
    """A question with two options, the first of which is right, and what is to be segmented.

    Attributes:
        photograph: Its name.
        name: Of the outline; None where the object is not there.
        expression: What is asked for.
        question: The question.
        options: The right one first.
    """

    photograph: str
    name: str | None
    expression: str
    question: str
    options: tuple[str, str]


OUTLINES: dict[tuple[str, str], Outline] = {
    ("astronaut", "helmet"): Outline(
        [[(277, 480), (279, 458), (286, 430), (298, 400), (313, 375), (333, 358), (365, 346), (400, 343), (430, 350),
          (458, 360), (478, 381), (491, 408), (497, 448), (505, 457), (510, 480), (510, 511), (278, 511)]]
    ),
    ("astronaut", "shuttle"): Outline(
        [[(397, 12), (404, 0), (431, 0), (437, 18), (438, 44), (443, 40), (450, 55), (455, 68), (455, 215), (452, 233),
          (441, 234), (450, 250), (459, 262), (459, 272), (471, 277), (455, 283), (420, 288), (385, 288), (362, 278),
          (370, 270), (366, 265), (374, 245), (384, 230), (354, 227), (356, 212), (378, 182), (378, 105), (383, 90),
          (380, 70), (384, 45), (388, 40), (393, 50), (397, 52)]]
    ),
    ("astronaut", "patch"): Outline(ellipses=[(170.5, 385.5, 37, 37)]),
    ("astronaut", "tag"): Outline([[(281, 339), (329, 347), (325, 377), (281, 372)]]),
    ("astronaut", "hair"): Outline(
        [[(154, 68), (160, 52), (175, 43), (190, 36), (198, 24), (220, 16), (240, 16), (262, 22), (285, 38), (297, 58),
          (301, 85), (297, 108), (288, 125), (271, 130), (268, 110), (267, 92), (250, 90), (235, 80), (215, 79),
          (195, 75), (187, 72), (185, 85), (182, 105), (180, 117), (171, 118), (160, 108), (156, 92)]]
    ),
    ("astronaut", "flag"): Outline(
        [[(0, 0), (50, 0), (57, 55), (64, 88), (78, 118), (85, 150), (92, 180), (97, 208), (78, 228), (62, 245),
          (50, 272), (38, 300), (27, 330), (20, 380), (22, 410), (24, 450), (30, 490), (35, 511), (0, 511)]]
    ),
    ("chelsea", "eye left"): Outline(ellipses=[(170, 115.5, 34, 29.5)]),
    ("chelsea", "eye right"): Outline(ellipses=[(320.5, 136, 21.5, 26.5)]),
    ("chelsea", "nose"): Outline(
        [[(240, 230), (250, 229), (270, 231), (292, 231), (290, 238), (276, 250), (262, 262), (255, 263), (250, 250)]]
    ),
    ("coffee", "coffee"): Outline(
        [[(203, 148), (210, 130), (225, 110), (245, 100), (270, 96), (300, 96), (330, 105), (355, 123), (366, 140),
          (370, 155), (364, 168), (350, 180), (325, 189), (295, 192), (265, 188), (235, 175), (215, 160)]]
    ),
    ("coffee", "cup"): Outline(
        [
            [(173, 110), (174, 135), (180, 170), (195, 205), (210, 228), (226, 240), (255, 280), (285, 285),
             (315, 280), (335, 264), (350, 248), (372, 225), (390, 190), (402, 150), (407, 115)],
            [(232, 226), (218, 240), (202, 270), (196, 292), (204, 303), (222, 306), (236, 285), (252, 258),
             (260, 245), (255, 230)],
        ],
        [(290, 113, 117, 95)],
        without=["spoon"],
    ),
    ("coffee", "spoon"): Outline(
        [
            [(400, 71), (410, 66), (421, 69), (424, 80), (417, 105), (413, 128), (408, 122), (406, 95), (398, 78)],
            [(410, 125), (416, 124), (400, 165), (387, 208), (384, 235), (394, 250), (370, 247), (376, 220),
             (388, 185), (402, 150)],
        ],
        [(366, 284, 40, 41)],
    ),
    ("coffee", "saucer"): Outline(ellipses=[(278, 226, 201, 163)], without=["cup", "spoon"]),
    ("rocket", "rocket"): Outline(
        [[(322, 127), (329, 136), (333, 148), (333, 178), (331, 184), (331, 406), (313, 406), (313, 184), (311, 178),
          (311, 148), (315, 136)]]
    ),
    ("camera", "camera"): Outline(
        [[(253, 141), (265, 139), (310, 141), (314, 139), (325, 139), (325, 150), (319, 152), (320, 181), (300, 184),
          (276, 184), (268, 178), (260, 176), (259, 152), (253, 150)]]
    ),
    ("camera", "tower"): Outline([[(412, 131), (432, 131), (432, 194), (412, 194)]], [(427, 123, 5, 6)]),
    ("camera", "tripod"): Outline(
        [
            [(289, 215), (297, 215), (298, 487), (288, 487)],
            [(280, 328), (291, 330), (247, 490), (238, 512), (229, 512), (238, 480)],
            [(305, 330), (312, 330), (407, 511), (398, 511)],
            [(279, 313), (306, 313), (312, 328), (302, 345), (290, 345), (278, 330)],
            [(308, 318), (326, 303), (338, 300), (338, 307), (328, 308), (312, 325)],
        ]
    ),
    ("coins", "largest"): Outline(ellipses=[(347.5, 187, 32, 31)]),
    ("coins", "top right"): Outline(ellipses=[(334.5, 43.5, 29, 28)]),
    ("coins", "bottom left"): Outline(ellipses=[(46, 260.5, 28, 28)]),
}  # fmt: skip

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


def drawn(photograph: str, name: str) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Draw a mask, (height, width)."""
    outline, image = OUTLINES[photograph, name], Image.open(folder() / PHOTOGRAPHS[photograph].file)
    mask = Image.new("1", image.size)
    pen = ImageDraw.Draw(mask)
    for polygon in outline.polygons:
        pen.polygon([tuple(point) for point in polygon], fill=1)
    for x, y, rx, ry in outline.ellipses:
        pen.ellipse((x - rx, y - ry, x + rx, y + ry), fill=1)
    found = np.asarray(mask)
    for other in outline.without:
        found = found & ~drawn(photograph, other)
    return found


def document() -> dict[str, Any]:
    """Write every question as an image of COCO's format, with its object's mask where it is there."""
    images, annotations = [], []
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
            mask = encode(drawn(one.photograph, one.name))
            place = {"id": number, "image_id": images[-1]["id"], "category_id": 1, "iscrowd": 0}
            annotations.append(place | {"segmentation": dict(mask), "area": int(area(mask))})
    return {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "object"}]}


def look(target: Path) -> None:
    """Write every mask over its photograph."""
    target.mkdir(parents=True, exist_ok=True)
    for photograph, name in OUTLINES:
        image = np.asarray(Image.open(folder() / PHOTOGRAPHS[photograph].file).convert("RGB")).copy()
        mask = drawn(photograph, name)
        image[mask] = image[mask] // 2 + np.array([127, 0, 60], np.uint8)
        Image.fromarray(image).save(target / f"{photograph}-{name.replace(' ', '-')}.png")


def main() -> None:
    """Write the file, and what is to be looked at."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--look", type=Path, help="write every mask over its photograph there")
    options = parser.parse_args()
    ANNOTATIONS.write_text(json.dumps(document(), indent=1) + "\n", encoding="utf-8")
    if options.look is not None:
        look(options.look)


if __name__ == "__main__":
    main()
