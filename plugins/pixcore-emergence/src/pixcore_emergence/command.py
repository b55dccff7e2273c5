"""The command `pixcore emergence`: when and where grounding emerges in a run, or in several side by side."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from pixcore_datasets.tables import read_table
from pixcore_pictures.drawing import data_uri, fitted, overlay
from pixcore_report.page import write_page
from pixcore_scoring.evaluation import BINS
from pixcore_scoring.source import Source, open_source
from pixcore_scoring.streaming import accumulate

from pixcore.errors import ConfigError, DataError, nearest
from pixcore.figures.rows import RowSpec
from pixcore.files import RUN, read_object, replacing, write_json
from pixcore.masks import RLE
from pixcore.plugins import registry
from pixcore.protocols import LOOKED_AT
from pixcore.records import PointPrompt, Sample, SampleResult
from pixcore.runs.folder import prepare
from pixcore.terminal import Console
from pixcore_emergence.concepts import Concept, judge_prompt, read_letters
from pixcore_emergence.emergence import OUTCOMES, Best, Emergence, EmergenceTally, measured_ious

_GALLERY = 24
_LONGEST = 320


@click.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--protocol",
    metavar="NAME",
    default=LOOKED_AT[0],
    show_default=True,
    help="Whose masks are looked at; the paper looks at segment.",
)
@click.option(
    "--row", metavar="NAME", help="Whose masks count in the four outcomes; the first upper bound's by default."
)
@click.option("--judged", type=click.Path(path_type=Path), help="CSV with sample_id and letters: a judge's concepts.")
@click.option("--benchmark", metavar="NAME", help="Which benchmark predictions files answer; runs know it.")
@click.option("--root", type=click.Path(path_type=Path), help="The benchmark's folder.")
@click.option("--output", type=click.Path(path_type=Path), help="Folder; emergence/ in the first run by default.")
def emergence(
    runs: tuple[Path, ...],
    protocol: str,
    row: str | None,
    judged: Path | None,
    benchmark: str | None,
    root: Path | None,
    output: Path | None,
) -> None:
    """Show at which place of the output, and with which concept, the best mask of each sample comes in RUNS.

    Writes emergence.html, each figure as PNG and SVG, and its numbers as CSV. phrases.csv holds the paper's question to
    a judge for every best phrase; the judge's letters come back with --judged, and the agreement is reported.
    """
    plugins = registry()
    sources = [open_source(path, plugins, benchmark=benchmark, root=root, select=_select(path)) for path in runs]
    _check_masks(sources, protocol)
    if output is None:
        if not runs[0].is_dir():
            raise ConfigError("a predictions file has no folder to write to", hint="name one with --output")
        output = runs[0] / "emergence"
    names = _names(sources)
    rows = [_row(source, row) for source in sources]
    found = [
        _analyse(source, name, protocol, outcome_row)
        for source, name, outcome_row in zip(sources, names, rows, strict=True)
    ]
    if not any(one.best for one in found):
        raise DataError(
            "no sample has candidates whose phrases are known",
            hint="emergence needs candidates with phrases; a model that segments itself has none",
        )
    if judged is not None:
        letters = _judged(judged)
        for one in found:
            one.judged_by(letters)
    prepare(output, "--output")
    _write(output, found, sources, rows[0], _layers(runs))
    _print(Console(), found)
    Console(stderr=True).print(f"emergence: {output / 'emergence.html'}", style="bold", soft_wrap=True)


def _check_masks(sources: Sequence[Source], protocol: str) -> None:
    for source in sources:
        known = [name for name, probing in source.file.probings.items() if probing.masks]
        if protocol not in known:
            raise ConfigError(f"{source.name} has no masks under {protocol!r}", hint=nearest(protocol, known))


def _select(path: Path) -> tuple[str, ...]:
    """A run's file has its own choices; one made elsewhere may have none, and emergence looks at the oracle."""
    return () if path.is_dir() else ("oracle",)


def _names(sources: Sequence[Source]) -> list[str]:
    models = [source.origin.model for source in sources]
    if len(set(models)) == len(models):
        return models
    return [f"{model} ({Path(source.name).name})" for model, source in zip(models, sources, strict=True)]


def _row(source: Source, name: str | None) -> RowSpec | None:
    rows = {row.key: row for row in source.file.rows if not row.control}
    if name is not None:
        if name not in rows:
            raise ConfigError(f"{source.name} has no row {name!r}", hint=f"its rows: {', '.join(rows)}")
        return rows[name]
    return next((row for row in rows.values() if row.uses_ground_truth), next(iter(rows.values()), None))


def _analyse(source: Source, name: str, protocol: str, row: RowSpec | None) -> Emergence:
    tally = EmergenceTally(name, protocol, row=row, fidelity=source.fidelity, seed=source.origin.seed)
    accumulate(source.file, tally)
    return tally.finish()


def _judged(path: Path) -> dict[str, frozenset[Concept]]:
    return {
        row["sample_id"].strip(): read_letters(row["letters"]) for row in read_table(path, ("sample_id", "letters"))
    }


