"""What changes when a service is asked the same again (`pixcore run --fresh-judge`).

A hosted model is replaced behind its name, and one that samples never says quite the same. The drift of a stage is the
share of its records whose outcome changed: another mask or none for a selection, another verdict for a judge.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from pixcore_statistics.agreement import Agreement, agreement

from pixcore.figures.intervals import Cluster, cluster_of
from pixcore.stages.base import Item
from pixcore.stages.serialise import Entry

DRIFT = "drift.json"

_OUTCOME = ("outcome", "candidate", "mask", "correct")


@dataclass
class StageDrift:
    """What changed in one stage that was asked anew.

    Attributes:
        asked: Records made anew.
        compared: Of those, how many had a record before.
        changed: Ids of the samples whose outcome changed, with the outcome before and after.
        served: The names and fingerprints under which the service answered, before and after.
        verdicts: Of a judge, what each sample is drawn together with, and whether it was right before and is now.
    """

    asked: int = 0
    compared: int = 0
    changed: list[dict[str, Any]] = field(default_factory=list)
    served: dict[str, set[str]] = field(default_factory=lambda: {"before": set(), "after": set()})
    verdicts: list[tuple[Cluster, bool, bool]] = field(default_factory=list)

    @property
    def agreement(self) -> Agreement | None:
        """How far a judge agrees with itself; None where the stage is no judge's."""
        if not self.verdicts:
            return None
        right = np.array([verdict[1:] for verdict in self.verdicts], bool)
        return agreement(right, [cluster for cluster, *_ in self.verdicts])


class Drift:
    """Hears of every record before and after, and counts what changed."""

    def __init__(self) -> None:
        self.stages: dict[str, StageDrift] = {}

    def __call__(self, label: str, item: Item, before: Entry | None, after: Entry) -> None:
        """Compare one record with the one that it replaces."""
        stage = self.stages.setdefault(label, StageDrift())
        stage.asked += 1
        stage.served["after"].update(served_by(after.body))
        if before is None:
            return
        stage.compared += 1
        stage.served["before"].update(served_by(before.body))
        was, now = outcome(before.body), outcome(after.body)
        if "correct" in was and "correct" in now:
            stage.verdicts.append((cluster_of(item.sample), was["correct"] is True, now["correct"] is True))
        if was != now:
            place = {"sample_id": item.sample.id, "protocol": str(item.request.protocol)}
            stage.changed.append({**place, "before": was, "after": now})

    def document(self) -> dict[str, Any]:
        """Give what `drift.json` holds."""
        stages = {
            label: {
                "asked": stage.asked,
                "compared": stage.compared,
                "changed": stage.changed,
                "agreement": None if (found := stage.agreement) is None else asdict(found),
                "served": {when: sorted(names) for when, names in stage.served.items()},
            }
            for label, stage in self.stages.items()
        }
        return {"asked_anew": time.strftime("%Y-%m-%dT%H:%M:%S%z"), "stages": stages}

    def lines(self) -> Iterator[str]:
        """Say what changed in words, one line a stage."""
        if not self.stages:
            yield "nothing asks a service in this run: there is no drift to tell"
        for label, stage in self.stages.items():
            share = f" ({100 * len(stage.changed) / stage.compared:.1f} %)" if stage.compared else ""
            yield f"{label}: {stage.asked} asked anew, {len(stage.changed)} of {stage.compared} changed{share}"
            if (found := stage.agreement) is not None:
                low, high = found.kappa_low, found.kappa_high
                ends = "" if low is None or high is None else f" ({low:.2f} to {high:.2f})"
                kappa = "" if found.kappa is None else f"; Cohen's kappa {found.kappa:.2f}{ends}"
                yield f"  {found.gained[0]} wrong to right, {found.lost[0]} right to wrong{kappa}"
            before, after = stage.served["before"], stage.served["after"]
            if before and before != after:
                yield f"  served by {', '.join(sorted(after))}; before by {', '.join(sorted(before))}"


def outcome(body: dict[str, Any]) -> dict[str, Any]:
    """Take the part of a selection's or verdict's record that figures are made of."""
    return {key: body[key] for key in _OUTCOME if key in body}


def served_by(body: dict[str, Any]) -> list[str]:
    """List the names and fingerprints under which a service answered, as a component notes in `details["served"]`."""
    return list(body.get("details", {}).get("served", ()))
