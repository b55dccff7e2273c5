"""`make paper`: runs every row of Table 1 that this machine has weights for, then writes the report page.

    python benchmarks/paper/run.py [--config NAME ...] [--benchmark pixmmvp|pixcvbench] [--download]
                                   [--fidelity paper|published|corrected] [--dry-run]

A row is skipped, and why is said, where its checkpoint is neither a folder nor in the hub's cache (--download fetches
it), or its benchmark is not under `data/`. Runs continue where they stopped. Automatic selection and the paper's judge
ask a paid service, so they are not in the configs: add them with --set, as `pixcore run` takes it.
"""

from __future__ import annotations

import argparse
import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from pixcore.config import resolve
from pixcore.errors import UserError
from pixcore.plugins import registry

HERE = Path(__file__).parent
BENCHMARKS = ("pixmmvp", "pixcvbench")
FIDELITIES = ("paper", "published", "corrected")


def missing_weights(checkpoint: str) -> str | None:
    """Why a checkpoint can't be loaded offline, or None."""
    if Path(checkpoint).exists():
        return None
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:
        return "huggingface-hub is not installed"
    known = any(isinstance(try_to_load_from_cache(checkpoint, name), str) for name in ("config.json", "README.md"))
    return None if known else f"{checkpoint} is not in the hub's cache (--download)"


def reasons_to_skip(config: Path, benchmark: str, *, download: bool) -> list[str]:
    """What keeps a row from being run on this machine."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    reasons = [] if Path("data", benchmark).is_dir() else [f"data/{benchmark} is not there"]
    try:
        part = resolve(document, registry()).components.one("model")
    except UserError as error:
        return [*reasons, str(error)]
    checkpoint = getattr(part.config, "checkpoint", None)
    lacking = None if download or checkpoint is None else missing_weights(str(checkpoint))
    masks = document.get("masks") or {}
    if isinstance(masks, dict) and "checkpoint" in masks and not Path(masks["checkpoint"]).exists():
        reasons.append(f"{masks['checkpoint']} is not there")
    return [*reasons, *([lacking] if lacking else [])]


def main() -> None:
    """Run what can be run, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [config.stem for config in sorted(HERE.glob("*.yaml"))]
    parser.add_argument("--config", action="append", choices=names, help="this row alone", metavar="NAME")
    parser.add_argument("--benchmark", action="append", choices=BENCHMARKS)
    parser.add_argument("--fidelity", action="append", choices=FIDELITIES)
    parser.add_argument("--download", action="store_true", help="let the hub send what is missing")
    parser.add_argument("--dry-run", action="store_true", help="say what would be run")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as in pixcore run")
    options = parser.parse_args()
    failed = 0
    for config in (HERE / f"{name}.yaml" for name in options.config or names):
        for benchmark in options.benchmark or BENCHMARKS:
            reasons = reasons_to_skip(config, benchmark, download=options.download)
            if reasons:
                print(f"{config.stem} on {benchmark}: skipped: {'; '.join(reasons)}")
                continue
            for fidelity in options.fidelity or FIDELITIES:
                output = f"runs/paper/{config.stem}-{benchmark}-{fidelity}"
                settings = [
                    f"benchmark={{name: {benchmark}, root: data/{benchmark}}}",
                    f"fidelity={fidelity}",
                    f"output={output}",
                    *options.set,
                ]
                command = [sys.executable, "-m", "pixcore", "run", str(config)]
                command += [word for setting in settings for word in ("--set", setting)]
                print(shlex.join(command), flush=True)
                if not options.dry_run:
                    failed += subprocess.run(command, check=False).returncode != 0
    if not options.dry_run:
        subprocess.run([sys.executable, str(HERE / "report.py")], check=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
