"""Gives pixcore's figures their intervals and accounts, and adds the commands `power` and `probing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand

if TYPE_CHECKING:
    from pixcore.figures.columns import Own
    from pixcore.figures.intervals import Sums
    from pixcore.figures.rows import Figure, RowSpec
    from pixcore.records import Fidelity
    from pixcore_statistics.accounts import Accounts
    from pixcore_statistics.intervals import Interval


@hookimpl
def register_commands(register: RegisterCommand) -> None:
    """Add the commands `power` and `probing`."""
    register("power", "pixcore_statistics.command:power", summary="Which differences a benchmark can show.")
    register("probing", "pixcore_statistics.command:probing", summary="S with its probing chosen beforehand.")


@hookimpl
def give_intervals(
    rows: Sequence[Mapping[str, Sums]], own: Own, seed: int, specs: Sequence[RowSpec]
) -> list[dict[str, Interval | Figure]]:
    """Give each figure the interval that its kind asks for, and each strategy's figures less those of its control."""
    from pixcore_statistics.controls import less_controls
    from pixcore_statistics.intervals import intervals

    return [
        {**one, **less}
        for one, less in zip(intervals(rows, own, seed=seed), less_controls(rows, specs, own), strict=True)
    ]


@hookimpl
def keep_accounts(rows: Sequence[RowSpec], fidelity: Fidelity) -> Accounts:
    """Keep account of a run's figures."""
    from pixcore_statistics.accounts import Accounts

    return Accounts(rows, fidelity)
