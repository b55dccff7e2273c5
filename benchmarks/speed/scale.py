"""What a run of many samples costs once its records are there: listing, summing up, reporting, scoring, exporting.

    python benchmarks/speed/scale.py [--sizes 1000,10000,100000] [--keep FOLDER] [--only NAME]...

Each size is a run of the tests' toy components with ten strategies. Two samples are taken through the pipeline; their
records, under every other sample's own keys, are the rest. Then each command is a process of its own: its processor's
seconds a thousand samples, which stay the same where time is linear, and its peak of memory, which stays the same where
nothing is held of a sample. Exported pages are measured up to 10,000 samples. With `--keep` runs stay in
FOLDER, and `--only` measures some commands on them again. Writes `scale.json` beside itself, over what it says of the
same; the largest size takes an hour, so `make speed` leaves this one out.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import yaml
from _measure import HERE, read, write

ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "toy")]
PLUGINS = "toy,selection,emergence,explorer,export,report,scoring,services,statistics,store,table"
STRATEGIES = (
    *("toy-first", "toy-best", "toy-random", "oracle", "mask-score", "phrase-overlap", "random"),
    *("stability", "consensus", "attention-inside"),
)
SIZE = [16, 12]
PAGE = 500  # records of a transaction
MOST = 10_000  # samples of a run that is exported as pages
LOOKED_AT = 100  # samples of which the explorer's page asks for everything


def config(folder: Path, samples: int) -> Path:
    """Write a run's config."""
    from tests.workplace import TOY_RUN

    document = {
        **TOY_RUN,
        "benchmark": {"name": "toy-boxes", "pairs": samples // 2, "size": SIZE},
        "protocols": ["segment"],
        "selections": list(STRATEGIES),
        "control": None,
        "judge": None,
        "letter_judge": None,
        "writers": ["predictions"],
        "output": str(folder / "out"),
        "store": str(folder / "store"),
    }
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def made(path: Path) -> None:
    """Take two samples of a run through the pipeline, and keep their records under all other samples' keys."""
    from pixcore.config import read_yaml, resolve
    from pixcore.files import prepare
    from pixcore.plugins import registry
    from pixcore.runs.execute import execute
    from pixcore.runs.plan import Run, Scope
    from pixcore.runs.progress import Display
    from pixcore.terminal import Console

    resolved = resolve(read_yaml(path), registry())
    prepare(resolved.config.output)
    execute(Run(resolved, Scope(limit=2)), Display(Console(stderr=True)))
    job = Run(resolved)
    two = [job.items.thing(place) for place in (0, 1)]
    for stage in job.stages():
        known = [entry for one in two if (entry := stage.get(one)) is not None]
        items = enumerate(iter(job.every))
        while several := list(islice(items, PAGE)):
            rows = [stage.store.packed(stage.key_of(item), item.sample.id, known[at % 2]) for at, item in several]
            stage.store.put_rows(rows)


def lines(folder: Path) -> None:
    """Make the lines of a run that the explorer lists, as its page asks for them."""
    from pixcore_explorer.opened import OpenedRun

    found = OpenedRun(folder).wait()
    assert found.done


def look(folder: Path) -> None:
    """Read some samples of a run and draw them small, as the explorer's page asks for them."""
    from pixcore_explorer.opened import OpenedRun

    opened = OpenedRun(folder)
    names = list(opened.job.ids())
    for name in names[:: max(1, len(names) // LOOKED_AT)]:
        opened.payload(name)
        opened.thumbnail(name, "segment", STRATEGIES[0])


def steps(folder: Path, samples: int) -> dict[str, list[str]]:
    """Name the commands, in their order."""
    own = [sys.executable, __file__]
    pixcore = [sys.executable, "-m", "pixcore"]
    run, out = str(folder / "run.yaml"), str(folder / "out")
    options = [f"pairs={samples // 2}", f"size={SIZE}"]
    setting = [word for one in options for word in ("--set", one)]
    found = {
        "store ls": [*pixcore, "store", "ls", str(folder / "store")],
        "run --estimate": [*pixcore, "run", run, "--estimate"],
        "run, nothing missing": [*pixcore, "run", run],
        "report": [*pixcore, "report", out],
        "score": [*pixcore, "score", f"{out}/predictions.jsonl", "--benchmark", "toy-boxes", *setting],
        "view, the first time": [*own, "--lines", out],
        f"view, {LOOKED_AT} samples": [*own, "--look", out],
    }
    for form in ("csv", "parquet", "datasets", "coco", "labelme"):
        found[f"export --to {form}"] = [*pixcore, "export", out, "--to", form, "--out", str(folder / form)]
    if samples <= MOST:
        found["view --export"] = [*pixcore, "view", out, "--export", str(folder / "pages")]
    return found


def measured(folder: Path, samples: int, only: Sequence[str], known: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Make a run, and measure every command on it, or some; give what is known after each."""
    from tests.soak import peak

    path = config(folder, samples)
    found = {**known}
    commands = {"making the records": [sys.executable, __file__, "--make", str(path)], **steps(folder, samples)}
    for name in only or commands:
        command = commands[name]
        for written in [folder / name.split()[-1], folder / "pages"]:
            shutil.rmtree(written, ignore_errors=True)
        memory, seconds = peak(command, PLUGINS)
        found[name] = {"s a thousand": 1000 * seconds / samples, "s": seconds, "peak, MiB": memory / 1024}
        print(f"{samples:7} {name:24} {seconds:8.1f} s, {memory / 1024:7.1f} MiB", flush=True)
        yield found
    files = {one: folder / "out" / one for one in ("predictions.jsonl", "report.html", ".view-index.jsonl")}
    sizes = {name: one.stat().st_size / 2**20 for name, one in files.items() if one.exists()}
    store = sum(one.stat().st_size for one in (folder / "store").iterdir()) / 2**20
    yield {**found, "files, MiB": {**sizes, "store": store}}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,10000,100000")
    parser.add_argument("--keep", type=Path, help="where runs stay; a temporary folder if left out")
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="one of the commands")
    parser.add_argument("--look", type=Path, help="look at some of a run's samples, and nothing else")
    parser.add_argument("--make", type=Path, help="make a run's records, and nothing else")
    parser.add_argument("--lines", type=Path, help="make the explorer's lines of a run, and nothing else")
    asked = parser.parse_args()
    if asked.make:
        made(asked.make)
    elif asked.lines:
        lines(asked.lines)
    elif asked.look:
        look(asked.look)
    else:
        began = time.monotonic()
        document = read("scale") | {"load before": os.getloadavg()[0]}
        for size in map(int, asked.sizes.split(",")):
            with tempfile.TemporaryDirectory() as name:
                folder = (asked.keep or Path(name)) / str(size)
                folder.mkdir(parents=True, exist_ok=True)
                for found in measured(folder, size, asked.only, document.get(str(size), {})):
                    minutes = (time.monotonic() - began) / 60
                    document = {**document, str(size): found, "minutes": minutes}
                    write("scale", document)


if __name__ == "__main__":
    main()
