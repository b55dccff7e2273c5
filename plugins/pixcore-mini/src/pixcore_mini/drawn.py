"""Tell drawn scenes from anything else by what the vision tower sees: ``python -m pixcore_mini.drawn FOLDER``.

The tower's features of the training's scenes, averaged over the patches, lie in a small part of their space. How far an
image's lie from it is measured in the scenes' own spread (Mahalanobis); what lies farther than any scene of the
validation side is no drawn scene. The command measures a trained model's scenes and writes ``drawn.npz`` beside its
weights; training ends with it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import Split, make_scene, scene_random
from torch import nn

from pixcore.errors import ModelError, first_line
from pixcore.files import written_beside
from pixcore_mini.network import pixels, read_network

FILE = "drawn.npz"
_RIDGE = 0.01
"""The share of the mean variance that is added to every direction: some have hardly any."""
_BATCH = 64


@dataclass(frozen=True)
class Drawn:
    """Where the features of drawn scenes lie.

    Attributes:
        centre: (width,) float32, their mean.
        whitening: (width, width) float32; features less the centre, times this, have unit covariance.
        limit: The distance of the farthest scene of the validation side.
    """

    centre: NDArray[np.float32]
    whitening: NDArray[np.float32]
    limit: float

    @classmethod
    def of(cls, training: NDArray[np.float32], validation: NDArray[np.float32]) -> Drawn:
        """Measure scenes' features, (scenes, width) each."""
        covariance = np.cov(training.T.astype(np.float64))
        covariance += np.eye(len(covariance)) * _RIDGE * np.trace(covariance) / len(covariance)
        whitening = np.linalg.cholesky(np.linalg.inv(covariance)).astype(np.float32)
        found = cls(training.mean(axis=0), whitening, np.inf)
        return cls(found.centre, whitening, float(found.distance(validation).max()))

    def distance(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Say how far features (n, width) lie from those of drawn scenes: (n,), about 1 for a scene."""
        distances: NDArray[np.float32] = (((features - self.centre) @ self.whitening) ** 2).mean(axis=1)
        return distances

    @classmethod
    def read(cls, folder: Path) -> Drawn | None:
        """Read what stands beside a model's weights; None where nothing does.

        Raises:
            ModelError: The file is damaged, or another.
        """
        path = folder / FILE
        if not path.is_file():
            return None
        try:
            with np.load(path, allow_pickle=False) as stored:
                return cls(stored["centre"], stored["whitening"], float(stored["limit"]))
        except (OSError, EOFError, ValueError, KeyError, TypeError, BadZipFile) as error:
            raise ModelError(
                f"can't read {path}: {first_line(error)}", hint=f"measure anew: python -m pixcore_mini.drawn {folder}"
            ) from error

    def write(self, folder: Path) -> None:
        """Write it beside a model's weights."""
        with written_beside(folder / FILE) as beside, beside.open("wb") as file:
            np.savez(file, centre=self.centre, whitening=self.whitening, limit=np.asarray(self.limit))


def features_of(states: torch.Tensor) -> NDArray[np.float32]:
    """Average the tower's last states (n, 1 + patches, width) over the patches: (n, width)."""
    features: NDArray[np.float32] = states[:, 1:].float().mean(dim=1).cpu().numpy()
    return features


def scenes(split: Split, count: int, *, seed: int = 0) -> Iterator[NDArray[np.uint8]]:
    """Draw scenes of one side."""
    for index in range(count):
        yield render(make_scene(scene_random(split, seed, "drawn", index), split)).image


def measure(tower: nn.Module, *, training: int = 2000, validation: int = 1000) -> Drawn:
    """Measure a tower on so many scenes of the training side and of the validation side."""
    return Drawn.of(_seen(tower, scenes("train", training)), _seen(tower, scenes("validation", validation)))


@torch.no_grad()
def _seen(tower: nn.Module, images: Iterator[NDArray[np.uint8]]) -> NDArray[np.float32]:
    first = next(tower.parameters())
    every = torch.from_numpy(np.stack(list(images)))
    batches = (pixels(batch).to(first.device, first.dtype) for batch in torch.split(every, _BATCH))
    return np.concatenate([features_of(tower(pixel_values=batch).last_hidden_state) for batch in batches])


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pixcore_mini.drawn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="a model's folder, as the training wrote it")
    folder: Path = parser.parse_args(arguments).folder
    measure(read_network(folder).model.vision_tower).write(folder)


if __name__ == "__main__":
    main()
