"""Records that many processes make are those of one; what dies is made elsewhere; nothing is sent to anybody."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import signal
import socket
import subprocess
import sys
import threading
from collections import OrderedDict
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pixcore.config import resolve
from pixcore.errors import ConfigError, DataError, ModelError, NotFiniteError, SampleError, StoreError, describe
from pixcore.plugins import registry
from pixcore.runs.plan import Run
from pixcore.runs.progress import Display
from pixcore.stages.base import Item, Stage
from pixcore.stages.propose import Control
from pixcore.stages.serialise import Entry
from pixcore.stages.store import Row
from pixcore.terminal import Console
from tests.workplace import TOY_RUN, Workplace

pytest.importorskip("ray")

from pixcore_ray.config import ProcessesConfig, Resources
from pixcore_ray.crews import crews
from pixcore_ray.driver import Driver, _Actor, _Task
from pixcore_ray.executors import see, sigterm_stops
from pixcore_ray.head import Head, HeadGoneError
from pixcore_ray.parcels import Batch, Packed, RemoteError, path_of, sent, some_files, why
from pixcore_ray.told import NODES, Telling
from pixcore_ray.worker import Maker, versions
from ray.exceptions import ActorDiedError, RayError, RayTaskError

from tools.kill_cluster import differs, records

ROOT = Path(__file__).parents[3]
NOBODY = "127.0.0.1:1"


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    made = Workplace(tmp_path)
    made.environment["PIXCORE_PLUGINS"] = "toy,ray,points"
    return made


def test_processes_make_the_records_of_one(workplace: Workplace) -> None:
    """One sample fails as it would in one process; one ends every process that works on it, and no other's records."""
    model = {"name": "toy", "fails_on": ["s3"]}
    control = [TOY_RUN["control"], {"points": "other-images", "selection": "toy-best"}]
    benchmark = {"name": "toy-boxes", "pairs": 5}
    common = {
        "on_error": "record",
        "batch_size": 2,
        "protocols": ["segment"],
        "benchmark": benchmark,
        "control": control,
    }
    workplace("run", str(workplace.config(model=model, store="calm", **common)))
    lethal = {**model, "exits_on": ["s6"]}
    executor = {"name": "processes", "n": 2, "tries": 1}
    done = workplace("run", str(workplace.config(model=lethal, executor=executor, **common)))
    assert "sample s6 (segment) failed in answer: every actor that worked on it ended" in done.stderr
    assert "(RAY" not in done.stdout + done.stderr
    calm, found = records(workplace.folder / "calm"), records(workplace.folder / "store")
    rows = [
        {(name.partition("-")[0], *row[:3], row[4]) for name, stage in one.items() for row in stage.values()}
        for one in (calm, found)
    ]
    # what is lent to others' controls by the sample that is lost is lost with it; all else is the same
    other = [{row for row in one if row[1] != "s6" and row[0] in ("answer", "propose", "judge")} for one in rows]
    assert len(other[0]) == 17
    assert other[0] == other[1]
    assert len({row for row in rows[1] if row[0] == "select"}) > 20
    failures = [str(row) for stage in found.values() for row in stage.values()]
    assert any("toy failure on s3" in failure for failure in failures)
    assert not any("no candidates to match" in failure for failure in failures)  # whom it would lend to is left


@pytest.mark.long
def test_a_cluster_that_loses_a_node_and_an_actor_ends_as_one_process() -> None:
    """The short form of what `python -m tools.kill_cluster` does fifty times, on one node and on two."""
    command = [
        sys.executable,
        "-m",
        "tools.kill_cluster",
        "--times",
        "1",
        "--nodes",
        "2",
        "--actors",
        "",
        "--pairs",
        "4",
        "--seed",
        "3",
    ]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert done.returncode == 0, done.stdout + done.stderr
    assert lines[-1]["wrong"] == 0
    assert sum(lines[-1]["killed"].values()) >= 1


