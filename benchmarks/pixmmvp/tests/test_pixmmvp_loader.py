"""PixMMVP's loader: the released files as they are, and every way they can be damaged."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pixcore_judges.option_letters import published_options
from pixcore_pixmmvp.benchmark import DISPUTED, PixMMVP, split_options
from pixcore_pixmmvp.config import PixMMVPConfig

from pixcore import masks
from pixcore.cli import main
from pixcore.errors import DataError
from pixcore.records import Sample
from tests.damages import Damage, assert_told, edited


def load(root: Path, **options: Any) -> dict[str, Sample]:
    return {sample.id: sample for sample in PixMMVP(PixMMVPConfig(root=root, **options)).samples()}


def test_the_released_annotations(released: Path, truths: dict[int, np.ndarray]) -> None:
    samples = load(released)
    assert list(samples) == [str(index) for index in range(1, 301)]
    assert sum(sample.absent for sample in samples.values()) == 53
    unnamed = {int(sample.id) for sample in samples.values() if sample.expression is None}
    listed = {int(line.removesuffix(".jpg")) for line in (released / "meta_none.txt").read_text().split()}
    assert unnamed == listed
    assert all(samples[str(index)].absent for index in unnamed)
    assert Counter(Counter(sample.pair for sample in samples.values()).values()) == {2: 150}
    assert len({sample.categories["pattern"] for sample in samples.values()}) == 9
    assert Counter(sample.answer for sample in samples.values()) == {0: 150, 1: 150}
    for index, truth in truths.items():
        np.testing.assert_array_equal(masks.decode(samples[str(index)].mask), truth)  # type: ignore[arg-type]
    for sample in samples.values():
        assert sample.image.size == (224, 224)  # stated, no picture is read
        assert sample.options == published_options(sample.released_options or "")


def test_expressions_are_clean_and_kept_as_released(released: Path) -> None:
    samples = load(released)
    assert samples["9"].expression == 'the key "Z"'
    assert samples["9"].released_expression == ' the key ""Z""'
    assert samples["135"].expression == "the cup(s) of drink"
    assert samples["23"].released_expression == " None"
    assert samples["23"].expression is None


def test_disputed_labels(released: Path) -> None:
    original, corrected = load(released), load(released, labels="corrected")
    changed = {int(name) for name in original if original[name].answer != corrected[name].answer}
    assert changed == DISPUTED
    assert {int(name) for name, one in original.items() if one.categories["labels"] == "disputed"} == DISPUTED
    assert "disputed" in PixMMVP(PixMMVPConfig(root=released)).notes[0]


@pytest.mark.parametrize("header", ["Index,Question,Options,Correct Answer", "lndex,Question,Options,Correct Answer"])
def test_mmvps_own_questions_with_a_byte_order_mark_and_a_letter_l(copied: Path, header: str) -> None:
    rows = [line.split(",", 1)[1] for line in (copied / "visual_patterns.csv").read_text().splitlines()[1:]]
    questions = [row.rsplit(",", 1)[0] for row in rows]
    (copied / "Questions.csv").write_text("\ufeff" + "\n".join([header, *questions]), encoding="utf-8")
    samples = load(copied)
    assert samples["1"].question == "Are the butterfly's wings closer to being open or closed?"
    assert len({sample.categories["pattern"] for sample in samples.values()}) == 9
    (copied / "visual_patterns.csv").unlink()
    assert load(copied)["1"].categories == {"labels": "undisputed"}


def test_options_are_cut_at_their_letters_alone() -> None:
    assert split_options("(a) On top (left) (b) Below") == ("On top (left)", "Below")
    assert split_options("(a) Yes(b)No ") == ("Yes", "No")
    assert split_options("(a) see (a) (b) not") == ("see (a)", "not")


SEGMENTATIONS = "Segmentations.json"


def replaced(name: str, old: str, new: str) -> Damage:
    def damage(root: Path) -> None:
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return damage


def polygon(*points: float) -> Damage:
    return edited(SEGMENTATIONS, lambda document: document["annotations"][0].update(segmentation=[list(points)]))


DAMAGES: dict[str, tuple[Damage, str]] = {
    "no folder": (lambda root: root.rename(root.with_name("elsewhere")), "there is no folder"),
    "missing files": (
        lambda root: [(root / name).unlink() for name in ("Segmentations.json", "Objects.csv")] and None,
        "lacks Segmentations.json, Objects.csv",
    ),
    "half a file": (lambda root: (root / "Segmentations.json").write_text('{"images": ['), "is not JSON"),
    "an annotation without image": (
        edited(SEGMENTATIONS, lambda document: document["annotations"][0].pop("image_id")),
        "annotation 1 has no image_id",
    ),
    "an annotation of an unknown image": (
        edited(SEGMENTATIONS, lambda document: document["annotations"][0].update(image_id=999)),
        "belongs to image 999, which is not there",
    ),
    "two images with one id": (
        edited(SEGMENTATIONS, lambda document: document["images"][1].update(id=1)),
        "two images have the id 1",
    ),
    "a missing image": (
        edited(SEGMENTATIONS, lambda document: document["images"].pop()),
        "Segmentations.json lacks 300",
    ),
    "a polygon with two points": (polygon(1, 2, 3, 4), "image 1 has a polygon with 2 points"),
    "a polygon with a half point": (polygon(1, 2, 3, 4, 5, 6, 7), "is not a list of x, y"),
    "run lengths of another size": (
        edited(
            SEGMENTATIONS,
            lambda document: document["annotations"][0].update(
                segmentation=dict(masks.encode(np.ones((100, 50), bool)))
            ),
        ),
        "is 50x100 pixels, its image is 224x224",
    ),
    "an image without size": (
        edited(SEGMENTATIONS, lambda document: document["images"][4].pop("width")),
        "no width and height",
    ),
    "no object": (replaced("Objects.csv", "\n7, the school bus", "\n7, "), "Objects.csv says nothing of image 7"),
    "a quote that is half one": (replaced("Objects.csv", "\n7, the school bus", '\n7,""Z""'), "is half quoted: 'Z"),
    "no question": (
        replaced("visual_patterns.csv", "6,7,Is the school bus driving towards or away from the camera?", "6,7, "),
        "question 7 has no text",
    ),
    "an option without words": (
        replaced("visual_patterns.csv", "(a) Towards the camera (b)", "(a) (b)"),
        "question 7 has an option without text",
    ),
    "the wrong encoding": (
        lambda root: (
            (root / "Objects.csv").write_bytes(
                (root / "Objects.csv").read_text().replace("flag", "fl\xe4g").encode("latin-1")
            )
            and None
        ),
        "is not UTF-8 text",
    ),
    "a missing column": (replaced("Objects.csv", " Object", " Thing"), "has no column 'Object'"),
    "a row twice": (replaced("Objects.csv", "\n2,", "\n1,"), "two rows with the index 1"),
    "a row that is missing": (replaced("Objects.csv", "\n300, None", ""), "Objects.csv lacks 300"),
    "an index that is not a number": (replaced("Objects.csv", "\n2,", "\ntwo,"), "has the index 'two'"),
    "a field too many": (replaced("Objects.csv", "the flag", "the flag, red"), "has 3 fields, its header 2"),
    "an answer that is no letter": (replaced("visual_patterns.csv", ",(a),", ",(z),"), "has the answer '(z)'"),
    "another list of unnamed objects": (replaced("meta_none.txt", "23.jpg", "25.jpg"), "disagree about images 23, 25"),
    "an odd file name": (
        edited(SEGMENTATIONS, lambda document: document["images"][0].update(file_name="first.jpg")),
        "expected 1.jpg to 300.jpg",
    ),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_every_damage_is_named(case: str, copied: Path) -> None:
    damage, message = DAMAGES[case]
    damage(copied)
    assert_told(lambda: load(copied), message)


def test_the_check_lists_every_piece(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["benchmarks", "check", "pixmmvp", "--root", str(copied)])
    assert not end.value.code
    said = capsys.readouterr().out
    assert "300 samples, 53 with an empty mask, 14 not scored for grounding, 0 images there" in said
    assert "MMVP Images/" in said
    (copied / "Objects.csv").unlink()
    with pytest.raises(SystemExit) as end:
        main(["benchmarks", "check", "pixmmvp", "--root", str(copied)])
    assert end.value.code == 2
    assert "Objects.csv missing" in capsys.readouterr().err


def test_a_picture_that_is_not_there_says_where_to_get_it(released: Path) -> None:
    with pytest.raises(DataError, match="benchmarks fetch pixmmvp"):
        load(released)["1"].image.pixels()
