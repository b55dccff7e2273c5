"""Start, watch, ask and end the worker's process.

One request at a time goes over a socket that only this machine sees. A watchdog kills a process that takes too long,
whatever it is doing; the process itself ends when ours does, because its standard input closes.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pixcore.errors import ModelError, SampleError
from pixcore.files import MAKE_ROOM, NO_ROOM
from pixcore.notices import tell_written
from pixcore.stages.memory import shortage
from pixcore_worker.manifest import Manifest

PROTOCOL = 1
_SIDE = Path(__file__).with_name("side.py")
_LARGEST_REPLY = 256 << 20
_TAIL_LINES, _TAIL_BYTES = 12, 1 << 16
_SOCKET_PATH_LIMIT = 100  # the kernel's is 108, on some systems 104
_HANDED_ON = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|TZ|TERM|TMPDIR|TEMP|TMP|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|HOSTNAME"
    "|(LC|CUDA|CUBLAS|CUDNN|NVIDIA|NCCL|ROCR|HIP|OMP|KMP|MKL|OPENBLAS|TORCH|PYTORCH|HF|TRANSFORMERS|XDG|SSL|SLURM)_.*"
)
"""What another program needs of this environment; no more, or a stranger's code could read every key that is there."""
_SECRET = re.compile("KEY|TOKEN|SECRET|PASS|PWD|CRED|AUTH|JWT|COOKIE|BEARER", re.IGNORECASE)
_NAMES_SOMEBODY = re.compile(r"://[^/\s]*@")  # an address with a user's name, and mostly a password


class WorkerDied(SampleError):
    """A process that ended, or had to be ended, while it was answering."""


