"""Measure what each decoder layer, or each head, would have mined alone: from one run whose extractor kept its rows.

A run with `extractor: {name: raw, folder: ROWS}` answers once. Here each layer's rows take the place of the maps: the
run's own groups, transforms, points and generator make candidates of them, and the best mask of each is measured,
beside that of the run's own maps and of its matched control. How much of the attention itself lies in the object,
beyond the object's share of the image, is measured before any transform, by what the phrase is about.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_attention.raw import file_name
from pixcore_statistics.estimates import Estimate, Floats, means

from pixcore.errors import ConfigError, DataError, nearest
from pixcore.figures.intervals import Cluster, cluster_of
from pixcore.figures.scores import candidate_ious
from pixcore.masks import decode, encode_many
from pixcore.records import Candidate, ProtocolResult, Response, Sample, SampleResult, TokenGroup
from pixcore.runs.plan import Run
from pixcore.stages.propose import group_maps
from pixcore_emergence.concepts import Concept
from pixcore_emergence.emergence import matched_control, measured_ious
from pixcore_emergence.looks import by_rule

_ALIKE = 0.99  # correlation of a map with the mean of the rows that it was made of, kept in 16 bits

ALL, CONTROL = "all layers, the run's own", "matched control"


@dataclass(frozen=True)
class Line:
    """What one layer or head shows; figures in percent.

    Attributes:
        name: What looked.
        layer: Its place among the kept layers, from 0; None for a line of no one layer.
        head: Its place among the kept heads, from 0; None for a whole layer.
        best: Mean IoU of the best mask.
        less: The same, less the matched control's, paired.
        inside: Share of its attention to the image that lies in the object, less the object's share of the image.
        by_concept: The same of the phrases about each concept that comes.
        samples: How many samples stand behind it.
        left_out: How many whose object is there do not: those that failed, or whose answer has no phrase.
    """

    name: str
    layer: int | None
    head: int | None
    best: Estimate
    less: Estimate | None
    inside: Estimate | None
    by_concept: Mapping[str, Estimate]
    samples: int
    left_out: int


@dataclass
class _Seen:
    """What one sample shows.

    Attributes:
        cluster: What it is drawn together with.
        best: IoU of the best mask of each line, and last of the control; NaN where there is none.
        inside: (lines + 1, concepts + 1): attention inside beyond the area, of phrases about each concept and, last, of
            all; the last line is the mean over all layers and heads. NaN where there is none.
    """

    cluster: Cluster
    best: Floats
    inside: Floats


def by_layer(job: Run, protocol: str, *, heads: bool = False) -> list[Line]:
    """Measure each kept layer of a run, over samples whose object is there.

    Args:
        job: A run, carried out, with `extractor: {name: raw, folder: ROWS}`.
        protocol: The probing whose masks are looked at.
        heads: A line for each head too.

    Raises:
        ConfigError: The run's extractor kept no rows, or the run has no masks under the probing.
        DataError: The rows are gone, or no sample has any.
    """
    extractors = job.resolved.components.several("extractor")
    folder = next((getattr(one.config, "folder", None) for one in extractors), None)
    if folder is None:
        raise ConfigError(
            "the run kept no rows of layers", hint="extractor: {name: raw, folder: ROWS, reduce: heads}, and run again"
        )
    masked = [name for name, probing in job.resolved.config.probings.items() if probing.masks]
    if protocol not in masked:
        raise ConfigError(f"the run has no masks under {protocol!r}", hint=nearest(protocol, masked))
    measure = _Measure(job, protocol, Path(folder), heads=heads)
    seen = [one for result in job.results() if (one := measure.of(result)) is not None]
    if not seen:
        raise DataError(f"no sample has phrases and rows under {protocol}", hint="layers are measured of mined masks")
    clusters, best = [one.cluster for one in seen], 100 * np.stack([one.best for one in seen])
    inside = 100 * np.stack([one.inside for one in seen])
    made: list[Line] = []
    for place, (name, layer, head) in enumerate([*measure.lines, (ALL, None, None), (CONTROL, None, None)]):
        less = None if name == CONTROL else _mean(clusters, best[:, place] - best[:, -1], job)
        looked = name != CONTROL
        concepts = {
            str(concept): _mean(clusters, inside[:, place, column], job)
            for column, concept in enumerate(Concept)
            if looked and np.isfinite(inside[:, place, column]).any()
        }
        whole = _mean(clusters, inside[:, place, -1], job) if looked else None
        counts = len(seen), measure.left_out
        made.append(Line(name, layer, head, _mean(clusters, best[:, place], job), less, whole, concepts, *counts))
    return made


def _mean(clusters: list[Cluster], values: Floats, job: Run) -> Estimate:
    """The mean over the samples that have a value."""
    there = np.isfinite(values)
    kept = [cluster for cluster, known in zip(clusters, there, strict=True) if known]
    found = means(kept, values[there][:, None], seed=job.resolved.config.seed)
    return found[0] if found else Estimate(float("nan"))


class _Measure:
    """Measures one sample after the other."""

    def __init__(self, job: Run, protocol: str, folder: Path, *, heads: bool) -> None:
        components = job.resolved.components
        self._transforms: list[Any] = [one.create(job.context) for one in components.several("transforms")]
        self._points: Any = components.one("points").create(job.context)
        self._masks: Any = components.one("masks").create(job.context)
        self._protocol, self._folder, self._heads = protocol, folder, heads
        self._control = matched_control(job.rows)
        self.lines: list[tuple[str, int, int | None]] = []
        self.left_out = 0

    def of(self, result: SampleResult) -> _Seen | None:
        """Measure a sample; None where there is nothing to look at."""
        sample, outcome = result.sample, result.by_probing.get(self._protocol)
        if outcome is None or sample.mask is None or sample.absent:
            return None
        groups = [one.group for one in outcome.candidates if one.group is not None and one.group.tokens]
        if outcome.error is not None or outcome.response is None or outcome.response.layout is None or not groups:
            self.left_out += 1
            return None
        rows = self._rows(sample, outcome.response)
        maps = list(self._looked(rows))
        best = [
            *self._best(sample, outcome.response, groups, maps),
            _most(measured_ious(sample, outcome)),
            _of_control(outcome, self._control),
        ]
        whole = rows.mean(axis=(1, 2), dtype=np.float32)
        inside = np.stack(list(self._inside(sample, outcome.response, groups, [*maps, whole])))
        return _Seen(cluster_of(sample), np.array(best), inside)

    def _rows(self, sample: Sample, response: Response) -> NDArray[Any]:
        """(tokens, layers, heads, cells), as the extractor left them."""
        path = self._folder / file_name(sample.id, self._protocol)
        if not path.is_file():
            raise DataError(f"the rows of {sample.id} are not at {path}", hint="run again, with another store")
        rows = kept_rows(path, response)
        if rows is None:
            raise DataError(
                f"{path} does not hold the rows that the run's answer was made of: another run wrote over it, or a "
                "kill cut it short",
                hint="run again, with another store and another folder of rows",
            )
        return rows

    def _looked(self, rows: NDArray[Any]) -> Iterator[NDArray[np.float32]]:
        """The maps (tokens, cells) of each line."""
        layers, heads = rows.shape[1:3]
        self.lines = []
        for layer in range(layers):
            self.lines.append((f"layer {layer}", layer, None))
            yield rows[:, layer].mean(axis=1, dtype=np.float32)
            for head in range(heads) if self._heads else ():
                self.lines.append((f"layer {layer}, head {head}", layer, head))
                yield rows[:, layer, head].astype(np.float32)

    def _best(
        self, sample: Sample, response: Response, groups: list[TokenGroup], maps: list[NDArray[np.float32]]
    ) -> list[float]:
        """The IoU of the best mask of each line's maps; the generator sees the image once."""
        layout, image = response.layout, sample.image
        assert layout is not None
        prompts = []
        for own in maps:
            self._points.reseed(0)
            values = group_maps(replace(response, maps=own), groups, self._transforms)
            prompts += [self._points.select(layout.to_image(one, image.size)) for one in values]
        proposals = self._masks.segment(image, prompts)
        found = [Candidate(None, None, (*encode_many(one.masks, one.size),), ()) for one in proposals]
        ious = candidate_ious(sample, found)
        return [_most(ious[place : place + len(groups)]) for place in range(0, len(ious), len(groups))]

    def _inside(
        self, sample: Sample, response: Response, groups: list[TokenGroup], maps: list[NDArray[np.float32]]
    ) -> Iterator[Floats]:
        """For each line the share of attention inside the mask less the mask's area, by concept, and of all phrases."""
        assert sample.mask is not None
        assert response.layout is not None
        mask = decode(sample.mask)
        about = [by_rule(group.phrase, response.text, sample) for group in groups]
        for own in maps:
            shares = []
            for group in groups:
                seen = response.layout.to_image(own[list(group.tokens)].mean(axis=0), sample.image.size)
                total = float(seen.sum())
                shares.append(float(seen[mask].sum()) / total - float(mask.mean()) if total > 0 else np.nan)
            yield np.array([*(_some(shares, about, concept) for concept in Concept), float(np.nanmean(shares))])


