"""Kill actors and remove nodes while a run is under way: `python -m tools.kill_cluster --times 50 --seed N`.

A cluster of several nodes is started in this machine (`ray.cluster_utils`; its GPUs exist as resources alone). Runs on
one, two and four nodes and by one and sixteen actors, and runs in which an actor is killed and a node removed at random
instants, have to leave the records of an undisturbed run in one process, bit for bit: none missing, none failed, none
other.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import signal
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1"}
os.environ.setdefault("RAY_health_check_period_ms", "500")  # a removed node is missed sooner
os.environ.setdefault("RAY_health_check_failure_threshold", "2")

from tests.workplace import TOY, TOY_RUN

Records = dict[str, dict[str, tuple[Any, ...]]]


def config(folder: Path, store: str, pairs: int, pause: float, **changes: object) -> dict[str, object]:
    """The toy run, with a model that takes its time."""
    own = {"output": str(folder / "out"), "store": str(folder / store), "batch_size": 2, "writers": []}
    benchmark = {"name": "toy-boxes", "pairs": pairs}
    lent = {"points": "other-images", "selection": "toy-best"}  # a record of it is made of other samples' records
    return {
        **TOY_RUN,
        "control": [TOY_RUN["control"], lent],
        "benchmark": benchmark,
        "model": {"name": "toy", "pause": pause},
        **own,
        **changes,
    }


def carried_out(document: Mapping[str, object], count: Counter[str] | None = None) -> tuple[int, str]:
    """Execute a run, counting its records as they come; give how many samples failed, and what was shown."""
    from pixcore.config import resolve
    from pixcore.files import prepare
    from pixcore.plugins import registry
    from pixcore.runs.execute import execute
    from pixcore.runs.plan import Run
    from pixcore.runs.progress import Display
    from pixcore.terminal import Console

    class Counting(Display):
        def advance(self, more: int = 1) -> None:
            super().advance(more)
            if count is not None:
                count["records"] += more

    resolved = resolve(document, registry())
    prepare(resolved.config.output)
    shown = io.StringIO()
    try:
        return execute(Run(resolved), Counting(Console(file=shown))), shown.getvalue()
    except Exception:
        return -1, f"{shown.getvalue()}\n{traceback.format_exc()}"


def records(store: Path) -> Records:
    """Read every record of every stage's store, without the times."""
    found: Records = {}
    for path in sorted(store.glob("*.sqlite")):
        if not path.name.startswith("exchanges-"):
            with sqlite3.connect(path) as database:
                rows = database.execute("SELECT key, sample_id, body, arrays, checksum, error FROM records")
                found[path.name] = {row[0]: row[1:] for row in rows}
    return found


def differs(found: Records, calm: Records) -> str:
    """Say in how many records two stores differ; "" if in none."""
    if found.keys() != calm.keys():
        return f"other stages: {sorted(found.keys() ^ calm.keys())}"
    other = sum(found[name].get(key) != calm[name].get(key) for name in calm for key in found[name] | calm[name])
    return f"{other} records differ" if other else ""


