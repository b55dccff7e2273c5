"""Write a run's masks as COCO has them: the ground truth as annotations, each row's masks as results."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pixcore_folder.pictures import free_stem, stem_of
from pycocotools import mask as coco

from pixcore.figures.rows import RowSpec
from pixcore.files import can_be_written, replacing
from pixcore.masks import RLE, area
from pixcore.records import Sample
from pixcore.runs.plan import Run
from pixcore_export.base import GIVEN, JsonArray, Tell, chosen_masks, masked_probings, with_pictures

_CATEGORY = 1


def export_coco(job: Run, folder: Path, tell: Tell) -> None:
    """Write images/, annotations.json, and of each probing with masks a file of results for each row.

    Every sample is an image of its own, as another expression about the same picture asks for another mask.
    """
    with ExitStack() as stack:
        results = _results(job, folder, stack)
        file = stack.enter_context(replacing(folder / "annotations.json", GIVEN))
        stack.enter_context(can_be_written(folder, GIVEN))
        truths = stack.enter_context(tempfile.TemporaryFile("w+", dir=folder, encoding="utf-8"))
        file.write(f'{{"info": {json.dumps(_info(job))},\n"categories": [{{"id": {_CATEGORY}, "name": "object"}}],\n')
        file.write('"images": ')
        images, annotations = JsonArray(file), JsonArray(truths)
        probings = masked_probings(job)
        for number, result, name, size in with_pictures(job.results(), folder / "images", tell):
            sample = result.sample
            images.add({"id": number, "file_name": name, "width": size[0], "height": size[1], **_about(sample)})
            if sample.mask is not None and not sample.absent:
                annotations.add({"id": number, "iscrowd": 0, **_segment(number, sample.mask)})
            for one in chosen_masks(result, job.rows, probings):
                if area(one.mask):
                    results[one.probing, one.row.key].add({**_segment(number, one.mask), "score": one.score})
        for array in (images, annotations, *results.values()):
            array.end()
        file.write(',\n"annotations": ')
        truths.seek(0)
        shutil.copyfileobj(truths, file)
        file.write("}\n")


def _results(job: Run, folder: Path, stack: ExitStack) -> dict[tuple[str, str], JsonArray]:
    """The open files of results, by probing and row."""
    opened = {}
    rows: list[RowSpec] = job.rows
    for probing in masked_probings(job):
        own, taken = folder / "results" / stem_of(probing), set[str]()
        own.mkdir(parents=True)
        for row in rows:
            path = own / f"{free_stem(stem_of(row.key), taken)}.json"
            opened[probing, row.key] = JsonArray(stack.enter_context(replacing(path, GIVEN)))
    return opened


def _info(job: Run) -> dict[str, Any]:
    return {"description": f"{job.resolved.components.one('model').name} on {job.benchmark_name}, by pixcore"}


def _about(sample: Sample) -> dict[str, Any]:
    truth = None if sample.mask is None else "absent" if sample.absent else "mask"
    return {"sample_id": sample.id, "expression": sample.expression, "ground_truth": truth}


def _segment(number: int, rle: RLE) -> dict[str, Any]:
    box = coco.toBbox({"size": rle["size"], "counts": rle["counts"].encode("ascii")}).tolist()
    return {"image_id": number, "category_id": _CATEGORY, "segmentation": rle, "area": area(rle), "bbox": box}
