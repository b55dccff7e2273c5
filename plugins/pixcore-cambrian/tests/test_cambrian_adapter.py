"""Cambrian from a checkpoint in the published layout: text, attention, batches, geometry."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_cambrian.adapter import CambrianAdapter, _Grid
from pixcore_cambrian.config import CambrianConfig
from pixcore_cambrian.testing import write_cambrian
from pixcore_testing.geometry import check_geometry
from safetensors.torch import load_file, save_file

from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Fidelity, Image, Request
from tests.adapters import (
    AttentionAdapterSuite,
    FolderSuite,
    PlacesSuite,
    RestSuite,
    Subject,
    VisualTokensSuite,
    requests_of,
)

SIZES = ((96, 60), (48, 80), (70, 70), (90, 40))
QUESTIONS = ("Identify the small square.", "Is there a red circle? (a) Yes (b) No", "Where?", "Which one is it?")


def requests() -> list[Request]:
    return requests_of(QUESTIONS, 4, sizes=SIZES)


def adapter(options: dict[str, Any], fidelity: Fidelity = Fidelity.CORRECTED, **changes: Any) -> CambrianAdapter:
    return CambrianAdapter(CambrianConfig.model_validate(options | changes), Context(fidelity=fidelity))


@pytest.fixture(scope="module")
def subject(cambrian_options: dict[str, Any]) -> Subject:
    """The released script's default `pad` places the cut grid on the padded square, which is right for squares alone.

    More draws than usual: in a network this small and random a cell can hardly answer to one kind of noise.
    """
    return Subject(
        "cambrian", cambrian_options, requests(), draws=4, misplaced=frozenset({Fidelity.PUBLISHED, Fidelity.PAPER})
    )


class TestAdapter(AttentionAdapterSuite, VisualTokensSuite, FolderSuite, RestSuite):
    """What every adapter whose attention can be read must do."""


@pytest.mark.long
class TestPlaces(PlacesSuite):
    """Where weights come from and lie."""


def extractor(fidelity: Fidelity = Fidelity.CORRECTED) -> Mean:
    return Mean(MeanConfig(), Context(fidelity=fidelity))


def test_maps_are_those_of_the_weights_that_eager_attention_returns(cambrian_options: dict[str, Any]) -> None:
    """The tap beside the fast kernel, against the attention weights of the whole answer in one eager pass."""
    one = adapter(cambrian_options)
    (request,) = requests()[:1]
    (response,) = one.answer([request], extractor())
    batch = one.prepare([request])
    model: Any = one.loaded.model
    whole = batch.with_text([[token.id for token in response.tokens]])
    model.config._attn_implementation = "eager"
    rows: list[Any] = []
    hooks = [
        layer.self_attn.register_forward_hook(lambda module, given, output: rows.append(output[1]))
        for layer in model.get_decoder().layers
    ]
    with torch.no_grad():
        model(**whole)
    for hook in hooks:
        hook.remove()
    weights = torch.stack(rows)[:, 0].mean((0, 1))
    steps = slice(batch.length - 1, batch.length - 1 + len(response.tokens))
    expected = weights[steps][:, batch.columns[0]]
    np.testing.assert_allclose(response.maps, expected.numpy(), rtol=0, atol=1e-6)


def test_the_samplers_are_at_work(cambrian_options: dict[str, Any]) -> None:
    """Without them the first token's scores are others: the published trap of calling forward directly."""
    one = adapter(cambrian_options)
    batch = one.prepare(requests()[:1])
    model: Any = one.loaded.model
    with torch.no_grad():
        right = model(**batch.inputs).logits[:, -1]
        model.cambrian.samplers, kept = torch.nn.ModuleList(), model.cambrian.samplers
        object.__setattr__(model.cambrian.sizes, "sampler_layers", ())
        wrong = model(**batch.inputs).logits[:, -1]
    object.__setattr__(model.cambrian.sizes, "sampler_layers", (0, 2))
    model.cambrian.samplers = kept
    assert (right - wrong).abs().max() > 0.01


