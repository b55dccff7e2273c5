"""Records made by many processes: what one costs the driver, how far actors scale, what a thousand would do.

    python benchmarks/speed/cluster.py [--actors 1,4,16,64] [--samples 2000]

Measured with the toy components of the tests, whose model waits as for a GPU: a stated time a batch and no processor.
`overhead` is what a sample costs in one process and in two, with a model that takes no time at all; `scaling` the
records a second of so many waiting actors, once all are there, as a share of what they would make if nobody waited for
the driver; `memory` the driver's peak; `merge` ten stores into one; `simulation` goes on where two cores end: discrete
events, with the driver's measured cost a sample as its only server, up to a thousand actors and a million samples.
Writes `cluster.json` beside itself.
"""

from __future__ import annotations

import argparse
import heapq
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from _measure import HERE, write

ROOT = HERE.parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests" / "toy")]
BATCH = 8
ANSWERS_ALONE = {
    "extractor": None,
    "masks": None,
    "control": None,
    "judge": None,
    "letter_judge": None,
    "protocols": ["letter"],
}


def child(asked: dict[str, Any]) -> dict[str, Any]:
    """Carry out a run in a process of its own; give its figures."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT / "tests" / "toy"), str(ROOT), os.environ.get("PYTHONPATH", "")]),
        "PIXCORE_PLUGINS": "toy,ray",
        "RAY_USAGE_STATS_ENABLED": "0",
        "OMP_NUM_THREADS": "1",
    }
    command = [sys.executable, str(Path(__file__).resolve()), "--child", json.dumps(asked)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise SystemExit(f"the run failed: {(done.stdout + done.stderr)[-2000:]}")
    return dict(json.loads(lines[-1]))


def carry_out(asked: dict[str, Any]) -> dict[str, Any]:
    """Execute a run in this process; give when its records came, the processor's seconds, and the peak of memory."""
    from pixcore.config import resolve
    from pixcore.files import prepare
    from pixcore.plugins import registry
    from pixcore.runs.execute import execute
    from pixcore.runs.plan import Run
    from pixcore.stages.base import Item, Monitor
    from tests.workplace import TOY_RUN

    arrivals: list[float] = []

    class Arrivals(Monitor):
        def __init__(self) -> None: ...
        def begin(self, stage: str, total: int, done: int) -> None: ...
        def written(self, tokens: int, most: int) -> None: ...
        def say(self, line: str, style: str = "") -> None: ...
        def end(self) -> None: ...
        def failed(self, stage: str, item: Item, error: Exception) -> None:
            raise error

        def advance(self, count: int = 1) -> None:
            arrivals.append(time.perf_counter())

    with tempfile.TemporaryDirectory() as folder:
        own = {"output": f"{folder}/out", "store": f"{folder}/store", "batch_size": BATCH, "writers": []}
        benchmark = {"name": "toy-boxes", "pairs": asked["samples"] // 2, "size": [16, 12]}
        model = {"name": "toy", "pause": asked.get("pause", 0.0)}
        document = {**TOY_RUN, "benchmark": benchmark, "model": model, **own, **asked.get("changes", {})}
        resolved = resolve({**document, "executor": asked["executor"]}, registry())
        prepare(resolved.config.output)
        job = Run(resolved)
        _ = len(job.items)
        wall, processor = time.perf_counter(), time.process_time()
        execute(job, Arrivals())
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    return {
        "wall": wall,
        "processor": processor,
        "records": len(arrivals),
        "rate": _steady(arrivals),
        "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def _steady(arrivals: list[float]) -> float:
    """Records a second in the middle of a run, when every actor is there and none has run out of work."""
    first, last = arrivals[len(arrivals) * 2 // 5], arrivals[len(arrivals) * 4 // 5]
    return (len(arrivals) * 4 // 5 - len(arrivals) * 2 // 5) / max(last - first, 1e-9)


def overhead(samples: int) -> dict[str, Any]:
    """What a sample costs, all its stages, in one process and in two: wall and the driver's processor, in ms."""
    found = {}
    for name, executor in (("local", {"name": "local"}), ("processes: 2", {"name": "processes", "n": 2})):
        few, many = (child({"samples": n, "executor": executor}) for n in (samples // 4, samples))
        more = samples - samples // 4
        found[name] = {kind: 1000 * (many[kind] - few[kind]) / more for kind in ("wall", "processor")}
        found[name]["records a sample"] = many["records"] / samples
    return found


def scaling(actors: list[int], pause: float, batches: int) -> dict[str, Any]:
    """Records a second of so many actors that wait, as a share of what they would make without a driver."""
    found = {}
    for count in actors:
        resources = {"answer": {"cpus": 0.001, "actors": count}}
        executor = {"name": "processes", "resources": resources, "seconds": pause * BATCH}
        run = child(
            {"samples": count * BATCH * batches, "executor": executor, "pause": pause, "changes": ANSWERS_ALONE}
        )
        ideal = count / pause
        found[str(count)] = {
            "rate": run["rate"],
            "ideal": ideal,
            "efficiency": run["rate"] / ideal,
            "driver, s": run["processor"],
        }
        print(
            f"{count:4} actors: {run['rate']:.1f} a second, {100 * run['rate'] / ideal:.0f} % of {ideal:.1f}",
            flush=True,
        )
    return found


def memory(samples: int) -> dict[str, float]:
    """The driver's peak in MiB at a quarter and at all of a number of samples."""
    executor = {"name": "processes", "n": 2}
    return {
        str(n): child({"samples": n, "executor": executor, "changes": ANSWERS_ALONE})["peak"]
        for n in (samples // 4, samples)
    }


def merged(stores: int, records: int) -> dict[str, float]:
    """Seconds and peak of memory of merging stores, each of so many records of some kB."""
    from pixcore_store.merging import merge

    from pixcore.stages.serialise import Entry
    from pixcore.stages.store import StageStore

    rng, ingredients = np.random.default_rng(0), {"seed": 0}
    with tempfile.TemporaryDirectory() as folder:
        for number in range(stores):
            store, rows = StageStore(Path(folder, str(number)), "answer", ingredients), []
            for record in range(records):
                entry = Entry({"text": "a dog on the grass " * 4}, {"maps": rng.random((4, 64)).astype(np.float16)})
                rows.append(store.packed(f"{number:02}{record:062}", f"{number}-{record}", entry))
            store.put_rows(rows)
            store.close()
        began = time.perf_counter()
        found = merge([Path(folder, str(number)) for number in range(stores)], Path(folder, "all"), lambda line: None)
        seconds = time.perf_counter() - began
    assert found.records == stores * records
    assert not found.conflicts
    return {
        "seconds": seconds,
        "records a second": found.records / seconds,
        "peak, MiB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def simulated(
    actors: int, samples: int, seconds: float, cost: float, *, drivers: int = 1, batch: int = BATCH
) -> dict[str, float]:
    """Discrete events: actors with two batches each, and a driver that takes one in and sends the next, in turn.

    Args:
        actors: How many.
        samples: How many.
        seconds: What a sample takes an actor.
        cost: What a sample takes the driver: packing, sending, checking, writing.
        drivers: How many drivers share the samples, each with a store of its own (`--shard`).
        batch: Samples a batch.

    Returns:
        Hours, the share of the actors' time that they work, and of the driver's.
    """
    own, left = actors // drivers, samples // drivers // batch
    todo = left
    events: list[tuple[float, int]] = []  # when a batch is done, and by whom
    free = 0.0  # when the driver has time
    until = [0.0] * own  # when an actor is done with what it has begun
    last = busy = 0.0

    def send(now: float, actor: int) -> None:
        start = max(now, until[actor])
        until[actor] = start + seconds * batch
        heapq.heappush(events, (until[actor], actor))

    for actor in [*range(own), *range(own)]:  # two each
        if todo:
            free += cost * batch / 2
            busy += cost * batch / 2
            send(free, actor)
            todo -= 1
    while events:
        done, actor = heapq.heappop(events)
        free = max(free, done) + cost * batch
        busy += cost * batch
        last = free
        if todo:
            todo -= 1
            send(free, actor)
    return {
        "hours": last / 3600,
        "actors at work": left * batch * seconds / (own * last),
        "driver at work": busy / last,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--child", type=json.loads)
    parser.add_argument("--actors", default="1,4,16,64")
    parser.add_argument("--samples", type=int, default=2000)
    asked = parser.parse_args()
    if asked.child:
        print(json.dumps(carry_out(asked.child)))
        return
    document: dict[str, Any] = {"load before": os.getloadavg()[0], "overhead, ms a sample": overhead(asked.samples)}
    print(json.dumps(document), flush=True)
    document["scaling"] = scaling([int(one) for one in asked.actors.split(",")], 0.25, 10)
    document["memory, MiB"] = memory(asked.samples * 2)
    document["merge, 10 x 10,000"] = merged(10, 10_000)
    cost = document["overhead, ms a sample"]["processes: 2"]["processor"] / 1000
    document["simulation"] = {
        f"{actors} actors of {seconds:g} s a sample, {drivers} drivers": simulated(
            actors, 1_000_000, seconds, cost, drivers=drivers
        )
        for seconds in (0.5, 5.0)
        for actors, drivers in ((64, 1), (256, 1), (1000, 1), (1000, 4), (1000, 16))
    }
    document["load after"] = os.getloadavg()[0]
    write("cluster", document)
    for name, one in document["simulation"].items():
        told = f"{100 * one['actors at work']:.0f} % at work, the driver {100 * one['driver at work']:.0f} %"
        print(f"{name}: {one['hours']:.2f} h, {told}")


if __name__ == "__main__":
    main()
