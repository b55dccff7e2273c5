"""Writes the page of the miniature, `runs/miniature/report.html`, from what `run.py` has run; whatever came out.

    python benchmarks/miniature/report.py [--runs runs/miniature]

Every figure of the table has its interval over samples, and mean and range over seeds where there are several; every
sentence about what mask training cost has its figure and the paired, clustered test of `pixcore compare` for the
shipped seed, and the range of the difference over the others.
"""

from __future__ import annotations

import argparse
import base64
import html
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup
from pixcore_report.page import write_page
from pixcore_table.table import interval, value

from pixcore.figures.rows import Figure

sys.path.insert(0, str(Path(__file__).parent))
from ablations import rows as ablations
from run import trained

HERE = Path(__file__).parent
COLUMNS = ("A†", "A", "M†", "M", "S")
WHAT = {
    "mini": "mini, trained without masks",
    "a": "mini-seg a: referring segmentation alone (as LISA)",
    "b": "mini-seg b: mixed with mini's questions",
    "c": "mini-seg c: grounded captions (as GLaMM)",
    "d": "mini-seg d: from scratch with both",
}
MEANS = {
    "A†": "answers, free (A†)",
    "A": "answers by letter (A)",
    "M†": "masks unasked (M†)",
    "M": "masks asked for (M)",
    "M† less control": "masks unasked, less those of as many random points (M† less control)",
    "M less control": "masks asked for, less those of as many random points (M less control)",
}
"""What a sentence calls each figure; those less a control are there of masks that are mined, own masks have none."""

PLACES = {"table": "table", "scatter": "scatter", "cost": "cost", "when": "when and what"}
PLACES |= {"ablations": "ablations", "apart": "differences"}

AGAINST = {
    "own": "its own masks against the best of mini's, the oracle having the truth in hand",
    "plain": "its own masks against mini's by attend-and-segment, neither having the truth",
    "mined": "mined from both by the oracle",
    "sam": "mined from both by the oracle, masks by mini-sam",
}
"""What a comparison's masks are, by the end of its name."""

_NAME = re.compile(r"(?P<model>mini|[a-d])(-(?P<seed>[0-9]+)(-(?P<kind>own|plain|mined|sam))?)?")
"""What `run.py` calls a run or a comparison; a folder of another name is none of the page's."""


@dataclass(frozen=True)
class Line:
    """One line of the table.

    Attributes:
        model: "mini", or the letter of a variant.
        kind: "own", "mined", or "sam": mined with the generator mini-sam.
        row: The row of its run.
        seed: The first one, 1 where the shipped one was run.
        figures: By column, of that seed: value, low, high, in percent; None where it was not measured.
        seeds: By column, the value of every seed.
        candidates: Of every seed, the mean number that a sample's mask was chosen from; own masks have none.
    """

    model: str
    kind: str
    row: str
    seed: int
    figures: Mapping[str, tuple[float, float | None, float | None] | None]
    seeds: Mapping[str, Sequence[float]]
    candidates: Sequence[float]


def lines(runs: Path) -> list[Line]:
    """Every row of every model that was run, seeds of one variant together; mini first, the oracle's control last."""
    found: dict[tuple[str, str, str], dict[int, dict[str, Any]]] = {}
    named = {parts: path for path in runs.glob("*/summary.json") if (parts := _parts(path.parent.name))}
    for (model, seed, kind), path in sorted(named.items(), key=lambda one: (one[0][0] != "mini", one[0])):
        for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
            if row["control"] and row["name"] != "random points, oracle pick":
                continue
            found.setdefault((model, kind, row["name"]), {})[seed] = row
    made = []
    for (model, kind, row), seeds in found.items():
        every = [{name: _interval(one["figures"].get(name)) for name in COLUMNS} for one in seeds.values()]
        values = {name: [figure[0] for one in every if (figure := one[name])] for name in COLUMNS}
        candidates = [one["candidates"] for one in seeds.values() if one["candidates"] is not None]
        made.append(Line(model, kind, row, min(seeds), every[0], values, candidates))
    return made


