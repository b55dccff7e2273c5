"""Write a run for FiftyOne: pictures, masks, heatmaps and figures, in its own format on disk."""

from __future__ import annotations

import mimetypes
import secrets
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage
from pixcore_pictures.heat import relevance_at

from pixcore import masks
from pixcore.figures.rows import RowSpec
from pixcore.files import can_be_written, replacing, write_json, written_beside
from pixcore.masks import RLE
from pixcore.records import ProtocolResult, Sample, SampleResult
from pixcore.runs.plan import Run
from pixcore_export.base import GIVEN, JsonArray, Tell, chosen_masks, masked_probings, sayable, with_pictures
from pixcore_export.fiftyone_fields import Fields

_VERSION = "1.13.0"
"""The last release of FiftyOne that changed what a data set is: later ones have nothing to migrate."""

_INSIDE = 255
_CLASSES = ["background", "object"]
_TEXT, _NUMBER, _YES = "StringField", "FloatField", "BooleanField"
_OF_SAMPLE = {
    **{"sample_id": _TEXT, "ground_truth": "Segmentation", "absent": _YES, "expression": _TEXT, "question": _TEXT},
    **{"options": "strings", "answer": _TEXT, "pair": _TEXT},
}
_OF_PROBING = {"_prompt": _TEXT, "_text": _TEXT, "_correct": _YES, "_error": _TEXT}
_OF_ROW = {
    **{"": "Segmentation", "_map": "Heatmap", "_phrase": _TEXT, "_outcome": _TEXT, "_reason": _TEXT},
    **{"_iou": _NUMBER, "_best_iou": _NUMBER},
}
_OF_EVALUATION = {"_accuracy": _NUMBER, "_precision": _NUMBER, "_recall": _NUMBER}


def export_fiftyone(job: Run, folder: Path, tell: Tell) -> None:
    """Write metadata.json, samples.json, data/ (pictures), fields/ (masks and heatmaps) and evaluations/."""
    layout = _Layout(job)
    with replacing(folder / "samples.json", GIVEN) as file:
        file.write('{"samples": ')
        samples = JsonArray(file)
        for _, result, name, size in with_pictures(job.results(), folder / "data", tell):
            picture = folder / "data" / name
            samples.add({**_of_picture(picture, size), **layout.values(result, folder, f"{picture.stem}.png", size)})
        samples.end()
        file.write("}\n")
    with can_be_written(folder, GIVEN):
        (folder / "evaluations").mkdir()
    for evaluation in layout.rows.values():
        write_json(folder / "evaluations" / f"{evaluation.key}.json", evaluation.results, GIVEN)
    write_json(folder / "metadata.json", layout.document(job), GIVEN)


