"""Processes that share every batch have the same weights, and gradients that are the mean over all of them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pixcore_mini.sharing import rows_of, run_shared, share_gradients, share_weights
from torch import nn

from pixcore.errors import DataError


def _step(rank: int, out: Path) -> None:
    """One step of SGD on a gradient of rank + 1 everywhere."""
    torch.manual_seed(rank)
    module = nn.Linear(2, 2)
    (out / f"begun-{rank}.txt").write_text(str(module.weight.tolist()))
    share_weights(module, 2)
    optimizer = torch.optim.SGD(module.parameters(), lr=1.0)
    for parameter in module.parameters():
        parameter.grad = torch.full_like(parameter, rank + 1.0)
    share_gradients(optimizer, 2)
    before = module.weight.detach().clone()
    optimizer.step()
    torch.save((before, module.weight.detach()), out / f"ended-{rank}.pt")


def _refuse(rank: int, out: Path) -> None:
    raise SystemExit("choose another --out")


def test_weights_are_the_first_one_s_and_gradients_the_mean(tmp_path: Path) -> None:
    run_shared(_step, tmp_path, processes=2, out=tmp_path)
    assert (tmp_path / "begun-0.txt").read_text() != (tmp_path / "begun-1.txt").read_text()
    (before, after), (other_before, other_after) = (torch.load(tmp_path / f"ended-{rank}.pt") for rank in (0, 1))
    assert torch.equal(before, other_before)
    assert str(before.tolist()) == (tmp_path / "begun-0.txt").read_text()
    assert torch.equal(after, other_after)
    torch.testing.assert_close(after, before - 1.5)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_refusal_ends_without_a_traceback(tmp_path: Path, processes: int) -> None:
    with pytest.raises(SystemExit):
        run_shared(_refuse, tmp_path, processes=processes, out=tmp_path)


def _mistaken(rank: int, out: Path) -> None:
    raise DataError("no scene is there")


@pytest.mark.parametrize("processes", [1, 2])
def test_a_user_s_mistake_ends_with_one_line(tmp_path: Path, processes: int, capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        run_shared(_mistaken, tmp_path, processes=processes, out=tmp_path)
    assert left.value.code == 2
    said = capfd.readouterr().err
    assert "error: no scene is there" in said
    assert "Traceback" not in said


def test_processes_take_all_rows_of_a_batch() -> None:
    assert [row for rank in range(4) for row in rows_of(16, rank, 4)] == list(range(16))
