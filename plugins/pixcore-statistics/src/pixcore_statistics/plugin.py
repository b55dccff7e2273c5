"""Gives pixcore's figures their intervals and accounts, and adds the commands `power` and `probing`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from pixcore import hookimpl
from pixcore.hookspecs import RegisterCommand

if TYPE_CHECKING:
    from pixcore.figures.columns import Own
    from pixcore.figures.intervals import Sums
    from pixcore.figures.rows import RowSpec
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
    rows: Sequence[Mapping[str, Sums]], own: Own, seed: int, beside: Sequence[tuple[int, ...]]
) -> list[dict[str, Interval]]:
    """Give each figure the interval that its kind asks for."""
    from pixcore_statistics.intervals import intervals

    return intervals(rows, own, seed=seed, beside=beside)


@hookimpl
def keep_accounts(rows: Sequence[RowSpec], fidelity: Fidelity) -> Accounts:
    """Keep account of a run's figures."""
    from pixcore_statistics.accounts import Accounts

    return Accounts(rows, fidelity)
