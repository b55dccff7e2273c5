"""Write what emergence found: figures as PNG and SVG, their numbers as CSV and JSON, and a page that shows them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.figure import Figure
from pixcore_pictures.drawing import data_uri, fitted, overlay
from pixcore_plots.drawing import Bar, bars, curves, save
from pixcore_plots.outcomes import NAMES
from pixcore_plots.svg import page_rules
from pixcore_report.page import write_page
from pixcore_scoring.evaluation import BINS
from pixcore_scoring.source import Source
from pixcore_statistics.estimates import Estimate
from pixcore_statistics.wording import joined

from pixcore.errors import DataError
from pixcore.figures.rows import RowSpec
from pixcore.files import replacing, write_json
from pixcore.masks import RLE
from pixcore.records import PointPrompt, SampleResult
from pixcore_emergence.concepts import agreement_told, judge_prompt
from pixcore_emergence.curves import OWN, Curve
from pixcore_emergence.emergence import Best, Emergence, Shares, measured_ious
from pixcore_emergence.looks import CONCEPTS

_GALLERY = 24
_LONGEST = 320
_TENTHS = [f"{100 * index // BINS}-{100 * (index + 1) // BINS}" for index in range(BINS)]
_KINDS = [concept.value for concept in CONCEPTS]
_PLACE, _CONCEPT, _SHARE, _IOU = "place in the text, %", "concept", "share of samples, %", "mean IoU, %"
_ALIKE = (
    "Bars: over samples whose object the best mask found (IoU above .5), with 95 % intervals over {clusters}; phrases "
    "within 0.02 IoU of the best share the sample between them. ◇ the same of the matched control, whose points are "
    "not of this image's attention. – of all phrases, good or not. What attention adds is the distance to both."
)
_SELECTED = (
    "Over all samples, phrases within 0.02 IoU of the best sharing the sample; ◇ the matched control. No bar where "
    "there are none. Best phrases are selected, so a place where they seldom are looks good by that alone."
)


def write(
    output: Path,
    found: Sequence[Emergence],
    sources: Sequence[Source],
    rows: Sequence[RowSpec | None],
    layers: list[int] | None,
) -> None:
    """Write emergence.html, emergence.json, phrases.csv, regression.csv and every figure.

    Args:
        output: The folder; it exists.
        found: What each run shows.
        sources: The runs, in the same order.
        rows: Whose masks count in each run's four outcomes.
        layers: The decoder layer of each run, where each read the attention of one alone.
    """
    pictures = list(_pictures(output, found, layers))
    _write_phrases(output / "phrases.csv", found, sources)
    _write_regression(output / "regression.csv", found)
    write_json(output / "emergence.json", document(found))
    agreements = [agreement_told(one.agreement) for one in found if one.agreement]
    classified = "by rules that work offline"
    if agreements:
        classified += f", which agree with the judge on {', '.join(agreements)} of the phrases; its own have a figure"
    write_page(
        output / "emergence.html",
        "emergence.html",
        styles=("emergence.css",),
        rules=page_rules(),
        context={
            "title": "When and where grounding emerges",
            "benchmark": sources[0].benchmark,
            "protocol": str(found[0].protocol),
            "all": found,
            "classified": classified,
            "figures": pictures,
            "effects": [{"model": one.model, "effects": effects} for one in found if (effects := one.effects())],
            "outcomes": [{"model": one.model, "outcomes": one.outcomes} for one in found if one.outcomes],
            "outcome_names": NAMES,
            "clusters": _clusters(found),
            "answers": joined(dict.fromkeys(one.outcomes.answers for one in found if one.outcomes)),
            "row": joined(dict.fromkeys(row.label if row is not None else "the first row" for row in rows)),
            "gallery": list(_gallery(found, sources)),
        },
    )


def _clusters(found: Sequence[Emergence]) -> str:
    """Name what was drawn together."""
    kinds = set().union(*(one.pairs_drawn() for one in found))
    return joined(word for word, pair in (("pairs", True), ("images", False)) if pair in kinds)


def _pictures(output: Path, found: Sequence[Emergence], layers: list[int] | None) -> Iterator[dict[str, str]]:
    """Draw every figure, and write its numbers beside it."""

    def drawn(name: str, short: str, title: str, caption: str, figure: Figure) -> dict[str, str]:
        picture = Markup(save(figure, output / name, title, caption))
        return {"name": name, "short": short, "title": title, "caption": caption, "picture": picture}

    def spread(
        name: str,
        short: str,
        title: str,
        caption: str,
        labels: Sequence[str],
        x: str,
        y: str,
        of: Sequence[list[Shares]],
    ) -> dict[str, str]:
        """Draw each model's own shares as bars, and the others of the model as marks on them."""
        _write_shares(output / f"{name}.csv", x, labels, found, of)
        series = {
            one.model: Bar(shares[0].values, [others.values for others in shares[1:]])
            for one, shares in zip(found, of, strict=True)
            if shares and shares[0].name == OWN
        }
        return drawn(name, short, title, caption, bars(title, _lines(labels), series, x=x, y=y))

    def counted(
        name: str,
        short: str,
        title: str,
        caption: str,
        labels: Sequence[str],
        x: str,
        y: str,
        values: Mapping[str, Any],
    ) -> dict[str, str]:
        """Draw plain values, one bar a model and category."""
        rows = [[label, *(several[place] for several in values.values())] for place, label in enumerate(labels)]
        _write_csv(output / f"{name}.csv", [x, *values], rows)
        series = {
            model: Bar([Estimate(float("nan") if value is None else value) for value in several])
            for model, several in values.items()
        }
        return drawn(name, short, title, caption, bars(title, _lines(labels), series, x=x, y=y))

    def shares(counts: Iterable[float]) -> list[float]:
        values = list(counts)
        return [100 * value / (sum(values) or 1) for value in values]

    alike = _ALIKE.format(clusters=_clusters(found))
    places, concepts = [one.places() for one in found], [one.concepts() for one in found]
    yield spread(
        "places", "Where", "Where in the answer the best phrase begins", alike, _TENTHS, _PLACE, _SHARE, places
    )
    if all(one.tokens().any() for one in found):
        yield counted(
            "tokens",
            "Tokens",
            "Where in the order of decoding the best phrase begins",
            "Place of the first best phrase's first token among the tokens of the answer, over samples whose object "
            "was found. The first of equals stands early by its being first.",
            _TENTHS,
            "place among the tokens, %",
            _SHARE,
            {one.model: shares(one.tokens()) for one in found},
        )
    yield spread("concepts", "What", "What the best phrase is about", alike, _KINDS, _CONCEPT, _SHARE, concepts)
    judged = [one.judged_concepts() for one in found]
    if any(judged):
        yield spread(
            "concepts-judged",
            "By the judge",
            "What the best phrase is about, by the judge",
            "Bars: the judge's categories of the first best phrase, over samples whose object was found, with 95 % "
            f"intervals over {_clusters(found)}; several categories share the sample. ◇ the same phrases by the rules.",
            _KINDS,
            _CONCEPT,
            _SHARE,
            judged,
        )
    yield spread(
        "iou-by-place",
        "IoU by place",
        "How well the best phrases fit, by their place",
        _SELECTED,
        _TENTHS,
        _PLACE,
        _IOU,
        [one.iou_by_place() for one in found],
    )
    yield spread(
        "iou-by-concept",
        "IoU by concept",
        "How well the best phrases fit, by what they are about",
        _SELECTED,
        _KINDS,
        _CONCEPT,
        _IOU,
        [one.iou_by_concept() for one in found],
    )
    for name, short, kind, of in (
        ("best-of-n", "Best of N", "masks", {one.model: one.curves for one in found}),
        ("best-of-n-distinct", "Distinct", "distinct masks", {one.model: one.distinct for one in found}),
    ):
        title = f"The best of N {kind}, beside the matched control at the same N"
        _write_curves(output / f"{name}.csv", of)
        yield drawn(
            name,
            short,
            title,
            f"Expected best IoU of N {kind} drawn at random from a sample's own, {_standing(of)}; bands are 95 % "
            "intervals. More masks alone find better ones: what attention adds is the distance to the control.",
            curves(title, of, x=f"N, {kind} to choose from", y=_IOU),
        )
    released = [one for one in found if one.released]
    if released:
        way = "As the released script counts: the first of equals of every sample, also where it fits nothing."
        judges = " By the judge, each of its categories counted." if any(one.judged for one in released) else ""
        yield counted(
            "places-published",
            "Fig. 3a",
            "Where, as published (Fig. 3a)",
            way,
            _TENTHS,
            _PLACE,
            _SHARE,
            {one.model: shares(one.published_places()) for one in released},
        )
        yield counted(
            "concepts-published",
            "Fig. 3b",
            "What, as published (Fig. 3b)",
            way + judges,
            _KINDS,
            _CONCEPT,
            _SHARE,
            {one.model: shares(one.published_concepts()) for one in released},
        )
    if layers is not None:
        order = sorted(range(len(layers)), key=lambda index: layers[index])
        yield counted(
            "layers",
            "Layers",
            "In which decoder layer grounding emerges",
            "One run a layer: mean IoU of the best mask when points come from that layer's attention alone.",
            [str(layers[index]) for index in order],
            "decoder layer",
            _IOU,
            {"best mask": [found[index].mean_iou() for index in order]},
        )


