"""Compare a native port with what the published code gave.

A golden set is a folder: `config.json` (sizes), `state.safetensors` (weights under their official names), `inputs.npz`
and `outputs.npz`. A module of this folder says how a port recomputes the outputs; this one compares them:

    python -m tests.goldens SYSTEM FOLDER

`SYSTEMS` names for each system the function that takes a folder and returns a `GoldenSet`. Names are compared without
regard to case, and `-` and `_` are alike; `pixcore-NAME` is NAME.
"""

from __future__ import annotations

import fnmatch
import importlib
import re
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import click
import numpy as np
from numpy.typing import NDArray

from pixcore.errors import DataError, ModelError, PluginError, UserError, nearest

SYSTEMS = {
    "attend-and-segment": "tests.goldens.attend_and_segment:attend_and_segment",
    "cambrian": "tests.goldens.cambrian:prepare",
    "cambrian_preprocess": "tests.goldens.cambrian:prepare",
    "cambrian_real_grid": "tests.goldens.cambrian:prepare",
    "cambrian_sva": "tests.goldens.cambrian:prepare",
    "cambrian_tiny": "tests.goldens.cambrian:prepare",
    "glamm": "tests.goldens.glamm:prepare",
    "glamm-regcap": "tests.goldens.glamm:prepare",
    "internlm2": "tests.goldens.omg_llava_language:internlm2",
    "lisa": "tests.goldens.lisa:prepare",
    "lisa_glamm_text": "tests.goldens.segtoken_text:prepare",
    "llava-grounding": "tests.goldens.llava_grounding:prepare",
    "llavag_loop": "tests.goldens.llava_grounding:llavag_loop",
    "omg": "tests.goldens.omg_llava:omg",
    "omg-llava": "tests.goldens.omg_llava:prepare",
    "openseed": "tests.goldens.llava_grounding:openseed",
    "preprocess": "tests.goldens.segtoken_pixels:prepare",
}
"""For each system "module:function"; a module is imported, and with it its port, when it is asked for."""


@dataclass(frozen=True, eq=False)
class Check:
    """One array that the port computed.

    Attributes:
        name: Its name among the set's expected arrays.
        value: What the port gives, of the same shape; or the exception that it raised instead, see `attempt`.
        atol: Largest allowed absolute difference; 0 for integers, booleans and text.
        rtol: Allowed difference relative to the expected value, added to `atol` as `numpy.isclose` does.
        flips: For booleans, how many entries may differ: in all, or for each index of the first axis.
        unpack: Turns the stored array into what `value` is compared with (packed bits, JSON).
    """

    name: str
    value: Any
    atol: float = 0.0
    rtol: float = 0.0
    flips: int | Sequence[int] = 0
    unpack: Callable[[NDArray[Any]], Any] | None = None


@dataclass(frozen=True, eq=False)
class GoldenSet:
    """What a plugin makes of a folder.

    Attributes:
        checks: The computed arrays; may be a generator, so that one failing case does not hide the ones before it.
        keys: Names of the arrays that must be compared, built from the set's config so that one which the set lacks is
            noticed. A name may be a shell pattern: every expected array that matches it needs a check, and it needs at
            least one match.
        expected: The arrays by name; by default those of `outputs.npz`.
        skipped: Shell pattern to the reason why arrays that match it are not compared.
    """

    checks: Iterable[Check]
    keys: Sequence[str]
    expected: Mapping[str, Any] | None = None
    skipped: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """The comparison of one array.

    Attributes:
        name: The array.
        difference: Largest absolute difference, or the number of differing entries where they are counted.
        tolerance: What was allowed, as text.
        status: `off` fails; `missing` is a key array without a check; `skipped` is an array the port has no part of.
        note: Shape or reason, where there is one.
    """

    name: str
    difference: float
    tolerance: str
    status: Literal["ok", "off", "missing", "skipped"]
    note: str = ""


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read an `.npz` without pickles.

    Raises:
        DataError: It is absent or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, EOFError, BadZipFile, zlib.error) as error:
        raise DataError(f"can't read {path}: {error}", hint="name the folder of one golden set") from error


def load_set(system: str, folder: Path) -> GoldenSet:
    """Let a system's module prepare a folder.

    Returns:
        The set; weights that the port refuses are its one, failed check.

    Raises:
        PluginError: There is no such system, or its port can't be imported.
        DataError: The folder is missing, empty, or no golden set of the system.
    """
    offered = {_plain(name): target for name, target in SYSTEMS.items()}
    target = offered.get(_plain(system)) or offered.get(_plain(system).removeprefix("pixcore-"))
    if target is None:
        raise PluginError(f"there are no goldens for {system!r}", hint=nearest(_plain(system), offered))
    module, _, function = target.partition(":")
    try:
        prepare = getattr(importlib.import_module(module), function)
    except Exception as error:
        raise PluginError(
            f"the goldens of {system!r} can't be loaded: {error}", hint="install the plugin with its dependencies"
        ) from error
    if not folder.is_dir() or not any(folder.iterdir()):
        raise DataError(f"{folder} is missing or empty", hint="name the folder of one golden set")
    try:
        prepared = prepare(folder)
    except ModelError as error:
        return GoldenSet([Check("state", error)], (), {})
    except UserError:
        raise
    except Exception as error:
        raise DataError(
            f"{folder} is not a golden set of {system}: {_said(error)}",
            hint="check that folder and system belong together",
        ) from error
    if not isinstance(prepared, GoldenSet):
        raise PluginError(f"{target} returned a {type(prepared).__name__}, not a GoldenSet")
    return prepared


