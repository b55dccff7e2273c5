"""Templates as Jinja compiled them, kept for the next process: compiling a report's takes longer than writing it."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from pathlib import Path

import jinja2
from jinja2.bccache import Bucket, BytecodeCache

from pixcore.entries import kept_at
from pixcore.errors import StoreError
from pixcore.files import written_beside
from pixcore.versions import installed, version_of


class Compiled(BytecodeCache):
    """Keeps a file for each template of an environment, in the folder for caches.

    Jinja looks whether the template is the same. In front of the code stands a hash of it and of who has a say in it:
    Jinja, and the packages whose functions templates call. What is not there, or not whole, is compiled.

    Args:
        package: The package that has the templates.
    """

    def __init__(self, package: str) -> None:
        self._folder = Path(kept_at("templates"))
        found = (installed(name) for name in (package.replace("_", "-"), "pixcore-report", "pixcore-table"))
        self._say = " ".join([jinja2.__version__, *(version_of(one) for one in found if one is not None)]).encode()

    def load_bytecode(self, bucket: Bucket) -> None:
        """Read a template's code, where it is kept."""
        with suppress(OSError):
            kept = (self._folder / bucket.key).read_bytes()
            if kept[:32] == self._hash(kept[32:]):
                bucket.bytecode_from_string(kept[32:])

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Keep a template's code, where there is room."""
        code = bucket.bytecode_to_string()
        with suppress(OSError, StoreError):
            self._folder.mkdir(parents=True, exist_ok=True)
            with written_beside(self._folder / bucket.key) as beside:
                beside.write_bytes(self._hash(code) + code)

    def _hash(self, code: bytes) -> bytes:
        return hashlib.sha256(self._say + code).digest()
