from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pixcore_mini_seg.trainer import Recipe, Trainer
from rich.console import Console

TINY = Recipe("c", steps=2, batch=2, warmup=1, shapes=2)


def trainer(out: Path, recipe: Recipe = TINY, **options: Any) -> Trainer:
    return Trainer(recipe, out, console=Console(quiet=True), save_every=0.0, validation_images=1, **options)


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training's folder after two steps of two images."""
    folder = tmp_path_factory.mktemp("begun") / "out"
    trainer(folder).train()
    return folder