def kept_rows(path: Path, response: Response) -> NDArray[Any] | None:
    """Read the rows (tokens, layers, heads, cells) that the extractor `raw` left of an answer.

    Returns:
        They stay on disk until they are looked at. None where the file is not there, was cut short by a kill, or was
        written over by another run that was given the same folder.
    """
    rows: NDArray[Any] | None = None
    with suppress(OSError, ValueError, EOFError):
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    if rows is None or rows.ndim != 4 or len(rows) < len(response.tokens) or response.maps is None:
        return None
    rows = rows[: len(response.tokens)]
    return rows if _made_of(response.maps, rows) else None


def _made_of(maps: NDArray[np.float32], rows: NDArray[Any]) -> bool:
    """Whether maps are the means of rows, but for rounding and scale: the first and the last are looked at."""
    if len(maps) != len(rows) or maps.shape[1] != rows.shape[3]:
        return False
    ends = slice(None, None, len(maps) - 1 or 1)
    for one, own in zip(maps[ends], rows[ends], strict=True):
        mean = np.asarray(own).mean(axis=(0, 1), dtype=np.float32)
        if one.std() and mean.std() and np.corrcoef(mean, one)[0, 1] < _ALIKE:
            return False
    return True


def _some(shares: list[float], about: list[Any], concept: Concept) -> float:
    """The mean share of the phrases about a concept; NaN where there is none."""
    own = [share for share, one in zip(shares, about, strict=True) if one is concept]
    return float(np.mean(own)) if own else float("nan")


def _most(ious: Any) -> float:
    """The highest of all candidates' IoUs; 0 where there are none."""
    return float(max((value for one in ious for value in one), default=0.0))


def _of_control(outcome: ProtocolResult, name: str | None) -> float:
    """The best IoU of the matched control's candidates; NaN where there is none, whichever others there are."""
    ious = outcome.control_ious.get(name) if name is not None else None
    return float("nan") if ious is None else _most(ious)
