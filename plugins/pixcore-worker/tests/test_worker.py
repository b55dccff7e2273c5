"""The worker with real child processes: replies, crashes, hangs, nonsense, environments."""

from __future__ import annotations

import ast
import datetime
import io
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image as PILImage
from pixcore_datasets import run_lengths
from pixcore_worker import side
from pixcore_worker.adapter import Worker
from pixcore_worker.config import WorkerConfig
from pixcore_worker.manifest import read_manifest
from pydantic import ValidationError

from pixcore import masks
from pixcore.errors import ConfigError, ModelError, SampleError
from pixcore.files import MAKE_ROOM
from pixcore.notices import hearing
from pixcore.records import Image, Protocol, Request, Response, Sample
from pixcore.stages.base import Item
from pixcore.stages.memory import shortage
from tests.adapters import MaskAdapterSuite, Subject, requests_of

ECHO = """
    def predict(model, request):
        left = [[column < 2 for column in range(request["width"])] for row in range(request["height"])]
        top = [[row < 1 for column in range(request["width"])] for row in range(request["height"])]
        end = len(request["prompt"])
        spans = [[0, min(6, end)], [min(7, end), min(8, end)]]
        return {"text": request["prompt"], "masks": [left, top], "mask_spans": spans, "token_ids": [3, 4]}
"""
FRAGILE = """
    import os, signal, time

    def load(options):
        open(options["starts"], "a").write("x")

    def predict(model, request):
        what = request["prompt"]
        if what == "kill":
            print("about to fall")
            os.kill(os.getpid(), signal.SIGKILL)
        if what == "exit":
            os._exit(7)
        if what == "hang":
            time.sleep(600)
        if what == "raise":
            raise ValueError("no such thing")
        if what == "full":
            raise MemoryError("Unable to allocate 3.00 GiB for an array with shape (805306368,)")
        if what == "no text":
            return {"masks": []}
        if what == "large mask":
            return {"text": "", "masks": [[[1] * 99]]}
        if what == "long span":
            mask = [[1] * request["width"]] * request["height"]
            return {"text": "\\u00e4", "masks": [mask], "mask_spans": [[0, 2]]}
        if what == "no mapping":
            return 5
        return {"text": "fine " + what}
"""

MakeWorker = Callable[..., Worker]


@pytest.fixture
def subject(write_manifest: Callable[..., Path]) -> Subject:
    return Subject("worker", {"manifest": str(write_manifest(ECHO))}, requests_of(["one", "two", "three", "four"]))


@pytest.fixture
def corrected(subject: Subject) -> list[Response]:
    with subject.adapter() as adapter:
        return adapter.answer(subject.requests)


class TestAdapter(MaskAdapterSuite):
    """What every adapter that gives masks must do."""


def ask(requests: list[Request], *prompts: str) -> list[Request]:
    return [
        Request(request.sample_id, request.protocol, request.image, prompt)
        for request, prompt in zip(requests, prompts, strict=False)
    ]


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_text_and_masks_come_back(make_worker: MakeWorker, requests: list[Request], transport: str) -> None:
    worker = make_worker(ECHO, transport=transport)
    responses = worker.answer(requests)
    assert [response.text for response in responses] == [request.prompt for request in requests]
    for request, response in zip(requests, responses, strict=True):
        width, height = request.image.size
        left = np.zeros((height, width), dtype=bool)
        left[:, :2] = True
        assert (masks.decode(response.masks[0]) == left).all()
        assert response.mask == masks.union(response.masks, request.image.size)
        assert response.mask_spans == ((0, 6), (7, 8))
        assert response.extra["worker"]["token_ids"] == [3, 4]


TELLING = """
    import os, threading

    def predict(model, request, written):
        what = request["prompt"]
        for tokens in range(1, 4):
            written(tokens, 9)
        if what == "raise":
            raise ValueError("no such thing")
        if what == "exit":
            os._exit(7)
        if what == "nonsense":
            written.__self__.chunk(b'{"written": [1, "many"]}\\n')
        if what == "cut":
            written.__self__.chunk(b'{"written"')
            os._exit(7)
        if what == "thread":
            writer = threading.Thread(target=lambda: [written(tokens, 9) for tokens in range(4, 10)])
            writer.start()
            writer.join()
        if what == "late":
            threading.Timer(0, lambda: [written(9, 9) for _ in range(100)]).start()
        return {"text": "x" * 3_000_000}
"""


