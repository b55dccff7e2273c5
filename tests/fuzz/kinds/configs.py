"""A run's config, through `run` and its estimate; and the run.json that a predictions file lies beside."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz.forms import YAML, json_form
from tests.fuzz.kinds import Act, Kind
from tests.fuzz.kinds.annotations import _make_coco
from tests.fuzz.rule import Ending
from tests.workplace import TOY_RUN

CONFIG: dict[str, Any] = {
    **TOY_RUN,
    "benchmark": {"name": "toy-boxes", "size": [16, 12]},
    "selections": ["toy-first", {"name": "toy-random", "label": "any"}],
    "protocols": ["letter", "segment", {"name": "describe", "template": "Describe {expression}.", "masks": True}],
    "prompts": {"letter": "{question} {options}"},
    "fidelity": "corrected",
    "seed": 3,
    "batch_size": 4,
    "merge_iou": 0.9,
    "budget": {"usd": 2.5},
    "prices": {"some-model": {"input": 1.0, "output": 2.0}},
    "on_error": "stop",
    "writers": ["predictions"],
    "output": "out",
    "store": "store",
}


def _make_config(folder: Path) -> None:
    folder.joinpath("run.yaml").write_text(yaml.safe_dump(CONFIG))


def _summary(ending: Ending) -> str | None:
    """A run that ends well has left a summary, whose figures are percentages or not known."""
    document = json.loads(Path("out/summary.json").read_text())
    for row in document["rows"]:
        for name, figure in row["figures"].items():
            if figure["value"] is not None and not 0 <= figure["value"] <= 100 + 1e-9:
                return f"{row['key']}: {name} is {figure['value']}"
    return None


def _make_run(folder: Path) -> None:
    _make_coco(folder)
    config = {"benchmark": {"name": "coco-referring", "root": "."}, "model": {"name": "toy"}, "seed": 1}
    document = {"config": config, "scope": {"limit": None, "samples": [], "shard": None}, "stores": {}}
    folder.joinpath("run.json").write_text(json.dumps(document))
    line = {"sample_id": "11", "protocol": "segment", "text": "a box", "mask": None}
    folder.joinpath("predictions.jsonl").write_text(json.dumps(line) + "\n")


KINDS = (
    Kind(
        "config",
        _make_config,
        {"run.yaml": YAML},
        (
            Act(("run", "run.yaml", "--estimate")),
            Act(("run", "run.yaml", "--estimate")),
            Act(("run", "run.yaml", "--limit", "1", "--shard", "1/2"), loud=True),
        ),
        share=6,
        names=(*CONFIG, "run writer"),
    ),
    Kind(
        "run-json",
        _make_run,
        {"run.json": json_form(None)},
        (Act(("score", ".", "--json", "-")),),
        names=("benchmark", "fidelity", "sample"),
    ),
)
