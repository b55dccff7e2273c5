"""AP50, mIoU and recall of grounded conversations, as GLaMM's release works them out.

An answer's phrases and masks are compared with an image's as sets: what a row chose for one object plays no part. A
pixel-level model gives its own; of candidates, each phrase's mask with the generator's best score.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_statistics import bootstrap
from pixcore_statistics.intervals import METHODS, Interval
from pycocotools.cocoeval import COCOeval

from pixcore import masks
from pixcore.errors import DataError
from pixcore.figures.intervals import FEW, Cluster, cluster_of
from pixcore.figures.rows import Figure, RowSpec, Summary
from pixcore.masks import RLE
from pixcore.records import ProtocolResult, SampleResult
from pixcore_referring.caption_figures import caption_figures
from pixcore_referring.conversations import TRUTH
from pixcore_referring.own_figures import Terms, figure_of, with_figures

Floats = NDArray[np.float64]
Alike = Callable[[str, str], float]
"""How alike two phrases are, up to 1."""

_ENOUGH = 0.5  # of IoU, and of likeness
_RECALLS = np.linspace(0, 1, 101)


def mean_paired_iou(ious: Floats) -> float:
    """Pair found and true masks one to one, the largest IoU first, and give the mean IoU of the pairs; 0 without any.

    Args:
        ious: (found, true). Masks that are left over, and those that touch none, are in no pair.
    """
    left, paired = ious.copy(), []
    while left.size and left.max() > 0:
        row, column = np.unravel_index(left.argmax(), left.shape)
        paired.append(left[row, column])
        left = np.delete(np.delete(left, row, axis=0), column, axis=1)
    return float(np.mean(paired)) if paired else 0.0


def recalled(ious: Floats, alike: Callable[[int, int], float]) -> int:
    """Count true phrases that are found: pairs, the largest IoU first, until one is too small or its words differ.

    Args:
        ious: (true, found).
        alike: How alike the phrases of a pair are, by their places.
    """
    left, count = ious.copy(), 0
    while left.size:
        row, column = (int(place) for place in np.unravel_index(left.argmax(), left.shape))
        if left[row, column] < _ENOUGH or alike(row, column) < _ENOUGH:
            break
        count += 1
        left[row, :] = left[:, column] = 0
    return count


def average_precision(ious: Sequence[Floats]) -> float:
    """Give AP at an IoU of 0.5 by pycocotools, all masks being of one category and equally sure.

    Args:
        ious: Of each image (found, true).
    """
    return _evaluated(ious).average_precision


def precision_interval(ious: Sequence[Floats], clusters: Sequence[Cluster]) -> Interval:
    """Give the interval of AP at an IoU of 0.5: percentiles of what it is where clusters are drawn with replacement.

    Which masks fit does not depend on the draw; each draw has its images in their order.

    Args:
        ious: Of each image (found, true).
        clusters: What each image is drawn together with.
    """
    order: dict[Cluster, int] = {}
    place = np.array([order.setdefault(cluster, len(order)) for cluster in clusters], np.int64)
    if len(order) < FEW:
        return Interval()
    fits = _evaluated(ious).fits
    true = np.array([one.shape[1] for one in ious])
    side_by_side = np.full((len(ious), max(map(len, fits))), np.nan)
    for row, fit in zip(side_by_side, fits, strict=True):
        row[: len(fit)] = fit
    values = []
    for drawn in (draw for block in bootstrap.draws(len(order)) for draw in block.astype(np.int64)):
        images = np.repeat(np.arange(len(ious)), drawn[place])
        fit = side_by_side[images].ravel()
        values.append(precision_of(fit[~np.isnan(fit)], int(true[images].sum())))
    ends = bootstrap.interval(np.array(values))
    return Interval() if ends is None or ends[0] == ends[1] else Interval(*ends, METHODS["made"])


def precision_of(fit: Floats, true: int) -> float:
    """Give average precision as pycocotools does: over 101 recalls, the best precision at that or more.

    Args:
        fit: (found,) 1 where a mask fits a true one, else 0, in the order in which they count.
        true: How many true ones there are.
    """
    right = fit.cumsum()
    precision = right / np.arange(1, len(fit) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    at = np.searchsorted(right / max(true, 1), _RECALLS)
    return float(best[at[at < len(best)]].sum() / len(_RECALLS))


def _evaluated(ious: Sequence[Floats]) -> _Measured:
    with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does
        evaluation = _Measured(ious)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation


class _Measured(COCOeval):  # type: ignore[misc]
    """pycocotools' evaluation of IoUs that are known, so that no mask is kept."""

    def __init__(self, ious: Sequence[Floats]) -> None:
        super().__init__(iouType="segm")
        self._known = ious
        self.params.imgIds, self.params.catIds = list(range(len(ious))), [1]
        self.params.iouThrs, self.params.maxDets = np.array([_ENOUGH]), [100]
        self.params.areaRng, self.params.areaRngLbl = [[0, 1e10]], ["all"]
        self.params.recThrs = _RECALLS

    @property
    def average_precision(self) -> float:
        precision = self.eval["precision"]
        return float(precision[precision > -1].mean()) if (precision > -1).any() else 0.0

    @property
    def fits(self) -> list[Floats]:
        """Of each image which found masks fit a true one, in the order in which they count: 1 or 0."""
        return [np.zeros(0) if one is None else (one["dtMatches"][0] > 0).astype(np.float64) for one in self.evalImgs]

    def _prepare(self) -> None:
        for image, known in enumerate(self._known):
            found, true = known.shape
            self._dts[image, 1] = [{"id": one + 1, "score": 1.0, "area": 1} for one in range(found)]
            self._gts[image, 1] = [{"id": one + 1, "ignore": 0, "iscrowd": 0, "area": 1} for one in range(true)]

    def computeIoU(self, imgId: int, catId: int) -> Floats:
        return self._known[imgId][: self.params.maxDets[-1]]