def test_each_tower_lies_where_it_reads_and_no_token_far_from_its_cell(options_of_a_rest: dict[str, Any]) -> None:
    """A region is covered and each tower looked at alone: over what it reads its tokens lie right."""
    one = adapter(options_of_a_rest)
    model: Any = one.loaded.model
    reads = [84 / 90, 1.0, 1.0, 1.0]
    assert [tower.read for tower in model.towers] == pytest.approx(reads)
    side = model.cambrian.sizes.side
    for tower, read in zip(model.towers, reads, strict=True):
        grid = int(tower.tokens**0.5)

        def alone(image: Image, tower: Any = tower) -> Any:
            with torch.no_grad():
                return tower(tower.prepare(image.pil())[None])[0].numpy()

        def places(image: Image, grid: int = grid, read: float = read) -> VisualLayout:
            (x0, y0, x1, y1) = VisualGrid.padded_to_square(1, 1, image.size).box
            box = (x0, y0, x0 + (x1 - x0) * read, y0 + (y1 - y0) * read)
            return VisualLayout.single(VisualGrid(grid, grid, box))

        one.visual_embeddings, one.layout = alone, places  # type: ignore[method-assign]
        assert check_geometry(one, draws=4) == [], type(tower).__name__
        # a token's centre against that of the cell that reads it, in cells
        apart = [abs((cell + 0.5) * read - (cell + 0.5)) for cell in range(side)]
        assert max(apart) < side * 6 / 90 <= 0.4 + 1e-9


def test_cells_lie_over_what_the_towers_read_where_none_reads_all(tmp_path: Path) -> None:
    one = adapter(write_cambrian(tmp_path / "tiny", sides=(97, 97, 97)))
    assert one.layout(Image.from_pixels(np.zeros((97, 97, 3), np.uint8))).grids[0].box == pytest.approx((0, 0, 84, 84))
    assert check_geometry(one, draws=4) == []
    model: Any = one.loaded.model
    one.family = _Grid(model.cambrian.sizes.side, 1.0, published=False)
    assert check_geometry(one, draws=4)


def test_newlines_belong_to_no_cell(cambrian_options: dict[str, Any]) -> None:
    one = adapter(cambrian_options)
    layout = one.layout(requests()[0].image)
    rows, columns = layout.grids[0].rows, layout.grids[0].cols
    assert (rows, columns) == (4, 6)
    assert layout.tokens == rows * (columns + 1)
    assert layout.grid_of.reshape(rows, columns + 1)[:, -1].tolist() == [-1] * rows
    embeddings = one.visual_embeddings(requests()[0].image).reshape(rows, columns + 1, -1)
    newline = one.loaded.model.cambrian.newline.detach().numpy()
    np.testing.assert_allclose(embeddings[:, -1], np.broadcast_to(newline, (rows, len(newline))), atol=1e-6)


def test_published_text_is_tidied_up(cambrian_options: dict[str, Any]) -> None:
    said = "There is n't one ."
    published, corrected = adapter(cambrian_options, Fidelity.PUBLISHED), adapter(cambrian_options)
    tokens = published.loaded.tokenizer.encode(said, add_special_tokens=False)
    assert published._respond(tokens).text == "There isn't one."
    assert corrected._respond(tokens).text == said


def test_another_tokenizer_is_refused(cambrian_options: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "moved"
    shutil.copytree(cambrian_options["checkpoint"], folder)
    config = json.loads(Path(folder, "config.json").read_text())
    Path(folder, "config.json").write_text(json.dumps(config | {"image_position": 3}))
    with pytest.raises(ModelError, match="the checkpoint expects it at 3"):
        adapter(cambrian_options, checkpoint=str(folder)).answer(requests()[:1])


@pytest.mark.parametrize("index", range(3))
def test_a_tower_without_its_config_json_is_named(index: int, cambrian_options: dict[str, Any], tmp_path: Path) -> None:
    towers = list(cambrian_options["towers"])
    without = shutil.ignore_patterns("config.json")
    towers[index] = str(shutil.copytree(towers[index], tmp_path / "tower", ignore=without))
    with pytest.raises(ModelError, match=r"can't read file .*tower/config\.json"):
        adapter(cambrian_options, towers=towers).answer(requests()[:1])


def test_the_cache_folder_holds_the_same_model(cambrian_options: dict[str, Any], tmp_path: Path) -> None:
    said = adapter(cambrian_options).answer(requests()[:1])[0].text
    assert adapter(cambrian_options, cache=tmp_path).answer(requests()[:1])[0].text == said
    assert adapter(cambrian_options, cache=tmp_path).answer(requests()[:1])[0].text == said
    (copy,) = tmp_path.glob("*.safetensors")
    tensors = load_file(copy)
    save_file(tensors | {"newline": torch.full_like(tensors["newline"], 7)}, copy)
    # What was written is what is read.
    changed: Any = adapter(cambrian_options, cache=tmp_path).loaded.model
    assert changed.cambrian.newline.unique().tolist() == [7]
