"""Picture files of the usual formats, read, measured and grounded in."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from PIL import Image as PILImage
from pixcore_datasets.pictures import measured

from pixcore.records import Image
from tests.fuzz.forms import BYTES, PNG
from tests.fuzz.kinds import Act, Kind
from tests.workplace import TOY_RUN

_FORMATS = ("png", "jpg", "gif", "tif", "bmp", "webp", "ppm")


def _make(folder: Path) -> None:
    pixels = np.random.default_rng(6).integers(0, 255, (12, 16, 3), dtype=np.uint8)
    exif = PILImage.Exif()
    exif[0x0112] = 6
    for kind in _FORMATS:
        options: dict[str, Any] = {"exif": exif} if kind in ("jpg", "webp", "png") else {}
        PILImage.fromarray(pixels).save(folder / f"image.{kind}", **options)
    folder.joinpath("run.yaml").write_text(yaml.safe_dump({**TOY_RUN, "output": "out", "store": "store"}))


def _reading(kind: str) -> Act:
    def read() -> tuple[Any, ...]:
        path = Path(f"image.{kind}")
        stated = measured(path).size
        pixels = Image.from_path(path).pixels()
        if pixels.shape != (stated[1], stated[0], 3):
            raise AssertionError(f"{pixels.shape[:2]} where the header says {stated}")
        return stated, hashlib.sha256(pixels.tobytes()).hexdigest()

    return Act(read)


KINDS = (
    *(
        Kind(f"picture-{kind}", _make, {f"image.{kind}": PNG if kind == "png" else BYTES}, (_reading(kind),), share=1)
        for kind in _FORMATS
    ),
    Kind(
        "ground",
        _make,
        {"image.jpg": BYTES},
        (Act(("ground", "image.jpg", "the box", "--config", "run.yaml", "--output", "seen.png"), loud=True),),
        share=1,
    ),
)
