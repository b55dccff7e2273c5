"""Draw the study's figures, each with the numbers that it shows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.figure import Figure
from pixcore_plots.drawing import Bar, bars, curves
from pixcore_scoring.evaluation import BINS
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.wording import joined

from pixcore_emergence.curves import OWN, Curve
from pixcore_emergence.emergence import Emergence, Shares
from pixcore_emergence.looks import CONCEPTS


class Heading(NamedTuple):
    """What stands over and under a figure.

    Attributes:
        name: Of its files, and its place on the page.
        short: Its name in the page's list.
        title: What it shows.
        caption: How to read it.
    """

    name: str
    short: str
    title: str
    caption: str


@dataclass(frozen=True)
class Drawing:
    """A figure and its numbers.

    Attributes:
        heading: What stands over and under it.
        figure: The figure, not yet saved.
        columns: The names of the numbers' columns.
        rows: The numbers, a row each; None where there is none.
    """

    heading: Heading
    figure: Figure
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]


class _Axis(NamedTuple):
    """The categories along a figure's x axis."""

    name: str
    labels: Sequence[str]


PLACES = [f"{100 * index // BINS}-{100 * (index + 1) // BINS}" for index in range(BINS)]
KINDS = [concept.value for concept in CONCEPTS]
_PLACE = _Axis("place in the text, %", PLACES)
_TOKEN = _Axis("place among the tokens, %", PLACES)
_CONCEPT = _Axis("concept", KINDS)
_SHARE, _IOU = "share of samples, %", "mean IoU, %"
_ALIKE = (
    "Bars: over samples whose object the best mask found (IoU above .5), with 95 % intervals over {clusters}; phrases "
    "within 0.02 IoU of the best share the sample between them. ◇ the same of the matched control, whose points are "
    "not of this image's attention. – of all phrases, good or not. What attention adds is the distance to both."
)
_FIRST = (
    "Place of the first best phrase's first token among the tokens of the answer, over samples whose object was found. "
    "The first of equals stands early by its being first."
)
_JUDGED = (
    "Bars: the judge's categories of the first best phrase, over samples whose object was found, with 95 % intervals "
    "over {clusters}; several categories share the sample. ◇ the same phrases by the rules."
)
_SELECTED = (
    "Over all samples, phrases within 0.02 IoU of the best sharing the sample; ◇ the matched control. No bar where "
    "there are none. Best phrases are selected, so a place where they seldom are looks good by that alone."
)
_BEST = (
    "Expected best IoU of N {kind} drawn at random from a sample's own, {standing}; bands are 95 % intervals. More "
    "masks alone find better ones: what attention adds is the distance to the control."
)
_PUBLISHED = "As the released script counts: the first of equals of every sample, also where it fits nothing."


def drawings(found: Sequence[Emergence], layers: Sequence[int] | None) -> Iterator[Drawing]:
    """Draw every figure, in the page's order.

    Args:
        found: What each run shows.
        layers: The decoder layer of each run, where each read the attention of one alone.
    """
    yield from _where_and_what(found)
    yield from _how_well(found)
    yield from _best_of_n(found)
    yield from _as_published([one for one in found if one.released])
    if layers is not None:
        yield _by_layer(found, layers)


def clusters_of(found: Sequence[Emergence]) -> str:
    """Name what was drawn together."""
    kinds = set().union(*(one.pairs_drawn() for one in found))
    return joined(word for word, pair in (("pairs", True), ("images", False)) if pair in kinds)


def known(one: Estimate) -> tuple[float | None, float | None, float | None]:
    """Give an estimate as JSON has it, which knows no NaN."""
    return (None if one.value != one.value else one.value, one.low, one.high)


def _where_and_what(found: Sequence[Emergence]) -> Iterator[Drawing]:
    """Draw where the best phrases stand and what they are about."""
    clusters = clusters_of(found)
    alike = _ALIKE.format(clusters=clusters)
    where = Heading("places", "Where", "Where in the answer the best phrase begins", alike)
    yield _shares(where, _PLACE, _SHARE, found, [one.places() for one in found])
    if all(one.tokens().any() for one in found):
        when = Heading("tokens", "Tokens", "Where in the order of decoding the best phrase begins", _FIRST)
        yield _counts(when, _TOKEN, _SHARE, {one.model: _percent(one.tokens()) for one in found})
    what = Heading("concepts", "What", "What the best phrase is about", alike)
    yield _shares(what, _CONCEPT, _SHARE, found, [one.concepts() for one in found])
    judged = [one.judged_concepts() for one in found]
    if any(judged):
        title = "What the best phrase is about, by the judge"
        heading = Heading("concepts-judged", "By the judge", title, _JUDGED.format(clusters=clusters))
        yield _shares(heading, _CONCEPT, _SHARE, found, judged)