def _parts(name: str) -> tuple[str, int, str] | None:
    """Tell a run's or comparison's model, seed and kind by its name; None of a name that `run.py` does not give."""
    told = _NAME.fullmatch(name)
    return None if told is None else (told["model"], int(told["seed"] or 1), told["kind"] or "mined")


def _interval(figure: Mapping[str, Any] | None) -> tuple[float, float | None, float | None] | None:
    """A figure of a summary; None where it has no value."""
    if figure is None or figure["value"] is None:
        return None
    return figure["value"], figure.get("low"), figure.get("high")


def sentences(runs: Path) -> Iterator[tuple[str, bool | None]]:
    """What mask training cost or did not: each sentence, and whether it lost (False), won (True), or shows nothing."""
    compared: dict[tuple[str, str], dict[int, list[dict[str, Any]]]] = {}
    named = {parts: path for path in (runs / "compared").glob("*/compare.json") if (parts := _parts(path.parent.name))}
    for (variant, seed, kind), path in sorted(named.items()):
        found = json.loads(path.read_text(encoding="utf-8"))["differences"]
        compared.setdefault((variant, kind), {})[seed] = found
    for (variant, kind), seeds in compared.items():
        seed, *others = seeds
        for one in seeds[seed]:
            name = one["name"]
            if name not in MEANS or one["difference"] is None or one["low"] is None:
                continue
            if kind != "own" and name in ("A†", "A"):
                continue  # the same answers
            about = MEANS[name] if name in ("A†", "A") else f"{MEANS[name]}, {AGAINST[kind]}"
            p = one["adjusted"]
            shown = p is not None and p <= 0.05
            change = one["difference"]
            all_seeds = [change, *(o for other in others if (o := _difference(seeds[other], name)) is not None)]
            verdict = ("gained" if change > 0 else "cost") if shown else "no difference is shown:"
            yield (
                f"Variant {variant}, seed {seed}, {about}: {verdict} {abs(change):.1f} points, "
                f"from {one['left']:.1f} to {one['right']:.1f} (95 % interval {one['low']:+.1f} to {one['high']:+.1f}; "
                f"{_p(p)} after Holm, {one['method']}, {one['clusters']} clusters)."
                + (f" {_spread(all_seeds, '+.1f')}." if len(all_seeds) > 1 else ""),
                (change > 0) if shown else None,
            )


def _difference(found: Sequence[Mapping[str, Any]], name: str) -> float | None:
    """A figure's difference in a comparison; None where it has none."""
    return next((one["difference"] for one in found if one["name"] == name), None)


def _spread(values: Sequence[float], form: str = ".1f", to: str = " to ") -> str:
    """Write mean and range of one figure over seeds."""
    mean = sum(values) / len(values)
    return f"{len(values)} seeds: mean {mean:{form}}, {min(values):{form}}{to}{max(values):{form}}"


def _p(p: float | None) -> str:
    """Write a p-value."""
    return "no test" if p is None else "p < .001" if p < 0.001 else f"p = {p:.3f}".replace("0.", ".")


def scatter(found: Sequence[Line]) -> str:
    """Draw the better accuracy against the better mean IoU of every line, as an SVG."""
    side, margin = 420, 46
    dots = []
    for number, line in enumerate(found, 1):
        answers = [line.figures[name] for name in ("A†", "A")]
        masks = [line.figures[name] for name in ("M†", "M")]
        best = [max((each[0] for each in pair if each), default=None) for pair in (answers, masks)]
        if best[0] is None or best[1] is None:
            continue
        x, y = margin + best[0] / 100 * side, margin + (1 - best[1] / 100) * side
        mark = "own" if line.kind == "own" else "vanilla" if line.model == "mini" else "mined"
        title = html.escape(f"{WHAT[line.model]}, {line.row}: A {best[0]:.1f}, M {best[1]:.1f}")
        dots.append(
            f'<circle class="{mark}" cx="{x:.1f}" cy="{y:.1f}" r="5"><title>{title}</title></circle>'
            f'<text x="{x + 7:.1f}" y="{y + 4:.1f}">{number}</text>'
        )
    ticks = "".join(
        f'<text x="{margin + t / 100 * side}" y="{margin + side + 18}" text-anchor="middle">{t}</text>'
        f'<text x="{margin - 8}" y="{margin + (1 - t / 100) * side + 4}" text-anchor="end">{t}</text>'
        for t in (0, 25, 50, 75, 100)
    )
    whole = side + 2 * margin
    return (
        f'<svg viewBox="0 0 {whole} {whole}" role="img" aria-label="Accuracy against mean IoU, by line">'
        f'<rect x="{margin}" y="{margin}" width="{side}" height="{side}"/>{ticks}{"".join(dots)}'
        f'<text x="{margin + side / 2}" y="{whole - 8}" text-anchor="middle">max(A†, A), %</text>'
        f'<text x="{margin}" y="{margin - 12}">max(M†, M), %</text></svg>'
    )


