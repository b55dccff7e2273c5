"""Write a run for LabelMe: a picture and beside it a file of its masks and points."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

from pixcore import masks
from pixcore.figures.rows import RowSpec
from pixcore.files import write_json
from pixcore.records import SampleResult
from pixcore.runs.plan import Run
from pixcore_export.base import GIVEN, Tell, chosen_masks, masked_probings, with_pictures

_VERSION = "5.5.0"
"""The version of LabelMe whose files these are; since 5.2 it has masks."""


def export_labelme(job: Run, folder: Path, tell: Tell) -> None:
    """Write images/ with a JSON file beside each picture: the truth, each row's mask, the point it came from."""
    rows: list[RowSpec] = job.rows
    probings = masked_probings(job)
    for _, result, name, size in with_pictures(job.results(), folder / "images", tell):
        document: dict[str, Any] = {
            "version": _VERSION,
            "flags": {},
            "shapes": list(_shapes(result, rows, probings)),
            "imagePath": name,
            "imageData": None,
            "imageHeight": size[1],
            "imageWidth": size[0],
        }
        write_json((folder / "images" / name).with_suffix(".json"), document, GIVEN)


def _shapes(result: SampleResult, rows: list[RowSpec], probings: list[str]) -> list[dict[str, Any]]:
    sample, shapes = result.sample, []
    if sample.mask is not None and not sample.absent:
        shapes.append(_mask_shape("ground truth", sample.mask, sample.expression or ""))
    for one in chosen_masks(result, rows, probings):
        if not masks.area(one.mask):
            continue
        label = f"{one.probing}: {one.row.key}"
        shapes.append(_mask_shape(label, one.mask, "" if one.iou is None else f"IoU {one.iou:.3f}"))
        selection = result.by_probing[one.probing].selections.get(one.row.key)
        if selection is not None and selection.candidate is not None:
            point = result.by_probing[one.probing].pool(one.row.pool)[selection.candidate].point
            signs = [] if point is None else zip(point.points.tolist(), point.labels.tolist(), strict=True)
            shapes += [_shape(label, "point", [place], "" if inside else "not there") for place, inside in signs]
    return shapes


def _mask_shape(label: str, rle: masks.RLE, description: str) -> dict[str, Any]:
    """A mask as LabelMe has it: the corners of its box, and a picture of what is in it."""
    mask = masks.decode(rle)
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    top, bottom, left, right = (int(one) for one in (rows[0], rows[-1], columns[0], columns[-1]))
    buffer = io.BytesIO()
    PILImage.fromarray(mask[top : bottom + 1, left : right + 1]).save(buffer, "PNG")
    drawn = base64.b64encode(buffer.getvalue()).decode("ascii")
    return _shape(label, "mask", [[left, top], [right, bottom]], description) | {"mask": drawn}


def _shape(label: str, kind: str, points: list[list[float]], description: str) -> dict[str, Any]:
    about: dict[str, Any] = {"group_id": None, "description": description, "flags": {}, "mask": None}
    return {"label": label, "points": points, "shape_type": kind, **about}