@pytest.mark.parametrize("transport", ["unix", "tcp"])
def test_a_long_answer_tells_how_long_it_is(make_worker: MakeWorker, requests: list[Request], transport: str) -> None:
    worker = make_worker(TELLING, transport=transport)
    heard: list[tuple[int, int]] = []
    with hearing(lambda tokens, most: heard.append((tokens, most))):
        (response,) = worker.answer(ask(requests, "one"))
        assert heard == [(1, 9), (2, 9), (3, 9)]
        heard.clear()
        worker.answer(ask(requests, "thread"))
    assert response.text == "x" * 3_000_000
    assert heard == [(tokens, 9) for tokens in range(1, 10)]


def test_what_is_told_too_late_harms_no_reply(make_worker: MakeWorker, requests: list[Request]) -> None:
    worker = make_worker(TELLING)
    for _ in range(3):
        assert len(worker.answer(ask(requests, "late"))[0].text) == 3_000_000


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        ("raise", "ValueError: no such thing"),
        ("exit", "exit status 7"),
        ("nonsense", "written must be two whole numbers"),
        ("cut", "exit status 7"),
    ],
)
def test_what_goes_wrong_in_a_long_answer_costs_its_own_sample(
    make_worker: MakeWorker, requests: list[Request], prompt: str, complaint: str
) -> None:
    worker = make_worker(TELLING)
    with pytest.raises(SampleError, match=complaint):
        worker.answer(ask(requests, prompt))
    assert worker.answer(ask(requests, "one"))[0].text


@pytest.mark.parametrize(("prompt", "complaint"), [("kill", "signal SIGKILL"), ("exit", "exit status 7")])
def test_a_crash_costs_its_own_sample(
    make_worker: MakeWorker, requests: list[Request], tmp_path: Path, prompt: str, complaint: str
) -> None:
    worker = make_worker(FRAGILE, options={"starts": str(tmp_path / "starts")})
    one, two, three = ask(requests, "one", prompt, "three")
    assert worker.answer([one])[0].text == "fine one"
    with pytest.raises(SampleError, match=complaint) as caught:
        worker.answer([two])
    if prompt == "kill":
        assert "about to fall" in caught.value.hint
    assert worker.answer([three])[0].text == "fine three"
    assert (tmp_path / "starts").read_text() == "xx"


def test_a_crash_in_a_batch_keeps_the_others(make_worker: MakeWorker, requests: list[Request], tmp_path: Path) -> None:
    worker = make_worker(FRAGILE, options={"starts": str(tmp_path / "starts")})
    batch = ask(requests, "one", "kill", "three", "raise")
    with pytest.raises(SampleError, match="SIGKILL"):
        worker.answer(batch)
    # The stage now asks for each alone; nothing runs twice.
    assert worker.answer([batch[0]])[0].text == "fine one"
    with pytest.raises(SampleError, match="SIGKILL"):
        worker.answer([batch[1]])
    assert worker.answer([batch[2]])[0].text == "fine three"
    with pytest.raises(SampleError, match="ValueError: no such thing"):
        worker.answer([batch[3]])
    assert (tmp_path / "starts").read_text() == "xx"


def test_memory_that_runs_out_there_is_known_here(
    make_worker: MakeWorker, requests: list[Request], tmp_path: Path
) -> None:
    worker = make_worker(FRAGILE, options={"starts": str(tmp_path / "starts")})
    full, wrong = ask(requests, "full", "raise")
    with pytest.raises(SampleError) as caught:
        worker.answer([full])
    assert (shortage(caught.value) or "").startswith("3.00 GiB more were needed")
    with pytest.raises(SampleError) as other:
        worker.answer([wrong])
    assert shortage(other.value) is None