def _layers(runs: Sequence[Path]) -> list[int] | None:
    """The decoder layer of each run, where each read the attention of one alone."""
    layers = []
    for path in runs:
        if not (path / RUN).exists():
            return None
        extractor = (read_object(path / RUN).get("config") or {}).get("extractor") or {}
        read = extractor.get("layers")
        if not isinstance(read, list) or len(read) != 1:
            return None
        layers.append(int(read[0]))
    return layers if len(set(layers)) > 1 else None


def _print(console: Console, found: Sequence[Emergence]) -> None:
    for one in found:
        concepts = one.concepts()
        total = sum(concepts.values()) or 1
        shares = ", ".join(f"{concept} {100 * count / total:.0f} %" for concept, count in concepts.items() if count)
        console.print(f"{one.model}: {len(one.best)} samples; best phrases: {shares}", soft_wrap=True)
        for curve in one.curves:
            ends = f"N = {curve.n[-1]}: {curve.value[-1]:.1f} ({curve.low[-1]:.1f}-{curve.high[-1]:.1f})"
            console.print(f"  best of N, {curve.name}: N = {curve.n[0]}: {curve.value[0]:.1f}, {ends}", highlight=False)
        if one.agreement:
            share, kappa, n = (one.agreement[key] for key in ("share", "kappa", "n"))
            console.print(f"  rules and judge agree on {100 * share:.0f} % of {n:.0f} phrases (kappa {kappa:.2f})")


def _write(
    output: Path, found: Sequence[Emergence], sources: Sequence[Source], row: RowSpec | None, layers: list[int] | None
) -> None:
    figures = list(_figures(output, found, layers))
    _write_phrases(output / "phrases.csv", found, sources)
    write_json(output / "emergence.json", {"models": [_document(one) for one in found]})
    agreements = [
        f"{100 * one.agreement['share']:.0f} % (kappa {one.agreement['kappa']:.2f})" for one in found if one.agreement
    ]
    classified = "by rules that work offline"
    if agreements:
        classified += f", which agree with the judge on {', '.join(agreements)} of the phrases"
    write_page(
        output / "emergence.html",
        "emergence.html",
        styles=("emergence.css",),
        context={
            "title": "When and where grounding emerges",
            "benchmark": sources[0].benchmark,
            "protocol": str(found[0].protocol),
            "all": found,
            "classified": classified,
            "figures": figures,
            "outcomes": [{"model": one.model, "counts": one.outcomes} for one in found if one.outcomes],
            "row": row.label if row is not None else "the first row",
            "gallery": list(_gallery(found, sources)),
        },
    )


def _figures(output: Path, found: Sequence[Emergence], layers: list[int] | None) -> Iterator[dict[str, str]]:
    """Draw every figure, and write its numbers beside it."""
    from pixcore_emergence.figures import bars, curves, data_address, save  # matplotlib is slow to import

    bins = [f"{100 * index // BINS}-{100 * (index + 1) // BINS}" for index in range(BINS)]
    concepts = [concept.value.replace(" and ", "\nand ").replace(" or ", "\nor ") for concept in Concept]
    plain = [concept.value for concept in Concept]

    def drawn(name: str, short: str, title: str, caption: str, figure: Any) -> dict[str, str]:
        _, svg = save(figure, output / name)
        return {"name": name, "short": short, "title": title, "caption": caption, "picture": data_address(svg)}

    def shares(counts: Iterable[float]) -> list[float | None]:
        values = list(counts)
        return [100 * value / (sum(values) or 1) for value in values]

    def one_figure(
        name: str,
        short: str,
        title: str,
        caption: str,
        labels: Sequence[str],
        series: Mapping[str, Sequence[float | None]],
        x: str,
        y: str,
    ) -> dict[str, str]:
        axis = concepts if labels is plain else labels
        rows = [[label, *(values[index] for values in series.values())] for index, label in enumerate(labels)]
        _write_csv(output / f"{name}.csv", [x, *series], rows)
        return drawn(name, short, title, caption, bars(title, axis, series, x=x, y=y))

    share = "share of samples, %"
    yield one_figure(
        "places",
        "Where",
        "Where in the answer the best phrase begins (Fig. 3a)",
        "Place of the phrase's first character in the text.",
        bins,
        {one.model: shares(one.places()) for one in found},
        "place in the text, %",
        share,
    )
    yield one_figure(
        "places-tied",
        "tie-aware",
        "Where, counting every phrase that is as good as the best",
        "Phrases within 0.02 IoU of the best share the sample between them.",
        bins,
        {one.model: shares(one.places(tied=True)) for one in found},
        "place in the text, %",
        share,
    )
    if all(one.tokens().any() for one in found):
        yield one_figure(
            "tokens",
            "Tokens",
            "Where in the order of decoding the best phrase begins",
            "Place of the phrase's first token among the tokens of the answer.",
            bins,
            {one.model: shares(one.tokens()) for one in found},
            "place among the tokens, %",
            share,
        )
    yield one_figure(
        "concepts",
        "What",
        "What the best phrase is about (Fig. 3b)",
        "Six concept categories.",
        plain,
        {one.model: shares(one.concepts().values()) for one in found},
        "concept",
        share,
    )
    yield one_figure(
        "iou-by-place",
        "IoU by place",
        "How well the best phrases fit, by their place",
        "Mean IoU of the samples in each tenth; no bar where there are none.",
        bins,
        {one.model: one.iou_by_place() for one in found},
        "place in the text, %",
        "mean IoU, %",
    )
    yield one_figure(
        "iou-by-concept",
        "IoU by concept",
        "How well the best phrases fit, by what they are about",
        "Mean IoU of the samples of each concept; no bar where there are none.",
        plain,
        {one.model: list(one.iou_by_concept().values()) for one in found},
        "concept",
        "mean IoU, %",
    )
    rows = [
        [one.model, curve.name, *point]
        for one in found
        for curve in one.curves
        for point in zip(curve.n, curve.value, curve.low, curve.high, curve.samples, strict=True)
    ]
    _write_csv(output / "best-of-n.csv", ["model", "candidates", "N", "mean IoU, %", "low", "high", "samples"], rows)
    title = "The best of N masks, beside the matched control at the same N"
    yield drawn(
        "best-of-n",
        "Best of N",
        title,
        "Expected best IoU of N masks drawn at random from a sample's own, mean over samples with at least N; bands "
        "are 95 % intervals. More masks alone find better ones: what attention adds is the distance to the control.",
        curves(title, {one.model: one.curves for one in found}, x="N, masks to choose from", y="mean IoU, %"),
    )
    if layers is not None:
        order = sorted(range(len(layers)), key=lambda index: layers[index])
        series = {"best mask": [found[index].mean_iou() for index in order]}
        yield one_figure(
            "layers",
            "Layers",
            "In which decoder layer grounding emerges",
            "One run a layer: mean IoU of the best mask when points come from that layer's attention alone.",
            [str(layers[index]) for index in order],
            series,
            "decoder layer",
            "mean IoU, %",
        )