def _standing(of: Mapping[str, Sequence[Curve]]) -> str:
    """Say over how many samples the curves of each model are."""
    several = [
        f"{curves[0].samples} samples of {model} with at least {curves[0].n[-1]} ({curves[0].left_out} have fewer)"
        for model, curves in of.items()
        if curves
    ]
    return "mean over the same samples at every N: " + "; ".join(several)


def _lines(labels: Sequence[str]) -> list[str]:
    return [label.replace(" and ", "\nand ").replace(" or ", "\nor ") for label in labels]


def _gallery(found: Sequence[Emergence], sources: Sequence[Source]) -> Iterator[dict[str, Any]]:
    for one, source in zip(found, sources, strict=True):
        wanted = {best.sample_id: best for best in one.unnamed()[: _GALLERY // len(found)]}
        kept = {result.sample.id: result for result in source.file if result.sample.id in wanted} if wanted else {}
        for name, best in wanted.items():
            yield {
                "id": name,
                "model": one.model,
                "expression": kept[name].sample.expression,
                "phrase": best.phrase.text,
                "concept": best.phrase.concept.value,
                "iou": best.phrase.iou,
                "picture": _picture(kept[name], one.protocol, best),
            }


def _picture(result: SampleResult, protocol: str, best: Best) -> str:
    """The image with the best mask, as a data address; empty where the image is not at hand."""
    try:
        picture = result.sample.image.pil()
    except DataError:
        return ""
    drawn = overlay(picture, fitted(picture.size, _LONGEST, enlarge=True), *_best_mask(result, protocol, best))
    return data_uri(drawn.convert("RGB"), "jpeg", quality=85)


def _best_mask(result: SampleResult, protocol: str, best: Best) -> tuple[RLE | None, PointPrompt | None]:
    outcome = result.by_probing[protocol]
    for values, candidate in zip(measured_ious(result.sample, outcome), outcome.candidates, strict=True):
        if candidate.group is not None and candidate.group.phrase == best.phrase.text and best.phrase.iou in values:
            return candidate.masks[int(values.argmax())], candidate.point
    return None, None


def _write_phrases(path: Path, found: Sequence[Emergence], sources: Sequence[Source]) -> None:
    header = [
        "model",
        "sample_id",
        "phrase",
        "concept",
        "names_object",
        "place",
        "token_place",
        "iou",
        "masks",
        "prompt",
    ]
    _write_csv(path, header, _phrases(found, sources))


def _phrases(found: Sequence[Emergence], sources: Sequence[Source]) -> Iterator[list[Any]]:
    for one, source in zip(found, sources, strict=True):
        best = iter(one.best)  # in the order of the samples
        entry = next(best, None)
        for result in source.file:
            if entry is None:
                break
            response = result.by_probing[one.protocol].response if entry.sample_id == result.sample.id else None
            if response is not None:
                phrase = entry.phrase
                facts = (phrase.text, phrase.concept.value, entry.names_object, phrase.place, phrase.token, phrase.iou)
                prompt = judge_prompt(phrase.text, response.text)
                yield [one.model, entry.sample_id, *facts, entry.masks, prompt]
                entry = next(best, None)


def _write_shares(
    path: Path, x: str, labels: Sequence[str], found: Sequence[Emergence], of: Sequence[list[Shares]]
) -> None:
    rows = [
        [one.model, shares.name, shares.samples, label, *_known(estimate)]
        for one, several in zip(found, of, strict=True)
        for shares in several
        for label, estimate in zip(labels, shares.values, strict=True)
    ]
    _write_csv(path, ["model", "candidates", "samples", x, "value", "low", "high"], rows)


def _write_curves(path: Path, of: Mapping[str, Sequence[Curve]]) -> None:
    rows = [
        [model, curve.name, n, *point, curve.samples]
        for model, several in of.items()
        for curve in several
        for n, point in zip(curve.n, curve.points, strict=True)
    ]
    _write_csv(path, ["model", "candidates", "N", _IOU, "low", "high", "samples"], rows)


def _write_regression(path: Path, found: Sequence[Emergence]) -> None:
    rows = [
        [one.model, effect.outcome, effect.term, *(effect.estimate or [None] * 3)]
        for one in found
        for effect in one.effects()
    ]
    _write_csv(path, ["model", "outcome", "term", "coefficient", "low", "high"], rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with replacing(path, newline="") as file:
        writer = csv.writer(file)  # with its own line ends, a carriage return in a text is quoted
        writer.writerow(header)
        writer.writerows(["" if value is None else value for value in row] for row in rows)


def document(found: Sequence[Emergence]) -> dict[str, Any]:
    """Give what runs show as the data of emergence.json."""
    return {"models": [_document(one) for one in found]}


def _document(one: Emergence) -> dict[str, Any]:
    def shares(several: Sequence[Shares], labels: Sequence[str]) -> list[dict[str, Any]]:
        return [
            {"candidates": each.name, "samples": each.samples, "values": dict(zip(labels, each.values, strict=True))}
            for each in several
        ]

    def drawn(several: Sequence[Curve]) -> list[dict[str, Any]]:
        return [
            {"candidates": c.name, "n": c.n, "points": c.points, "samples": c.samples, "left_out": c.left_out}
            for c in several
        ]

    document: dict[str, Any] = {
        "model": one.model,
        "protocol": str(one.protocol),
        "samples": len(one.own),
        "found": one.found(),
        "left_out": one.left_out,
        "mean_iou": one.mean_iou(),
        "places": shares(one.places(), _TENTHS),
        "concepts": shares(one.concepts(), _KINDS),
        "judged_concepts": shares(one.judged_concepts(), _KINDS),
        "curves": drawn(one.curves),
        "distinct": drawn(one.distinct),
        "regression": [effect._asdict() for effect in one.effects()],
        "agreement": one.agreement,
    }
    if one.outcomes is not None:
        outcomes = one.outcomes
        document["outcomes"] = {
            "answers": outcomes.answers,
            "units": dict(zip(NAMES, outcomes.units, strict=True)),
            "samples": dict(zip(NAMES, outcomes.of_samples.samples, strict=True)),
            "by_chance": outcomes.of_samples.independent * sum(outcomes.of_samples.samples),
            "odds_ratio": _known(outcomes.of_samples.odds_ratio),
        }
    if one.released:
        document["published"] = {
            "places": one.published_places().tolist(),
            "concepts": dict(zip(_KINDS, one.published_concepts().tolist(), strict=True)),
        }
    return document


def _known(one: Estimate) -> tuple[float | None, float | None, float | None]:
    """Give an estimate as JSON has it, which knows no NaN."""
    return (None if np.isnan(one.value) else one.value, one.low, one.high)
