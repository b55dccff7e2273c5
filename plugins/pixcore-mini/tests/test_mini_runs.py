"""A run asks all probings of a sample while the model has its image in mind, and answers as it does one by one."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from pixcore_progress.lines import LineMonitor
from rich.console import Console
from torch.nn.modules.module import register_module_forward_hook
from transformers import CLIPVisionModel

from pixcore.config import resolve
from pixcore.plugins import registry
from pixcore.records import ProtocolResult
from pixcore.runs.execute import execute
from pixcore.runs.plan import Run
from pixcore.stages.answer import Answer
from pixcore.stages.serialise import Entry


def answers(folder: Path, batch_size: int, probings: list[str] | None = None) -> tuple[dict[str, ProtocolResult], int]:
    """Each probing's result by sample, and how often the vision tower was at work."""
    document: dict[str, Any] = {
        "benchmark": {"name": "mini-world", "pairs": 3}, "model": "mini", "extractor": "mean", "batch_size": batch_size,
        "masks": "regions", "selections": ["mask-score"], "output": str(folder / "out"), "store": str(folder / "store"),
    }  # fmt: skip
    if probings is not None:
        document["protocols"] = probings
    seen: list[str] = []
    handle = register_module_forward_hook(
        lambda module, given, output: seen.append("") if isinstance(module, CLIPVisionModel) else None
    )
    try:
        job = Run(resolve(document, registry()))
        assert execute(job, LineMonitor(Console(file=io.StringIO()))) == 0
    finally:
        handle.remove()
    found = {f"{one.sample.id} {name}": result for one in job.results() for name, result in one.by_probing.items()}
    return found, len(seen)


def test_a_run_sees_each_image_once_and_says_the_same(tmp_path: Path) -> None:
    together, looks = answers(tmp_path / "together", 2)
    assert len(together) == 18
    assert looks == 6
    alone, _ = answers(tmp_path / "alone", 1)
    for key, result in together.items():
        one, other = result.response, alone[key].response
        assert one is not None
        assert other is not None
        assert one.tokens == other.tokens
        assert (one.maps is None) == (other.maps is None)
        if one.maps is not None and other.maps is not None:
            np.testing.assert_allclose(one.maps, other.maps, atol=1e-5)
    assert any(result.response.maps is None for result in together.values() if result.response is not None)


def test_what_is_left_of_a_run_is_asked_of_its_own_images(tmp_path: Path) -> None:
    """Letters alone are missing, then nothing is."""
    answers(tmp_path, 2, ["question", "segment"])
    whole, looks = answers(tmp_path, 2)
    assert looks == 6
    assert all(result.response is not None for result in whole.values())
    _, looks = answers(tmp_path, 2)
    assert looks == 0


def test_what_was_answered_before_changes_no_answer(tmp_path: Path) -> None:
    """Of all probings of a batch, as another process may have answered the batch before."""
    document = {"benchmark": {"name": "mini-world", "pairs": 8}, "model": "mini", "store": str(tmp_path / "store")}
    job = Run(resolve(document | {"protocols": ["question", "segment"], "output": str(tmp_path / "out")}, registry()))
    stage, (missing, _) = next(iter(job.work().items()))
    assert isinstance(stage, Answer)
    assert (stage.batch_size, len(missing)) == (16, 32)
    made = {item.key: entry for item, entry in stage.compute(missing)}
    job.loader.free()
    for item, alone in stage.compute(list(missing)[16:]):
        entry = made[item.key]
        assert isinstance(entry, Entry)
        assert isinstance(alone, Entry)
        assert entry.body == alone.body
        for name, values in entry.arrays.items():
            np.testing.assert_array_equal(values, alone.arrays[name])
