"""How commands end when they are stopped, and when a plugin ends them."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image

EXITING_PLUGIN = """
from pixcore import hookimpl
from pixcore.components import ModelAdapter


class Exits(ModelAdapter):
    capabilities = frozenset({"text"})

    def answer(self, requests, extractor=None):
        raise SystemExit(%s)


@hookimpl
def register_model_adapters(register):
    register("exits", "exiting:Exits")
"""

WAITING_PLUGIN = """
import os, time

while not os.path.exists("go on"):
    time.sleep(0.05)
"""


def test_ctrl_c_promises_nothing_where_nothing_is_kept(workplace):
    picture = workplace.folder / "box.png"
    Image.new("RGB", (40, 24), "red").save(picture)
    workplace.environment["TMPDIR"] = str(workplace.folder)
    config = workplace.config(model={"name": "toy", "pause": 30.0})
    process = workplace.start("ground", str(picture), "the box", "--config", str(config))
    while not list(workplace.folder.glob("*/answer-*.sqlite")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130
    assert errors.strip() == "stopped"


def install(workplace, name: str, source: str) -> None:
    """Install a plugin of its own package beside the toy."""
    (workplace.folder / f"{name}.py").write_text(source)
    record = workplace.folder / f"{name}-1.0.dist-info"
    record.mkdir()
    (record / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (record / "entry_points.txt").write_text(f"[pixcore]\n{name} = {name}\n")
    paths = (workplace.environment["PYTHONPATH"], str(workplace.folder))
    workplace.environment |= {"PYTHONPATH": os.pathsep.join(paths), "PIXCORE_PLUGINS": f"toy,{name}"}


def exiting(workplace, status: str) -> str:
    """The last line of a run whose model exits, installed as a plugin of its own."""
    install(workplace, "exiting", EXITING_PLUGIN % status)
    return workplace("run", str(workplace.config(model="exits")), status=1).stderr.strip().splitlines()[-1]


def test_a_model_that_exits_ends_the_command_with_an_error(workplace):
    assert exiting(workplace, repr("no GPU\nhere")).startswith("error: SystemExit: no GPU (")


def test_a_model_that_exits_with_success_has_failed_all_the_same(workplace):
    assert exiting(workplace, "0").startswith("error: SystemExit: 0 (")


def test_what_is_no_exception_of_the_ordinary_kind_is_one_line_too(workplace):
    """A library in Rust that panics raises such a one."""
    install(workplace, "exiting", EXITING_PLUGIN.replace("SystemExit", "BaseException") % "'panicked at lib.rs'")
    said = workplace("run", str(workplace.config(model="exits")), status=1).stderr
    assert "Traceback" not in said
    assert said.strip().splitlines()[-1].startswith("error: BaseException: panicked at lib.rs (")


def test_a_plugin_that_hangs_at_import_is_named_and_waited_for(workplace):
    install(workplace, "waiting", WAITING_PLUGIN)
    asked = (["--help"], ["run", "--help"], ["plugins"])
    processes = [workplace.start(*words) for words in asked]
    workplace.environment |= {"_PIXCORE_COMPLETE": "bash_complete", "COMP_WORDS": "pixcore r", "COMP_CWORD": "1"}
    processes.append(workplace.start())
    named = [process.stderr.readline() for process in processes]
    assert all("plugin 'waiting' of the package waiting has been importing for 5 s" in line for line in named), named
    assert all(process.poll() is None for process in processes)
    (workplace.folder / "go on").touch()
    said = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0, 0]
    assert [errors for _, errors in said] == ["", "", "", ""]
    assert "run" in said[-1][0]


def test_a_usage_error_names_the_help_of_its_own_command(workplace):
    asked = ["run", "--rot"], ["plugins", "a", "b"], ["toy-box", "open", "--rot"], ["--rot"]
    errors = [workplace(*words, status=2).stderr for words in asked]
    assert [line[line.rindex("(") :].strip() for line in errors] == [
        "(see: pixcore run --help)",
        "(see: pixcore plugins --help)",
        "(see: pixcore toy-box open --help)",
        "(see: pixcore --help)",
    ]


@pytest.mark.parametrize(("variable", "value"), [("TERM", "xterm"), ("TERM", "dumb"), ("NO_COLOR", "1")])
def test_a_terminal_that_shows_no_styles_gets_none(workplace, variable, value):
    leader, follower = pty.openpty()
    environment = {name: told for name, told in workplace.environment.items() if name != "NO_COLOR"}
    process = subprocess.Popen(
        [sys.executable, "-m", "pixcore", "plugins", "points"],
        cwd=workplace.folder,
        env={**environment, "TERM": "xterm", variable: value},
        stdout=follower,
        stderr=follower,
    )
    os.close(follower)
    shown = b""
    with contextlib.suppress(OSError):  # how a terminal ends
        while more := os.read(leader, 4096):
            shown += more
    os.close(leader)
    assert process.wait(timeout=300) == 0
    assert b"toy-peak" in shown
    assert (b"\x1b[" in shown) == (value == "xterm")