class Nodes:
    """A cluster whose head makes nothing, and nodes that come and go.

    Args:
        count: How many nodes.
    """

    def __init__(self, count: int) -> None:
        import ray
        from pixcore_ray.executors import hush, see
        from ray.cluster_utils import Cluster

        self._cluster = Cluster(
            initialize_head=True,
            head_node_args={"num_cpus": 0, "include_dashboard": False, "object_store_memory": 10**8},
        )
        self.nodes: list[Any] = []
        self.grow(count)
        see(self._cluster.address)  # as for an address that a config names
        ray.init(address=self._cluster.address, log_to_driver=False, logging_level="ERROR")
        hush()

    def grow(self, count: int) -> None:
        """Add nodes."""
        for _ in range(count):
            self.nodes.append(self._cluster.add_node(num_cpus=2, num_gpus=1, object_store_memory=10**8))

    def remove(self, node: Any) -> None:
        """Let a node go without a word."""
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)

    def actors(self) -> int:
        """Count the actors that ever were there."""
        from ray._private.state import actors

        return len(actors())

    def kill_actor(self, rng: random.Random) -> bool:
        """Kill the process of a living actor, if there is one."""
        from ray._private.state import actors

        alive = [one["Pid"] for one in actors().values() if one["State"] == "ALIVE" and one["Pid"]]
        if not alive:
            return False
        try:
            os.kill(rng.choice(sorted(alive)), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> None:
        """Stop everything."""
        import ray

        ray.shutdown()
        self._cluster.shutdown()


def disturb(nodes: Nodes, rng: random.Random, most: int, run: threading.Thread, count: Counter[str]) -> dict[str, int]:
    """At two random instants, known by how many records there are, kill an actor and remove a node; another comes."""
    told = {"actors": 0, "nodes": 0}
    for moment, what in sorted((rng.randrange(most), what) for what in told):
        while count["records"] < moment and run.is_alive():
            run.join(0.02)
        if not run.is_alive():
            break
        if what == "actors":
            told[what] += nodes.kill_actor(rng)
        else:
            nodes.remove(rng.choice(nodes.nodes))
            nodes.grow(1)
            told[what] += 1
    run.join()
    return told


def trials(
    folder: Path, sizes: list[int], crews: list[int], times: int, seed: int, pairs: int, pause: float
) -> Iterator[dict[str, Any]]:
    """Run undisturbed in one process, on each number of nodes and of actors, and disturbed; tell of each."""
    carried_out(config(folder, "calm", pairs, pause))
    calm = records(folder / "calm")
    assert all(len(stage) for stage in calm.values())
    rng = random.Random(seed)
    nodes = Nodes(0)
    on_ray = {"name": "ray", "resources": {"answer": {"gpus": 1}}, "tries": 10, "seconds": 0.2}
    try:
        for size in sizes:
            nodes.grow(size - len(nodes.nodes))
            began = time.monotonic()
            failures, _ = carried_out(config(folder, f"on-{size}", pairs, pause, executor=on_ray, on_error="record"))
            took = round(time.monotonic() - began, 1)
            wrong = differs(records(folder / f"on-{size}"), calm)
            yield {"nodes": size, "seconds": took, "failures": failures, "wrong": wrong}
        nodes.grow(max(2 - len(nodes.nodes), 0))
        for crew in crews:
            each = {"gpus": 0, "cpus": 1 / 64, "actors": crew}  # all stages alike, so that they share their actors
            stages = ("answer", "propose", "control", "select", "judge")
            executor = {"name": "ray", "resources": dict.fromkeys(stages, each), "seconds": 0.05}
            before = nodes.actors()
            document = config(folder, f"by-{crew}", pairs, pause, executor=executor, on_error="record")
            failures, shown = carried_out(document)
            wrong = differs(records(folder / f"by-{crew}"), calm)
            yield {"actors": crew, "at work": nodes.actors() - before, "failures": failures, "wrong": wrong}
            if wrong or failures:
                print(shown, file=sys.stderr)
        nodes.grow(max(3 - len(nodes.nodes), 0))
        for number in range(times):
            document = config(folder, f"disturbed-{number}", pairs, pause, executor=on_ray, on_error="record")
            ended, count = list[tuple[int, str]](), Counter[str]()
            run = threading.Thread(
                target=lambda *given, into=ended: into.append(carried_out(*given)), args=(document, count)
            )
            began = time.monotonic()
            run.start()
            told = disturb(nodes, rng, sum(map(len, calm.values())), run, count)
            failures, shown = ended[0]
            wrong = differs(records(folder / f"disturbed-{number}"), calm)
            took = round(time.monotonic() - began, 1)
            yield {"trial": number, **told, "seconds": took, "failures": failures, "wrong": wrong}
            if wrong or failures:
                print(shown, file=sys.stderr)
    finally:
        nodes.end()


def main() -> int:
    """Disturb; 0 where all ended as if nobody had."""
    parser = argparse.ArgumentParser(prog="python -m tools.kill_cluster", description=__doc__)
    parser.add_argument("--times", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--nodes", default="1,2,4", help="sizes of undisturbed clusters")
    parser.add_argument("--actors", default="1,16", help="numbers of actors of undisturbed runs")
    parser.add_argument("--pairs", type=int, default=12, help="pairs of samples of a run")
    parser.add_argument("--pause", type=float, default=0.03, help="seconds that an answer takes")
    asked = parser.parse_args()
    os.environ["PIXCORE_PLUGINS"] = "toy,points,ray"
    sys.path.insert(0, str(TOY))
    os.environ["PYTHONPATH"] = os.pathsep.join([str(TOY), *filter(None, [os.environ.get("PYTHONPATH")])])
    sizes, crews = ([int(size) for size in given.split(",") if size] for given in (asked.nodes, asked.actors))
    wrong, done = 0, {"actors": 0, "nodes": 0}
    with tempfile.TemporaryDirectory() as folder:
        for one in trials(Path(folder), sizes, crews, asked.times, asked.seed, asked.pairs, asked.pause):
            print(json.dumps(one), flush=True)
            wrong += bool(one["wrong"] or one["failures"])
            if "trial" in one:
                done = {what: count + one[what] for what, count in done.items()}
    print(json.dumps({"seed": asked.seed, "killed": done, "wrong": wrong}))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
