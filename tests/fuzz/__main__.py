"""`python -m tests.fuzz --minutes 60 --seed N`: break inputs for so long, and show each that breaks the rule."""

from __future__ import annotations

import argparse
import faulthandler
import os
import resource
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
_BENCHMARKS = "coco-referring,folder,pixcvbench,pixmmvp"
_GUESTS = "scoring,services,ground,report,datasets,annotate,selection,transformers,emergence,openai,groupers"
PLUGINS = f"toy,{_BENCHMARKS},{_GUESTS}"
MOST_MEMORY = 8 << 30  # bytes of address space; beyond it an input ends as a MemoryError


def main() -> int:
    """Break inputs; 0 where every one kept the rule."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, help="How long; in place of --inputs.")
    parser.add_argument("--inputs", type=int, default=2200, help="How many.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind", help="One kind of input alone.")
    parser.add_argument("--only", type=int, metavar="N", help="The N-th input alone, of the same --kind or none.")
    parser.add_argument("--failures", type=Path, default=Path("fuzz-failures"), help="Where failing inputs are kept.")
    asked = parser.parse_args()
    os.environ.update(PIXCORE_PLUGINS=PLUGINS, COLUMNS="120", NO_COLOR="1")
    sys.path.insert(0, str(ROOT / "tests" / "toy"))
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, resource.getrlimit(resource.RLIMIT_AS)[1]))
    faulthandler.enable()

    from tests.fuzz.campaign import Campaign

    failures = asked.failures.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["HOME"] = folder
        campaign = Campaign(Path(folder), asked.seed, asked.kind)
        start = time.monotonic()
        ends: Counter[str] = Counter()
        broken = 0
        for number in range(sys.maxsize) if asked.only is None else (asked.only,):
            if asked.minutes is None and asked.only is None and number == asked.inputs:
                break
            if asked.minutes is not None and time.monotonic() - start > 60 * asked.minutes:
                break
            kind, ended, wrong = campaign.one(number)
            ends[f"{kind.name} {ended}"] += 1
            if wrong is not None:
                broken += 1
                kept = failures / f"{kind.name}-seed{asked.seed}-{number}"
                shutil.rmtree(kept, ignore_errors=True)
                shutil.copytree(campaign.folder(kind), kept)
                print(f"seed {asked.seed}, input {number}, {kind.name}: {wrong}\n  {kept}", flush=True)
    for name, count in sorted(ends.items()):
        print(f"{count:7} {name}")
    print(f"{ends.total()} inputs of seed {asked.seed} in {time.monotonic() - start:.0f} s: {broken} broke the rule")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
