"""Questions about photographs that lie in scikit-image's wheel; masks and questions lie in this package."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from pixcore_coco_referring.benchmark import CocoReferring
from pixcore_coco_referring.config import CocoReferringConfig
from pixcore_datasets.data_files import digest

from pixcore.components import Benchmark, Config
from pixcore.records import Sample

ANNOTATIONS = Path(__file__).parent / "photos.json"
"""COCO's format; `benchmarks/photos/annotations.py` of the repository writes it."""


@dataclass(frozen=True)
class Photograph:
    """A picture of scikit-image's.

    Attributes:
        file: Its name in `skimage/data`.
        source: Who made it, and under what terms it may be used.
    """

    file: str
    source: str


PHOTOGRAPHS = {
    "astronaut": Photograph("astronaut.png", "NASA (Eileen Collins); public domain"),
    "chelsea": Photograph("chelsea.png", "Stefan van der Walt; CC0"),
    "coffee": Photograph("coffee.png", "Rachel Michetti; CC0"),
    "rocket": Photograph("rocket.jpg", "SpaceX; released in the public domain"),
    "camera": Photograph("camera.png", "Lav Varshney; CC0"),
    "coins": Photograph("coins.png", "Brooklyn Museum Collection; no known copyright restrictions"),
}


class PhotosConfig(Config):
    """It has no options."""

    def fingerprint(self) -> str:
        """Hash the masks and questions; the photographs' own pixels are in each record's key."""
        return digest(ANNOTATIONS)[:16]


def folder() -> Path:
    """Where scikit-image keeps the pictures that its wheel brings; nothing of it is imported."""
    found = find_spec("skimage")
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / "data"


class Photos(Benchmark[PhotosConfig]):
    """Asks about six photographs: a sample a question, some about what is not there."""

    def samples(self) -> Iterator[Sample]:
        """Give all samples, photograph by photograph."""
        options = CocoReferringConfig(root=folder(), annotations=str(ANNOTATIONS))
        yield from CocoReferring(options, self.context).samples()
