"""Workers made of a handler's source."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pixcore_worker.adapter import Worker
from pixcore_worker.config import WorkerConfig

from pixcore.records import Image, Protocol, Request

MakeWorker = Callable[..., Worker]


@pytest.fixture
def write_manifest(tmp_path: Path) -> Callable[..., Path]:
    """Writes a handler and its manifest. The interpreter is this one without site packages."""

    def write(handler: str, **settings: Any) -> Path:
        (tmp_path / "handler.py").write_text(textwrap.dedent(handler))
        # -I and -S: neither installed packages nor our environment are in reach, as in a foreign environment.
        python = tmp_path / "python"
        python.write_text(f'#!/bin/sh\nexec "{sys.executable}" -I -S "$@"\n')
        python.chmod(0o755)
        content = {"name": "other", "python": "python", "handler": "handler.py", "startup_timeout": 60}
        (tmp_path / "worker.yaml").write_text(yaml.safe_dump(content | settings))
        return tmp_path / "worker.yaml"

    return write


@pytest.fixture
def make_worker(write_manifest: Callable[..., Path], tmp_path: Path) -> Iterator[MakeWorker]:
    """Makes adapters, and ends their processes afterwards."""
    made: list[Worker] = []

    def make(handler: str, **settings: Any) -> Worker:
        config = WorkerConfig.model_validate({"manifest": write_manifest(handler, **settings), "log": tmp_path / "log"})
        made.append(Worker(config))
        return made[-1]

    yield make
    for worker in made:
        worker.close()


@pytest.fixture(scope="session")
def requests() -> list[Request]:
    rng = np.random.default_rng(0)
    images = [Image.from_pixels(rng.integers(0, 256, (4 + i, 6, 3), dtype=np.uint8)) for i in range(4)]
    return [
        Request(f"sample {index}", Protocol.SEGMENT, image, f"prompt {index}", expression="a dog")
        for index, image in enumerate(images)
    ]
