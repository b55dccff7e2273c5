"""Budgets and the ledger."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from pixcore_services.spending import BudgetError, Spending, read_ledger

from pixcore.errors import ConfigError, StoreError
from pixcore.notices import Notice
from pixcore.services import Budget, Expense, Price
from tests.workplace import Workplace

CALL = Expense("m", calls=1, images=2, input_tokens=100, output_tokens=10, usd=0.5)


def spend(spending, expected=CALL, actual=CALL):
    with spending.call(expected) as paid:
        paid.append(actual)


def test_a_lone_number_is_dollars():
    assert Budget.model_validate(5) == Budget(usd=5)
    with pytest.raises(ValueError, match="valid"):
        Budget.model_validate(True)


@pytest.mark.parametrize("section", [{"usd": True}, {"calls": True}, {"tokens": False}, {"usd": float("inf")}])
def test_a_budget_is_numbers(section):
    with pytest.raises(ValueError, match=next(iter(section))):
        Budget.model_validate(section)
    with pytest.raises(ValueError, match="input"):
        Price.model_validate({"input": True, "output": 1})


@pytest.mark.parametrize("budget", [Budget(usd=1.2), Budget(calls=2), Budget(tokens=250)])
def test_no_call_begins_that_could_exceed_the_budget(budget, tmp_path):
    ledger = tmp_path / "spending.jsonl"
    spending = Spending(budget=budget, ledger=ledger)
    spend(spending)
    with spending.call(CALL), pytest.raises(BudgetError, match="is spent"), spending.call(CALL):
        pass  # one under way counts, although it is not paid yet
    spend(spending)
    later = Spending(budget=budget, ledger=ledger)
    assert later.spent.calls == 2
    with pytest.raises(BudgetError), later.call(CALL):
        pass


def test_a_large_budget_is_told_in_figures():
    spending, all_of_it = Spending(budget=Budget(tokens=2_000_000)), Expense("m", calls=1, input_tokens=2_000_001)
    with pytest.raises(BudgetError, match="the budget of 2,000,000 tokens is spent"), spending.call(all_of_it):
        pass


def test_a_call_that_fails_costs_nothing(tmp_path):
    spending = Spending(budget=Budget(calls=1), ledger=tmp_path / "spending.jsonl")
    for _ in range(3):
        with pytest.raises(RuntimeError), spending.call(CALL):
            raise RuntimeError
    assert spending.spent.calls == 0
    spend(spending)


def test_dollars_need_a_price():
    spending = Spending(budget=Budget(usd=1))
    with pytest.raises(ConfigError, match="price of model 'm' is not known"), spending.call(Expense("m")):
        pass
    spend(Spending(budget=Budget(calls=1)), Expense("m"), Expense("m"))


def test_a_torn_ledger_counts_what_is_whole(tmp_path):
    ledger = tmp_path / "spending.jsonl"
    spend(Spending(ledger=ledger))
    with ledger.open("a") as file:
        file.write('{"model": "m", "cal')
    assert list(read_ledger(ledger)) == [CALL]


def test_what_is_paid_after_a_kill_counts_in_the_next_command(tmp_path):
    ledger = tmp_path / "spending.jsonl"
    spend(Spending(ledger=ledger))
    whole = ledger.read_bytes()
    for cut in (1, 20, len(whole) - 1):
        ledger.write_bytes(whole + whole[:cut])
        for _ in range(2):
            spend(Spending(ledger=ledger))
        kept = 4 if cut == len(whole) - 1 else 3  # of a whole line only the end was cut
        assert Spending(ledger=ledger).spent.calls == kept
        assert ledger.read_bytes() == whole + whole[:cut] + b"\n" + 2 * whole


def test_commands_of_one_run_that_are_at_work_at_once_share_its_budget(tmp_path):
    ledger = tmp_path / "spending.jsonl"
    one, other = (Spending(budget=Budget(calls=5), ledger=ledger) for _ in range(2))
    for spending in (one, other, one, other, other):
        spend(spending)
    for spending in (one, other):
        with pytest.raises(BudgetError, match="5 calls"):
            spend(spending)
    assert one.spent == other.spent == Spending(ledger=ledger).spent


@pytest.mark.parametrize(
    "line",
    [
        *(b'\xff\xfe{"model"', b'{"model": "m", "calls": "many"}', b"null", b"7", b"\0" * 9, b"[" * 100_000),
        *(b'{"model": "m", "usd": NaN}', b'{"model": "m", "usd": -5}', b'{"model": "m", "usd": -1e999}'),
        *(b'{"model": "m", "urd": 0.9}', b'{"model": "m", "calls": -1}', b'{"model": "m"}{"model": "m"}'),
    ],
    ids=lambda line: repr(line[:30]),
)
def test_a_line_that_is_no_expense_is_told_and_takes_nothing_back(line, tmp_path):
    ledger = tmp_path / "spending.jsonl"
    spend(Spending(ledger=ledger))
    ledger.write_bytes(ledger.read_bytes() + line + b"\n")
    with pytest.warns(Notice, match=f"{ledger}: 1 line can't be read, and what is noted there is not counted"):
        spending = Spending(budget=Budget(calls=1), ledger=ledger)
    assert spending.spent == replace(CALL, model="")
    with pytest.raises(BudgetError):
        spend(spending)


def test_a_ledger_that_can_not_be_read_is_told_in_a_line(tmp_path):
    with pytest.raises(StoreError, match=f"can't read {tmp_path}"):
        Spending(ledger=tmp_path)


def test_threads_do_not_exceed_it_together(tmp_path):
    spending = Spending(budget=Budget(calls=20), ledger=tmp_path / "spending.jsonl")
    refused = []

    def many():
        for _ in range(10):
            try:
                spend(spending)
            except BudgetError:
                refused.append(1)

    threads = [threading.Thread(target=many) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert spending.spent.calls == 20
    assert len(refused) == 60


@pytest.mark.parametrize("option", ["--estimate", "--fresh-judge"])
def test_what_is_told_of_one_run_is_not_told_of_several_seeds(tmp_path, option):
    workplace = Workplace(tmp_path)
    workplace.environment["PIXCORE_PLUGINS"] += ",services"
    done = workplace("run", str(workplace.config(seeds=[1, 2])), option, status=2)
    assert "the config has the seeds 1, 2 (--set 'seeds=[]'" in done.stderr
    assert not (tmp_path / "out" / "summary.json").exists()