def test_a_hang_is_ended(make_worker: MakeWorker, requests: list[Request], tmp_path: Path) -> None:
    worker = make_worker(FRAGILE, options={"starts": str(tmp_path / "starts")}, request_timeout=5)
    hang, fine = ask(requests, "hang", "two")
    with pytest.raises(SampleError, match="no answer within 5 s"):
        worker.answer([hang])
    assert worker.answer([fine])[0].text == "fine two"


@pytest.mark.parametrize(
    ("prompt", "complaint"),
    [
        ("raise", "ValueError: no such thing"),
        ("no mapping", "TypeError"),
        ("no text", "text"),
        ("large mask", "mask 0 is 99x1 pixels"),
        ("long span", "a mask_span from 0 to 2"),
    ],
)
def test_a_bad_reply_leaves_the_process_running(
    make_worker: MakeWorker, requests: list[Request], tmp_path: Path, prompt: str, complaint: str
) -> None:
    worker = make_worker(FRAGILE, options={"starts": str(tmp_path / "starts")})
    bad, good = ask(requests, prompt, "two")
    with pytest.raises(SampleError, match=complaint):
        worker.answer([bad])
    assert worker.answer([good])[0].text == "fine two"
    assert (tmp_path / "starts").read_text() == "x"


@pytest.mark.parametrize(
    "garbage",
    [
        'b"\\x00\\xff garbage\\r\\n\\r\\n"',
        'b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\n{[}]"',
        'b"HTTP/1.1 200 OK\\r\\nContent-Length: 400\\r\\n\\r\\n{}"',
        'b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n[]"',
        'b"HTTP/1.1 200 OK\\r\\n\\r\\n\\x80\\x81"',
    ],
)
def test_garbage_on_the_socket(make_worker: MakeWorker, requests: list[Request], garbage: str) -> None:
    handler = f"""
        import gc, socket

        def predict(model, request):
            if request["prompt"] != "garbage":
                return {{"text": "fine"}}
            for thing in gc.get_objects():
                # The connection that this request came over.
                if isinstance(thing, socket.socket) and thing.fileno() >= 0:
                    try:
                        thing.sendall({garbage})
                        thing.shutdown(socket.SHUT_RDWR)
                    except OSError:
                        pass
            raise SystemError("said enough")
    """
    worker = make_worker(handler)
    bad, good = ask(requests, "garbage", "two")
    with pytest.raises(SampleError, match="said something that is no reply"):
        worker.answer([bad])
    assert worker.answer([good])[0].text == "fine"


def test_after_some_deaths_in_a_row_it_is_given_up(
    make_worker: MakeWorker, requests: list[Request], tmp_path: Path
) -> None:
    worker = make_worker(FRAGILE, options={"starts": str(tmp_path / "starts")}, restarts=1)
    for request in ask(requests, "exit", "exit"):
        with pytest.raises(SampleError):
            worker.answer([request])
    for request in ask(requests, "fine", "fine"):
        with pytest.raises(ModelError, match="died 2 times in a row"):
            worker.answer([request])
    assert (tmp_path / "starts").read_text() == "xx"


def test_what_a_worker_answered_before_it_was_given_up_is_kept(
    make_worker: MakeWorker, requests: list[Request], tmp_path: Path
) -> None:
    worker = make_worker(FRAGILE, options={"starts": str(tmp_path / "starts")}, restarts=0)
    together = ask(requests, "one", "exit", "three")
    with pytest.raises(SampleError, match="exit status 7"):  # so that the stage asks for each alone
        worker.answer(together)
    assert worker.answer(together[:1])[0].text == "fine one"
    with pytest.raises(SampleError, match="exit status 7"):
        worker.answer(together[1:2])
    with pytest.raises(ModelError, match="is given up"):
        worker.answer(together[2:])
    assert (tmp_path / "starts").read_text() == "x"