@pytest.fixture
def job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A run of the demo's kind in this process, whose second control is lent other images' prompts."""
    pytest.importorskip("pixcore_mini_world")
    control = [{"points": "random", "selection": "oracle"}, {"points": "other-images", "selection": "oracle"}]
    own = {
        "output": str(tmp_path / "run"),
        "store": str(tmp_path / "store"),
        "control": control,
        "protocols": ["segment"],
    }
    document = {"benchmark": "mini-world", "model": "mini", "grouper": "words", "masks": "regions", **own}
    from pixcore.runs.plan import Scope

    return Run(resolve(document, registry()), Scope(limit=14))


def test_a_copy_of_a_stage_keeps_its_key_and_no_file(job: Run) -> None:
    stages = job.stages()
    copies: list[Stage] = pickle.loads(pickle.dumps(stages))
    assert [copy.store.key for copy in copies] == [stage.store.key for stage in stages]
    assert {str(copy.store.path) for copy in copies} == {":memory:"}


def test_an_item_has_the_same_lenders_among_those_that_travel_with_it(job: Run) -> None:
    (control,) = (one for one in job.stages() if isinstance(one, Control) and "other" in one.label)
    copy: Control = pickle.loads(pickle.dumps(control))
    for item in job.every:
        lenders = control.lenders(item)
        assert len(lenders) == 8
        copy.turn([sent(one, None) for one in (*lenders, item)])
        assert copy.key_of(sent(item, None)) == control.key_of(item)
        assert {one.sample.id for _, one in control.reads(item)} == {
            item.sample.id,
            *(one.sample.id for one in lenders),
        }


def test_an_image_travels_by_path_or_once_as_bytes(tmp_path: Path) -> None:
    from dataclasses import replace

    import numpy as np
    from PIL import Image as Pictures

    from pixcore.records import Image, Request, Sample

    path = tmp_path / "a.png"
    Pictures.fromarray(np.full((4, 5, 3), 7, np.uint8)).save(path)
    image = Image.from_path(path)
    item = Item(Sample("a", image), Request("a", "segment", image, "Where?"), segmented=True)
    light: Item = pickle.loads(pickle.dumps(sent(item, None)))
    assert path_of(light.request.image) == path
    assert (light.key, light.truth_key) == (item.key, item.truth_key)
    assert len(pickle.dumps(sent(item, None))) < 2000
    drawn = replace(item, request=replace(item.request, image=Image.from_pixels(image.pixels())))
    assert (sent(drawn, None).request.image.pixels() == image.pixels()).all()
    path.unlink()  # since the run began, and no machine but this one sees the file
    gone: Item = pickle.loads(pickle.dumps(sent(item, lambda image: image.read())))
    assert (gone.key, gone.truth_key) == (item.key, item.truth_key)
    with pytest.raises(DataError, match=r"can't read image .*: No such file"):
        gone.request.image.pil()


def test_a_node_that_sees_but_some_of_the_images_is_sent_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as one at which one of two disks is there."""
    from PIL import Image as Pictures

    from pixcore.records import Image

    images = []
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        for name in ("a.png", "b.png"):
            Pictures.new("RGB", (2, 2)).save(tmp_path / folder / name)
            images.append(Image.from_path(tmp_path / folder / name))
    context = SimpleNamespace(get_node_id=lambda: "node")
    monkeypatch.setattr("ray.get_runtime_context", lambda: context)
    seen = some_files(len(images), images.__getitem__)
    maker = Maker(b"", [], {}, "nowhere", {})
    assert maker.hello(seen)[2]
    (tmp_path / "second" / "b.png").unlink()
    assert not maker.hello(seen)[2]
    assert some_files(1, lambda _: Image.from_pixels(images[0].pixels())) == []


@pytest.mark.parametrize(
    "error",
    [
        ConfigError("no such key", hint="add it"),
        ModelError("weights are missing", hint="download them"),
        DataError("the image is damaged"),
        NotFiniteError("the logits", "float16"),
        SampleError("one sample"),
    ],
    ids=lambda one: type(one).__name__,
)
def test_an_error_of_ours_arrives_as_it_was(error: Any) -> None:
    arrived = pickle.loads(pickle.dumps(Packed.of(error))).error
    assert (type(arrived), arrived.message, arrived.hint) == (type(error), error.message, error.hint)


