"""Bad input ends with one clear line and exit status 2, and costs nothing that was computed before."""

from __future__ import annotations

import json
import os
import resource
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from pixcore import cli, masks, plugins
from pixcore.errors import StoreError
from pixcore.files import replacing
from tests.workplace import TOY, TOY_RUN

SIZE = (40, 24)


@pytest.fixture
def pixcore(tmp_path, monkeypatch, capsys):
    """Runs a command in this process, in an empty folder, and returns its status and its last line on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(TOY))
    monkeypatch.setenv("PIXCORE_PLUGINS", "toy,report,ground,scoring")
    plugins.registry.cache_clear()

    def run(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as end:
            cli.main(arguments)
        errors = capsys.readouterr().err
        assert "Traceback" not in errors
        lines = errors.strip().splitlines()
        return int(end.value.code or 0), lines[-1] if lines else ""

    yield run
    plugins.registry.cache_clear()


def config(**changes) -> str:
    document = {**TOY_RUN, "output": "out", "store": "store", **changes}
    Path("run.yaml").write_text(yaml.safe_dump({key: value for key, value in document.items() if value != "leave out"}))
    return "run.yaml"


def one_line(line: str, *words: str) -> None:
    assert line.startswith("error: "), line
    assert len(line) < 400, line
    assert "(" in line, f"no hint: {line}"
    for word in words:
        assert word in line, f"{word!r} is not in: {line}"


TEXTS = {
    "broken yaml": ("benchmark: [toy\nmodel: x", "line 2"),
    "empty": ("", "holds nothing"),
    "a list": ("- benchmark", "holds list"),
    "a word": ("hello", "holds str"),
    "one key twice": ("benchmark: a\nbenchmark: b", "'benchmark' appears twice"),
    "an object of Python's": ("benchmark: !!python/object/apply:os.getcwd []", "line 1"),
    "a tab": ("benchmark:\n\tname: x", "line 2"),
    "a date that is none": ("benchmark: 2001-99-99", "month"),
    "a number that is none": ("seed: 0x_", "holds an invalid value"),
    "nested without end": ("[" * 3000, "recursion"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_yaml(pixcore, name):
    text, expected = TEXTS[name]
    Path("run.yaml").write_text(text)
    status, line = pixcore("run", "run.yaml")
    assert status == 2
    one_line(line, "run.yaml", expected)


CONFIGS = {
    "unknown key": ({"benchmrk": "x"}, ["benchmrk", "did you mean 'benchmark'?"]),
    "no benchmark": ({"benchmark": "leave out"}, ["no benchmark", "toy-boxes"]),
    "unknown benchmark": ({"benchmark": "toy-box"}, ["benchmark", "'toy-box'", "did you mean 'toy-boxes'?"]),
    "unknown model": ({"model": "llama"}, ["model", "'llama'", "toy, toy-masks"]),
    "unknown strategy": ({"selections": ["toy-first", "tou-best"]}, ["selections.1", "did you mean 'toy-best'?"]),
    "unknown option": ({"model": {"name": "toy", "paus": 1}}, ["model.paus", "did you mean 'pause'?"]),
    "option of a component without any": ({"points": {"name": "toy-peak", "k": 3}}, ["points.k", "no such key"]),
    "option of a wrong type": (
        {"benchmark": {"name": "toy-boxes", "pairs": "many"}},
        ["benchmark.pairs", "'many'", "integer"],
    ),
    "component without a name": ({"model": {"pause": 1}}, ["model", "needs a name"]),
    "component that is a number": ({"model": 7}, ["model", "got 7"]),
    "strategies that are not a list": ({"selections": "toy-first"}, ["selections", "got 'toy-first'"]),
    "no word for the strategies": ({"selections": None}, ["selections: got None", "[] for none"]),
    "no word for the transforms": ({"transforms": None}, ["transforms: got None", "[] for none"]),
    "no word for the model": ({"model": None}, ["model: got None", "a component's name"]),
    "a probing of a package that is not here": ({"protocols": ["box"]}, ["protocols.0", "pip install pixcore-places"]),
    "a probing alone": ({"protocols": "letter"}, ["protocols", "'letter'", "should be a list"]),
    "batch of yes": ({"batch_size": True}, ["batch_size", "yes, no, on and off"]),
    "one strategy twice": ({"selections": ["toy-first", "toy-first"]}, ["selections", "twice"]),
    "control of an unknown kind": ({"control": {"point": "toy-peak"}}, ["control.point", "did you mean 'points'?"]),
    "control with an unknown selector": (
        {"control": {"points": "x", "selection": "toy-best"}},
        ["control.points", "'x'"],
    ),
    "batch of nothing": ({"batch_size": 0}, ["batch_size", "got 0"]),
    "batch in words": ({"batch_size": "eight"}, ["batch_size", "'eight'"]),
    "negative seed": ({"seed": -1}, ["seed", "got -1"]),
    "no protocol": ({"protocols": []}, ["protocols: got []", "(list should have at least 1 item)"]),
    "unknown protocol": ({"protocols": ["questions"]}, ["protocols.0", "'questions'", "question"]),
    "protocol whose name is a list": (
        {"protocols": [{"name": ["letter"]}]},
        ["protocols.0.name", "['letter']", "string"],
    ),
    "one protocol twice": ({"protocols": ["letter", "letter"]}, ["protocols", "twice"]),
    "unknown fidelity": ({"fidelity": "exact"}, ["fidelity", "'exact'", "published"]),
    "unknown error policy": ({"on_error": "ignore"}, ["on_error", "'ignore'", "record"]),
    "prompt with an unknown field": ({"prompts": {"segment": "Find {object}"}}, ["prompts", "{expression}"]),
    "prompt that looks into a field": ({"prompts": {"segment": "{expression.name}"}}, ["prompts", "{expression}"]),
    "prompt that asks a field for an item": ({"prompts": {"segment": "{expression[a]}"}}, ["prompts", "{expression}"]),
    "prompt for an unknown protocol": ({"prompts": {"box": "Find"}}, ["prompts.box"]),
    "overlap above one": ({"merge_iou": 1.5}, ["merge_iou", "got 1.5"]),
    "option without an end": ({"model": {"name": "toy", "pause": float("inf")}}, ["model.pause", "finite"]),
    "budget without an end": ({"budget": float("inf")}, ["budget.usd", "finite"]),
    "price without an end": ({"prices": {"m": {"input": 1, "output": float("inf")}}}, ["prices.m.output", "finite"]),
    "budget in a currency": ({"budget": "$5"}, ["budget", "'$5'", "a mapping)"]),
    "prices in a list": ({"prices": []}, ["prices: got []", "a mapping)"]),
    "output that is a number": ({"output": 5}, ["output: got 5", "not a valid path)"]),
    "prompt for a probing of one's own": ({"prompts": {"box": "Find"}}, ["prompts.box: got 'box'"]),
    "template that fills the memory": (
        {"protocols": [{"name": "describe", "template": "{expression:>9999999999999999}"}]},
        ["protocols.0", "the template of describe is not a template"],
    ),
    "ids twice": ({"benchmark": {"name": "toy-boxes", "twice": True}}, ["two samples with the id 's0'"]),
}


@pytest.mark.parametrize("name", CONFIGS)
def test_configs(pixcore, name):
    changes, words = CONFIGS[name]
    status, line = pixcore("run", config(**changes))
    assert status == 2
    one_line(line, *words)


COMMANDS = {
    "no such config": (["run", "no.yaml"], ["no.yaml", "No such file"]),
    "a folder for a config": (["run", "."], ["Is a directory"]),
    "unknown command": (["rum", "run.yaml"], ["rum"]),
    "unknown option": (["run", "run.yaml", "--limits", "3"], ["--limits"]),
    "limit of nothing": (["run", "run.yaml", "--limit", "0"], ["0"]),
    "limit beyond all": (["run", "run.yaml", "--limit", "9" * 20], ["9" * 20]),
    "a setting with a dot alone": (["run", "run.yaml", "--set", ".=1"], ["--set '.=1' has no key=value"]),
    "a setting with a part left out": (["run", "run.yaml", "--set", "points..k=1"], ["points..k=1", "key=value"]),
    "figures to nowhere": (["run", "run.yaml", "--json", ""], ["--json names no file", "give its name"]),
    "figures to below a file": (
        ["run", "run.yaml", "--json", "run.yaml/figures.json"],
        ["can't write run.yaml: ", "choose another --json"],
    ),
    "figures of a run to below a file": (
        ["report", "out", "--json", "run.yaml/figures.json"],
        ["can't write run.yaml: ", "choose another --json"],
    ),
    "a shard that is none": (["run", "run.yaml", "--shard", "3/2"], ["i/n"]),
    "an unknown sample": (["run", "run.yaml", "--sample", "s99"], ["no sample 's99'"]),
    "a setting without value": (["run", "run.yaml", "--set", "points.k"], ["key=value"]),
    "a setting that looks like a date": (["run", "run.yaml", "--set", "seed=2001-99-99"], ["seed", "quote it"]),
    "a setting into nowhere": (["run", "run.yaml", "--set", "selections.9.k=1"], ["not a place in a list of 3"]),
    "a setting with a key twice": (["run", "run.yaml", "--set", "points={name: a, name: b}"], ["'name' appears twice"]),
    "what it costs, and the costs": (
        ["run", "run.yaml", "--estimate", "--fresh-judge"],
        ["--estimate, --profile and --fresh-judge exclude each other"],
    ),
    "an unknown kind": (["plugins", "modles"], ["modles"]),
    "no such image": (["ground", "no.png", "the box", "--config", "run.yaml"], ["no.png"]),
    "an empty expression": (["ground", "image.png", " ", "--config", "run.yaml"], ["expression is empty"]),
    "an image that is none": (
        ["ground", "run.yaml", "the box", "--config", "run.yaml"],
        ["can't decode image run.yaml"],
    ),
    "a picture where a file is": (
        ["ground", "image.png", "the box", "--config", "run.yaml", "--output", "run.yaml/picture.png"],
        ["run.yaml", "--output"],
    ),
    "only upper bounds for one image": (
        ["ground", "image.png", "the box", "--config", "run.yaml", "--set", "selections=[toy-best]"],
        ["needs the ground truth"],
    ),
    "no such run": (["report", "nowhere"], ["nowhere/run.json"]),
    "a run that is none": (["report", "."], ["run.json"]),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(pixcore, name):
    arguments, words = COMMANDS[name]
    config()
    Image.new("RGB", SIZE).save("image.png")
    status, line = pixcore(*arguments)
    assert status == 2
    one_line(line, *words)


def picture(mode: str = "RGB", size: tuple[int, int] = SIZE) -> Image.Image:
    rng = np.random.default_rng(0)
    if mode == "I;16":
        return Image.fromarray(rng.integers(0, 65535, size[::-1]).astype(np.uint16))
    return Image.fromarray(rng.integers(0, 255, (*size[::-1], 3)).astype(np.uint8)).convert(mode)


def save_rotated(path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored on its side, to be turned upright
    picture(size=SIZE[::-1]).save(path, exif=exif)


BROKEN_IMAGES = {
    "missing": lambda path: None,
    "truncated": lambda path: (picture().save(path), path.write_bytes(path.read_bytes()[:600])),
    "text": lambda path: path.write_text("not an image"),
    "empty": lambda path: path.write_bytes(b""),
    "a folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("sample", ["s0", "s1"])
@pytest.mark.parametrize("name", BROKEN_IMAGES)
def test_a_broken_image_stops_or_is_recorded(pixcore, name, sample):
    Path("images").mkdir()
    for index in (0, 1):
        picture().save(f"images/s{index}.png")
    benchmark = {"name": "toy-boxes", "pairs": 1, "folder": "images"}
    Path(f"images/{sample}.png").unlink()
    BROKEN_IMAGES[name](Path(f"images/{sample}.png"))
    status, line = pixcore("run", config(benchmark=benchmark))
    assert status == 2
    one_line(line, sample, "image")
    status, line = pixcore("run", config(benchmark=benchmark, on_error="record"))
    assert status == 0
    predictions = [json.loads(text) for text in Path("out/predictions.jsonl").read_text().splitlines()]
    assert {one["sample_id"] for one in predictions if one.get("error")} == {sample}
    assert {one["sample_id"] for one in predictions if one.get("candidates")} == {"s0", "s1"} - {sample}
    # mended, the run goes on
    picture().convert("L").save("mended.png")
    if Path(f"images/{sample}.png").is_dir():
        Path(f"images/{sample}.png").rmdir()
    Path("mended.png").rename(f"images/{sample}.png")
    assert pixcore("run", config(benchmark=benchmark, on_error="record"))[0] == 0
    assert json.loads(Path("out/summary.json").read_text())["failed"] == 0


ODD_IMAGES = {
    "1x1": (lambda path: picture(size=(1, 1)).save(path), (1, 1)),
    "20000x1": (lambda path: picture(size=(20_000, 1)).save(path), (20_000, 1)),
    "1x20000": (lambda path: picture(size=(1, 20_000)).save(path), (1, 20_000)),
    "grayscale": (lambda path: picture("L").save(path), SIZE),
    "RGBA": (lambda path: picture("RGBA").save(path), SIZE),
    "palette": (lambda path: picture("P").save(path), SIZE),
    "16 bits": (lambda path: picture("I;16").save(path), SIZE),
    "1 bit": (lambda path: picture("1").save(path), SIZE),
    "turned by EXIF": (save_rotated, SIZE),
}


@pytest.mark.parametrize("name", ODD_IMAGES)
def test_an_odd_image_works(pixcore, name):
    save, size = ODD_IMAGES[name]
    Path("images").mkdir()
    for index in (0, 1):
        save(Path(f"images/s{index}.png"))
    benchmark = {"name": "toy-boxes", "pairs": 1, "folder": "images", "size": list(size)}
    status, line = pixcore("run", config(benchmark=benchmark))
    assert status == 0, line
    predictions = [json.loads(text) for text in Path("out/predictions.jsonl").read_text().splitlines()]
    found = [mask for one in predictions for candidate in one.get("candidates", []) for mask in candidate["masks"]]
    assert found
    assert {masks.size_of(mask) for mask in found} == {size}
    assert pixcore("ground", "images/s0.png", "the box", "--config", "run.yaml")[0] == 0


def test_a_damaged_store_names_its_file_and_the_rest_is_kept(pixcore):
    log = Path("answered.log")
    path = config(model={"name": "toy", "log": str(log)})
    assert pixcore("run", path)[0] == 0
    (damaged,) = Path("store").glob("propose-*.sqlite")
    damaged.write_bytes(b"this is no database at all, and long enough to be looked at as one" * 20)
    for leftover in Path("store").glob(f"{damaged.name}-*"):
        leftover.unlink()
    status, line = pixcore("run", path)
    assert status == 2
    one_line(line, damaged.name, "move this file away")
    answered = len(log.read_text().splitlines())
    damaged.unlink()
    assert pixcore("run", path)[0] == 0
    assert len(log.read_text().splitlines()) == answered, "a damaged stage costs no other"


def test_a_damaged_record_names_its_file(pixcore):
    assert pixcore("run", config())[0] == 0
    (damaged,) = Path("store").glob("propose-*.sqlite")
    with sqlite3.connect(damaged) as database:
        database.execute("UPDATE records SET body = substr(body, 1, 20)")
    Path("out/summary.json").unlink()
    status, line = pixcore("run", "run.yaml")
    assert status == 2
    one_line(line, damaged.name)


def test_a_damaged_array_names_its_file(pixcore):
    assert pixcore("run", config())[0] == 0
    with_arrays = [path for path in Path("store").glob("answer-*.sqlite") if _spoil_arrays(path)]
    status, line = pixcore("run", "run.yaml")
    assert status == 2
    one_line(line, "damaged", with_arrays[0].name)


def _spoil_arrays(path: Path) -> int:
    """Overwrite a piece in the middle of every record's arrays, as a failing disk would."""
    with sqlite3.connect(path) as database:
        found = database.execute("SELECT key, arrays FROM records WHERE arrays IS NOT NULL").fetchall()
        for key, arrays in found:
            middle = len(arrays) // 2
            spoilt = arrays[:middle] + b"\xff" * 8 + arrays[middle + 8 :]
            database.execute("UPDATE records SET arrays = ? WHERE key = ?", (spoilt, key))
    return len(found)


