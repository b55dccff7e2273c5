"""Damaged data: how tests make it, and what a benchmark must say about it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pixcore.errors import DataError

Damage = Callable[[Path], Any]


def edited(file: str, change: Callable[[Any], Any]) -> Damage:
    """Change a JSON file of a folder in place."""

    def damage(root: Path) -> None:
        document = json.loads((root / file).read_text())
        change(document)
        (root / file).write_text(json.dumps(document))

    return damage


def assert_told(load: Callable[[], object], message: str) -> None:
    """Hold a loader to one error that names the damage and says what to do."""
    with pytest.raises(DataError) as caught:
        load()
    assert message in str(caught.value)
    assert caught.value.hint