@dataclass
class _Row:
    """Of each image of one row: the IoUs, the mean of the pairs, how many phrases were found, and what was written."""

    ious: list[Floats] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    mean: Terms = field(default_factory=lambda: Terms("mean"))
    recall: Terms = field(default_factory=lambda: Terms("proportion"))
    captions: list[tuple[str, str]] = field(default_factory=list)

    @property
    def figures(self) -> dict[str, Figure]:
        precision = Figure(None, n=len(self.ious))  # without any true mask there is nothing to find
        if any(one.shape[1] for one in self.ious):
            spread = precision_interval(self.ious, self.clusters)
            precision = figure_of(average_precision(self.ious), spread, len(self.ious))
        told = caption_figures(self.captions, self.clusters) if self.captions else {}
        return {
            "AP50": precision,
            "mIoU": self.mean.figure(),
            "Recall": self.recall.figure(),
            **told,
        }


_CAPTIONS = {
    True: "METEOR and CIDEr of the captions by pycocoevalcap: METEOR, which is no mean over images, has no interval",
    False: "METEOR and CIDEr are not worked out: `captions: true` does",
}


class ConversationFigures:
    """Adds AP50, mIoU and Recall to each row of a run on grounded conversations."""

    def __init__(self, rows: Sequence[RowSpec]) -> None:
        self._rows = rows
        self._kept: dict[tuple[str, str], _Row] = {}
        self._words = self._captions = False

    def add(self, result: SampleResult) -> None:
        """Take in one image."""
        truth = result.sample.extra.get(TRUTH)
        if truth is None:
            return
        self._words, self._captions = "bert" in truth, truth.get("captions", False)
        for probing, outcome in result.by_probing.items():
            for row in self._rows:
                if row.key in outcome.scores:
                    self._kept.setdefault((row.key, probing), _Row())
                    kept, cluster = self._kept[row.key, probing], cluster_of(result.sample)
                    self._take(kept, cluster, truth, _told(outcome, row))
                    if self._captions:
                        text = outcome.response.text if outcome.response is not None else ""
                        kept.captions.append((truth["caption"], text))

    def _take(self, row: _Row, cluster: Cluster, truth: Any, told: list[tuple[str, RLE]]) -> None:
        true: list[RLE] = truth["masks"]
        found = [mask for _, mask in told]
        ious = masks.iou(found, true) if found and true else np.zeros((len(found), len(true)))
        row.ious.append(ious)
        row.clusters.append(cluster)
        row.mean.add(cluster, mean_paired_iou(ious))
        similar = _bert(truth["bert"]) if self._words else None

        def alike(real: int, said: int) -> float:
            return 1.0 if similar is None else similar(truth["phrases"][real], told[said][0])

        row.recall.add(cluster, recalled(ious.T, alike), len(true))

    def closed(self, summary: Summary) -> Summary:
        """Give the summary with the figures."""
        compared = "phrases compared by BERT" if self._words else "of masks alone: `bert` compares phrases too"
        return with_figures(
            summary,
            {place: row.figures for place, row in self._kept.items()},
            "AP50, mIoU and Recall as GLaMM's release has them, of all that an answer grounds (of candidates, each "
            f"phrase's best-scored mask, whatever a strategy chose); Recall: {compared}; {_CAPTIONS[self._captions]}",
        )


def _told(outcome: ProtocolResult, row: RowSpec) -> list[tuple[str, RLE]]:
    """Give the phrases that an answer grounds, each with its mask."""
    response = outcome.response
    if outcome.error is not None or response is None:
        return []
    if row.own_masks:
        spans = response.mask_spans or ((0, 0),) * len(response.masks)
        return [(response.text[start:end], mask) for (start, end), mask in zip(spans, response.masks, strict=True)]
    candidates = [one for one in outcome.pool(row.pool) if one.masks]
    return [
        (one.group.phrase if one.group else "", one.masks[int(np.argmax(one.scores)) if one.scores else 0])
        for one in candidates
    ]


@cache
def _bert(folder: str) -> Alike:
    """Compare phrases by the cosine of the means of BERT's last states.

    Raises:
        DataError: transformers is not installed, or the folder can't be read.
    """
    try:
        import torch
        from transformers import AutoModel, AutoTokenizer

        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        model = AutoModel.from_pretrained(folder, local_files_only=True).eval()
    except ImportError as error:
        raise DataError(f"phrases are compared by BERT: {error}", hint="pip install pixcore-referring[bert]") from error
    except (OSError, ValueError) as error:
        raise DataError(f"can't read BERT from {folder}: {error}", hint="the folder of bert-base-uncased") from error

    @cache
    def state(phrase: str) -> Any:
        given = tokenizer(phrase, return_tensors="pt", max_length=512, truncation=True)
        with torch.no_grad():
            return model(**given).last_hidden_state[0].mean(dim=0)

    return lambda one, other: float(torch.nn.functional.cosine_similarity(state(one), state(other), dim=0))