def attempt(name: str, checks: Iterable[Check]) -> Iterator[Check]:
    """Pass on the checks of one part of a set; if the port fails in it, the parts after it are still compared.

    Args:
        name: What a failure is reported as.
        checks: A generator, which computes as it goes.

    Yields:
        The checks, and a failed one for an exception.
    """
    try:
        yield from checks
    except Exception as error:
        yield Check(name, error)


def compare(golden: GoldenSet, expected: Mapping[str, Any]) -> Iterable[Verdict]:
    """Compare a set's checks with the expected arrays, one by one, then report what was left out.

    Yields:
        A verdict for every check, for every key array without one, and for every array that was not compared.
    """
    compared = set()
    for check in attempt("the whole set", golden.checks):
        compared.add(check.name)
        if isinstance(check.value, Exception):
            yield Verdict(check.name, np.inf, "-", "off", _said(check.value))
        elif check.name not in expected:
            yield Verdict(check.name, np.inf, "-", "off", "the golden set has no such array")
        else:
            try:
                yield _verdict(check, expected[check.name])
            except Exception as error:  # what is stored can't be unpacked, or not be compared with what was computed
                yield Verdict(check.name, np.inf, "-", "off", _said(error))
    for name in expected:
        if name in compared:
            continue
        if any(fnmatch.fnmatchcase(name, key) for key in golden.keys):
            yield Verdict(name, np.nan, "-", "missing", "a key array that was not compared")
        else:
            reasons = [reason for key, reason in golden.skipped.items() if fnmatch.fnmatchcase(name, key)]
            yield Verdict(name, np.nan, "-", "skipped", reasons[0] if reasons else "not a part of the port")
    for key in golden.keys:
        if not any(fnmatch.fnmatchcase(name, key) for name in expected):
            yield Verdict(key, np.nan, "-", "missing", "the golden set has no such key array")


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _said(error: Exception) -> str:
    """An exception in one line."""
    return " ".join(f"{type(error).__name__}: {error}".split())


def _verdict(check: Check, stored: Any) -> Verdict:
    wanted = stored if check.unpack is None else check.unpack(stored)
    if isinstance(wanted, str | list | dict):
        same = wanted == check.value
        note = "" if same else f"got {check.value!r}, expected {wanted!r}"
        return Verdict(check.name, 0.0 if same else np.inf, "equal", "ok" if same else "off", note[:200])
    want, got = np.asarray(wanted), np.asarray(check.value)
    if want.shape != got.shape:
        return Verdict(check.name, np.inf, "-", "off", f"shape {got.shape}, expected {want.shape}")
    if want.dtype.kind not in "fc" and got.dtype.kind not in "fc":
        return _counted(check, want, got)
    want, got = want.astype(np.float64), got.astype(np.float64)
    # Equal infinities and NaNs at the same places are agreement; their difference is not a number.
    with np.errstate(invalid="ignore"):
        apart = np.where((want == got) | (np.isnan(want) & np.isnan(got)), 0.0, np.abs(want - got))
    apart = np.where(np.isnan(apart), np.inf, apart)
    allowed = check.atol + check.rtol * np.abs(np.where(np.isfinite(want), want, 0.0))
    tolerance = f"{check.atol:.1e}" + (f" + {check.rtol:.0e} rel" if check.rtol else "")
    status: Literal["ok", "off"] = "ok" if bool(np.all(apart <= allowed)) else "off"
    return Verdict(check.name, float(apart.max(initial=0.0)), tolerance, status)


def _counted(check: Check, want: NDArray[Any], got: NDArray[Any]) -> Verdict:
    """Integers, booleans and text: how many entries differ."""
    differ = want != got
    allowed = np.asarray(check.flips)
    axes = tuple(range(1, differ.ndim)) if allowed.ndim else None
    counts = np.asarray(differ.sum(axis=axes))
    status: Literal["ok", "off"] = "ok" if bool(np.all(counts <= allowed)) else "off"
    tolerance = f"{int(allowed.max(initial=0))} differing" if allowed.any() else "equal"
    return Verdict(check.name, float(counts.max(initial=0)), tolerance, status)


def _line(verdict: Verdict) -> str:
    difference = "-" if np.isnan(verdict.difference) else f"{verdict.difference:.3g}"
    return f"{verdict.name:45} {difference:>10}  {verdict.tolerance:22} {verdict.status:8} {verdict.note}".rstrip()


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("system")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--failures", is_flag=True, help="Print only what is off or missing.")
def main(system: str, folder: Path, failures: bool) -> None:
    """Recompute the golden numbers in FOLDER with the port of SYSTEM and compare them.

    Exit status 0 when every comparison holds and every key array was compared, 1 when not or when the port fails, 2 for
    a wrong argument or a folder that is not a golden set.
    """
    try:
        golden = load_set(system, folder)
        expected = golden.expected if golden.expected is not None else load_arrays(folder / "outputs.npz")
        counts = dict.fromkeys(("ok", "off", "missing", "skipped"), 0)
        for verdict in compare(golden, expected):
            counts[verdict.status] += 1
            if not failures or verdict.status in ("off", "missing"):
                click.echo(_line(verdict))
    except UserError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_status)
    click.echo(f"{system}: " + ", ".join(f"{count} {status}" for status, count in counts.items()))
    sys.exit(1 if counts["off"] or counts["missing"] or not counts["ok"] else 0)