@pytest.mark.parametrize("key", ["output", "store"])
def test_a_folder_that_can_not_be_made(pixcore, key):
    Path("taken").write_text("a file")
    status, line = pixcore("run", config(**{key: "taken/inside"}))
    assert status == 2
    one_line(line, "taken")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
@pytest.mark.parametrize("key", ["output", "store"])
def test_a_folder_that_can_not_be_written(pixcore, key):
    Path("locked").mkdir(mode=0o500)
    status, line = pixcore("run", config(**{key: "locked"}))
    assert status == 2
    one_line(line, "locked")


def test_a_damaged_run_folder(pixcore):
    assert pixcore("run", config())[0] == 0
    Path("out/run.json").write_text('{"config": ')
    status, line = pixcore("report", "out")
    assert status == 2
    one_line(line, "out/run.json", "not JSON")
    Path("out/run.json").write_text("{}")
    status, line = pixcore("report", "out")
    assert status == 2
    one_line(line, "out/run.json", "scope")


DAMAGED_RUNS = {
    "stores that are a list": ({"stores": ["a"]}, "stores"),
    "stores of numbers": ({"stores": {"answer": 3}}, "stores.answer"),
    "a config that is a list": ({"config": ["model"]}, "config"),
    "a scope that is a number": ({"scope": 3}, "scope"),
    "a limit in words": ({"scope": {"limit": "few", "samples": [], "shard": None}}, "scope.limit"),
    "a limit beyond all": ({"scope": {"limit": 10**30, "samples": [], "shard": None}}, "scope.limit"),
    "a part of none": ({"scope": {"limit": None, "samples": [], "shard": [0, 0]}}, "scope.shard"),
}


