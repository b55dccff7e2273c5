"""Let several processes share every batch: each takes some of its rows, and gradients are the mean over all of them."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.multiprocessing.spawn import ProcessExitedException, spawn

from pixcore.files import prepare
from pixcore_mini.arguments import ended_by_one_line


def run_shared(work: Callable[[int, Any], None], options: Any, *, processes: int, out: Path) -> None:
    """Run a training here, or in several processes, each with its share of the threads.

    Args:
        work: Called with the process's number, from 0, and the options.
        options: Handed to every process.
        processes: How many.
        out: The training's folder; several meet in it, and make it where it is not there.

    Raises:
        SystemExit: A process ended so, and has said why.
    """
    with ended_by_one_line():
        prepare(out, "--out")
        if processes == 1:
            work(0, options)
            return
    meeting_point = out / "processes"
    meeting_point.unlink(missing_ok=True)
    given = (work, options, processes, meeting_point.resolve())
    try:
        spawn(_join, given, nprocs=processes)  # type: ignore[no-untyped-call]
    except ProcessExitedException as error:
        if error.signal_name:
            raise
        raise SystemExit(error.exit_code) from None


def _join(rank: int, work: Callable[[int, Any], None], options: Any, processes: int, meeting_point: Path) -> None:
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    distributed.init_process_group(
        "gloo",
        init_method=f"file://{meeting_point}",
        rank=rank,
        world_size=processes,
        timeout=timedelta(days=1),  # the first may work alone meanwhile
    )
    try:
        with ended_by_one_line():
            work(rank, options)
        distributed.barrier()  # nobody leaves while another is still at it
    finally:
        distributed.destroy_process_group()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)  # Python's own end may meet one of gloo's threads, and be aborted


def rows_of(batch: int, rank: int, processes: int) -> range:
    """Give the rows of a batch that a process takes."""
    share = batch // processes
    return range(rank * share, (rank + 1) * share)


def share_gradients(optimizer: torch.optim.Optimizer, processes: int) -> None:
    """Make every process's gradients the mean over the processes."""
    if processes == 1:
        return
    gradients = [
        parameter.grad
        for group in optimizer.param_groups
        for parameter in group["params"]
        if parameter.grad is not None
    ]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    distributed.all_reduce(flat)
    flat /= processes
    for gradient, mean in zip(gradients, torch.split(flat, [g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def share_weights(module: torch.nn.Module, processes: int) -> None:
    """Give every process the first one's weights."""
    if processes > 1:
        for tensor in module.state_dict().values():
            distributed.broadcast(tensor, 0)
