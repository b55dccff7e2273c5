"""Hold every architecture that is served to everything that one must do, and keep the results.

    python -m tools.architectures                 # all that have no result yet
    python -m tools.architectures qwen3_vl llama4 # these anew
    python -m tools.architectures --table         # what is known, as a table
    python -m tools.architectures --page          # write docs/reference/architectures.md from it

A tiny random checkpoint of each is built, saved and loaded as a published one would be. Results are kept in
`plugins/pixcore-transformers/src/pixcore_transformers/testing/verified.json`, one architecture at a time, so that what
was cut off goes on where it was. Families whose image processor or tower needs torchvision or timm are told as such
where these are not installed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import tempfile
from collections.abc import Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
import transformers
from pixcore_transformers.layouts import FAMILIES, REFUSED
from pixcore_transformers.testing import ARCHITECTURES, save_checkpoint
from pixcore_transformers.testing.checks import CHECKS
from transformers.utils import logging

from pixcore.errors import ModelError

RESULTS = Path("plugins/pixcore-transformers/src/pixcore_transformers/testing/verified.json")
PAGE = Path("docs/reference/architectures.md")
HOLDS, REFUSES, _CUT = "holds", "refused", "no result within"
_FORKED = multiprocessing.get_context("fork")  # what takes long to import is imported once


def verify(name: str, checks: Sequence[str], seconds: float) -> dict[str, str]:
    """Check one architecture in a process of its own, which is ended where a check takes too long.

    Args:
        name: One of `ARCHITECTURES`.
        checks: Which to make.
        seconds: How long each may take.

    Returns:
        By the check's name `holds`, or what does not, or `refused` with why; for the one that was cut off that it was.
        Those after it are not there.
    """
    found: dict[str, str] = {}
    ours, theirs = _FORKED.Pipe(duplex=False)
    with tempfile.TemporaryDirectory() as scratch, ours:
        process = _FORKED.Process(target=_inside, args=(name, checks, Path(scratch), theirs))
        process.start()
        theirs.close()
        for check in checks:
            if not ours.poll(seconds):
                found[check] = f"{_CUT} {seconds:g} s"
                break
            try:
                found[check] = ours.recv()
            except EOFError:
                process.join()
                found[check] = f"its process ended with {process.exitcode}"
                break
        process.kill()
        process.join()
    return found


def _inside(name: str, checks: Sequence[str], scratch: Path, results: Connection) -> None:
    """Make a checkpoint, and send what each check says as soon as it is there."""
    os.environ["XDG_CACHE_HOME"] = str(scratch)  # what was found before is found anew
    try:
        folder = save_checkpoint(name, scratch / name)
    except Exception as error:  # whatever transformers has against it is the result
        for _ in checks:
            results.send(_words(error))
        return
    for check in checks:
        try:
            said = "; ".join(CHECKS[check](folder)[:3]) or HOLDS
        except Exception as error:
            said = _words(error)
        results.send(said.replace(f"{scratch}/", ""))


def known() -> dict[str, dict[str, str]]:
    """Read the results."""
    return dict(json.loads(RESULTS.read_text())) if RESULTS.is_file() else {}


def keep(name: str, found: Mapping[str, str]) -> None:
    """Write one architecture's results among the others, the checks in their order."""
    ordered = {check: found[check] for check in CHECKS if check in found}
    RESULTS.write_text(json.dumps(dict(sorted({**known(), name: ordered}.items())), indent=1) + "\n")


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


