"""Writes the page of a training, `runs/miniature/training-NAME.html`: when attention begins to ground, as curves."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from markupsafe import Markup
from pixcore_plots.drawing import along, svg_of
from pixcore_plots.panels import estimate
from pixcore_plots.svg import compact, page_rules
from pixcore_report.page import write_page
from pixcore_statistics.estimates import Estimate

FOLDER = Path("runs/miniature/training")
"""Where the figures of every training are, each training's in a folder of its name."""

PLACES = {"when": "when", "layers": "layers", "heads": "heads", "concepts": "concepts", "read": "how to read it"}
WHAT = {
    "questions": "questions answered rightly",
    "words": "words of a description in their place",
    "oracle": "best mask mined (oracle)",
    "plain": "attend-and-segment",
    "control": "as many random points (oracle's control)",
    "less": "oracle less control, paired",
}
GUESSING = 50.0
"""How many of a hundred questions with two options are answered rightly by who knows nothing."""

Value = Sequence[float | None]
"""A figure and the ends of its interval."""
Curve = Sequence[tuple[int, Value]]


def curve(steps: Sequence[Mapping[str, Any]], name: str) -> Curve:
    """One figure along the training, where it has a value."""
    return [(one["step"], one[name]) for one in steps if one.get(name) is not None and _number(one[name][0])]


def onset(points: Curve, above: float) -> int | None:
    """Give the first step whose interval lies above a value, as do all that follow; None where none does."""
    first = None
    for step, (_, low, *_rest) in points:
        if low is None or low <= above:
            first = None
        elif first is None:
            first = step
    return first


def halfway(points: Curve, above: float | None = None) -> float | None:
    """Give the step at which a curve is half of the way to its last value, between two by a line.

    Args:
        points: The curve.
        above: From where the way begins; the curve's first value where it is left out.
    """
    values = [(step, float(value[0] or 0)) for step, value in points]
    if len(values) < 2:
        return None
    begin = values[0][1] if above is None else above
    if values[-1][1] <= begin:
        return None
    half = (begin + values[-1][1]) / 2
    for (left, low), (right, high) in pairwise(values):
        if low >= half:
            return left
        if high >= half:
            return left + (right - left) * (half - low) / (high - low)
    return None