@pytest.mark.parametrize("name", DAMAGED_RUNS)
def test_a_damaged_run_document(pixcore, name):
    damage, place = DAMAGED_RUNS[name]
    document = {"scope": {"limit": None, "samples": [], "shard": None}, "stores": {}, "config": TOY_RUN}
    Path("out").mkdir()
    Path("out/run.json").write_text(json.dumps(document | damage))
    status, line = pixcore("report", "out")
    assert status == 2
    one_line(line, "out/run.json is no run's", place, "run the config again")


def run_with_little_room(folder: Path, room: int) -> subprocess.CompletedProcess[str]:
    """Run with every file limited to so many bytes, which a write meets as it meets a full disk."""

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    paths = os.pathsep.join((str(TOY), *sys.path))
    # a module's byte code would be cut short for good
    environment = {"PYTHONPATH": paths, "PIXCORE_PLUGINS": "toy,report", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pixcore", "run", "run.yaml"],
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        preexec_fn=limit,
        timeout=600,
    )


def test_a_full_disk_keeps_what_is_there(pixcore, tmp_path):
    log = Path("answered.log")
    path = config(model={"name": "toy", "log": str(log)}, benchmark={"name": "toy-boxes", "pairs": 30})
    done = run_with_little_room(tmp_path, 2_000_000)  # for the samples, not for their records
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    one_line(done.stderr.strip().splitlines()[-1], "can't")
    before = len(log.read_text().splitlines())
    assert before > 10
    assert pixcore("run", path)[0] == 0
    assert len(log.read_text().splitlines()) <= 180 + 8, "only the samples in flight are answered again"