def test_any_other_error_arrives_in_words() -> None:
    packed = Packed.of(RuntimeError("broken"))
    assert describe(packed.error) == describe(RuntimeError("broken"))
    assert isinstance(packed.ending, RemoteError)


CLUSTER = {"CPU": 16.0, "GPU": 4.0}


def shared(job: Run, told: dict[str, dict[str, Any]], *nodes: dict[str, float]) -> dict[str, tuple[float, int]]:
    found = crews(job.stages(), {name: Resources(**one) for name, one in told.items()}, nodes)
    assert sorted(number for crew in found for number in crew.stages) == list(range(len(job.stages())))
    return {crew.name: (crew.gpus, crew.most) for crew in found}


def test_stages_that_ask_for_the_same_share_their_actors(job: Run) -> None:
    everything = "answer, propose, control, select"
    assert shared(job, {}, {"CPU": 2.0}) == {everything: (0.0, 2)}
    assert shared(job, {"answer": {"gpus": 0.5}}, CLUSTER) == {"answer": (0.5, 8), "propose, control, select": (0.0, 8)}
    narrow = {"answer": {"gpus": 1, "actors": 3}, "select": {"cpus": 2}}
    found = shared(job, narrow, CLUSTER)
    assert found == {"answer": (1.0, 3), "propose, control": (0.0, 13), "select": (0.0, 6)}


def test_a_model_has_a_gpu_where_there_is_one(job: Run) -> None:
    assert shared(job, {}, CLUSTER) == {"answer": (1.0, 4), "propose, control, select": (0.0, 12)}


SAM = {"name": "sam", "checkpoint": "sam.pth"}
NO_MASKS = "propose, control, select"


@pytest.mark.parametrize(
    ("section", "part", "gpus"),
    [
        ("model", {"name": "mini", "device_map": "cpu"}, {f"answer, {NO_MASKS}": 0.0}),
        ("model", {"name": "mini", "device_map": {"": 1}}, {"answer": 1.0, NO_MASKS: 0.0}),
        ("masks", SAM, {"answer": 1.0, "propose, control": 1.0, "select": 0.0}),
        ("masks", SAM | {"device": "cpu"}, {"answer": 1.0, NO_MASKS: 0.0}),
    ],
)
def test_who_loads_weights_on_no_cpu_has_a_gpu(
    job: Run, section: str, part: dict[str, Any], gpus: dict[str, float]
) -> None:
    told = Run(resolve(job.resolved.document() | {section: part}, registry()), job.scope)
    assert {name: of for name, (of, _) in shared(told, {}, CLUSTER).items()} == gpus


def test_gpu_hours_are_hours_of_the_share_that_an_actor_holds(job: Run) -> None:
    """14 samples, 4 answered in 8 s: 10 are left at 2 s each, by actors of half a GPU."""
    pytest.importorskip("pixcore_services")
    from pixcore_services.estimate import hours, left

    stage = job.stages()[0]
    for item in job.every[:4]:
        stage.store.put(stage.key_of(item), item.sample.id, Entry({"text": "yes"}))
    stage.store.spend(8.0)

    def told(**executor: Any) -> Any:
        document = job.resolved.document() | {"executor": {"name": "processes", **executor}}
        (line,) = left(Run(resolve(document, registry()), job.scope))
        return line

    half = told(resources={"answer": {"gpus": 0.5, "actors": 8}})
    assert (half.records, half.seconds, half.gpus) == (10, 2.0, 0.5)
    assert half.hours == pytest.approx(20 / 3600)
    assert half.gpu_hours == pytest.approx(20 / 3600 / 2)  # 8 actors on 4 GPUs are through in 2.5 s
    assert told(resources={"answer": {"gpus": 2}}).gpu_hours == pytest.approx(40 / 3600)
    assert told(resources={"answer": {"gpus": 0}}).gpu_hours == 0
    assert [column.header for column in hours([half]).columns][3:5] == ["hours of one actor", "GPU hours"]


