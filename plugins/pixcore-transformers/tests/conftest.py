"""Tiny checkpoints on disk, each built once a session."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pixcore_transformers.testing import save_checkpoint
from transformers.utils import logging

logging.disable_progress_bar()


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """checkpoint(family, **image_settings) gives the folder of a tiny checkpoint."""
    made: dict[str, Path] = {}

    def folder(family: str, **image_settings: Any) -> Path:
        key = json.dumps([family, image_settings], sort_keys=True)
        if key not in made:
            made[key] = save_checkpoint(family, tmp_path_factory.mktemp(family), **image_settings)
        return made[key]

    return folder
