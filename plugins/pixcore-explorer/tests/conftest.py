"""Two runs of mini on the same samples, one that goes on, and a server that shows them all."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pixcore_explorer import going
from pixcore_explorer.server import Explorer, serve

import pixcore
from tests.served import answering

HOSTILE = (
    '<img src=x onerror="window.pwned=1"><script>window.pwned=2</script> \x1b[31mred\x1b[0m \u202eevil '
    "\u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627 "
) + "long " * 400


HOSTILE_LABEL = '<img src=x onerror="window.pwned=3"> \x1b[31mred \u202eevil \u05e9\u05dc\u05d5\u05dd'


@dataclass
class Shown:
    """What is served.

    Attributes:
        root: The folder of runs: first, second, going.
        address: Where.
        explorer: What serves it.
        hostile: The id of the sample whose answer is hostile.
    """

    root: Path
    address: str
    explorer: Explorer
    hostile: str

    def key(self, name: str) -> str:
        """The short name of a run."""
        return next(run["key"] for run in self.explorer.runs() if run["name"] == name)

    def ask(self, path: str) -> Any:
        """Ask the server as the page does."""
        with urllib.request.urlopen(self.address + path, timeout=60) as response:
            return json.loads(response.read())


@pytest.fixture(scope="session")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    for package in ("pixcore_mini", "pixcore_mini_world", "pixcore_groupers", "pixcore_regions"):
        pytest.importorskip(package)
    work = tmp_path_factory.mktemp("explorer")
    root = work / "runs"
    config = {
        "benchmark": {"name": "mini-world", "pairs": 4},
        "extractor": {"name": "raw", "folder": str(work / "rows")},
        "transforms": ["subtract-mean"],
        "selections": ["oracle", "phrase-overlap", "mask-score", "random"],
        "control": [{"points": "random", "selection": "oracle"}],
        "store": str(work / "store"),
    }
    first = pixcore.run(config, output=root / "first")
    labelled = ["oracle", "mask-score", {"name": "phrase-overlap", "label": HOSTILE_LABEL}]
    pixcore.run(config, output=root / "second", points={"name": "peak", "rank": 2}, selections=labelled)
    hostile = _make_hostile(first)
    _begin_a_run(root / "going", first)
    explorer = Explorer([root])
    explorer.runs()
    server = serve(explorer)
    with answering(server):
        yield Shown(root, server.address, explorer, hostile)


def _make_hostile(run: pixcore.Run) -> str:
    """Put a hostile answer and notice into the last sample's record, as a model might have given it."""
    samples = run.samples()
    name = samples[len(samples) - 1].id
    job = run._job
    (stage, key), *_ = [one for one in job.records(name) if one[0].name == "answer"]
    entry = stage.store.get(key)
    assert entry is not None
    body, count = dict(entry.body), len(entry.body["tokens"])
    pieces = HOSTILE.split(" ")
    pieces = [f"{one} " for one in [*pieces[: count - 2], " ".join(pieces[count - 2 :])]]
    ends = [sum(len(one) for one in pieces[: place + 1]) for place in range(len(pieces))]
    starts = [0, *ends[:-1]]
    told = [
        [token[0], text, start, end]
        for token, text, start, end in zip(body["tokens"], pieces, starts, ends, strict=False)
    ]
    body["extra"] = body["extra"] | {"notice": f"found by covering {HOSTILE}"}
    body["text"], body["tokens"] = "".join(pieces), told + body["tokens"][len(told) :]
    stage.store.put(key, name, type(entry)(body, entry.arrays))
    return name


def _begin_a_run(folder: Path, other: pixcore.Run) -> None:
    """Leave what a run that goes on leaves, by the functions that observers call."""
    folder.mkdir()
    going.begin(str(folder), other.config | {"output": str(folder)})
    going.advance(str(folder), "answer", 2, 8, 1.0)
    going.advance(str(folder), "answer", 6, 8, 3.0)