def page(runs: Path) -> str:
    """The page's content, escaped; the frame is the reports' own."""
    found = lines(runs)
    rows = "".join(_row(number, line) for number, line in enumerate(found, 1))
    said = "".join(
        f'<li class="{ {True: "won", False: "lost", None: "even"}[won] }">{html.escape(text)}</li>'
        for text, won in sentences(runs)
    )
    absent = [model for model in WHAT if model not in {line.model for line in found}]
    there = {"mini", *(name[0] for name, _ in trained())}
    lacking = "".join(f"<li>{html.escape(WHAT[one])}: {_not_run(one, weights=one in there)}</li>" for one in absent)
    drawn = "".join(_picture(runs / "emergence" / f"{stem}.png", title) for stem, title in _EMERGENCE)
    taken_out = "".join(_ablation(one) for one in ablations(runs / "ablations"))
    asked = "<code>python benchmarks/miniature/ablations.py</code>"
    parts = {"ablations": taken_out or f'<tr><th colspan="7">None has been run yet: {asked}</th></tr>', "rows": rows}
    parts |= {"said": said or "<li>Nothing has been compared yet.</li>", "counted": _counted(found), "drawn": drawn}
    parts |= {"lacking": f"<ul>{lacking}</ul>" if lacking else "", "scatter": scatter(found) if found else ""}
    text = (HERE / "page.html").read_text(encoding="utf-8")
    for name, part in parts.items():
        text = text.replace(f"{{{name}}}", part)
    return text


def _not_run(variant: str, *, weights: bool) -> str:
    """Say how a variant gets its lines."""
    if weights:
        return "not run yet; <code>make miniature</code>."
    asked = f"<code>python -m pixcore_mini_seg.train {variant} --seed 1</code>"
    return f"not trained here; {asked}, then <code>make miniature</code> again."


def _counted(found: Sequence[Line]) -> str:
    """Say of which models there are several seeds, and what stands in the table of them."""
    if not found:
        return ""
    most = {line.model: 0 for line in found}
    for line in found:
        most[line.model] = max(most[line.model], *map(len, line.seeds.values()))
    names = {model: model if model == "mini" else f"variant {model}" for model in most}
    several = [f"{names[model]}: {count}" for model, count in most.items() if count > 1]
    single = [names[model] for model, count in most.items() if count <= 1]
    others = dict.fromkeys(f"{names[line.model]}: {line.seed}" for line in found if line.seed != 1)
    where = f", and where it was not run of the first one that was ({', '.join(others)})" if others else ""
    if not several:
        text = "One seed of each: there is no range over seeds, so this is about these weights, "
        return text + f"not about ways of training. They are those of the shipped seed, 1{where}."
    text = f"The first figure and its interval are of the shipped seed, 1{where}. Where there are several seeds "
    text += f"({', '.join(several)}), mean and range over all of them stand below."
    return text + (f" One seed: {', '.join(single)}." if single else "")


def _ablation(one: Mapping[str, Any]) -> str:
    """A line of the table of ablations."""
    cells = "".join(_cell(_interval(one[name])) for name in ("oracle", "less", "equal", "plain"))
    trained = f"<small>{html.escape(one['training'])}</small>" if one["training"] else ""
    minutes = None if one["seconds"] is None else one["seconds"] / 60
    took = f"<td>{value(one['candidates'])}</td><td>{value(minutes)}</td>"
    return f"<tr><th>{html.escape(one['what'])}{trained}</th>{cells}{took}</tr>"


