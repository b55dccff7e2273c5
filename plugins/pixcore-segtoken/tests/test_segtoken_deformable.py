"""Deformable attention: against transformers' own, and against what it is by definition."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pixcore_segtoken.deformable import (
    DeformableEncoder,
    MultiScaleDeformableAttention,
    cell_centres,
    sample_levels,
    sine_position,
    sine_vector,
)
from transformers import DeformableDetrConfig
from transformers.models.deformable_detr.modeling_deformable_detr import DeformableDetrMultiscaleDeformableAttention

SIZES = [(5, 7), (3, 4), (1, 2)]


@pytest.mark.parametrize("coordinates", [2, 4])
def test_it_equals_transformers(coordinates: int) -> None:
    torch.manual_seed(0)
    config = DeformableDetrConfig(
        d_model=16, num_feature_levels=3, use_timm_backbone=False, use_pretrained_backbone=False
    )
    theirs = DeformableDetrMultiscaleDeformableAttention(config, num_heads=4, n_points=4).double()
    ours = MultiScaleDeformableAttention(16, heads=4, levels=3).double()
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter)
    ours.load_state_dict(theirs.state_dict())
    tokens = sum(height * width for height, width in SIZES)
    query, memory = torch.randn(2, 6, 16).double(), torch.randn(2, tokens, 16).double()
    # Some points fall outside the maps, where samples are zero.
    reference = torch.rand(2, 6, 3, coordinates).double() * 1.4 - 0.2
    shapes = torch.tensor(SIZES)
    expected, _ = theirs(
        hidden_states=query,
        encoder_hidden_states=memory,
        reference_points=reference,
        spatial_shapes=shapes,
        spatial_shapes_list=SIZES,
        level_start_index=torch.cat([shapes.new_zeros(1), shapes.prod(1).cumsum(0)[:-1]]),
    )
    torch.testing.assert_close(ours(query, reference, memory, SIZES), expected)


def test_a_sample_at_a_cells_centre_is_the_cell() -> None:
    value = torch.randn(1, sum(height * width for height, width in SIZES), 2, 3)
    centres = cell_centres(SIZES, device=value.device, dtype=value.dtype)
    start = 0
    for level, (height, width) in enumerate(SIZES):
        stop = start + height * width
        locations = torch.full((1, stop - start, 2, 3, 1, 2), -9.0)
        locations[:, :, :, level, 0] = centres[start:stop][None, :, None]
        found = sample_levels(value, SIZES, locations, torch.ones(locations.shape[:-1]))
        torch.testing.assert_close(found, value[:, start:stop].flatten(2))
        start = stop


@settings(deadline=None, max_examples=40)
@given(height=st.integers(1, 6), width=st.integers(1, 6))
def test_a_sine_position_by_its_formula(height: int, width: int) -> None:
    found = sine_position((height, width), 8, device=torch.device("cpu"), dtype=torch.float64)
    row, column = height - 1, width // 2
    angles = [(row + 1) / (height + 1e-6) * 2 * math.pi, (column + 1) / (width + 1e-6) * 2 * math.pi]
    expected = [f(angle / 10000 ** (i / 2)) for angle in angles for i in range(2) for f in (math.sin, math.cos)]
    torch.testing.assert_close(found[row * width + column], torch.tensor(expected).double(), rtol=0, atol=1e-5)


def test_a_sine_vector_is_constant_in_its_number() -> None:
    found = sine_vector(math.pi, 4, device=torch.device("cpu"))
    expected = [math.sin(math.pi), math.cos(math.pi), math.sin(math.pi / 100), math.cos(math.pi / 100)]
    torch.testing.assert_close(found, torch.tensor(expected), rtol=0, atol=1e-6)


def test_an_image_of_a_batch_does_not_touch_another() -> None:
    torch.manual_seed(1)
    encoder = DeformableEncoder(16, layers=2, heads=2, levels=3, hidden=24)
    tokens = torch.randn(2, sum(height * width for height, width in SIZES), 16)
    position = torch.randn(tokens.shape[1], 16)
    together = encoder(tokens, position, SIZES)
    alone = torch.cat([encoder(image[None], position, SIZES) for image in tokens])
    torch.testing.assert_close(together, alone)
