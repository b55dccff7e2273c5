"""S without its flattery: its probing is named beforehand, or chosen on one half and measured on the other.

The better of two equal figures is too good by chance. A choice that the measured half has no part in is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pixcore.errors import ConfigError
from pixcore.figures.columns import harmonic_mean, harmonic_score
from pixcore.figures.intervals import FEW, Sums, ratios
from pixcore.figures.rows import RowSpec
from pixcore.figures.summary import Tally
from pixcore.records import Fidelity, SampleResult
from pixcore_statistics import bootstrap

Floats = NDArray[np.float64]

ACCURACIES, GROUNDINGS = ("A†", "A"), ("M†", "M")


@dataclass(frozen=True)
class Halves:
    """S of one row, in percent.

    Attributes:
        chosen: As tables have it: of what the config named, or the better of each on the same samples.
        honest: Of the probing that was named, or chosen on the other half.
        low: Lower end of its 95 % interval; None where none would be honest.
        high: Upper end.
        made_of: Which figures, of each half.
    """

    chosen: float | None
    honest: float | None
    low: float | None
    high: float | None
    made_of: tuple[str, ...]


def halves(
    results: Iterable[SampleResult],
    rows: Sequence[RowSpec],
    fidelity: Fidelity,
    *,
    fix: str | None = None,
    s_of: tuple[str, ...] = (),
    seed: int = 0,
) -> Iterator[tuple[str, Halves]]:
    """Give each row's label and S.

    Args:
        results: Scored samples.
        rows: The table's rows.
        fidelity: Whose rules.
        fix: The two figures that S is made of, such as "A†,M"; None: chosen on one half, measured on the other.
        s_of: What the table's S is made of; empty: the better of each.
        seed: Of the halves and of the bootstrap.

    Raises:
        ConfigError: `fix` names other figures.
    """
    named = fixed(fix)
    tally = Tally(rows, fidelity, seed=seed)
    for result in results:
        tally.add(result)
    for row in rows:
        sums = tally.sums(row.key)
        if any(sums[name].denominators.any() for name in ACCURACIES) and any(
            sums[name].denominators.any() for name in GROUNDINGS
        ):
            yield row.label, _halves(sums, named, s_of, seed)


def fixed(text: str | None) -> tuple[str, str] | None:
    """Read the two figures that S is to be made of.

    Raises:
        ConfigError: They are no accuracy and mean IoU.
    """
    if text is None:
        return None
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != 2 or names[0] not in ACCURACIES or names[1] not in GROUNDINGS:
        raise ConfigError(f"--fix {text!r} is no accuracy and mean IoU", hint="A† or A, then M† or M: --fix A†,M")
    return names


def _halves(sums: dict[str, Sums], named: tuple[str, str] | None, s_of: Sequence[str], seed: int) -> Halves:
    names = (*ACCURACIES, *GROUNDINGS)
    above = np.stack([sums[name].numerators for name in names], axis=1)
    below = np.stack([sums[name].denominators for name in names], axis=1)
    known = ratios(above.sum(0), below.sum(0))
    whole = float(harmonic_mean(*known[[names.index(name) for name in s_of]]) if s_of else harmonic_score(*known))
    first = np.random.default_rng(seed).permutation(len(above)) % 2 == 0
    picks = [named, named] if named else [_better(names, above[half], below[half]) for half in (first, ~first)]
    counted = [~first, first]  # what was chosen on one half is measured on the other
    drawn, fewest = [], len(above)
    for part, (places, pick) in enumerate(zip(counted, picks, strict=True)):
        at = [names.index(name) for name in pick]
        if named:
            places = np.ones(len(above), bool)
        both = bootstrap.resampled_ratios(
            above[places][:, at], below[places][:, at], seed=seed + (0 if named else part)
        )
        point = ratios(above[places][:, at].sum(0), below[places][:, at].sum(0))
        drawn.append((float(harmonic_mean(*point)), harmonic_mean(*both.T)))
        fewest = min(fewest, int((below[places][:, at] > 0).sum(0).min()))
    value = float(np.mean([point for point, _ in drawn]))
    spread = np.mean([spread for _, spread in drawn], axis=0)
    ends = bootstrap.interval_of_width(spread) if fewest >= FEW else None
    low, high = (100 * ends[0], 100 * ends[1]) if ends else (None, None)
    return Halves(_known(whole), _known(value), low, high, tuple(dict.fromkeys(", ".join(pick) for pick in picks)))


def _known(share: float) -> float | None:
    return None if np.isnan(share) else 100 * share


def _better(names: Sequence[str], above: Floats, below: Floats) -> tuple[str, str]:
    found = dict(zip(names, np.nan_to_num(ratios(above.sum(0), below.sum(0)), nan=-1.0), strict=True))
    return max(ACCURACIES, key=lambda name: found[name]), max(GROUNDINGS, key=lambda name: found[name])
