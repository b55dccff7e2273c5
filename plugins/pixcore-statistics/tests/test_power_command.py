"""`pixcore power` counts what is independent, as intervals and tests do."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as PILImage
from pixcore_statistics.command import power, probing
from pixcore_statistics.power import least_share_difference
from pixcore_statistics.wording import joined

from pixcore import masks

pytest.importorskip("pixcore_coco_referring")

IMAGES, EACH = 4, 3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Some images with some expressions each, of two kinds."""
    truth = dict(masks.encode(np.eye(8, dtype=bool)))
    for number in range(IMAGES):
        PILImage.new("RGB", (8, 8), (40 * number, 0, 0)).save(tmp_path / f"{number}.png")
    samples = [
        {
            "id": 10 * number + place,
            "file_name": f"{number}.png",
            "width": 8,
            "height": 8,
            "expression": f"thing {place}",
            "categories": {"kind": "odd" if place % 2 else "even"},
        }
        for number in range(IMAGES)
        for place in range(EACH)
    ]
    annotations = [{"id": one["id"], "image_id": one["id"], "segmentation": truth} for one in samples]
    document = {"images": samples, "annotations": annotations, "categories": []}
    (tmp_path / "annotations.json").write_text(json.dumps(document))
    return tmp_path


def test_several_samples_of_one_image_count_once(root: Path) -> None:
    arguments = ["coco-referring", "--root", str(root)]
    said = CliRunner().invoke(power, arguments, catch_exceptions=False).output
    assert said.startswith(f"coco-referring: {IMAGES} images\n")
    document = json.loads(CliRunner().invoke(power, [*arguments, "--json", "-"], catch_exceptions=False).stdout)
    groups = {group["samples"]: group["n"] for group in document["groups"]}
    assert groups.pop("all") == IMAGES
    assert set(groups.values()) <= {IMAGES}
    assert document["groups"][0]["by_discordance"]["0.4"] is least_share_difference(IMAGES, 0.4) is None


def test_parts_are_joined_as_a_sentence_does() -> None:
    assert [joined("abc"[:count]) for count in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_no_difference_is_promised_that_there_can_not_be() -> None:
    said = CliRunner().invoke(power, ["--clusters", "2", "--json", "-"], catch_exceptions=False).stdout
    (group,) = json.loads(said)["groups"]
    assert None in group["by_spread"].values()
    assert all(least <= 100 for least in group["by_spread"].values() if least is not None)
    said = CliRunner().invoke(power, ["--clusters", "30", "--json", "-"], catch_exceptions=False).stdout
    assert all(0 < least < 100 for least in json.loads(said)["groups"][0]["by_spread"].values())


def test_predictions_without_an_accuracy_have_no_s_and_say_so(root: Path) -> None:
    """An empty table said nothing."""
    lines = [
        {"sample_id": str(10 * number + place), "protocol": "segment", "text": "", "mask": None}
        for number in range(IMAGES)
        for place in range(EACH)
    ]
    (root / "p.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments = [str(root / "p.jsonl"), "--benchmark", "coco-referring", "--root", str(root)]
    said = CliRunner().invoke(probing, arguments, catch_exceptions=False).output
    assert said == "no row has both an accuracy and a mean IoU: S is made of one of each\n"
    document = CliRunner().invoke(probing, [*arguments, "--json", "-"], catch_exceptions=False).stdout
    assert json.loads(document)["rows"] == []