def test_a_home_that_can_not_be_written_is_told_as_one(workplace: Workplace) -> None:
    path = workplace.config(executor={"name": "processes", "n": 2})
    (workplace.folder / "file").touch()
    workplace.environment["HOME"] = str(workplace.folder / "file" / "home")
    said = workplace("run", str(path), status=2).stderr
    assert "set HOME, or RAY_TMPDIR, to a folder that can be written" in said
    assert "is the machine busy" not in said


@pytest.mark.parametrize("kind", ["nobody", "another server"])
def test_a_cluster_that_is_not_there_is_told_at_once(workplace: Workplace, kind: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        if kind == "nobody":
            server.close()
            path = workplace.config(executor={"name": "ray", "address": address})
            said = workplace("run", str(path), status=2).stderr
            assert said.strip().endswith("executor: processes needs none)")
            assert f"Ray can't be used: no cluster at {address}: Connection refused" in said
            return

        def refuse() -> None:
            line, _ = server.accept()
            with line:
                line.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                line.recv(1)

        answering = threading.Thread(target=refuse)
        answering.start()
        with pytest.raises(ConnectionError, match="what answers there is no cluster's head"):
            see(address)
        answering.join()


def test_what_nodes_do_and_actors_say_is_told_once_and_short(tmp_path: Path) -> None:
    shown = io.StringIO()
    telling = Telling(Display(Console(file=shown, width=400)), tmp_path, lambda: 7, every=0)
    telling.heard("node-a", "weights are old " + "x" * 300)
    telling.heard("node-b", "weights are old " + "x" * 300)
    telling.came("node-a", 3)
    telling.came("node-b", 1)
    telling.tell({"answer": (0.5, [SimpleNamespace(tasks={1}), SimpleNamespace(tasks={})])})
    told = json.loads((tmp_path / NODES).read_text())["nodes"]
    assert re.fullmatch(r"node-a [\d.]+/s, node-b [\d.]+/s; GPUs busy 0.5 of 1", told)
    telling.end()
    warned, line, shares = shown.getvalue().splitlines()
    assert warned.startswith("node-a: weights are old xxx")
    assert len(warned) == len("node-a: ") + 160
    assert line == f"{told} (2 × answer)"
    assert shares == "records by node: node-a 3, node-b 1"
    assert not (tmp_path / NODES).exists()


@pytest.mark.parametrize("pace", [None, 0.16], ids=["unknown", "six at once"])
def test_answers_go_in_the_batches_of_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pace: float | None
) -> None:
    """Those of a model that is asked all probings of some samples at once hold them all, however many go together."""
    for package in ("pixcore_mini", "pixcore_mini_world", "pixcore_regions"):
        pytest.importorskip(package)
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 1.0}}])
    document = {
        **{"benchmark": {"name": "mini-world", "pairs": 5}, "model": "mini", "batch_size": 2},
        **{"selections": ["mask-score"], "output": str(tmp_path / "out"), "store": str(tmp_path / "store")},
    }
    job = Run(resolve(document, registry()))
    work = job.work()
    driver = Driver(job, work, Display(Console(file=io.StringIO())), ProcessesConfig(), Head(NOBODY))
    (line,) = driver._lines
    line.actors.append(_Actor(None, line, None))
    line.pace = pace
    for places in driver._feeds():
        driver._enqueue(places)
    found = []
    while line.length():
        task = driver._taken_from(line)
        size = job.stages()[task.stages[0][0]].batch_size
        found += [task.places[at : at + size] for at in range(0, len(task.places), size)]
    answers = [
        (stage.batch_size, list(missing.places)) for stage, (missing, _) in work.items() if stage.name == "answer"
    ]
    assert [size for size, _ in answers] == [4, 2]
    assert sorted(found) == sorted(own[at : at + size] for size, own in answers for at in range(0, len(own), size))


