"""The adapter: answers and maps that do not depend on the batch, held to transformers' own attention."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_mini.adapter import Mini
from pixcore_mini.config import SHIPPED, MiniConfig
from pixcore_mini.dialogue import letter_prompt, question_prompt, segment_prompt
from pixcore_mini.tokenizer import GRID
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig
from transformers import LlavaForConditionalGeneration

from pixcore.components import AttentionExtractor, Needs, NoConfig
from pixcore.errors import ModelError
from pixcore.records import Image, Protocol, Request
from tests.adapters import AttentionAdapterSuite, MemorySuite, PlacingSuite, Subject


class Everything(AttentionExtractor[NoConfig]):
    """Keeps all rows of all layers and heads."""

    @property
    def needs(self) -> Needs:
        return Needs()

    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        self.shape = (layers, batch, heads, cells)
        self.steps: list[list[torch.Tensor]] = [[]]

    def observe(self, layer: int, rows: Any) -> None:
        assert layer == len(self.steps[-1])
        self.steps[-1].append(rows.clone())

    def end_step(self) -> None:
        self.steps.append([])

    def maps(self) -> Sequence[NDArray[np.float32]]:
        self.rows = torch.stack(
            [torch.stack(step) for step in self.steps if step]
        )  # steps, layers, batch, heads, cells
        assert self.rows.shape[1:] == self.shape
        return list(self.rows.mean(dim=(1, 3)).transpose(0, 1).numpy())


def requests(count: int) -> list[Request]:
    """Prompts of all three protocols and of many lengths."""
    made = []
    for index, sample in enumerate(MiniWorld(MiniWorldConfig(pairs=count)).samples()):
        assert sample.question is not None
        assert sample.expression is not None
        options = (sample.options[0], sample.options[1])
        prompt = (
            segment_prompt(sample.expression),
            question_prompt(sample.question, options),
            letter_prompt(sample.question, options),
        )[index % 3]
        made.append(Request(sample.id, Protocol.QUESTION, sample.image, prompt))
    return made[:count]


@pytest.fixture(scope="module", params=["untrained", SHIPPED])
def subject(request: pytest.FixtureRequest) -> Subject:
    """Batches of another size add up in another order, hardly."""
    options: dict[str, Any] = {}
    if request.param != SHIPPED:
        options = {"checkpoint": str(request.getfixturevalue(request.param)), "max_new_tokens": 12}
    return Subject("mini", options, requests(8), tolerance=2e-6)


class TestAdapter(AttentionAdapterSuite, MemorySuite, PlacingSuite):
    """What every adapter whose attention can be read must do; where its tokens look has a test below."""


def test_rows_are_the_models_own_attention(untrained: Path) -> None:
    """Against one pass of transformers' eager attention over prompt and answer."""
    model = Mini(MiniConfig(checkpoint=str(untrained), max_new_tokens=6))
    (request,) = requests(1)
    extractor = Everything(NoConfig())
    (response,) = model.answer([request], extractor)
    inputs = model.encode([request.image.pil()], [request.prompt])
    prompt = inputs["input_ids"].shape[1]
    said = torch.tensor([[token.id for token in response.tokens]])
    reference = LlavaForConditionalGeneration.from_pretrained(untrained, attn_implementation="eager")
    with torch.no_grad():
        attention = reference(
            input_ids=torch.cat([inputs["input_ids"], said], dim=1),
            pixel_values=inputs["pixel_values"],
            output_attentions=True,
        ).attentions
    cells = slice(1, 1 + GRID * GRID)  # behind the begin mark
    for step in range(said.shape[1]):
        expected = torch.stack([layer[0, :, prompt - 1 + step, cells] for layer in attention])
        torch.testing.assert_close(extractor.rows[step, :, 0], expected, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("size", [(112, 112), (640, 480), (30, 200), (1, 1)])
def test_any_image_is_stretched_over_the_grid(untrained: Path, size: tuple[int, int]) -> None:
    model = Mini(MiniConfig(checkpoint=str(untrained), max_new_tokens=3))
    pixels = np.asarray(PILImage.effect_noise(size, 60).convert("RGB"))
    layout = model.layout(Image.from_pixels(pixels))
    assert layout.tokens == GRID * GRID
    assert layout.grids[0].box == (0.0, 0.0, float(size[0]), float(size[1]))
    last = layout.cell_box(GRID * GRID - 1)
    assert last is not None
    assert last[2:] == pytest.approx((float(size[0]), float(size[1])))


def test_the_visual_tokens_look_where_the_layout_says(untrained: Path) -> None:
    """Painting one patch changes the network's input there before attention spreads it: the patch embedding."""
    model = Mini(MiniConfig(checkpoint=str(untrained)))
    tower = model.loaded.model.model.vision_tower
    embedding = next(module for name, module in tower.named_modules() if name.endswith("patch_embedding"))
    plain = np.full((112, 112, 3), 128, np.uint8)
    for row, column in ((0, 0), (3, 11), (13, 13)):
        painted = plain.copy()
        painted[row * 8 : row * 8 + 8, column * 8 : column * 8 + 8] = 250
        seen = [
            embedding(model.encode([PILImage.fromarray(p)], [""])["pixel_values"]).flatten(2)[0]
            for p in (plain, painted)
        ]
        changed = (seen[0] != seen[1]).any(dim=0).nonzero().flatten().tolist()
        assert changed == [row * GRID + column]


def test_weights_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="can't load mini"):
        _ = Mini(MiniConfig(checkpoint=str(tmp_path))).loaded


def test_the_fingerprint_is_of_the_weights(untrained: Path, tmp_path: Path) -> None:
    copied = tmp_path / "copy"
    copied.mkdir()
    for path in untrained.iterdir():
        (copied / path.name).write_bytes(path.read_bytes())
    original, same = (MiniConfig(checkpoint=str(folder)).fingerprint() for folder in (untrained, copied))
    assert original == same != MiniConfig().fingerprint()
    with (copied / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\x7f")
    assert MiniConfig(checkpoint=str(copied)).fingerprint() != original