def page(results: dict[str, dict[str, str]]) -> str:
    """Write the documentation's page: which architectures are served, what was verified, which are refused and why."""
    lines = [
        "# Architectures",
        "",
        "<!-- python -m tools.architectures --page -->",
        "",
        f"Of the {len(FAMILIES) + len(REFUSED)} image-text-to-text architectures of transformers {release()}, "
        f"{len(FAMILIES)} are served by the adapter `transformers` and {len(REFUSED)} refused from config.json alone.",
        "",
        "Each served one is checked on a tiny randomly initialised checkpoint in the published folder layout, with "
        "its own processor, loaded as any other:",
        "",
        "- **geometry**: cover a part of an image, and the token that the layout names there changes: wide, tall, "
        "square, tiny and large images",
        "- **rows**: each layer's and head's rows are eager attention's, within 1e-5; of a decoder that also convolves "
        "or scans, those of the layers that have attention, and the record says which",
        "- **text**: the same is written with the tap and without",
        "- **batches**: a batch is its samples one by one",
        "- **replay**: maps of one pass over prompt and text are those that were read live",
        "- **probe**: `layout: probe` finds the same layout without being told; or it refuses, where it is not sure",
        "",
        "Trained weights were not checked. `python -m tools.architectures` makes these checks (some need torchvision "
        "or timm), and `python -m tools.architectures --page` writes this page.",
        "",
        f"| `model_type` | layout | {' | '.join(CHECKS)} |",
        f"|---|---|{'---|' * len(CHECKS)}",
    ]
    open_ones: list[str] = []
    for name in sorted(FAMILIES):
        said = results.get(name, {})
        cells = [_cell(said.get(check)) for check in CHECKS]
        lines.append(f"| `{name}` | `{FAMILIES[name].rpartition('.')[2]}` | {' | '.join(cells)} |")
        reasons: dict[str, list[str]] = {}
        for check in CHECKS:
            if said.get(check) != HOLDS:
                reasons.setdefault(said.get(check, "not checked yet").replace("|", "¦"), []).append(check)
        open_ones += [f"| `{name}` | {', '.join(checks)} | {why} |" for why, checks in reasons.items()]
    if open_ones:
        lines += ["", "What is not `yes`, and why:", "", "| `model_type` | checks | why |", "|---|---|---|", *open_ones]
    lines += [
        "",
        "## Another architecture",
        "",
        "```yaml",
        "model: {name: transformers, checkpoint: lab/new-model, layout: probe}",
        "```",
        "",
        "tries every layout above, and one that fits any grid, on a few images with parts of them covered. It keeps "
        "the one whose tokens change where it says they see, by the checkpoint's fingerprint in "
        "`~/.cache/pixcore/layouts`; each record says that its layout was found. Where none fits, or two that no "
        "covered place decides between, the checkpoint is refused. It needs "
        "`pip install 'pixcore-transformers[probe]'`.",
        "",
        "## Refused",
        "",
        "| `model_type` | why, and what would be needed |",
        "|---|---|",
        *(f"| `{name}` | {REFUSED[name]} |" for name in sorted(REFUSED)),
    ]
    return "\n".join(lines) + "\n"


def _cell(said: str | None) -> str:
    if said is None or said.startswith(_CUT):
        return "not checked"
    return "yes" if said == HOLDS else "refused" if said.startswith(f"{REFUSES}:") else "no"


def release() -> str:
    """Name the release of transformers that is installed, by its first two numbers."""
    return ".".join(transformers.__version__.split(".")[:2])


def main(arguments: list[str]) -> int:
    """Run the checks that were asked for; 1 if one does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tools.architectures", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("architecture", nargs="*", help="check these anew; none: all that have no result yet")
    parser.add_argument("--table", action="store_true", help="only show what is known")
    parser.add_argument("--check", action="append", choices=list(CHECKS), help="make this one alone; repeatable")
    parser.add_argument("--page", action="store_true", help="write the documentation's page from what is known")
    parser.add_argument("--seconds", type=int, default=300, help="how long a check may take")
    asked: Any = parser.parse_args(arguments)
    unknown = sorted(set(asked.architecture) - set(ARCHITECTURES))
    if unknown:
        parser.error(f"no recipe for {', '.join(unknown)}; there are: {', '.join(sorted(ARCHITECTURES))}")
    wanted = asked.check or list(CHECKS)
    if asked.page:
        PAGE.write_text(page(known()), encoding="utf-8")
        return 0
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    torch.set_num_threads(1)
    for name in [] if asked.table else asked.architecture or sorted(set(ARCHITECTURES) - {"mllama"}):
        there = known().get(name, {})
        checks = [check for check in wanted if asked.architecture or check not in there]
        if checks:
            found = verify(name, checks, asked.seconds)
            keep(name, there | found)
            print(name, "holds" if set(found.values()) == {HOLDS} else found, flush=True)
    results = known()
    print(table(results))
    return int(any(said != HOLDS for found in results.values() for said in found.values()))


def _words(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    refused = isinstance(error, ModelError) and "is not sure" in str(error)
    return f"{REFUSES if refused else type(error).__name__}: {lines[0] if lines else ''}"[:300]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
