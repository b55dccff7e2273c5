"""Hold every architecture that is served to everything that one must do, and keep the results.

    python -m tools.architectures                 # all that have no result yet
    python -m tools.architectures qwen3_vl llama4 # these anew
    python -m tools.architectures --table         # what is known, as a table

A tiny random checkpoint of each is built, saved and loaded as a published one would be. Results are kept in
`plugins/pixcore-transformers/src/pixcore_transformers/testing/verified.json`, one architecture at a time, so that what
was cut off goes on where it was. Families whose image processor or tower needs torchvision or timm are told as such
where these are not installed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from pixcore_transformers.testing import ARCHITECTURES, save_checkpoint
from pixcore_transformers.testing.checks import CHECKS
from transformers.utils import logging

RESULTS = Path("plugins/pixcore-transformers/src/pixcore_transformers/testing/verified.json")
HOLDS = "holds"


class _TooLong(Exception):
    """A check took longer than it may."""


def verify(name: str, seconds: int) -> dict[str, str]:
    """Check one architecture.

    Args:
        name: One of `ARCHITECTURES`.
        seconds: How long one check may take.

    Returns:
        By the check's name `holds`, or what does not.
    """
    found: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as scratch:
        try:
            folder = save_checkpoint(name, Path(scratch) / name)
        except Exception as error:  # whatever transformers has against it is the result
            return {"checkpoint": _words(error)}
        for check, hold in CHECKS.items():
            signal.alarm(seconds)
            try:
                wrong = hold(folder)
            except Exception as error:
                wrong = [_words(error)]
            finally:
                signal.alarm(0)
            found[check] = "; ".join(wrong[:3]) or HOLDS
    return found


def known() -> dict[str, dict[str, str]]:
    """Read the results."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.is_file() else {}


def table(results: dict[str, dict[str, str]]) -> str:
    """Write the results, a line for each architecture."""
    widest = max(map(len, ARCHITECTURES))
    lines = [f"{'':{widest}}  " + "  ".join(CHECKS)]
    for name in sorted(ARCHITECTURES):
        cells = []
        for check in CHECKS:
            said = results.get(name, {}).get(check, "")
            cells.append(f"{'yes' if said == HOLDS else 'NO' if said else '':{len(check)}}")
        wrong = [f"{check}: {said}" for check, said in results.get(name, {}).items() if said != HOLDS]
        lines.append(f"{name:{widest}}  {'  '.join(cells)}  {' | '.join(wrong)[:200]}".rstrip())
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    """Run the checks that were asked for; 1 if one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tools.architectures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("architecture", nargs="*", help="check these anew; none: all that have no result yet")
    parser.add_argument("--table", action="store_true", help="only show what is known")
    parser.add_argument("--seconds", type=int, default=120, help="how long one check may take")
    asked: Any = parser.parse_args(arguments)
    unknown = sorted(set(asked.architecture) - set(ARCHITECTURES))
    if unknown:
        parser.error(f"no recipe for {', '.join(unknown)}; there are: {', '.join(sorted(ARCHITECTURES))}")
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    signal.signal(signal.SIGALRM, _stop)
    results = known()
    for name in [] if asked.table else asked.architecture or [one for one in ARCHITECTURES if one not in results]:
        if name == "mllama":
            continue
        results[name] = verify(name, asked.seconds)
        RESULTS.write_text(json.dumps(dict(sorted(results.items())), indent=1) + "\n")
        print(name, "holds" if set(results[name].values()) == {HOLDS} else results[name], flush=True)
    print(table(results))
    return int(any(said != HOLDS for found in results.values() for said in found.values()))


def _stop(*_: object) -> None:
    raise _TooLong


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