def test_sigterm_is_ctrl_c_while_ray_is_there() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), sigterm_stops():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.long
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_lets_go_and_the_same_command_goes_on(workplace: Workplace, how: signal.Signals) -> None:
    """As by Ctrl-C, or by what Slurm and Kubernetes send before they kill."""
    own = {"model": {"name": "toy", "pause": 0.2}, "batch_size": 2, "benchmark": {"name": "toy-boxes", "pairs": 8}}
    config = str(workplace.config(executor={"name": "processes", "n": 2, "seconds": 0.2}, **own))
    running = workplace.start("run", config)
    assert running.stderr is not None
    assert any("there already" in line for line in running.stderr)  # Ray is there, and actors start
    running.send_signal(how)
    _, said = running.communicate(timeout=120)
    assert (running.returncode, said.splitlines()[-1].startswith("stopped; what was computed is kept")) == (130, True)
    assert "SIGTERM" not in said
    workplace("run", config)
    workplace("run", str(workplace.config(store="calm", **own)))
    assert not differs(records(workplace.folder / "store"), records(workplace.folder / "calm"))


def test_what_is_asked_of_a_head_that_is_gone_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "1.5")
    head, never = Head(NOBODY), threading.Event()
    with head.watched():
        assert head.asked(lambda: 7) == 7
        with pytest.raises(ConfigError, match="no such key"):
            head.asked(lambda: _refuse(ConfigError("no such key")))
        with pytest.raises(HeadGoneError, match=f"head at {NOBODY} answers no more"):
            head.asked(never.wait)
    never.set()


@pytest.mark.long
def test_a_run_whose_head_is_gone_says_so_and_the_same_command_goes_on(workplace: Workplace) -> None:
    """Ray by itself ends the process without a word."""
    workplace.environment["RAY_gcs_rpc_server_reconnect_timeout_s"] = "40"
    own = {"model": {"name": "toy", "pause": 0.2}, "batch_size": 2, "benchmark": {"name": "toy-boxes", "pairs": 30}}
    config = str(workplace.config(executor={"name": "processes", "n": 2, "seconds": 0.2}, **own))
    running = workplace.start("run", config)
    assert running.stderr is not None
    assert any("there already" in line for line in running.stderr)
    while not any(map(len, records(workplace.folder / "store").values())):
        assert running.poll() is None
        threading.Event().wait(0.2)
    subprocess.run(["pkill", "-KILL", "-P", str(running.pid), "gcs_server"], check=True)
    _, said = running.communicate(timeout=180)
    assert running.returncode == 1
    told = r"error: the cluster's head at \S+ answers no more \(is its machine there\?"
    assert re.match(told, said.splitlines()[-1])
    assert "Traceback" not in said
    kept = records(workplace.folder / "store")
    workplace("run", config)
    workplace("run", str(workplace.config(store="calm", **own)))
    found = records(workplace.folder / "store")
    assert not differs(found, records(workplace.folder / "calm"))
    assert all(found[name].items() >= stage.items() for name, stage in kept.items())


