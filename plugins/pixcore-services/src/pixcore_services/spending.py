"""Count what services cost, and hold the components of a run to its budget."""

from __future__ import annotations

import json
import math
import os
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import BinaryIO, ClassVar
from weakref import WeakKeyDictionary

from pydantic import TypeAdapter

from pixcore.errors import ConfigError, StoreError, UserError
from pixcore.notices import notice
from pixcore.services import Allowance, Budget, Expense, Price

_EXPENSE = TypeAdapter(Expense)


class BudgetError(UserError):
    """The budget is spent: what was done is kept, and a larger budget goes on from there."""


class Spending:
    """A run's prices, its budget, and the ledger of what was spent. Safe to use from several threads.

    Args:
        prices: By model, from the config.
        budget: None: no limit.
        ledger: A file of JSON lines, one a paid call; what it holds from other commands of the run counts, also of
            those that are at work now, but for calls that are under way there. None: nothing is written.

    Raises:
        StoreError: The ledger can't be read.
    """

    _under: ClassVar[WeakKeyDictionary[Allowance, Spending]] = WeakKeyDictionary()

    def __init__(
        self, prices: Mapping[str, Price] | None = None, budget: Budget | None = None, ledger: Path | None = None
    ) -> None:
        self.prices = dict(prices or {})
        self.budget = budget
        self._ledger = ledger
        self._lock = threading.Lock()
        self._spent, self._read = _known(()), 0
        self._catch_up()
        self._promised: list[Expense] = []

    @classmethod
    def under(cls, allowance: Allowance | None) -> Spending:
        """Give the one spending under a run's allowance, which all its components share; None: without any limit."""
        if allowance is None:
            return cls()
        if allowance not in cls._under:
            cls._under[allowance] = cls(allowance.prices, allowance.budget, allowance.ledger)
        return cls._under[allowance]

    @property
    def spent(self) -> Expense:
        """Everything that the ledger holds, added up."""
        return self._spent

    @contextmanager
    def call(self, expected: Expense) -> Iterator[list[Expense]]:
        """Set the expected cost of one call aside while it is under way.

        Yields:
            A list, into which the caller puts what the call did cost; nothing if it cost nothing.

        Raises:
            BudgetError: It would exceed the budget, together with the calls under way.
            ConfigError: The budget is in dollars and the model's price is not known.
        """
        with self._lock:
            self._check(expected)
            self._promised.append(expected)
        actual: list[Expense] = []
        try:
            yield actual
        finally:
            with self._lock:
                self._promised.remove(expected)
                for expense in actual:
                    self._book(expense)

    def book_lost(self, expected: Expense, *, again: bool) -> None:
        """Book a call under way that came to nothing and may be paid for, as it was expected to cost.

        Args:
            expected: What `call` has set aside for it.
            again: It is made once more.

        Raises:
            BudgetError: It is made once more, and that would exceed the budget.
        """
        with self._lock:
            self._book(expected)
            if again:
                self._promised.remove(expected)
                try:
                    self._check(expected)
                finally:
                    self._promised.append(expected)

    def check_priced(self, expected: Expense) -> None:
        """Refuse what can't be held to a budget in dollars.

        Raises:
            ConfigError: The model's price is not known.
        """
        if self.budget is not None and self.budget.usd is not None and expected.usd is None:
            raise ConfigError(
                f"budget: {self.budget.usd:g} USD can't be kept: the price of model {expected.model!r} is not known",
                hint=f"say it, per million tokens: prices: {{{expected.model}: {{input: 0.0, output: 0.0}}}}",
            )

    def _check(self, expected: Expense) -> None:
        self.check_priced(expected)
        budget = self.budget
        if budget is None:
            return
        self._catch_up()
        total = _known((self._spent, *self._promised, expected))
        for limit, value, unit in (
            (budget.usd, total.usd or 0.0, "USD"),
            (budget.calls, total.calls, "calls"),
            (budget.tokens, total.input_tokens + total.output_tokens, "tokens"),
        ):
            if limit is not None and value > limit:
                raise BudgetError(
                    f"the budget of {limit:,.10g} {unit} is spent ({_said(self._spent)})",
                    hint="everything answered is kept; raise budget: and run again to go on",
                )

    def _book(self, expense: Expense) -> None:
        if self._ledger is None:
            self._spent = _known((self._spent, expense))
            return
        try:
            with self._ledger.open("a+b") as file:
                begin = b"\n" if _is_torn(file) else b""
                file.write(begin + json.dumps(asdict(expense)).encode() + b"\n")
        except OSError as error:
            self._spent = _known((self._spent, expense))
            raise StoreError(
                f"can't write {self._ledger}: {error.strerror}", hint="nothing more is spent unseen"
            ) from error
        self._catch_up()

    def _catch_up(self) -> None:
        """Take in what the ledger holds by now: several commands of the run may write into it at once."""
        if self._ledger is not None:
            found, self._read = _lines(self._ledger, self._read)
            self._spent = _known((self._spent, *found))


def read_ledger(path: Path) -> Iterator[Expense]:
    """Read the expenses of earlier commands; a last line that a killed process left torn is passed over, others told.

    Raises:
        StoreError: It can't be read.
    """
    yield from _lines(path, 0)[0]


def _lines(path: Path, start: int) -> tuple[list[Expense], int]:
    """Read a ledger from a byte on, and say up to which it is read: a line that is not whole may become it."""
    try:
        with path.open("rb") as file:
            file.seek(start)
            text = file.read()
    except FileNotFoundError:
        return [], start
    except OSError as error:
        raise StoreError(f"can't read {path}: {error.strerror}", hint="move it away: what it notes is spent") from error
    *lines, last = text.split(b"\n")
    read = [_expense(line) for line in lines if line.strip()]
    found = [one for one in read if one is not None]
    if unread := len(read) - len(found):
        which = "1 line" if unread == 1 else f"{unread} lines"
        notice(f"{path}: {which} can't be read, and what is noted there is not counted: a kill or a disk's fault")
    ending = _expense(last)
    return found + ([] if ending is None else [ending]), start + len(text) - (len(last) if ending is None else 0)


def _expense(line: bytes) -> Expense | None:
    """Read a line of a ledger; None where it is none that was written so: it would take back what others note."""
    try:
        document = json.loads(line)
        expense = _EXPENSE.validate_python(document)
        held = asdict(expense)
        numbers = (value or 0 for name, value in held.items() if name != "model")
        whole = document.keys() <= held.keys() and all(0 <= one < math.inf for one in numbers)
        return expense if whole else None
    except (ValueError, RecursionError):
        return None


def _is_torn(file: BinaryIO) -> bool:
    """Whether a kill cut the last line of a file short."""
    if not file.seek(0, os.SEEK_END):
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"


def summed(expenses: Iterable[Expense], model: str = "") -> Expense:
    """Add expenses up; where the price of one is not known, that of all is not."""
    total = Expense(model, calls=0, usd=0.0)
    for one in expenses:
        total = Expense(
            model,
            total.calls + one.calls,
            total.images + one.images,
            total.input_tokens + one.input_tokens,
            total.output_tokens + one.output_tokens,
            None if total.usd is None or one.usd is None else total.usd + one.usd,
        )
    return total


def _known(expenses: Iterable[Expense]) -> Expense:
    """The total; what has no known price adds nothing to its dollars."""
    return summed(replace(expense, usd=expense.usd or 0.0) for expense in expenses)


def _said(expense: Expense) -> str:
    tokens = expense.input_tokens + expense.output_tokens
    return f"{expense.calls} calls, {tokens} tokens, {expense.usd or 0.0:.4f} USD"
