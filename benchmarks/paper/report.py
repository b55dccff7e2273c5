"""Each figure of our runs beside the paper's: `runs/paper/report.html`, with the difference, for both fidelities.

    python benchmarks/paper/report.py [--runs runs/paper]

Reads the `summary.json` of every run that `run.py` wrote. The paper's figures are in `table1.csv`; its S is computed
again from its own columns, as a check on the formula.
"""

from __future__ import annotations

import argparse
import csv
import html
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
BENCHMARKS = ("pixmmvp", "pixcvbench")
FIDELITIES = ("published", "corrected")
COLUMNS = {"A†": "A_dagger", "A": "A", "M†": "M_dagger", "M": "M", "S": "S"}

SYSTEMS = {
    ("LLaVA-1.5", "7B"): ("llava-1.5-7b", None),
    ("LLaVA-1.5", "13B"): ("llava-1.5-13b", None),
    ("Cambrian-1", "8B"): ("cambrian-8b", None),
    ("OMG-LLaVA", "7B"): ("omg-llava-7b", "own masks"),
    ("GLaMM", "7B"): ("glamm-7b", "own masks"),
    ("GLaMM-RegCap", "7B"): ("glamm-regcap-7b", "own masks"),
    ("LISA", "7B"): ("lisa-7b", "own masks"),
    ("LLaVA-G", "7B"): ("llava-grounding-7b", "own masks"),
    ("LLaVA-1.5 + attend-and-segment", "7B"): ("llava-1.5-7b", "spacy-similarity"),
    ("LLaVA-1.5 + attend-and-segment", "13B"): ("llava-1.5-13b", "spacy-similarity"),
    ("Cambrian-1 + attend-and-segment", "8B"): ("cambrian-8b", "spacy-similarity"),
    ("PixFoundation (automatic)", "7B"): ("llava-1.5-7b", "automatic"),
    ("PixFoundation (automatic)", "13B"): ("llava-1.5-13b", "automatic"),
    ("PixFoundation (automatic)", "8B"): ("cambrian-8b", "automatic"),
    ("PixFoundation (oracle)", "7B"): ("llava-1.5-7b", "oracle"),
    ("PixFoundation (oracle)", "13B"): ("llava-1.5-13b", "oracle"),
    ("PixFoundation (oracle)", "8B"): ("cambrian-8b", "oracle"),
}
"""For each row of Table 1 the config and the row of its run; None: answers alone."""


@dataclass(frozen=True)
class Cell:
    """One figure of the paper, and ours where there is a run.

    Attributes:
        paper: In percent; None where the paper has a dash.
        ours: By fidelity.
    """

    paper: float | None
    ours: Mapping[str, float | None]


@dataclass(frozen=True)
class Line:
    """One row of Table 1 on one benchmark."""

    method: str
    base: str
    benchmark: str
    cells: Mapping[str, Cell]


def harmonic(cells: Mapping[str, float | None]) -> float | None:
    """S from the four other columns."""
    accuracy = [value for value in (cells["A†"], cells["A"]) if value is not None]
    grounding = [value for value in (cells["M†"], cells["M"]) if value is not None]
    if not accuracy or not grounding:
        return None
    a, m = max(accuracy), max(grounding)
    return 2 * a * m / (a + m) if a + m else 0.0


def lines(runs: Path, table: Path = HERE / "table1.csv") -> Iterator[Line]:
    """The paper's rows with what was run."""
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            config, selection = SYSTEMS[row["method"], row["base"]]
            for benchmark in BENCHMARKS:
                ours = {
                    fidelity: figures(runs / f"{config}-{benchmark}-{fidelity}" / "summary.json", selection)
                    for fidelity in FIDELITIES
                }
                cells = {}
                for name, column in COLUMNS.items():
                    text = row[f"{benchmark}_{column}"]
                    wanted = None if selection is None and name in ("M†", "M", "S") else name
                    found = {fidelity: values.get(wanted or "") for fidelity, values in ours.items()}
                    cells[name] = Cell(float(text) if text else None, found)
                yield Line(row["method"], row["base"], benchmark, cells)