def test_a_model_that_the_driver_has_loaded_is_let_go_and_never_travels(
    job: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as one that looked at a server's text: it may not be pickled, and its memory is the actors'."""
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 1.0}}])
    monkeypatch.setattr("ray.put", lambda sent: sent)
    driver = Driver(job, job.work(), Display(Console(file=io.StringIO())), ProcessesConfig(), Head(NOBODY))
    vars(job.loader())["hook"] = lambda: None
    driver._open()
    copies: list[Stage] = pickle.loads(driver._arguments[0])
    assert len(copies) == len(job.stages())
    assert job.loader._model is None


def test_what_an_actor_made_before_the_run_ended_is_kept(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    work = job.work()
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 1.0}}])
    driver = Driver(job, work, Display(Console(file=io.StringIO())), ProcessesConfig(), Head(NOBODY))
    stages = job.stages()
    maker = Maker(pickle.dumps(stages), [stage.store.key for stage in stages], {}, "nowhere", {})
    places, later = [0, 1], stages.index(next(iter(job.proposals.values())))
    monkeypatch.setattr(maker._stages[later], "compute", _no_disk)
    reply = maker.make(Batch([sent(job.items.thing(at), None) for at in places], [[0, later]] * len(places)))
    assert reply.ended is not None
    monkeypatch.setattr("ray.get", lambda reference: reply)
    actor = _Actor(None, driver._lines[0], None)
    actor.tasks["reference"] = _Task(places, [[0, later]] * len(places))
    driver._telling = Telling(Display(Console(file=io.StringIO())), job.resolved.config.output, lambda: 0)
    with pytest.raises(StoreError, match="no room"):
        driver._take(actor, "reference")
    assert [stages[0].has(job.items.thing(at)) for at in (*places, 2)] == [True, True, False]


def test_actors_that_all_end_as_they_start_end_the_run(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setattr("ray.kill", lambda handle: None)
    monkeypatch.setattr("ray.get", lambda hello: ("node", "", True))
    driver = Driver(job, job.work(), Display(Console(file=io.StringIO())), ProcessesConfig(tries=2), Head(NOBODY))
    driver._telling = Telling(Display(Console(file=io.StringIO())), job.resolved.config.output, lambda: 0)
    line = driver._lines[0]

    def start(*, lives: bool) -> None:
        line.actors.append(actor := _Actor(None, line, "hello"))
        if lives:
            driver._welcome(actor)
        driver._lost(actor, RayError("the worker died"))

    for lives in (False, False, False, True, False, False, False):
        start(lives=lives)
    with pytest.raises(ConfigError, match=r"no actor of answer, .* starts, 4 ended at once: RayError: the worker died"):
        start(lives=False)


@pytest.fixture
def driver(job: Run, monkeypatch: pytest.MonkeyPatch) -> Driver:
    """A driver whose actors are none."""
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 2.0}}])
    monkeypatch.setattr("ray.kill", lambda handle: None)
    made = Driver(job, job.work(), Display(Console(file=io.StringIO())), ProcessesConfig(), Head(NOBODY))
    made._telling = Telling(Display(Console(file=io.StringIO())), job.resolved.config.output, lambda: 0)
    return made


def lose(driver: Driver, task: _Task) -> list[_Task]:
    """Let an actor die on a batch; give what is tried next."""
    (line,) = driver._lines
    line.actors.append(actor := _Actor(None, line, None, tasks=OrderedDict({"reference": task})))
    driver._lost(actor, RayError("the worker died"))
    found = [*line.tasks]
    line.tasks.clear()
    return found


def test_what_an_actor_dies_of_fails_in_the_stage_that_kills(job: Run, driver: Driver) -> None:
    """Stages share actors: an answer is not lost by the masks that are made of it."""
    maker, stages, (answer, propose, select), _ = selecting(job)
    item = job.items.thing(0)
    (alone,) = lose(driver, _Task([0], [[answer, propose, select]], tries=2, alone=True))
    assert (alone.stages, alone.tries) == ([[answer]], 2)
    reply = maker.make(Batch([sent(item, None)], alone.stages))
    (line,) = driver._lines
    line.actors.append(actor := _Actor(None, line, None, tasks=OrderedDict({"reference": alone})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ray.get", lambda reference: reply)
        driver._take(actor, "reference")
    line.actors.clear()
    (alone,) = line.tasks
    line.tasks.clear()
    assert alone.stages == [[propose]]
    assert lose(driver, alone) == []
    assert stages[answer].has(item)
    assert stages[answer].failure(item) is None
    assert "every actor that worked on it ended" in str(stages[propose].failure(item))


def test_a_stage_that_ends_every_actor_ends_the_run(driver: Driver) -> None:
    """Such as a model for which there is no memory: each sample would take the time to load it, and fail."""
    for place in range(7):
        assert lose(driver, _Task([place], [[0]], tries=2, alone=True)) == []
    with pytest.raises(ConfigError, match=r"worked on 8 samples, one after another, ended in answer: RayError: the w"):
        lose(driver, _Task([7], [[0]], tries=2, alone=True))


def test_it_is_said_in_a_line_what_an_actor_ended_of() -> None:
    """Ray says it in many, of which the first names numbers."""
    missing = RayTaskError(
        "Maker.__init__", "Traceback:\n  File\nModuleNotFoundError: No module named 'x'", ValueError()
    )
    assert why(ActorDiedError(missing)) == why(missing) == "ModuleNotFoundError: No module named 'x'"
    assert why(RayError("gone\nfor good")) == "RayError: gone"


@pytest.mark.parametrize(
    ("pickled", "packages", "said"),
    [
        (
            b"cno_such_plugin\nThing\n.",
            versions(),
            r"can't load what the run needs: ModuleNotFoundError: .*no_such_plugin",
        ),
        (b"", versions() | {"pixcore": "0.0.1"}, r"has pixcore \S+, and the driver 0\.0\.1"),
    ],
)
def test_a_node_with_other_packages_is_refused_by_name(pickled: bytes, packages: dict[str, str], said: str) -> None:
    reply = Maker(pickled, [], {}, "nowhere", packages).make(Batch([], []))
    assert reply.ended is not None
    with pytest.raises(ConfigError, match=f"node {re.escape(socket.gethostname())} {said}.*install the same packages"):
        _refuse(reply.ended.ending)


def test_a_node_that_may_not_look_at_the_drivers_files_is_sent_them(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as where another user's home is closed; a name too long for its disk is an error of that kind."""
    monkeypatch.setattr("ray.get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "node"))
    assert not Maker(b"", [], {}, "x" * 300, {}).hello(["x" * 300])[2]


def _refuse(error: Exception) -> None:
    raise error


def _no_disk(items: Any) -> Any:
    raise StoreError("no room")
    yield


def selecting(job: Run) -> tuple[Maker, list[Stage], list[int], Any]:
    """What makes a run's records, its stages, the numbers of the three that lead to a choice, and who chooses."""
    stages = job.stages()
    chain = [next(iter(one.values())) for one in (job.answers, job.proposals, next(iter(job.selections.values())))]
    maker = Maker(pickle.dumps(stages), [stage.store.key for stage in stages], {}, "nowhere", {})
    strategy = chain[-1].components.one("strategy").registration.component_class
    return maker, stages, [*map(stages.index, chain)], strategy


def test_what_a_strategy_that_miscounts_chose_is_not_kept(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, _, numbers, strategy = selecting(job)
    sound = strategy.select_many
    monkeypatch.setattr(strategy, "select_many", lambda self, items: islice(sound(self, items), 1, None))
    reply = maker.make(Batch([sent(job.items.thing(at), None) for at in range(3)], [numbers] * 3))
    assert reply.ended is not None
    assert "gave fewer results than 3" in str(reply.ended.ending)
    assert [(one.stage, one.at) for one in reply.outcomes] == [(at, place) for at in numbers[:2] for place in range(3)]


def test_a_choice_that_an_actor_can_not_keep_costs_its_sample(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, _, numbers, strategy = selecting(job)
    sound, details = strategy.select, dict[str, Any]()
    details["again"] = details
    first = job.items.thing(0).sample.id

    def select(self: Any, sample: Any, *given: Any) -> Any:
        made = sound(self, sample, *given)
        return replace(made, details=details) if sample.id == first else made

    monkeypatch.setattr(strategy, "select", select)
    reply = maker.make(Batch([sent(job.items.thing(at), None) for at in range(2)], [numbers] * 2))
    assert reply.ended is None
    odd, other = (one.made for one in reply.outcomes if one.stage == numbers[-1])
    assert isinstance(odd, Packed)
    assert "its record can't be kept: Circular" in str(odd.error)
    assert not isinstance(other, Packed)


def test_what_is_made_of_an_answer_that_is_gone_is_left(job: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    maker, stages, numbers, _ = selecting(job)
    item = job.items.thing(0)
    made = maker.make(Batch([sent(item, None)], [numbers[:2]]))
    row = next(one.made for one in made.outcomes if one.stage == numbers[1] and isinstance(one.made, Row))
    answer, propose, select = (stages[number] for number in numbers)
    propose.take([(item, row)], Display(Console(file=io.StringIO())))
    monkeypatch.setattr("ray.nodes", lambda: [{"Alive": True, "Resources": {"CPU": 1.0}}])
    driver = Driver(job, job.work(), Display(Console(file=io.StringIO())), ProcessesConfig(), Head(NOBODY))
    assert not driver._can(select, item, [], {})
    assert driver._can(select, item, [numbers[0]], {})
    monkeypatch.setattr(maker._stages[numbers[0]], "compute", lambda items: ((one, ValueError("no")) for one in items))
    reply = maker.make(Batch([sent(item, None)], [[numbers[0], numbers[2]]], [(numbers[1], row)]))
    assert reply.ended is None
    assert [one.stage for one in reply.outcomes] == numbers[:1]
    assert not answer.has(item)


def test_the_explorer_reads_what_the_driver_leaves() -> None:
    going = pytest.importorskip("pixcore_explorer.going")
    assert going.NODES == NODES


TWO = {"CPU": 2.0, "GPU": 1.0, "memory": 2.0**30}
A100 = {"CPU": 4.0, "a100": 1.0}


@pytest.mark.parametrize(
    ("asked", "nodes", "said"),
    [
        ({"gpus": 1}, [{"CPU": 2.0}], "asks for 1 GPU, and no node has more than 0 GPU"),
        ({"gpus": 2}, [TWO, TWO], "asks for 2 GPU, and no node has more than 1 GPU"),
        ({"cpus": 3}, [TWO, TWO], "asks for 3 CPU, and no node has more than 2 CPU"),
        ({"memory": 1.5}, [TWO, TWO], "1.5 GiB of memory, and no node has more than 1 GiB of memory"),
        ({"gpus": 1, "custom": {"a100": 1}}, [TWO, A100], "asks for 1 GPU, 1 a100, and no node has all of that"),
    ],
)
def test_what_no_node_has_is_refused(job: Run, asked: dict[str, Any], nodes: list[dict[str, float]], said: str) -> None:
    """However much all nodes have together: an actor is on one of them."""
    with pytest.raises(ConfigError, match=f"an actor of answer .*{said}"):
        shared(job, {"answer": asked}, *nodes)


def test_there_are_as_many_actors_as_nodes_have_room_for(job: Run) -> None:
    three = {"CPU": 4.0, "GPU": 3.0}
    assert shared(job, {"answer": {"gpus": 2}}, three, three)["answer"] == (2.0, 2)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"custom": {"a100": -1}}, "custom.a100: .*greater than or equal to 0"),
        ({"custom": {"GPU": 1}}, "gpus, cpus and memory ask for GPU"),
        ({"custom": {"memory": 1}}, "gpus, cpus and memory ask for memory"),
        ({"gpus": 1.5}, "a part of a GPU, or whole ones"),
    ],
)
def test_what_ray_gives_nobody_is_refused_before_it_starts(job: Run, asked: dict[str, Any], said: str) -> None:
    executor = {"name": "processes", "resources": {"select": asked}}
    with pytest.raises(ConfigError, match=said):
        resolve(job.resolved.document() | {"executor": executor}, registry())


def test_more_processes_than_any_machine_has_are_refused_with_the_config(job: Run) -> None:
    with pytest.raises(ConfigError, match=r"executor\.n: got 10000000000000000000000") as refused:
        resolve(job.resolved.document() | {"executor": {"name": "processes", "n": 10**22}}, registry())
    assert "less than or equal to 100000" in refused.value.hint


def test_an_empty_address_is_refused_with_the_config(job: Run) -> None:
    with pytest.raises(ConfigError, match=r"executor\.address: got ''"):
        resolve(job.resolved.document() | {"executor": {"name": "ray", "address": ""}}, registry())


def test_records_of_two_stores_are_compared(tmp_path: Path) -> None:
    assert differs({"a": {"k": ("s", 1)}}, {"a": {"k": ("s", 1)}}) == ""
    assert differs({"a": {"k": ("s", 1)}}, {"a": {"k": ("s", 2)}}) == "1 records differ"
    assert differs({}, {"a": {}}) == "other stages: ['a']"
    assert records(tmp_path) == {}