def _how_well(found: Sequence[Emergence]) -> Iterator[Drawing]:
    """Draw how well the best phrases fit."""
    place = Heading("iou-by-place", "IoU by place", "How well the best phrases fit, by their place", _SELECTED)
    yield _shares(place, _PLACE, _IOU, found, [one.iou_by_place() for one in found])
    title = "How well the best phrases fit, by what they are about"
    concept = Heading("iou-by-concept", "IoU by concept", title, _SELECTED)
    yield _shares(concept, _CONCEPT, _IOU, found, [one.iou_by_concept() for one in found])


def _best_of_n(found: Sequence[Emergence]) -> Iterator[Drawing]:
    """Draw how the best mask improves the more there are to choose from."""
    for name, short, kind, of in (
        ("best-of-n", "Best of N", "masks", {one.model: one.curves for one in found}),
        ("best-of-n-distinct", "Distinct", "distinct masks", {one.model: one.distinct for one in found}),
    ):
        title = f"The best of N {kind}, beside the matched control at the same N"
        heading = Heading(name, short, title, _BEST.format(kind=kind, standing=_standing(of)))
        rows = [
            [model, curve.name, n, *point, curve.samples]
            for model, several in of.items()
            for curve in several
            for n, point in zip(curve.n, curve.points, strict=True)
        ]
        columns = ["model", "candidates", "N", _IOU, "low", "high", "samples"]
        yield Drawing(heading, curves(title, of, x=f"N, {kind} to choose from", y=_IOU), columns, rows)


def _as_published(released: Sequence[Emergence]) -> Iterator[Drawing]:
    """Draw the paper's Fig. 3 of the runs that follow the released code, counted as its script counts."""
    if not released:
        return
    where = Heading("places-published", "Fig. 3a", "Where, as published (Fig. 3a)", _PUBLISHED)
    yield _counts(where, _PLACE, _SHARE, {one.model: _percent(one.published_places()) for one in released})
    judged = " By the judge, each of its categories counted." if any(one.judged for one in released) else ""
    what = Heading("concepts-published", "Fig. 3b", "What, as published (Fig. 3b)", _PUBLISHED + judged)
    yield _counts(what, _CONCEPT, _SHARE, {one.model: _percent(one.published_concepts()) for one in released})


def _by_layer(found: Sequence[Emergence], layers: Sequence[int]) -> Drawing:
    """Draw each run's mean IoU over the layer whose attention it read."""
    order = sorted(range(len(layers)), key=lambda index: layers[index])
    heading = Heading(
        "layers",
        "Layers",
        "In which decoder layer grounding emerges",
        "One run a layer: mean IoU of the best mask when points come from that layer's attention alone.",
    )
    along = _Axis("decoder layer", [str(layers[index]) for index in order])
    return _counts(heading, along, _IOU, {"best mask": [found[index].mean_iou() for index in order]})


def _shares(heading: Heading, x: _Axis, y: str, found: Sequence[Emergence], of: Sequence[Sequence[Shares]]) -> Drawing:
    """Draw each model's own shares as bars, and the others of the model as marks on them."""
    rows = [
        [one.model, shares.name, shares.samples, label, *known(estimate)]
        for one, several in zip(found, of, strict=True)
        for shares in several
        for label, estimate in zip(x.labels, shares.values, strict=True)
    ]
    series = {
        one.model: Bar(several[0].values, [others.values for others in several[1:]])
        for one, several in zip(found, of, strict=True)
        if several and several[0].name == OWN
    }
    columns = ["model", "candidates", "samples", x.name, "value", "low", "high"]
    return Drawing(heading, _bars(heading, x, y, series), columns, rows)


def _counts(heading: Heading, x: _Axis, y: str, values: Mapping[str, Sequence[float | None]]) -> Drawing:
    """Draw plain values, one bar a model and category."""
    rows = [[label, *(several[place] for several in values.values())] for place, label in enumerate(x.labels)]
    series = {
        model: Bar([Estimate(float("nan") if value is None else value) for value in several])
        for model, several in values.items()
    }
    return Drawing(heading, _bars(heading, x, y, series), [x.name, *values], rows)


def _bars(heading: Heading, x: _Axis, y: str, series: Mapping[str, Bar]) -> Figure:
    labels = [label.replace(" and ", "\nand ").replace(" or ", "\nor ") for label in x.labels]
    return bars(heading.title, labels, series, x=x.name, y=y)


def _percent(counts: Iterable[float]) -> list[float]:
    values = list(counts)
    return [100 * value / (sum(values) or 1) for value in values]


def _standing(of: Mapping[str, Sequence[Curve]]) -> str:
    """Say over how many samples the curves of each model are."""
    several = [
        f"{curves[0].samples} samples of {model} with at least {curves[0].n[-1]} ({curves[0].left_out} have fewer)"
        for model, curves in of.items()
        if curves
    ]
    return "mean over the same samples at every N: " + "; ".join(several)