def figures(path: Path, selection: str | None) -> dict[str, float | None]:
    """The figures of one row of a run; nothing where the run or the row is not there.

    The paper's mIoU is over all of PixMMVP's 300 images: its code learnt to leave out those without a named object
    later. So M is the run's "M with none" where it has one, and S follows from it.
    """
    if not path.exists():
        return {}
    for row in json.loads(path.read_text(encoding="utf-8"))["rows"]:
        if selection is None or row["name"] == selection:
            values = {name: figure["value"] for name, figure in row["figures"].items()}
            for name in ("M†", "M"):
                values[name] = values.get(f"{name} with none", values.get(name))
            return values | {"S": harmonic({name: values.get(name) for name in COLUMNS})}
    return {}


def page(found: list[Line]) -> str:
    """The report page: no script, nothing from elsewhere."""
    body = []
    for benchmark in BENCHMARKS:
        head = "".join(f'<th colspan="3">{name}</th>' for name in COLUMNS)
        under = "<th>paper</th><th>published</th><th>corrected</th>" * len(COLUMNS)
        body.append(f"<h2>{benchmark}</h2><div><table><tr><th rowspan=2>Method</th>{head}</tr><tr>{under}</tr>")
        for line in (line for line in found if line.benchmark == benchmark):
            cells = "".join(_cell(cell) for cell in line.cells.values())
            body.append(f"<tr><th>{html.escape(line.method)} <small>{html.escape(line.base)}</small></th>{cells}</tr>")
        body.append("</table></div>")
    run = any(value is not None for line in found for cell in line.cells.values() for value in cell.ours.values())
    note = (
        ""
        if run
        else "<p><b>Nothing has been run here yet:</b> <code>make paper</code> runs what there are weights for.</p>"
    )
    return _PAGE.replace("{note}", note).replace("{body}", "\n".join(body))


def _cell(cell: Cell) -> str:
    paper = "–" if cell.paper is None else f"{cell.paper:.1f}"
    ours = []
    for fidelity in FIDELITIES:
        value = cell.ours.get(fidelity)
        if value is None:
            ours.append("<td>–</td>")
        elif cell.paper is None:
            ours.append(f"<td>{value:.1f}</td>")
        else:
            ours.append(f"<td>{value:.1f}<small>{value - cell.paper:+.1f}</small></td>")
    return f'<td class="paper">{paper}</td>{"".join(ours)}'


_NOTHING = """<p><b>Nothing has been run here yet:</b> <code>make paper</code> runs what there are weights for.</p>"""

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Table 1, ours beside the paper's</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<style>
body { font: 14px/1.5 "Inter", system-ui, "Segoe UI", Roboto, "Liberation Sans", sans-serif; margin: 32px;
  color: #1f2328; background: #fbfaf7; font-variant-numeric: tabular-nums; }
div { overflow-x: auto; } table { border-collapse: collapse; background: #fff; }
th, td { padding: 6px 9px; border-bottom: 1px solid #e3e1da; text-align: right; white-space: nowrap; }
th:first-child { text-align: left; } td.paper { background: #f2f0ea; border-left: 1px solid #e3e1da; }
small { color: #5b636d; font-weight: 400; } td small { display: block; line-height: 1.1; }
</style></head><body>
<h1>Table 1, ours beside the paper's</h1>
<p>In percent; below our figures their difference to the paper's. The paper's text was sampled, its judge was GPT-4o,
and its released code has moved on since: small differences are expected, and none is tuned away. On PixMMVP the
published M is over all 300 images, as the paper's is, and so includes those for which no object is named.</p>
{note}
{body}
</body></html>
"""


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=Path, default=Path("runs/paper"))
    runs = parser.parse_args().runs
    runs.mkdir(parents=True, exist_ok=True)
    target = runs / "report.html"
    target.write_text(page(list(lines(runs))), encoding="utf-8")
    print(f"report: {target}")


if __name__ == "__main__":
    main()