@dataclass
class _OfRow:
    """The fields of a row under one probing, and how its masks fit pixel by pixel.

    Attributes:
        name: What its fields begin with; its masks' field.
        key: The evaluation's key, with which that one's fields begin.
        pixels: (2, 2) int64, rows the ground truth and columns the mask, each background first.
    """

    name: str
    key: str
    pixels: np.ndarray[Any, np.dtype[np.int64]] = field(default_factory=lambda: np.zeros((2, 2), np.int64))

    def measured(self, truth: RLE, mask: RLE) -> dict[str, float | None]:
        """Count a mask's pixels, and give accuracy, precision and recall as FiftyOne has them: background apart."""
        there, found = masks.area(truth), masks.area(mask)
        hit = there + found - masks.area(masks.union([truth, mask], masks.size_of(truth)))
        missed, beside = there - hit, found - hit
        height, width = truth["size"]
        self.pixels += np.array([[height * width - hit - missed - beside, beside], [missed, hit]])
        if not hit + missed:
            return dict.fromkeys(self.key + ending for ending in _OF_EVALUATION)
        shares = (hit / (hit + missed + beside), hit / (hit + beside) if hit else 0.0, hit / (hit + missed))
        return {self.key + ending: share for ending, share in zip(_OF_EVALUATION, shares, strict=True)}

    @property
    def results(self) -> dict[str, Any]:
        """What FiftyOne keeps of an evaluation's results."""
        kind = "fiftyone.utils.eval.segmentation.SegmentationResults"
        about = {"classes": _CLASSES, "missing": _CLASSES[0]}
        return {"cls": kind, "pixel_confusion_matrix": self.pixels.tolist(), **about}

    def run(self, truth: str) -> dict[str, Any]:
        """What FiftyOne keeps of an evaluation."""
        config = {
            "cls": "fiftyone.utils.eval.segmentation.SimpleEvaluationConfig",
            **{"type": "segmentation", "method": "simple", "pred_field": self.name, "gt_field": truth},
            **{"compute_dice": False, "custom_metrics": None, "bandwidth": None, "average": "micro"},
        }
        when = {"$date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
        return {"key": self.key, "version": _VERSION, "timestamp": when, "config": config, "view_stages": []}


class _Layout:
    """Which field holds what, and each sample's values in them."""

    def __init__(self, job: Run) -> None:
        self._specs: list[RowSpec] = job.rows
        self._fields = Fields()
        for name, kind in _OF_SAMPLE.items():
            self._fields.add(name, {"": kind})
        probings = job.resolved.config.probings
        self._probings = {name: self._fields.add(name, _OF_PROBING) for name in probings}
        self._categories: dict[str, str] = {}
        self.rows: dict[tuple[str, str], _OfRow] = {}
        self._masked = masked_probings(job)
        for probing in self._masked:
            for row in self._specs:
                kinds = {ending: kind for ending, kind in _OF_ROW.items() if kind != "Heatmap" or row.pool is None}
                name = self._fields.add(f"{probing} {row.key}", kinds)
                self.rows[probing, row.key] = _OfRow(name, self._fields.add(f"eval {name}", _OF_EVALUATION))

    def values(self, result: SampleResult, folder: Path, file: str, size: tuple[int, int]) -> dict[str, Any]:
        """Give a sample's values by field, and write its masks and heatmaps, each field's to a folder of its own."""
        sample = result.sample
        found: dict[str, Any] = dict(_of_sample(sample))
        found |= {self._category(name): value for name, value in sample.categories.items()}
        if sample.mask is not None:
            found["ground_truth"] = _mask_label(sample.mask, folder, f"fields/ground_truth/{file}")
        for probing, one in result.by_probing.items():
            values = {
                "_prompt": one.prompt,
                "_text": one.response.text if one.response is not None else None,
                "_correct": one.verdict.correct if one.verdict is not None else None,
                "_error": one.error,
            }
            found |= {self._probings[probing] + ending: value for ending, value in values.items()}
            for row in self._specs:
                if (of_row := self.rows.get((probing, row.key))) is not None:
                    found |= {of_row.name + ending: value for ending, value in _of_row(one, row)}
                    drawn = _heat(one, row, size)
                    if drawn is not None:
                        name = f"{of_row.name}_map"
                        found[name] = _label("Heatmap", "map_path", drawn, folder, f"fields/{name}/{file}")
        for chosen in chosen_masks(result, self._specs, self._masked):
            of_row = self.rows[chosen.probing, chosen.row.key]
            found[of_row.name] = _mask_label(chosen.mask, folder, f"fields/{of_row.name}/{file}")
            if sample.mask is not None:
                found |= of_row.measured(sample.mask, chosen.mask)
        return {name: sayable(value) for name, value in found.items()}

    def _category(self, name: str) -> str:
        if name not in self._categories:
            self._categories[name] = self._fields.add(f"category {name}", {"": _TEXT})
        return self._categories[name]

    def document(self, job: Run) -> dict[str, Any]:
        """Give what FiftyOne keeps of the data set as a whole."""
        model = job.resolved.components.one("model").name
        return {
            "version": _VERSION,
            "media_type": "image",
            "name": sayable(f"{job.benchmark_name}, {model}"),
            "description": sayable(f"{model} on {job.benchmark_name}, by pixcore"),
            "tags": [],
            "info": {},
            "classes": {},
            "default_classes": [],
            "mask_targets": {},
            "default_mask_targets": {str(_INSIDE): _CLASSES[1]},
            "sample_fields": self._fields.documents,
            "frame_fields": [],
            "evaluations": {one.key: one.run("ground_truth") for one in self.rows.values()},
        }


def _id() -> dict[str, str]:
    return {"$oid": secrets.token_hex(12)}


def _of_picture(path: Path, size: tuple[int, int]) -> dict[str, Any]:
    about = {"size_bytes": path.stat().st_size, "mime_type": mimetypes.guess_type(path.name)[0]}
    return {
        "_id": _id(),
        "filepath": f"data/{path.name}",
        "tags": [],
        "metadata": {"_cls": "ImageMetadata", **about, "width": size[0], "height": size[1]},
        "_media_type": "image",
        "_rand": secrets.randbits(53) / 2**53,
    }


def _of_sample(sample: Sample) -> Mapping[str, Any]:
    return {
        "sample_id": sample.id,
        "absent": sample.absent if sample.mask is not None else None,
        "expression": sample.expression,
        "question": sample.question,
        "options": [sayable(one) for one in sample.options],
        "answer": sample.options[sample.answer] if sample.answer is not None and sample.options else None,
        "pair": sample.pair,
    }


def _of_row(one: ProtocolResult, row: RowSpec) -> Iterator[tuple[str, Any]]:
    selection, score = one.selections.get(row.key), one.scores.get(row.key)
    if selection is not None:
        yield from (("_outcome", selection.outcome), ("_reason", selection.reason))
        if selection.candidate is not None:
            group = one.pool(row.pool)[selection.candidate].group
            yield "_phrase", group.phrase if group is not None else None
    if score is not None:
        yield from (("_iou", score.iou), ("_best_iou", score.best_iou))


def _heat(one: ProtocolResult, row: RowSpec, size: tuple[int, int]) -> PILImage.Image | None:
    """Draw the map of the phrase that a row chose, black for its smallest value and white for its largest.

    None where no map is kept, and for a control, whose points were selected on none.
    """
    selection, layout = one.selections.get(row.key), one.response.layout if one.response is not None else None
    if selection is None or selection.candidate is None or layout is None or row.pool is not None:
        return None
    values = one.candidates[selection.candidate].map
    if values is None:
        return None
    return PILImage.fromarray(np.rint(255 * relevance_at(layout, values, size, size)).astype(np.uint8))


def _mask_label(rle: RLE, folder: Path, path: str) -> dict[str, Any]:
    inside = np.where(masks.decode(rle), np.uint8(_INSIDE), np.uint8(0))
    return _label("Segmentation", "mask_path", PILImage.fromarray(inside), folder, path)


def _label(kind: str, key: str, picture: PILImage.Image, folder: Path, path: str) -> dict[str, Any]:
    """Write a picture, and give the label that names it."""
    with can_be_written(folder, GIVEN):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
    with written_beside(folder / path, GIVEN) as beside:
        picture.save(beside, "PNG")
    return {"_id": _id(), "_cls": kind, "tags": [], key: path}
