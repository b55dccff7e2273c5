"""mini says of a photograph that it is no drawn scene, and of no drawn scene that it is a photograph."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as PILImage
from pixcore_attention.config import GradientConfig
from pixcore_attention.gradient import Gradient
from pixcore_mini.adapter import NOTICE, Mini
from pixcore_mini.config import MiniConfig
from pixcore_mini.drawn import Drawn, features_of, measure, scenes
from pixcore_mini.network import pixels

from pixcore.components import Context
from pixcore.errors import ModelError
from pixcore.records import Image, Protocol, Request

skimage = pytest.importorskip("skimage")

PHOTOGRAPHS = sorted(
    path
    for path in (Path(skimage.__file__).parent / "data").glob("*.*")
    if path.stem in {"astronaut", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "brick", "moon", "rocket"}
)


@pytest.fixture(scope="module")
def model() -> Mini:
    return Mini(MiniConfig(max_new_tokens=3))


def distances(model: Mini, images: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    import torch

    drawn = Drawn.read(model.config.folder)
    assert drawn is not None
    with torch.no_grad():
        states = model.loaded.model.model.vision_tower(pixel_values=pixels(torch.from_numpy(np.stack(images))))
    found: NDArray[np.float32] = drawn.distance(features_of(states.last_hidden_state)) / drawn.limit
    return found


def test_scenes_that_nobody_measured_are_drawn_scenes(model: Mini) -> None:
    held_out = distances(model, list(scenes("test", 200, seed=11)))
    assert np.mean(held_out > 1) <= 0.01


def test_photographs_are_none(model: Mini) -> None:
    assert len(PHOTOGRAPHS) == 10
    squares = [
        PILImage.open(path).convert("RGB").resize((112, 112), PILImage.Resampling.BICUBIC) for path in PHOTOGRAPHS
    ]
    assert (distances(model, [np.asarray(one, np.uint8) for one in squares]) > 1).all()


def asked(image: Image) -> Request:
    return Request(image.name, Protocol.SEGMENT, image, "Identify the house in the scene.")


def test_the_answer_says_so_and_a_notice_once(model: Mini) -> None:
    scene = Image.from_pixels(next(scenes("test", 1, seed=12)), name="scene")
    photograph = Image.from_path(next(path for path in PHOTOGRAPHS if path.stem == "chelsea"))
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("default")
        responses = model.answer([asked(scene), asked(photograph), asked(scene)])
        alone = model.answer([asked(photograph)])
    assert [one.extra.get("notice") for one in [*responses, *alone]] == [None, NOTICE, None, NOTICE]
    assert sum(str(one.message) == NOTICE for one in told) <= 1  # none where an earlier test of this process heard it
    assert model.answer([]) == []


def test_further_passes_over_some_of_the_images_change_no_verdict() -> None:
    """Gradients look at each answer's image once more, a part of the batch at a time."""
    model = Mini(MiniConfig(max_new_tokens=3), Context(batch_size=1))
    drawn = [
        Image.from_pixels(pixels, name=f"scene {place}") for place, pixels in enumerate(scenes("test", 2, seed=12))
    ]
    photograph = Image.from_path(next(path for path in PHOTOGRAPHS if path.stem == "chelsea"))
    images = [drawn[0], photograph, drawn[1], photograph, drawn[0]]
    responses = model.answer([asked(one) for one in images], Gradient(GradientConfig(), Context()))
    assert [one.extra.get("notice") for one in responses] == [NOTICE if one is photograph else None for one in images]


def test_weights_that_nobody_measured_say_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MiniConfig().folder, folder)
    (folder / "drawn.npz").unlink()
    model = Mini(MiniConfig(checkpoint=str(folder), max_new_tokens=3))
    (response,) = model.answer([asked(Image.from_path(PHOTOGRAPHS[0]))])
    assert "notice" not in response.extra


def test_what_is_measured_is_written_and_read(model: Mini, tmp_path: Path) -> None:
    drawn = measure(model.loaded.model.model.vision_tower, training=30, validation=10)
    drawn.write(tmp_path)
    again = Drawn.read(tmp_path)
    assert again is not None
    assert again.limit == drawn.limit
    np.testing.assert_array_equal(again.whitening, drawn.whitening)
    assert Drawn.read(tmp_path / "nowhere") is None


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04 half of one"])
def test_a_damaged_measurement_is_named_with_what_to_do(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "drawn.npz").write_bytes(damage)
    with pytest.raises(ModelError, match=r"can't read .*drawn\.npz") as told:
        Drawn.read(tmp_path)
    assert told.value.hint == f"measure anew: python -m pixcore_mini.drawn {tmp_path}"


def test_the_distance_is_the_one_of_mahalanobis() -> None:
    random = np.random.default_rng(0)
    features = (random.normal(size=(4000, 3)) @ np.diag([1.0, 2.0, 3.0]) + 5).astype(np.float32)
    drawn = Drawn.of(features, features[:10])
    covariance = np.cov(features.T)
    covariance += np.eye(3) * 0.01 * np.trace(covariance) / 3
    away = features - features.mean(axis=0)
    expected = np.einsum("ni,ij,nj->n", away, np.linalg.inv(covariance), away) / 3
    np.testing.assert_allclose(drawn.distance(features), expected, rtol=1e-3)
    assert drawn.limit == pytest.approx(expected[:10].max(), rel=1e-3)