def test_a_worker_that_does_not_start_is_tried_once(
    make_worker: MakeWorker, requests: list[Request], tmp_path: Path
) -> None:
    worker = make_worker(f"open({str(tmp_path / 'starts')!r}, 'a').write('x')\nimport nonsense_that_is_not_there")
    for request in requests[:2]:
        with pytest.raises(ModelError, match="ended while it was starting") as caught:
            worker.answer([request])
        assert "nonsense_that_is_not_there" in caught.value.hint
    assert (tmp_path / "starts").read_text() == "x"


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        (
            'def load(options): raise ValueError("no weights")\ndef predict(model, request): ...',
            "ValueError: no weights",
        ),
        ("def answer(model, request): ...", "has no function predict(model, request)"),
    ],
)
def test_the_last_words_of_a_start_that_failed_are_the_reason(
    make_worker: MakeWorker, requests: list[Request], handler: str, said: str
) -> None:
    with pytest.raises(ModelError, match=r"ended while it was starting \(exit status 1\)") as caught:
        make_worker(handler).answer(requests[:1])
    assert caught.value.hint.endswith(said)


def test_a_handler_that_asks_hears_that_nobody_answers(make_worker: MakeWorker, requests: list[Request]) -> None:
    worker = make_worker('def predict(model, request): return {"text": input("sure? ")}', request_timeout=20)
    with pytest.raises(SampleError, match="EOFError"):
        worker.answer(requests[:1])


@pytest.mark.parametrize(
    ("handler", "said"),
    [
        ('import os\ndef predict(model, request): os.unlink(request["image_path"]); return {"text": "fine"}', "fine"),
        ('def predict(model, request): return {"text": "no mask", "masks": None}', "no mask"),
    ],
)
def test_what_a_handler_may_do_costs_no_answer(
    make_worker: MakeWorker, requests: list[Request], handler: str, said: str
) -> None:
    assert make_worker(handler).answer(requests[:1])[0].text == said


@pytest.mark.parametrize("kind", ["str", "NoneType", "coroutine"])
def test_what_is_no_dict_is_called_by_its_kind(make_worker: MakeWorker, requests: list[Request], kind: str) -> None:
    returned = {"str": '"fine"', "NoneType": "None", "coroutine": "late()"}[kind]
    worker = make_worker(f"async def late(): ...\ndef predict(model, request): return {returned}")
    with pytest.raises(SampleError, match=f"predict must return a dict with text, not {kind}"):
        worker.answer(requests[:1])


@pytest.mark.parametrize("environment", [{"A": "a\0b"}, {"A=B": "b"}])
def test_a_variable_that_no_environment_can_hold_is_one_line(
    make_worker: MakeWorker, requests: list[Request], environment: dict[str, str]
) -> None:
    with pytest.raises(ModelError, match="worker other can't be started: ") as caught:
        make_worker(ECHO, environment=environment).answer(requests[:1])
    assert "environment" in caught.value.hint


def test_a_full_disk_is_told_before_anything_starts(
    make_worker: MakeWorker, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.dont_write_bytecode", True)  # a module's would be cut short for good
    worker = make_worker(ECHO, options={"notes": "x" * 10_000})
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(ModelError, match=r"worker other can't be started: .*File too large") as caught:
            worker.answer(requests[:1])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert caught.value.hint == MAKE_ROOM


def test_the_words_of_an_earlier_process_are_not_a_later_ones(
    make_worker: MakeWorker, requests: list[Request], tmp_path: Path
) -> None:
    (tmp_path / "log").write_text("RuntimeError: yesterday's\n")
    worker = make_worker("import os\ndef predict(model, request): os._exit(3)")
    with pytest.raises(SampleError, match="exit status 3") as caught:
        worker.answer(requests[:1])
    assert caught.value.hint == "it printed: nothing"
    assert "yesterday" in (tmp_path / "log").read_text()


def test_a_slow_start_is_ended(make_worker: MakeWorker, requests: list[Request]) -> None:
    worker = make_worker("import time\ntime.sleep(600)", startup_timeout=1)
    with pytest.raises(ModelError, match="not ready after 1 s"):
        worker.answer(requests[:1])


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"pins": {"torch": "1.13.1"}}, r"torch is absent, not 1\.13\.1"),
        ({"commit": "0123456789"}, "is at commit .*, not 0123456789"),
    ],
)
def test_another_environment_is_refused(
    make_worker: MakeWorker, requests: list[Request], settings: dict[str, Any], complaint: str
) -> None:
    worker = make_worker(ECHO, **settings)
    with pytest.raises(ModelError, match=complaint):
        worker.answer(requests[:1])


