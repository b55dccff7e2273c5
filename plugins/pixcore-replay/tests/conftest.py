"""The local server of the judge's tests, and mini as the checkpoint that replays."""

from __future__ import annotations

from pathlib import Path

from tests.scripts import loaded

_SERVER = Path(__file__).resolve().parents[2] / "pixcore-openai" / "tests" / "conftest.py"
server = loaded(_SERVER).server
