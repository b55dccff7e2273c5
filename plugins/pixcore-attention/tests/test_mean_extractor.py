from __future__ import annotations

import numpy as np
import pytest
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean

from pixcore.components import Context
from pixcore.records import Fidelity


def feed(extractor, rows: np.ndarray) -> list[np.ndarray]:
    """rows: (steps, layers, batch, heads, cells)."""
    _, layers, batch, heads, cells = rows.shape
    extractor.begin(batch, layers, heads, cells)
    for step in rows:
        for layer, seen in enumerate(step):
            extractor.observe(layer, seen)
        extractor.end_step()
    return list(extractor.maps())


def test_mean_over_layers_and_heads(rng: np.random.Generator) -> None:
    rows = rng.random((5, 3, 2, 4, 6), np.float32)
    maps = feed(Mean(MeanConfig()), rows)
    for sample in range(2):
        np.testing.assert_allclose(maps[sample], rows[:, :, sample].mean((1, 2)), atol=1e-6)


def test_torch_rows_give_the_same(rng: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    rows = rng.random((2, 2, 1, 4, 6), np.float32)
    extractor = Mean(MeanConfig())
    arrays = feed(extractor, rows)
    tensors = feed(extractor, torch.from_numpy(rows))
    np.testing.assert_allclose(arrays[0], tensors[0], atol=1e-7)


def test_nothing_is_left_from_the_batch_before(rng: np.random.Generator) -> None:
    extractor = Mean(MeanConfig())
    feed(extractor, rng.random((2, 2, 3, 4, 6), np.float32))
    assert [m.shape for m in feed(extractor, np.zeros((0, 2, 1, 4, 5), np.float32))] == [(0, 5)]


def test_what_the_fidelities_read_for_the_first_token() -> None:
    published = Context(fidelity=Fidelity.PUBLISHED)
    assert Mean(MeanConfig()).needs.prefill_row == -1
    assert Mean(MeanConfig(), published).needs.prefill_row == -2
    assert Mean(MeanConfig(heads=(-2,), prefill_row=-1), published).needs.prefill_row == -1
