"""The local server of the judge's tests, and mini as the checkpoint that replays."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

_SERVER = Path(__file__).resolve().parents[2] / "pixcore-openai" / "tests" / "conftest.py"
_spec = importlib.util.spec_from_file_location("pixcore_openai_server", _SERVER)
assert _spec is not None
assert _spec.loader is not None
_module = importlib.util.module_from_spec(_spec)
sys.modules[_spec.name] = _module
_spec.loader.exec_module(_module)
server = _module.server