def test_a_full_disk_at_the_very_end_keeps_the_old_results(pixcore, tmp_path):
    """The tables don't fit: the folder's old files stay whole."""
    path = config()
    assert pixcore("run", path)[0] == 0
    old = {file.name: file.read_bytes() for file in Path("out").iterdir()}
    done = run_with_little_room(tmp_path, 20_000)
    assert done.returncode == 2, done.stderr
    assert {file.name: file.read_bytes() for file in Path("out").iterdir()} == old


def test_a_file_on_a_full_disk_says_to_make_room(tmp_path):
    path = tmp_path / "summary.json"
    with pytest.raises(StoreError, match="free some space"), replacing(path):
        Path("/dev/full").write_text("more than there is room for")
    assert not path.exists()


@pytest.mark.parametrize("given", [["plugins"], ["plugins", "--json"], ["--help"], ["run", "--help"]])
def test_what_goes_to_a_full_disk_says_to_make_room(given: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([sys.executable, "-m", "pixcore", *given], stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: can't use the output: No space left on device (free some space")
    assert done.stderr.count("\n") == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="a tmpfs is mounted as root")
def test_a_full_file_system(workplace):
    small = workplace.folder / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        path = workplace.config(store="small", benchmark={"name": "toy-boxes", "pairs": 40})
        done = workplace("run", str(path), status=2)
        one_line(done.stderr.strip().splitlines()[-1], "small")
    finally:
        subprocess.run(["umount", str(small)], check=True)
