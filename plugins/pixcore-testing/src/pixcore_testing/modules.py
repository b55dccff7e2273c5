"""Hold a plugin's module to its contract: its hooks are hooks, it is light, and what it observes harms no run."""

from __future__ import annotations

import contextlib
import copy
import inspect
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pixcore import hookspecs
from pixcore.entries import entry_points
from pixcore.plugins import load, registry
from pixcore_testing.findings import Finding, Report, described, page_of

HEAVY = ("torch", "transformers", "spacy", "openai", "tensorflow", "jax")
"""What a plugin module may not import: it is loaded with every command."""

_SECRET = re.compile("KEY|TOKEN|SECRET|PASS|CREDENTIAL|AUTH", re.IGNORECASE)
"""Variables that a process started only to look at an import does without."""

HOOKS: Mapping[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(function).parameters)
    for name, function in vars(hookspecs).items()
    if inspect.isfunction(function) and hasattr(function, f"{hookspecs.PROJECT}_spec")
}
"""Every hook, and what it is called with."""

OBSERVED: Mapping[str, Mapping[str, Any]] = {
    "run_started": {
        "config": {"benchmark": {"name": "toy"}, "model": {"name": "toy"}, "seed": 0, "output": "run"},
        "stores": ["store/answer-0.sqlite"],
    },
    "stage_advanced": {"stage": "answer", "done": 1, "total": 2, "seconds": 1.5},
    "sample_finished": {
        "record": {
            "sample_id": "sample 0",
            "pair": None,
            "categories": {},
            "probings": {
                "segment": {
                    "sample_id": "sample 0",
                    "protocol": "segment",
                    "prompt": "Identify the ear in the scene.",
                    "text": "the ear",
                    "correct": None,
                    "iou": {"oracle": 0.5},
                },
                "question": {
                    "sample_id": "sample 0",
                    "protocol": "question",
                    "prompt": "Left?",
                    "text": "",
                    "error": "ModelError: no answer",
                    "correct": None,
                    "iou": {},
                },
            },
        }
    },
    "part_finished": {"shard": (1, 2)},
    "run_finished": {
        "summary": {
            "benchmark": "toy",
            "model": "toy",
            "fidelity": "corrected",
            "samples": 1,
            "failed": 1,
            "rows": [{"key": "oracle", "name": "oracle", "label": "oracle", "control": False, "figures": {}}],
            "breakdowns": {},
            "notes": [],
        }
    },
}
"""What observers hear of a small run, in order, besides the run's folder."""


@lru_cache
def check_module(plugin: str) -> list[Finding]:
    """Check the module of an installed plugin; of one that is not installed by that name there is nothing to say.

    Args:
        plugin: The entry point's name.
    """
    report = Report(page_of("plugin"))
    for name, target, _ in entry_points():
        if name != plugin:
            continue
        with report.step(f"plugin {plugin}"):
            if check_light(report, target.partition(":")[0]):
                check_hooks(report, load(target))
        if not report.broken:
            with report.step(f"plugin {plugin}"):
                told = [failure.error for failure in registry().failures if failure.plugin == plugin]
                promise = "a plugin loads, and no other offers what it offers"
                report.expect(not told, promise, "; ".join(told))
    return report.findings


def check_light(report: Report, module: str) -> bool:
    """Plugin and config modules are imported with every command: in a process of their own, what comes with them?"""
    reason, loaded = _imported(module)
    if not report.expect(not reason, "a plugin's module can be imported alone", f"{module}: {reason}"):
        return False
    promise = "a plugin's modules load nothing heavy (classes are named as 'module:Class')"
    return report.expect(not loaded, promise, f"{module} loads {', '.join(loaded)}")


