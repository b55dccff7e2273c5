"""Write the table of what ships where, by which the core tells whose a name is: `python -m tools.shipped`."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

from pixcore.plugins import CORE, GuestKind, Kind, registry

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "pixcore" / "shipped.json"


def projects() -> dict[str, list[str]]:
    """The packages of this repository, each with its entry points."""
    abouts = [tomllib.loads(path.read_text(encoding="utf-8")) for path in sorted(ROOT.glob("*/*/pyproject.toml"))]
    return {one["project"]["name"]: [*one["project"].get("entry-points", {}).get("pixcore", {})] for one in abouts}


def table() -> str:
    """By kind and name, the package that offers it; the kind "plugin" has the entry points."""
    ours = projects()
    names: dict[str, dict[str, str]] = {"plugin": {CORE: CORE}}
    names["plugin"] |= {entry: package for package, entries in ours.items() for entry in entries}
    offered = [*registry(), *(guest for kind in GuestKind for guest in registry().guests(kind))]
    for kind in (*Kind, *GuestKind):
        mine = [one for one in offered if one.kind is kind and one.distribution in {CORE, *ours}]
        names[kind.value] = {one.name: one.distribution for one in mine}
    sorted_names = {kind: dict(sorted(of_kind.items())) for kind, of_kind in names.items()}
    return json.dumps(sorted_names, indent=1) + "\n"


if __name__ == "__main__":
    TABLE.write_text(table(), encoding="utf-8")