class WorkerProcess:
    """One process; after it has died, a new one has to be made.

    Args:
        manifest: What to start.
        log: A file for what it prints; None for a temporary one.

    Raises:
        ModelError: It did not come up, or is not the environment that the manifest describes.
    """

    def __init__(self, manifest: Manifest, log: Path | None = None) -> None:
        self._manifest = manifest
        try:
            # Only this user may enter, which is what protects the socket file.
            self._room = Path(tempfile.mkdtemp(prefix="pixcore-worker-"))
        except OSError as error:
            raise _no_start(manifest, error) from error
        self._log = log or self._room / "log.txt"
        self._token = secrets.token_hex(16)
        self._process = self._start()
        try:
            self._address = self._wait_until_ready()
            self.information = self._check_environment()
        except BaseException:
            self.close()
            raise

    @property
    def alive(self) -> bool:
        """Whether it is running."""
        return self._process.poll() is None

    def predict(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Ask the process for one answer.

        Raises:
            WorkerDied: It crashed, hung or spoke nonsense; it has been ended.
            SampleError: Its handler raised, or returned what is no reply.
        """
        body = json.dumps(request).encode()
        status, content = self._exchange("POST", "/predict", body, self._manifest.request_timeout)
        if status != http.HTTPStatus.OK:
            text = str(content.get("error", "an error without a name"))
            ran_out = "MemoryError" in text.split(":")[0] or shortage(RuntimeError(text)) is not None
            raise SampleError(f"worker {self._manifest.name}: {text}") from (MemoryError(text) if ran_out else None)
        return content

    def close(self) -> None:
        """End the process and everything it started, and remove its files."""
        self._end()
        shutil.rmtree(self._room, ignore_errors=True)

    def _start(self) -> subprocess.Popen[bytes]:
        manifest = self._manifest
        if not hasattr(os, "killpg"):
            raise ModelError(
                f"worker {manifest.name} can't be started on this system: processes are ended by group",
                hint="use Linux, macOS or WSL",
            )
        transport = manifest.transport or ("unix" if self._can_use_socket_file() else "tcp")
        start = {"options": manifest.options, "packages": list(manifest.pins)}
        environment = handed_on(os.environ, manifest.inherit) | manifest.environment
        environment["PIXCORE_WORKER_TOKEN"] = self._token
        # Unbuffered, or the last words before a crash would be lost.
        command = [str(manifest.python), "-u", str(_SIDE), "--room", str(self._room)]
        command += ["--handler", str(manifest.handler), "--transport", transport]
        try:
            (self._room / "start.json").write_text(json.dumps(start), encoding="utf-8")
            with self._log.open("ab") as log:
                self._log_begins = log.tell()
                return subprocess.Popen(
                    command,
                    cwd=manifest.directory,
                    env=environment,
                    stdin=subprocess.PIPE,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    # A group of its own, so that ending it ends its children too.
                    start_new_session=True,
                )
        except (OSError, ValueError) as error:  # the latter of a variable that no environment can hold
            shutil.rmtree(self._room, ignore_errors=True)
            raise _no_start(manifest, error) from error

    def _can_use_socket_file(self) -> bool:
        return hasattr(socket, "AF_UNIX") and len(str(self._room / "socket")) < _SOCKET_PATH_LIMIT

    def _wait_until_ready(self) -> str | int:
        ready = self._room / "ready.json"
        deadline = time.monotonic() + self._manifest.startup_timeout
        while not ready.is_file():
            if not self.alive:
                raise ModelError(
                    f"worker {self._manifest.name} ended while it was starting ({self._exit()})",
                    hint=f"it printed: {self._last_words()}",
                )
            if time.monotonic() > deadline:
                raise ModelError(
                    f"worker {self._manifest.name} was not ready after {self._manifest.startup_timeout:g} s",
                    hint=f"raise startup_timeout in its manifest; it printed: {self._last_words()}",
                )
            time.sleep(0.05)
        address: str | int = json.loads(ready.read_text(encoding="utf-8"))["address"]
        return address

    def _check_environment(self) -> dict[str, Any]:
        """Hold the environment to the manifest; a pin that slipped would make every number wrong in silence."""
        manifest = self._manifest
        try:
            _, found = self._exchange("GET", "/info", None, manifest.request_timeout)
        except SampleError as error:
            raise ModelError(error.message, hint=error.hint) from error
        problems = []
        if found.get("protocol") != PROTOCOL:
            problems.append(f"it speaks protocol {found.get('protocol')!r}, not {PROTOCOL}")
        versions = found.get("versions") or {}
        for package, pin in manifest.pins.items():
            version = versions.get(package)
            if version != pin and str(version).split("+")[0] != pin:
                problems.append(f"{package} is {version or 'absent'}, not {pin}")
        if manifest.commit and not str(found.get("commit")).startswith(manifest.commit):
            problems.append(f"{manifest.directory} is at commit {found.get('commit')}, not {manifest.commit}")
        if problems:
            raise ModelError(
                f"worker {manifest.name} is not what its manifest says: {'; '.join(problems)}",
                hint="mend the environment, or the manifest if this is what you want",
            )
        return found

    def _exchange(self, method: str, page: str, body: bytes | None, seconds: float) -> tuple[int, dict[str, Any]]:
        with self._watchdog(seconds) as expired:
            connection = _Connection(self._address)
            try:
                connection.request(method, page, body, {"X-Pixcore-Token": self._token})
                reply = connection.getresponse()
                if reply.getheader("Content-Type") == "application/x-ndjson":
                    return _last_line(reply)
                data = reply.read(_LARGEST_REPLY + 1)
                if len(data) > _LARGEST_REPLY:
                    raise http.client.HTTPException(f"a reply of more than {_LARGEST_REPLY >> 20} MiB")
                if reply.length:
                    raise http.client.HTTPException(f"a reply that ends {reply.length} bytes early")
                return reply.status, _mapping(data)
            except (OSError, http.client.HTTPException, ValueError) as error:
                raise self._death(error, expired.is_set(), seconds) from error
            finally:
                connection.close()

    @contextlib.contextmanager
    def _watchdog(self, seconds: float) -> Iterator[threading.Event]:
        """Kill the process after `seconds`, which ends any wait for it; the event tells that it happened."""
        expired = threading.Event()

        def kill() -> None:
            expired.set()
            self._signal(signal.SIGKILL)

        timer = threading.Timer(seconds, kill)
        timer.daemon = True
        timer.start()
        try:
            yield expired
        finally:
            timer.cancel()

    def _death(self, error: Exception, expired: bool, seconds: float) -> WorkerDied:
        name = self._manifest.name
        if expired:
            message = f"worker {name} gave no answer within {seconds:g} s and was ended"
        else:
            with contextlib.suppress(subprocess.TimeoutExpired):
                # A crash closes the socket a moment before the process is gone.
                self._process.wait(2)
            if self.alive:
                message = f"worker {name} said something that is no reply ({type(error).__name__}: {error})"
            else:
                message = f"worker {name} died while answering ({self._exit()})"
        words = self._last_words()
        self._end()
        return WorkerDied(message, hint=f"it printed: {words}")

    def _exit(self) -> str:
        code = self._process.returncode
        if code is not None and code < 0:
            with contextlib.suppress(ValueError):
                return f"signal {signal.Signals(-code).name}"
        return f"exit status {code}"

    def _last_words(self) -> str:
        """The end of what this process printed; a log may hold other processes' words before, and be long."""
        lines: list[str] = []
        with contextlib.suppress(OSError), self._log.open("rb") as log:
            log.seek(max(self._log_begins, log.seek(0, os.SEEK_END) - _TAIL_BYTES))
            lines = log.read().decode("utf-8", "replace").splitlines()
        return " | ".join(line.strip() for line in lines[-_TAIL_LINES:] if line.strip()) or "nothing"

    def _end(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        if self.alive:
            self._signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(3)
        # Its children may outlive it.
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def _no_start(manifest: Manifest, error: OSError | ValueError) -> ModelError:
    hint = "check python, directory and environment in its manifest, and where log: in the config is"
    if getattr(error, "errno", None) in NO_ROOM:
        hint = MAKE_ROOM
    return ModelError(f"worker {manifest.name} can't be started: {error}", hint=hint)


def handed_on(environment: Mapping[str, str], named: Iterable[str]) -> dict[str, str]:
    """Give what the process gets of an environment: what programs need, no key or token, and what is named."""
    usual = {name for name in environment if _HANDED_ON.fullmatch(name) and not _SECRET.search(name)}
    usual -= {name for name in usual if _NAMES_SOMEBODY.search(environment[name])}
    return {name: environment[name] for name in sorted(usual | (set(named) & environment.keys()))}


def _last_line(reply: http.client.HTTPResponse) -> tuple[int, dict[str, Any]]:
    """Tell what the lines of a reply say of the answer's length, and give its last: a status and the content."""
    while True:
        line = reply.readline(_LARGEST_REPLY + 1)
        if not line.endswith(b"\n"):
            raise http.client.HTTPException(f"a reply of more than {_LARGEST_REPLY >> 20} MiB, or one that ends early")
        said = _mapping(line)
        if "written" not in said:
            status, content = said.get("status"), said.get("content")
            if not isinstance(status, int) or not isinstance(content, dict):
                raise ValueError("a last line without status and content")
            return status, content
        counts = said["written"]
        if not (isinstance(counts, list) and len(counts) == 2 and all(type(count) is int for count in counts)):
            raise ValueError(f"written must be two whole numbers, not {counts!r:.40}")
        tell_written(*counts)


def _mapping(data: bytes) -> dict[str, Any]:
    content = json.loads(data)
    if not isinstance(content, dict):
        raise ValueError(f"expected a mapping, got {type(content).__name__}")
    return content


class _Connection(http.client.HTTPConnection):
    """HTTP over a socket file, or over a loopback port."""

    def __init__(self, address: str | int) -> None:
        super().__init__("127.0.0.1", address if isinstance(address, int) else None)
        self._path = address if isinstance(address, str) else None

    def connect(self) -> None:
        """Open the socket."""
        if self._path is None:
            super().connect()
            return
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(self._path)
