"""Small data sets in the released layouts: each writer gives the folder that it wrote."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as arrow
from PIL import Image as PILImage
from pyarrow import parquet

from pixcore import masks

SIZE = (40, 30)


def rectangle(left: int, top: int, right: int, bottom: int) -> np.ndarray[Any, Any]:
    """A filled rectangle, its right and bottom sides outside."""
    mask = np.zeros(SIZE[::-1], bool)
    mask[top:bottom, left:right] = True
    return mask


def rle(*corners: int) -> dict[str, Any]:
    return dict(masks.encode(rectangle(*corners)))


def picture() -> PILImage.Image:
    return PILImage.new("RGB", SIZE, (90, 120, 150))


def refcoco_m(root: Path, rows: list[Mapping[str, Any]] | None = None) -> Path:
    """Two files: of one image with two objects, and of one with one."""
    buffer = io.BytesIO()
    picture().save(buffer, "JPEG")
    objects = [
        {"id": 7, "category": "dog", "sentences": ["left dog", "the brown one"], "mask": rle(0, 0, 10, 10)},
        {"id": 8, "category": "cat", "sentences": ["the cat "], "mask": rle(20, 5, 30, 15)},
    ]
    one = {"id": 9, "category": "dog", "sentences": ["a dog"], "mask": rle(0, 0, 4, 4)}
    every: list[Mapping[str, Any]] = rows or [{"samples": objects}, {"samples": [one]}]
    (root / "data").mkdir(parents=True)
    for number, row in enumerate(every):
        told = {"image": {"bytes": buffer.getvalue(), "path": "COCO.jpg"}, "image_id": number, "file_name": "COCO.jpg"}
        table = arrow.Table.from_pylist([told | dict(row)])
        parquet.write_table(table, root / f"data/validation-{number:05d}-of-{len(every):05d}.parquet")
    return root


def narratives(root: Path, changed: Mapping[str, Any] | None = None) -> Path:
    """One image with two people (segments 3 and 70000) and grass (9), and two narratives of it."""
    for folder in ("annotations/panoptic_segmentation/val2017", "images/val2017"):
        (root / folder).mkdir(parents=True)
    picture().save(root / "images/val2017/000000000139.jpg")
    numbers = np.full(SIZE[::-1], 9)
    numbers[0:10, 0:10], numbers[0:10, 20:30] = 3, 70000
    colours = np.stack([numbers % 256, numbers // 256 % 256, numbers // 65536], axis=-1).astype(np.uint8)
    PILImage.fromarray(colours).save(root / "annotations/panoptic_segmentation/val2017/000000000139.png")
    segments = [
        {"id": 3, "category_id": 1, "iscrowd": 0, "bbox": [0, 0, 10, 10], "area": 100},
        {"id": 70000, "category_id": 1, "iscrowd": 0, "bbox": [20, 0, 10, 10], "area": 100},
        {"id": 9, "category_id": 125, "iscrowd": 0, "bbox": [0, 0, 40, 30], "area": 1000},
    ]
    panoptic = {
        "images": [{"id": 139, "file_name": "000000000139.jpg", "width": SIZE[0], "height": SIZE[1]}],
        "annotations": [{"image_id": 139, "file_name": "000000000139.png", "segments_info": segments}],
        "categories": [{"id": 1, "name": "person", "isthing": 1}, {"id": 125, "name": "grass", "isthing": 0}],
    }
    told = [
        _narrative(
            "In this image there are two people on the grass.", ("two people", ["3", "70000"]), ("grass", ["9"])
        ),
        _narrative("A person; the sky.", ("A person", ["3"]), ("the sky", [])),
    ]
    told[0].update(changed or {})
    (root / "annotations/panoptic_val2017.json").write_text(json.dumps(panoptic))
    (root / "annotations/png_coco_val2017.json").write_text(json.dumps(told))
    return root


def _narrative(caption: str, *phrases: tuple[str, list[str]]) -> dict[str, Any]:
    parts = [{"utterance": "In", "segment_ids": [], "plural": False, "noun": False}]
    parts += [{"utterance": f"{a} ", "segment_ids": ids, "plural": len(ids) > 1, "noun": True} for a, ids in phrases]
    return {"image_id": "139", "annotator_id": "0", "caption": caption, "segments": parts}


CONVERSATIONS: Mapping[str, list[tuple[str, tuple[int, int, int, int]]]] = {
    "sa_1": [("a dog", (0, 0, 10, 10)), ("green grass", (0, 10, 40, 30))],
    "sa_2": [("two cats", (5, 5, 25, 25))],
}


def conversations(root: Path) -> Path:
    """Two images of the validation split: their captions, and their masks."""
    folder, pictures = root / "annotations/val_test", root / "GranDf_HA_images/val_test"
    folder.mkdir(parents=True)
    pictures.mkdir(parents=True)
    images = [{"id": name, "file_name": f"{name}.jpg", "width": 40, "height": 30} for name in CONVERSATIONS]
    captions: list[dict[str, Any]] = []
    outlines: list[dict[str, Any]] = []
    for name, phrases in CONVERSATIONS.items():
        picture().save(pictures / f"{name}.jpg")
        labels = [phrase for phrase, _ in phrases]
        captions.append({"id": len(captions), "image_id": name, "caption": " and ".join(labels), "labels": labels})
        for _, corners in phrases:
            area = int(rectangle(*corners).sum())
            entry = {"id": len(outlines) + 1, "image_id": name, "category_id": 1, "iscrowd": 0, "area": area}
            outlines.append(entry | {"segmentation": rle(*corners)})
    categories = [{"id": 1, "name": "object"}]
    caption_file = {"images": images, "annotations": captions}
    mask_file = {"images": images, "annotations": outlines, "categories": categories}
    (folder / "val_gcg_coco_caption_gt.json").write_text(json.dumps(caption_file))
    (folder / "val_gcg_coco_mask_gt.json").write_text(json.dumps(mask_file))
    return root


def groundings(root: Path) -> Path:
    """A training file of one image, whose second phrase is listed first."""
    (root / "annotations/train").mkdir(parents=True)
    entry = {
        "file_name": "sa_3.jpg",
        "caption": '"A dog on grass."',
        "groundings": {
            "grass": {"token_positives": [9, 14], "rle_masks": [rle(0, 20, 40, 30)]},
            "A dog": {"token_positives": [0, 5], "rle_masks": [rle(0, 0, 5, 5), rle(4, 0, 9, 5)]},
            "sky": None,
        },
    }
    (root / "annotations/train/GranDf_HA_GCG_train.json").write_text(json.dumps([entry]))
    return root