def _gallery(found: Sequence[Emergence], sources: Sequence[Source]) -> Iterator[dict[str, Any]]:
    for one, source in zip(found, sources, strict=True):
        wanted = {best.sample_id: best for best in one.unnamed()[: _GALLERY // len(found)]}
        kept = {result.sample.id: result for result in source.file if result.sample.id in wanted} if wanted else {}
        for name, best in wanted.items():
            yield {
                "id": name,
                "model": one.model,
                "expression": kept[name].sample.expression,
                "phrase": best.phrase,
                "concept": best.concept.value,
                "iou": best.iou,
                "picture": _picture(kept[name], best),
            }


def _picture(result: SampleResult, best: Best) -> str:
    """The image with the best mask, as a data address; empty where the image is not at hand."""
    sample = result.sample
    found = _best_mask(sample, result, best)
    try:
        picture = sample.image.pil()
    except DataError:
        return ""
    drawn = overlay(picture, fitted(picture.size, _LONGEST, enlarge=True), *found)
    return data_uri(drawn.convert("RGB"), "jpeg", quality=85)


def _best_mask(sample: Sample, result: SampleResult, best: Best) -> tuple[RLE | None, PointPrompt | None]:
    outcome = result.by_probing[best.protocol]
    for values, candidate in zip(measured_ious(sample, outcome), outcome.candidates, strict=True):
        if candidate.group is not None and candidate.group.phrase == best.phrase and best.iou in values:
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
    rows = []
    for one, source in zip(found, sources, strict=True):
        best = {entry.sample_id: entry for entry in one.best}
        for result in source.file:
            entry = best.get(result.sample.id)
            response = result.by_probing[one.protocol].response if entry is not None else None
            if entry is not None and response is not None:
                facts = (entry.phrase, entry.concept.value, entry.names_object, entry.place, entry.token, entry.iou)
                prompt = judge_prompt(entry.phrase, response.text)
                rows.append([one.model, entry.sample_id, *facts, entry.candidates, prompt])
    _write_csv(path, header, rows)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(["" if value is None else value for value in row] for row in rows)


def _document(one: Emergence) -> dict[str, Any]:
    return {
        "model": one.model,
        "protocol": str(one.protocol),
        "samples": len(one.best),
        "left_out": one.left_out,
        "mean_iou": one.mean_iou(),
        "places": one.places().tolist(),
        "places_tied": one.places(tied=True).tolist(),
        "concepts": {concept.value: count for concept, count in one.concepts().items()},
        "concepts_tied": {concept.value: count for concept, count in one.concepts(tied=True).items()},
        "curves": [
            {"candidates": c.name, "n": c.n, "value": c.value, "low": c.low, "high": c.high, "samples": c.samples}
            for c in one.curves
        ],
        "outcomes": {name: one.outcomes[name] for name in OUTCOMES} if one.outcomes else {},
        "agreement": one.agreement,
    }