@lru_cache
def _imported(module: str) -> tuple[str, tuple[str, ...]]:
    """Why a module can't be imported, and what of `HEAVY` it loads."""
    code = f"import sys, {module}; print(*[name for name in {HEAVY!r} if name in sys.modules])"
    environment = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=environment)
    reason = done.stderr.splitlines()[-1:] or [f"exit status {done.returncode}"]
    return "" if done.returncode == 0 else reason[0], tuple("".join(done.stdout.splitlines()[-1:]).split())


def check_hooks(report: Report, plugin: object) -> None:
    """Expect functions that are marked as hooks, have the names of hooks and take their arguments."""
    marked = {name: value for name, value in _functions(plugin).items() if _is_marked(value)}
    for name, function in _functions(plugin).items():
        near = get_close_matches(name, HOOKS, n=1, cutoff=0.85)
        if name in marked and name not in HOOKS:
            close = get_close_matches(name, HOOKS, n=1, cutoff=0.6)
            meant = f", did you mean {close[0]!r}?" if close else ""
            report.expect(False, "a function with @hookimpl has the name of a hook", f"{name!r}{meant}")
        elif name in marked and (lazy := _lazy(function)):
            report.expect(False, "a hook is a plain function, as nobody goes on with it", f"{name!r} {lazy}")
        elif name in marked:
            odd = [own for own in inspect.signature(function).parameters if own not in HOOKS[name]]
            takes = f"{name}({', '.join(HOOKS[name])})"
            report.expect(not odd, f"a hook's arguments have the hook's names: {takes}", ", ".join(odd))
        elif near:
            hint = "" if near[0] == name else f", did you mean {near[0]!r}?"
            report.expect(False, "a function that is a hook is marked with @hookimpl", f"{name!r} without it{hint}")
    if not report.broken:
        seen = "none, so that it does nothing"
        report.expect(bool(marked), "a plugin's module has a function marked with @hookimpl", seen)


def _functions(plugin: object) -> dict[str, Callable[..., Any]]:
    """What a plugin defines itself; what it imports is another's."""
    home = getattr(plugin, "__name__", None)
    return {
        name: value
        for name, value in ((name, getattr(plugin, name)) for name in dir(plugin) if not name.startswith("__"))
        if inspect.isroutine(value) and (home is None or getattr(value, "__module__", home) == home)
    }


def _lazy(function: Callable[..., Any]) -> str:
    """Say why calling a hook does not run it; "" if it does."""
    options = getattr(function, f"{hookspecs.PROJECT}_impl")
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        return "is asynchronous"
    wraps = options["wrapper"] or options["hookwrapper"]
    return "has a yield" if inspect.isgeneratorfunction(function) and not wraps else ""


def _is_marked(function: Callable[..., Any]) -> bool:
    return hasattr(function, f"{hookspecs.PROJECT}_impl")


def check_observer(plugin: object) -> list[Finding]:
    """Hold the observers of a plugin to their contract: they raise nothing and change nothing that they hear.

    They are told of a run of one sample, twice, and of a part of one, in an empty folder that is the working directory
    meanwhile.

    Args:
        plugin: The plugin's module.
    """
    report = Report(page_of("observer"))
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for again, other in (("", "part"), (", a part", "run"), (", a second run", "part")):
            for hook, arguments in OBSERVED.items():
                function = getattr(plugin, hook, None)
                if function is None or not _is_marked(function) or hook == f"{other}_finished":
                    continue
                with report.step(f"{hook}{again}"):
                    heard = {"run": folder, **copy.deepcopy(dict(arguments))}
                    before = copy.deepcopy(heard)
                    own = inspect.signature(function).parameters
                    given = function(**{name: value for name, value in heard.items() if name in own})
                    same = heard == before
                    report.expect(same, "an observer changes nothing that it hears: others hear it too", "other values")
                    report.expect(given is None, "an observer gives nothing back", described(given))
    return report.findings


def observes(plugin: object) -> bool:
    """Say whether a plugin listens to how runs go on."""
    return any(_is_marked(getattr(plugin, hook)) for hook in OBSERVED if hasattr(plugin, hook))