_EMERGENCE = (
    ("places", "When (Fig. 3a): where in the text the phrase with the best mask begins"),
    ("concepts", "What (Fig. 3b): what that phrase is about"),
)


_TOGETHER = "\N{WORD JOINER}–\N{WORD JOINER}"
"""A dash at which no line breaks."""


def _row(number: int, line: Line) -> str:
    cells = []
    for name in COLUMNS:
        figure, seeds = line.figures[name], line.seeds[name]
        spread = f'<small class="over">{_spread(seeds, to=_TOGETHER)}</small>' if len(seeds) > 1 else ""
        cells.append(_cell(figure, spread))
    row = f"{line.row}, masks by mini-sam" if line.kind == "sam" else line.row
    below = [row]
    if line.candidates:
        spread = f"; {_spread(line.candidates)}" if len(line.candidates) > 1 else ""
        below.append(f"{line.candidates[0]:.1f} candidates a sample{spread}")
    said = "".join(f"<small>{html.escape(text)}</small>" for text in below)
    head = f"<td>{number}</td><th>{html.escape(WHAT[line.model])}{said}</th>"
    return f"<tr>{head}{''.join(cells)}</tr>"


def _cell(figure: tuple[float, float | None, float | None] | None, below: str = "") -> str:
    """A figure with its interval, and what else stands below it."""
    if figure is None:
        return "<td>–</td>"
    within = interval(Figure(*figure))
    return f"<td>{value(figure[0])}{f'<small>{within}</small>' if within else ''}{below}</td>"


def _picture(path: Path, title: str) -> str:
    if not path.exists():
        return ""
    data = base64.b64encode(path.read_bytes()).decode()
    image = f'<img alt="{html.escape(title)}" src="data:image/png;base64,{data}">'
    return f"<figure>{image}<figcaption>{html.escape(title)}</figcaption></figure>"


_STYLE = """
.lines { border-collapse: collapse; background: var(--card); width: 100%; }
.lines th, .lines td { padding: 6px 9px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
.lines tbody th { text-align: left; font-weight: 500; white-space: normal; }
.lines small { display: block; color: var(--soft); font-weight: 400; line-height: 1.2; }
.lines td small { white-space: normal; max-width: 19ch; margin-left: auto; }
@media (max-width: 720px) {
.lines, .lines thead, .lines tbody { display: block; }
.lines tr {
display: grid; grid-template-columns: repeat(6, minmax(0, 1fr)); border-bottom: 1px solid var(--line); padding: 5px 0; }
.lines th, .lines td { border: 0; padding: 1px 3px; white-space: normal; font-size: 13px; }
.lines small { font-size: 11px; letter-spacing: -.03em; } .lines td small { white-space: nowrap; }
.lines td small.over { white-space: normal; }
.lines thead th { font-size: 10px; letter-spacing: -.03em; }
.lines th:first-child { grid-column: 1 / -1; }
.numbered th:first-child { grid-column: 1; } .numbered th:nth-child(2) { grid-column: 2 / -1; }
.numbered th:nth-child(3), .numbered td:nth-child(3) { grid-column: 2; }
}
main svg { max-width: 460px; } main svg text { font-size: 12px; fill: var(--soft); }
main svg rect { fill: var(--card); stroke: var(--line); }
.vanilla { fill: var(--truth); } circle.own { fill: #c2502e; } circle.mined { fill: #8a9a3b; }
li.lost::marker { content: "− "; } li.won::marker { content: "+ "; } li.even::marker { content: "≈ "; }
figure { margin: 18px 0; } figure img { max-width: 100%; background: #fff; } figcaption { color: var(--soft); }
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/miniature"))
    runs = parser.parse_args().runs
    runs.mkdir(parents=True, exist_ok=True)
    target = runs / "report.html"
    context = {"title": "The paper in miniature", "kind": "The miniature", "places": PLACES}
    write_page(target, "bare.html", rules=_STYLE, context=context | {"content": Markup(page(runs))})
    print(f"report: {target}")


if __name__ == "__main__":
    main()