def sentences(steps: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say when each begins, and which comes first."""
    grounds, answers = onset(curve(steps, "less"), 0.0), onset(curve(steps, "questions"), GUESSING)
    said = [
        f"The best mask mined from attention is better than the best from as many random points {_from(grounds)} "
        "(the paired difference's interval lies above nothing).",
        f"Questions are answered better than by guessing {_from(answers)} (the interval lies above 50 %).",
    ]
    halves = [(WHAT[name], halfway(curve(steps, name))) for name in ("less", "plain", "words")]
    halves.append((f"{WHAT['questions']}, from guessing on,", halfway(curve(steps, "questions"), GUESSING)))
    known = ", ".join(f"{name} {step:.0f}" for name, step in halves if step is not None)
    if known:
        said.append(f"Half of the way from the first kept model to the last, in steps: {known}.")
    if grounds is not None and answers is not None:
        order = "at the same kept model" if grounds == answers else "before" if grounds < answers else "after"
        said.append(f"So, in this training, attention grounds {order}{'' if grounds == answers else ' it answers'}.")
    elif grounds is not None:
        said.append("So, in this training, attention grounds before it answers.")
    elif answers is not None:
        said.append("So, in this training, it answers before attention grounds.")
    return said


def _from(step: int | None) -> str:
    return "at no kept model for good" if step is None else f"from step {step} on"


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and value == value


class Line(NamedTuple):
    """A curve as it is drawn: its name in the legend, the steps, and the value at each with its interval."""

    name: str
    n: Sequence[int]
    points: Sequence[Estimate]


def chart(series: Mapping[str, Curve], title: str, y: str) -> str:
    """Draw curves with their intervals against the joint step; nothing where there are none."""
    lines: list[Line] = [
        Line(name, [step for step, _ in points], [Estimate(*value) for _, value in points])  # type: ignore[arg-type]
        for name, points in series.items()
        if points
    ]
    if not lines:
        return ""
    said = ". ".join(
        f"{one.name}: {estimate(one.points[0])} at step {one.n[0]}, {estimate(one.points[-1])} at step {one.n[-1]}"
        for one in lines
    )
    picture = compact(svg_of(along("", lines, x="joint step", y=y)), title, said)
    return f'<figure class="plot">{picture}<figcaption>{html.escape(title)}</figcaption></figure>'


def _named(steps: Sequence[Mapping[str, Any]], name: str, key: str) -> Curve:
    """One figure of one line (a layer, a head) along the training."""
    found = ((one["step"], line[key]) for one in steps for line in one["lines"] if line["name"] == name)
    return _sure(found)


def _sure(found: Iterable[tuple[int, Value | None]]) -> Curve:
    """Those that stand on enough pairs to have an interval."""
    return [(step, value) for step, value in found if value is not None and _number(value[0]) and value[1] is not None]


def page(name: str, steps: Sequence[Mapping[str, Any]]) -> str:
    """The page's content, escaped; the frame is the reports' own."""
    last, recipe = steps[-1]["step"], steps[-1]["recipe"]
    lines: list[Mapping[str, Any]] = next((one["lines"] for one in reversed(steps) if one["lines"]), [])
    layers = [line["name"] for line in lines if line["layer"] is not None and line["head"] is None]
    heads = [line["name"] for line in lines if line["head"] is not None]
    whole = next((line["name"] for line in lines if line["inside"] is not None and line["layer"] is None), "")
    answers = chart({WHAT[n]: curve(steps, n) for n in ("questions", "words")}, "What is said, by joint step", "%")
    found = {WHAT[name]: curve(steps, name) for name in ("oracle", "plain", "control")}
    masks = chart(found, "Masks asked for (M), by joint step", "mean IoU, %")
    by_layer = chart(
        {name: _named(steps, name, "less") for name in layers},
        "Best mask from one layer's attention less the matched control's, by joint step",
        "mean IoU, points",
    )
    concepts = sorted({name for one in steps for line in one["lines"] for name in line["by_concept"]})
    by_concept = chart(
        {name: _concept(steps, whole, name) for name in concepts},
        "Attention inside the object beyond its area, by what the phrase is about",
        "% of the attention to the image",
    )
    said = "".join(f"<li>{html.escape(text)}</li>" for text in sentences(steps))
    letters, vision, joint = recipe["steps"]
    there = f" ({lines[0]['samples']} with their object there, at the last one)" if lines else ""
    anew = ", begun anew until they were known" if recipe.get("rounds", 1) > 1 else ""
    ended = "" if last >= joint else f" The training had come to step {last} of {joint}: the rest is not here."
    return f"""<h1>When does attention begin to ground?</h1>
<p>One training of mini ({html.escape(name)}, seed {recipe["seed"]}; {letters} steps of letters in text alone{anew},
{vision} of the vision tower by words, then {joint} of everything together), without any mask. Models kept along its
joint stage, {len(steps)} of them, answered {2 * steps[-1]["pairs"]} samples of mini-world's test side{there}.
Step 0 has a tower that sees and a language model that has never been shown an image.{ended}</p>
<h2 id="when">Before or after answering</h2><ul>{said}</ul>{answers}{masks}
<h2 id="layers">Decoder layers</h2>
<p>Each layer's attention alone, from the one run of each model.</p>{by_layer}{_layer_table(lines)}
<h2 id="heads">Which heads</h2>
<p>Attention inside the object beyond the object's area, in % of the head's attention to the image, averaged over
phrases, by joint step. 0: it looks at the object no more than at the rest.</p>{_head_table(steps, heads)}
<h2 id="concepts">By concept</h2>{by_concept}
<h2 id="read">How to read it</h2>
<ul><li>Intervals: 95 %, over pairs. One seed and one recipe: this is about this training.</li>
<li>The tower was taught attributes by words before step 0, and goes on learning them: what is seen here is when the
language model's attention begins to use it, not when a tower begins to see.</li>
<li>"From step N on": at N and at every kept model after it.</li>
<li>A model that says little names few phrases, and so mines few masks; its control has as few. Where fewer pairs
have any than an interval needs, layers, heads and concepts have no value.</li></ul>"""


def _concept(steps: Sequence[Mapping[str, Any]], line: str, concept: str) -> Curve:
    found = (
        (one["step"], each["by_concept"].get(concept)) for one in steps for each in one["lines"] if each["name"] == line
    )
    return _sure(found)


def _layer_table(lines: Sequence[Mapping[str, Any]]) -> str:
    """The last model's lines, but for single heads."""
    rows = "".join(
        f"<tr><th>{html.escape(line['name'])}</th>"
        + "".join(
            f"<td>{'–' if line[key] is None else estimate(Estimate(*line[key]))}</td>"
            for key in ("best", "less", "inside")
        )
        + "</tr>"
        for line in lines
        if line["head"] is None
    )
    names = ("at the last model, the attention of", "best mask", "less control", "inside beyond area")
    return _table("Layers", names, rows)


def _table(title: str, names: Sequence[object], rows: str) -> str:
    """A table that scrolls by itself, with its head's names."""
    head = "".join(f"<th>{name}</th>" for name in names)
    table = f'<table class="lines"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">{table}</div>'


def _head_table(steps: Sequence[Mapping[str, Any]], heads: Sequence[str]) -> str:
    """A row a head, a column a kept model; the more a head looks at the object, the stronger its cell's colour."""
    curves = {name: dict(_named(steps, name, "inside")) for name in heads}
    most = max((float(v[0] or 0) for own in curves.values() for v in own.values()), default=1.0) or 1.0
    kept = [one["step"] for one in steps]
    rows = "".join(
        f"<tr><th>{html.escape(name)}</th>"
        + "".join(
            f'<td class="h{round(9 * max(0.0, float(own[step][0] or 0)) / most)}">{own[step][0]:.1f}</td>'
            if step in own
            else "<td>–</td>"
            for step in kept
        )
        + "</tr>"
        for name, own in curves.items()
    )
    return _table("Heads", ("step", *kept), rows)


_STYLE = """
.lines { border-collapse: collapse; background: var(--card); }
.lines th, .lines td { padding: 4px 7px; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
.lines th:first-child { text-align: left; font-weight: 500; }
figure { margin: 18px 0; } figcaption { color: var(--soft); } main svg { max-width: 760px; }
"""
_STYLE += page_rules() + "".join(f".h{n} {{ background: rgb(53 102 168 / {7 * n}%); }}\n" for n in range(10))


def write(name: str, steps: Sequence[Mapping[str, Any]]) -> Path:
    """Write the page of the training of that name from the figures of its models, and say where."""
    target = FOLDER.parent / f"training-{name}.html"
    context = {"title": "When attention begins to ground", "kind": "The miniature", "places": PLACES}
    write_page(target, "bare.html", rules=_STYLE, context=context | {"content": Markup(page(name, steps))})
    return target
