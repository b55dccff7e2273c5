"""Write what emergence found: figures as PNG and SVG, their numbers as CSV and JSON, and a page that shows them."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pixcore_pictures.drawing import data_uri, fitted, overlay
from pixcore_plots.drawing import save
from pixcore_plots.outcomes import NAMES
from pixcore_plots.svg import page_rules
from pixcore_report.page import write_page
from pixcore_scoring.source import Source
from pixcore_statistics.wording import joined

from pixcore.errors import DataError
from pixcore.figures.rows import RowSpec
from pixcore.files import replacing, write_json
from pixcore.masks import RLE
from pixcore.records import PointPrompt, SampleResult
from pixcore_emergence.concepts import agreement_told, judge_prompt
from pixcore_emergence.curves import Curve
from pixcore_emergence.drawings import KINDS, PLACES, Drawing, clusters_of, drawings, known
from pixcore_emergence.emergence import Best, Emergence, Shares, measured_ious

_GALLERY = 24
_LONGEST = 320


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
    pictures = [_drawn(output, drawing) for drawing in drawings(found, layers)]
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
            "clusters": clusters_of(found),
            "answers": joined(dict.fromkeys(one.outcomes.answers for one in found if one.outcomes)),
            "row": joined(dict.fromkeys(row.label if row is not None else "the first row" for row in rows)),
            "gallery": list(_gallery(found, sources)),
        },
    )


def _drawn(output: Path, drawing: Drawing) -> dict[str, str]:
    """Save a figure and its numbers, and give what the page shows of it."""
    heading = drawing.heading
    _write_csv(output / f"{heading.name}.csv", drawing.columns, drawing.rows)
    picture = save(drawing.figure, output / heading.name, heading.title, heading.caption)
    return {**heading._asdict(), "picture": Markup(picture)}


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
        "places": shares(one.places(), PLACES),
        "concepts": shares(one.concepts(), KINDS),
        "judged_concepts": shares(one.judged_concepts(), KINDS),
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
            "odds_ratio": known(outcomes.of_samples.odds_ratio),
        }
    if one.released:
        document["published"] = {
            "places": one.published_places().tolist(),
            "concepts": dict(zip(KINDS, one.published_concepts().tolist(), strict=True)),
        }
    return document
