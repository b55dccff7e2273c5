"""The released annotations, and predictions that a formula makes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pycocotools import mask as coco

RELEASED = Path(__file__).resolve().parents[3] / "../shared/data/pixmmvp"


@pytest.fixture(scope="session")
def released() -> Path:
    if not RELEASED.exists():
        pytest.skip("PixMMVP's released annotations are absent")
    return RELEASED


@pytest.fixture
def copied(released: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    root = tmp_path / "pixmmvp"
    shutil.copytree(released, root)
    for path in (root, *root.iterdir()):
        path.chmod(0o755)
    return root


@pytest.fixture(scope="session")
def truths(released: Path) -> dict[int, np.ndarray]:
    """The ground truth of every image, rasterised and united without pixcore."""
    document = json.loads((released / "Segmentations.json").read_text())
    found = {image["id"]: np.zeros((224, 224), bool) for image in document["images"]}
    for annotation in document["annotations"]:
        for rle in coco.frPyObjects(annotation["segmentation"], 224, 224):
            found[annotation["image_id"]] |= coco.decode(rle).astype(bool)
    return found


def disc(x: float, y: float, radius: float) -> np.ndarray:
    rows, columns = np.mgrid[:224, :224]
    return (columns - x) ** 2 + (rows - y) ** 2 < radius**2


def rle(mask: np.ndarray) -> dict[str, Any]:
    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": encoded["size"], "counts": encoded["counts"].decode()}


@pytest.fixture(scope="session")
def formula(truths: dict[int, np.ndarray]) -> Callable[[int], list[dict[str, Any]]]:
    """Candidates of an image: discs, parts of the truth, equal ones, similarities with ties and negatives."""

    def candidates(index: int) -> list[dict[str, Any]]:
        if index % 23 == 0:
            return []
        truth = truths[index]
        found = []
        for group in range(index % 5 + 1):
            x, y = (37 * index + 53 * group) % 224, (91 * index + 17 * group) % 224
            arrays = [disc(x, y, radius) for radius in (12, 30, 70)]
            if group == index % 3:
                half = truth.copy()
                half[:, : (x % 150)] = False
                arrays[1] = half
            similarity = round(((index * 7 + group * 13) % 20) / 10 - 0.9, 3)
            if index % 11 == 0:
                similarity = -0.1 - group / 10
            if index % 4 == 0 and group:
                similarity = found[0]["similarity"]
            found.append(
                {
                    "phrase": f"phrase {group}",
                    "start": 3 * group,
                    "end": 3 * group + 8,
                    "similarity": similarity,
                    "point": [x, y],
                    "masks": [rle(array) for array in arrays],
                    "scores": [0.5, 0.9, 0.7],
                }
            )
        if index % 6 == 0 and len(found) > 1:
            found[-1]["masks"] = list(found[0]["masks"])
        return found

    return candidates