def test_the_environment_is_the_manifests(
    make_worker: MakeWorker, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    handler = """
        import os, sys

        def load(options):
            return options

        def predict(model, request):
            assert "numpy" not in sys.modules
            names = ("PYTHONPATH", "PIXCORE_WORKER_TOKEN", "COLOUR")
            return {"text": repr([os.environ.get(name) for name in names] + [model])}
    """
    worker = make_worker(handler, environment={"COLOUR": "red"}, options={"size": 3})
    (response,) = worker.answer(requests[:1])
    assert response.text == "[None, None, 'red', {'size': 3}]"


def test_the_process_gets_no_key_that_its_manifest_does_not_name(
    make_worker: MakeWorker, requests: list[Request], monkeypatch: pytest.MonkeyPatch
) -> None:
    withheld = {"OPENAI_API_KEY", "HF_TOKEN", "HF_HUB_PASSWORD", "GH_PAT", "DATABASE_URL", "https_proxy", "AWS_SESSION"}
    withheld |= {"SLURM_JWT", "XDG_SESSION_COOKIE", "TORCH_HUB_PWD", "HF_BEARER"}
    handed = {"CUDA_VISIBLE_DEVICES", "HF_HOME", "LC_ALL", "NAMED_TOKEN", "SLURM_JOB_ID"}
    for name in withheld | handed:
        monkeypatch.setenv(name, f"value of {name}")
    monkeypatch.setenv("HF_ENDPOINT", "https://somebody:secret@mirror.example")
    handler = """
        import os

        def predict(model, request):
            return {"text": repr(dict(os.environ))}
    """
    (response,) = make_worker(handler, inherit=["NAMED_TOKEN", "NOT_THERE"]).answer(requests[:1])
    got = ast.literal_eval(response.text)
    assert {name: got[name] for name in handed} == {name: f"value of {name}" for name in handed}
    assert not [name for name, value in got.items() if name in withheld or value.removeprefix("value of ") in withheld]
    assert "PATH" in got
    assert "HF_ENDPOINT" not in got


def test_every_path_of_a_manifest_may_begin_at_home(
    make_worker: MakeWorker, requests: list[Request], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    handler = """
        import os

        def load(options):
            return options

        def predict(model, request):
            return {"text": repr([os.getcwd(), os.environ["WEIGHTS"], model])}
    """
    (tmp_path / "there").mkdir()
    worker = make_worker(
        handler,
        python="$HOME/python",
        directory="${HOME}/there",
        environment={"WEIGHTS": "$HOME/weights"},
        options={"towers": [{"checkpoint": "~/clip"}], "costs": "$5"},
    )
    (response,) = worker.answer(requests[:1])
    home = str(tmp_path)
    expected = [f"{home}/there", f"{home}/weights", {"towers": [{"checkpoint": f"{home}/clip"}], "costs": "$5"}]
    assert ast.literal_eval(response.text) == expected


def test_the_image_arrives_as_it_is(make_worker: MakeWorker, requests: list[Request], tmp_path: Path) -> None:
    handler = """
        import hashlib

        def predict(model, request):
            return {"text": hashlib.sha256(open(request["image_path"], "rb").read()).hexdigest()}
    """
    requests[0].image.pil().save(tmp_path / "one.jpg")
    filed = replace(requests[0], image=Image.from_path(tmp_path / "one.jpg"))
    (response,) = make_worker(handler).answer([filed])
    assert response.text == filed.image.digest


@pytest.mark.parametrize(("orientation", "suffix"), [(None, ".jpg"), (1, ".jpg"), (3, ".png"), (6, ".png")])
def test_a_picture_that_its_exif_data_turn_arrives_upright(
    make_worker: MakeWorker, tmp_path: Path, orientation: int | None, suffix: str
) -> None:
    worker = make_worker(
        """
        def predict(model, request):
            with open(request["image_path"], "rb") as file:
                return {"text": file.read().hex() + request["image_path"][-4:]}
    """,
        capabilities=["text"],
    )
    exif = PILImage.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    PILImage.linear_gradient("L").crop((0, 0, 8, 16)).save(tmp_path / "photo.jpg", exif=exif)
    image = Image.from_path(tmp_path / "photo.jpg")
    (response,) = worker.answer([Request("one", Protocol.SEGMENT, image, "?")])
    assert response.text.endswith(suffix)
    sent = bytes.fromhex(response.text[:-4])
    assert np.array_equal(Image(lambda: sent).pixels(), image.pixels())
    with PILImage.open(io.BytesIO(sent)) as opened:
        assert opened.size == image.size


def test_a_picture_that_never_was_a_file_arrives_as_a_png(make_worker: MakeWorker, requests: list[Request]) -> None:
    handler = """
        def predict(model, request):
            with open(request["image_path"], "rb") as file:
                return {"text": file.read(8).hex() + request["image_path"][-4:]}
    """
    (response,) = make_worker(handler).answer(requests[:1])
    assert response.text == b"\x89PNG\r\n\x1a\n".hex() + ".png"


def test_the_process_ends_with_its_parent(write_manifest: Callable[..., Path], tmp_path: Path) -> None:
    manifest = write_manifest("""
        import os

        def predict(model, request):
            return {"text": str(os.getpid())}
    """)
    script = f"""
import os, signal
import numpy as np
from pixcore.records import Image, Protocol, Request, Response
from tests.adapters import MaskAdapterSuite, Subject, requests_of
from pixcore_worker.adapter import Worker
from pixcore_worker.config import WorkerConfig
worker = Worker(WorkerConfig(manifest={str(manifest)!r}))
image = Image.from_pixels(np.zeros((2, 2, 3), np.uint8))
print(worker.answer([Request("0", Protocol.QUESTION, image, "?")])[0].text, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    child = int(done.stdout)
    _wait_for_its_end(child)


def _wait_for_its_end(process: int) -> None:
    for _ in range(1200):
        if not _running(process):
            return
        time.sleep(0.1)
    os.kill(process, 9)
    pytest.fail(f"process {process} is still there after two minutes")


def _running(process: int) -> bool:
    try:
        # A process that nobody has waited for is a zombie, not a runner.
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_close_ends_it_and_its_children(make_worker: MakeWorker, requests: list[Request]) -> None:
    handler = """
        import os, subprocess

        def predict(model, request):
            child = subprocess.Popen(["sleep", "600"])
            return {"text": f"{os.getpid()} {child.pid}"}
    """
    worker = make_worker(handler)
    (response,) = worker.answer(requests[:1])
    worker.close()
    for process in response.text.split():
        _wait_for_its_end(int(process))


def test_a_stranger_on_the_port_gets_nothing(make_worker: MakeWorker, requests: list[Request]) -> None:
    import urllib.error
    import urllib.request

    worker = make_worker(ECHO, transport="tcp")
    worker.answer(requests[:1])
    process = worker._process
    assert process is not None
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(f"http://127.0.0.1:{process._address}/info")


def test_prompts_and_capabilities_come_from_the_manifest(make_worker: MakeWorker, requests: list[Request]) -> None:
    worker = make_worker(ECHO, prompts={"segment": "Find {expression}."}, capabilities=["text"])
    assert worker.config.prompts == {Protocol.SEGMENT: "Find {expression}."}
    assert worker.capabilities == {"text"}
    assert worker.answer(requests[:1])[0].mask is None


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"pythn": "x"}, "pythn"),
        ({"python": "not/there"}, "there is no file"),
        ({"request_timeout": 0}, "request_timeout"),
        ({"request_timeout": float("inf")}, "request_timeout"),
        ({"commit": "main"}, "commit"),
        ({"options": {"since": datetime.date(2024, 1, 1)}}, "options: .*date is not JSON serializable"),
    ],
)
def test_a_wrong_manifest_is_refused_before_anything_starts(
    write_manifest: Callable[..., Path], settings: dict[str, Any], complaint: str
) -> None:
    manifest = write_manifest(ECHO, **settings)
    with pytest.raises(ConfigError, match=complaint):
        read_manifest(manifest)
    with pytest.raises(ValidationError, match=complaint):
        WorkerConfig(manifest=manifest)


def test_another_handler_is_another_fingerprint(write_manifest: Callable[..., Path]) -> None:
    config = WorkerConfig(manifest=write_manifest(ECHO))
    before = config.fingerprint()
    (config.manifest.parent / "handler.py").write_text("# other\n")
    assert config.fingerprint() != before


def test_what_a_handler_imports_from_beside_it_is_in_its_fingerprint(write_manifest: Callable[..., Path]) -> None:
    config = WorkerConfig(manifest=write_manifest("import json, near\n"))
    folder = config.manifest.parent
    (folder / "package").mkdir()
    files = [folder / name for name in ("near.py", "far.py", "package/__init__.py", "package/inner.py", "unused.py")]
    for file, text in zip(files, ("import far", "from package import inner", "", "", ""), strict=True):
        file.write_text(f"{text}\n")
    prints = {config.fingerprint()}
    for file in files:
        file.write_text(f"{file.read_text()}# other\n")
        prints.add(config.fingerprint())
    assert len(prints) == len(files)  # the last is imported by nobody


def test_a_folder_without_init_is_in_the_fingerprint_and_one_of_data_is_no_mistake(
    write_manifest: Callable[..., Path],
) -> None:
    """As in research code: no __init__.py, data in a folder that is called as a package is, relative imports."""
    config = WorkerConfig(manifest=write_manifest("import datasets, models.net\n"))
    folder = config.manifest.parent
    (folder / "datasets").mkdir()
    (folder / "models" / "layers").mkdir(parents=True)
    files = [folder / "models" / name for name in ("net.py", "layers/one.py", "losses.py")]
    for file, text in zip(files, ("from .layers import one", "from ..losses import *", ""), strict=True):
        file.write_text(f"{text}\n")
    prints = {config.fingerprint()}
    for file in files:
        file.write_text(f"{file.read_text()}# other\n")
        prints.add(config.fingerprint())
    assert len(prints) == len(files) + 1


@pytest.mark.parametrize(
    "broken", ["print 'two'", f"x = {' + '.join(['a'] * 20_000)}", "x = '\\d'", "raise SystemExit"]
)
def test_a_module_that_can_not_be_read_here_hides_no_other(write_manifest: Callable[..., Path], broken: str) -> None:
    config = WorkerConfig(manifest=write_manifest("import gone, near, other\n"))
    folder = config.manifest.parent
    (folder / "gone.py").symlink_to("nowhere.py")
    (folder / "near.py").write_text(broken)
    prints = set()
    for text in ("one = 1\n", "one = 2\n"):
        (folder / "other.py").write_text(text)
        prints.add(config.fingerprint())
    assert len(prints) == 2


def test_code_that_moves_from_one_module_to_the_next_changes_the_fingerprint(
    write_manifest: Callable[..., Path],
) -> None:
    config = WorkerConfig(manifest=write_manifest("import one, two\n"))
    prints = set()
    for one, two in (("a = 1\nb = 2\n", "c = 3\n"), ("a = 1\n", "b = 2\nc = 3\n")):
        (config.manifest.parent / "one.py").write_text(one)
        (config.manifest.parent / "two.py").write_text(two)
        prints.add(config.fingerprint())
    assert len(prints) == 2


def test_a_handler_of_another_python_has_a_fingerprint(write_manifest: Callable[..., Path]) -> None:
    config = WorkerConfig(manifest=write_manifest("import near\nprint 'two'\n"))
    (config.manifest.parent / "near.py").write_text("print 'two'\n")
    assert config.fingerprint()


def test_where_a_log_goes_is_no_part_of_the_records_key() -> None:
    assert "log" in WorkerConfig.not_in_key


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (5, 3)])
def test_masks_of_every_kind_are_encoded_alike(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    mask = rng.random(shape) < 0.5
    expected = masks.encode(mask)
    forms = (mask, mask.tolist(), mask.astype(float), np.asfortranarray(mask), ~mask == 0, expected)
    for form in forms:
        assert run_lengths.parse(side.encode(form), where="mask") == expected
    for constant in (np.zeros(shape), np.ones(shape)):
        assert run_lengths.parse(side.encode(constant), where="mask") == masks.encode(constant.astype(bool))


@pytest.mark.parametrize("mask", [np.ones((1, 4, 5), bool), np.ones(5, bool), []])
def test_what_is_no_picture_of_a_mask_is_told_by_its_shape(mask: Any) -> None:
    with pytest.raises(ValueError, match=r"must be \(height, width\), not \("):
        side.encode(mask)


@pytest.mark.parametrize("mask", [[[-3.2, 4.1], [0.1, -9.0]], [[0.2, 0.0], [0.7, 0.0]], [[0, 1], [2, 0]]])
def test_what_is_not_cut_off_yet_is_no_mask(mask: list[list[float]]) -> None:
    for form in (mask, np.array(mask)):
        with pytest.raises(ValueError, match="boolean, or hold 0 and one other value"):
            side.encode(form)
    assert side.encode(255 * np.eye(2)) == side.encode(np.eye(2, dtype=bool))


@pytest.mark.parametrize("by_sample", [False, True])
def test_a_handler_that_answers_by_id_says_so(write_manifest: Callable[..., Path], by_sample: bool) -> None:
    config = WorkerConfig(manifest=write_manifest(ECHO, **({"by_sample": True} if by_sample else {})))
    image = Image.from_pixels(np.zeros((2, 2, 3), np.uint8))
    requests = [Request(name, "question", image, "What is it?") for name in "ab"]
    items = [Item(Sample(one.sample_id, image), one, False, by_sample=config.by_sample) for one in requests]
    assert (items[0].key != items[1].key) == by_sample
    assert items[0].entropy == items[1].entropy


def test_a_manifest_that_is_edited_is_read_again(write_manifest: Callable[..., Path]) -> None:
    path = write_manifest(ECHO, options={"checkpoint": "a"})
    before = WorkerConfig(manifest=path)
    assert before.read().options == {"checkpoint": "a"}
    path.write_text(path.read_text().replace("checkpoint: a", "checkpoint: b"))
    after = WorkerConfig(manifest=path)
    assert after.read().options == {"checkpoint": "b"}


def test_the_other_side_is_python_3_8_and_its_standard_library() -> None:
    source = Path(side.__file__).read_text()
    tree = ast.parse(source, feature_version=(3, 8))
    imported = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    imported |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
    # Newer than 3.8 and not a matter of syntax.
    assert "removeprefix" not in source
    assert "removesuffix" not in source


def test_a_run_records_the_sample_that_crashed(write_manifest: Callable[..., Path], tmp_path: Path) -> None:
    manifest = write_manifest("""
        import os

        def predict(model, request):
            if request["protocol"] == "segment":
                os._exit(9)
            return {"text": "A", "masks": [[[1] * request["width"]] * request["height"]]}
    """)
    config = {
        "benchmark": {"name": "mini-world"},
        "model": {"name": "worker", "manifest": str(manifest)},
        "extractor": None,
        "on_error": "record",
        "batch_size": 2,
        "output": str(tmp_path / "run"),
        "store": str(tmp_path / "store"),
    }
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(config))
    command = [sys.executable, "-m", "pixcore", "run", str(tmp_path / "run.yaml"), "--limit", "2"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["failed"] == 2
    lines = [json.loads(line) for line in (tmp_path / "run/predictions.jsonl").read_text().splitlines()]
    assert {line["protocol"] for line in lines if line.get("text") == "A"} == {"question", "letter"}
