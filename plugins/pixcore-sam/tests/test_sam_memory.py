"""A generator's memory: fewer prompts together once it ran out, and a run that ends where one prompt is too much."""

from __future__ import annotations

import shutil
import subprocess
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_sam import generator
from pixcore_sam.config import SamTransformersConfig
from pixcore_sam.hub import SamTransformers
from torch import Tensor

from pixcore.errors import ModelError
from pixcore.notices import Notice
from pixcore.records import Image, PointPrompt
from tests.adapters import looking


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """How little room a test's device had is nothing to the next test."""
    yield
    generator._rooms.clear()


class Small:
    """Refuses more prompts than it has room for with torch's own error, and follows what it refused."""

    def __init__(self, room: int) -> None:
        self.room, self.refused, self.alive = room, list[int](), 0
        self._failed: weakref.ref[Tensor] | None = None

    def look(self, module: torch.nn.Module, given: tuple[Any, ...]) -> None:
        """Hear of every module that is about to work."""
        if type(module).__name__ != "SamPromptEncoder":
            return
        self.alive += self._failed is not None and self._failed() is not None
        points = given[0]
        if points.shape[1] > self.room:
            self.refused.append(points.shape[1])
            self._failed = weakref.ref(points)
            raise torch.OutOfMemoryError("MPS backend out of memory. Tried to allocate 1.50 GiB on private pool.")


@contextmanager
def small(room: int) -> Iterator[Small]:
    """While open, prompts are encoded where there is little room."""
    device = Small(room)
    with looking(device.look):
        yield device


@pytest.fixture
def one_thread() -> Iterator[None]:
    """All prompts in one batch, as on a GPU."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("one_thread")
def test_fewer_prompts_go_together_once_memory_ran_out(converted: Path, picture: Callable[..., Image]) -> None:
    image = picture(60, 40)
    prompts = [PointPrompt.at((float(x), 20.0)) for x in range(5, 45, 5)]
    config = SamTransformersConfig(checkpoint=str(converted), memory_mb=512)
    expected = SamTransformers(config).segment(image, prompts)
    with warnings.catch_warnings(record=True) as told, small(2) as device:
        warnings.simplefilter("always")
        found = SamTransformers(config).segment(image, prompts)
        again = SamTransformers(config).segment(image, prompts)  # as the next stage of a run does
    assert device.refused == [8, 4]
    assert device.alive == 0
    assert ["memory ran out on 8 point prompts at once" in str(one.message) for one in told].count(True) == 1
    # Python 3.13 warns of a database that another test left to be collected
    assert {one.category for one in told if one.category is not ResourceWarning} == {Notice}
    for one, other, wanted in zip(found, again, expected, strict=True):
        np.testing.assert_array_equal(one.masks, wanted.masks)
        np.testing.assert_array_equal(other.masks, wanted.masks)


@pytest.mark.usefixtures("one_thread")
def test_a_single_prompt_that_does_not_fit_is_told_as_it_is(converted: Path, picture: Callable[..., Image]) -> None:
    generator = SamTransformers(SamTransformersConfig(checkpoint=str(converted), cache_mb=1))
    with small(0), pytest.raises(torch.OutOfMemoryError):
        generator.segment(picture(60, 40), [PointPrompt.at((5.0, 5.0))])


def test_memory_that_runs_out_while_loading_is_told_as_such(converted: Path) -> None:
    code = (
        "import sys, torch\nfrom pixcore_sam.config import SamTransformersConfig\n"
        "from pixcore_sam.hub import SamTransformers\nfrom pixcore.errors import ModelError\nimport transformers\n"
        "def full(*_, **__): raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')\n"
        "torch.nn.Module.to = full\n"
        "try:\n    SamTransformers(SamTransformersConfig(checkpoint=sys.argv[1]))\n"
        "except ModelError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(converted)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"memory ran out while {converted} was loaded: "), done
    assert "complete" not in done.stdout


def test_a_file_that_is_cut_short_is_named(converted: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(converted, tmp_path / "copy"))
    (file,) = copy.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-64])
    with pytest.raises(ModelError, match=rf"{file.name} is damaged"):
        SamTransformers(SamTransformersConfig(checkpoint=str(copy)))
