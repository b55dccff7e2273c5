"""Ten fixed images for a model that its plugin's author could not run: what it says, beside what is expected.

The images are drawn from formulas, so they are the same everywhere and need no download. A plugin stores what its model
is known to give on them as `expectations.json` in its package: `{MODEL: {FIDELITY: {CASE: {"text", "mask"}}}}`, a
case in the form that a report has it.
"""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata, resources
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_datasets import run_lengths

from pixcore import __version__, masks
from pixcore.components import Context, ModelAdapter
from pixcore.config import ChosenComponent
from pixcore.errors import DataError
from pixcore.masks import RLE
from pixcore.protocols import LOOKED_AT, build_prompt
from pixcore.records import Fidelity, Image, Protocol, Request, Response, Sample

MASK_AGREEMENT = 0.98
"""IoU with the expected mask from which on a mask counts as the same: other kernels round other pixels."""

EXPECTATIONS = "expectations.json"
_VERSIONS = ("torch", "transformers", "tokenizers", "numpy", "pillow")


@dataclass(frozen=True)
class Shape:
    """One coloured shape of a scene; its box is (x0, y0, x1, y1) as shares of the image."""

    kind: str
    colour: str
    box: tuple[float, float, float, float]


@dataclass(frozen=True)
class Scene:
    """One fixed image; the first shape is the one that is asked for."""

    size: tuple[int, int]
    shapes: tuple[Shape, ...]

    @property
    def name(self) -> str:
        """What reports call it."""
        first = self.shapes[0]
        return f"{first.colour}-{first.kind}-{self.size[0]}x{self.size[1]}"

    def sample(self) -> Sample:
        """Make a sample of the image with a question about it, its expression and its mask."""
        first = self.shapes[0]
        left = (first.box[0] + first.box[2]) / 2 < 0.5
        return Sample(
            self.name,
            Image.from_pixels(self.pixels(), name=f"{self.name}.png"),
            question=f"Where is the {first.colour} {first.kind}?",
            options=("On the left", "On the right"),
            answer=0 if left else 1,
            expression=f"the {first.colour} {first.kind}",
            mask=masks.encode(self.inside(first)),
        )

    def pixels(self) -> NDArray[np.uint8]:
        """Draw the shapes on light grey, the first on top: (height, width, 3)."""
        drawn = np.full((self.size[1], self.size[0], 3), 225, np.uint8)
        for shape in reversed(self.shapes):
            drawn[self.inside(shape)] = COLOURS[shape.colour]
        return drawn

    def inside(self, shape: Shape) -> NDArray[np.bool_]:
        """Mark the pixels that have their centre in a shape: (height, width)."""
        width, height = self.size
        x0, y0, x1, y1 = shape.box
        x = ((np.arange(width) + 0.5) / width - x0) / (x1 - x0)
        y = (((np.arange(height) + 0.5) / height - y0) / (y1 - y0))[:, None]
        if shape.kind == "circle":
            return np.asarray((2 * x - 1) ** 2 + (2 * y - 1) ** 2 <= 1)
        across = (x >= 0) & (x <= 1) & (y >= 0) & (y <= 1)
        return np.asarray(across & (np.abs(2 * x - 1) <= y) if shape.kind == "triangle" else across)


COLOURS = {
    "red": (214, 39, 40),
    "green": (44, 140, 44),
    "blue": (31, 90, 200),
    "yellow": (240, 200, 30),
    "black": (20, 20, 20),
}

SCENES = (
    Scene((336, 336), (Shape("circle", "red", (0.1, 0.3, 0.4, 0.6)), Shape("rectangle", "blue", (0.6, 0.5, 0.9, 0.8)))),
    Scene((336, 336), (Shape("rectangle", "blue", (0.6, 0.5, 0.9, 0.8)), Shape("circle", "red", (0.1, 0.3, 0.4, 0.6)))),
    Scene((640, 480), (Shape("triangle", "green", (0.55, 0.1, 0.95, 0.6)),)),
    Scene(
        (640, 480), (Shape("circle", "yellow", (0.05, 0.5, 0.2, 0.7)), Shape("circle", "blue", (0.6, 0.1, 0.9, 0.5)))
    ),
    Scene((480, 640), (Shape("rectangle", "black", (0.1, 0.05, 0.4, 0.2)),)),
    Scene(
        (480, 640), (Shape("triangle", "red", (0.6, 0.7, 0.9, 0.95)), Shape("rectangle", "green", (0.1, 0.1, 0.5, 0.4)))
    ),
    Scene((800, 300), (Shape("circle", "green", (0.82, 0.2, 0.98, 0.63)),)),
    Scene((300, 800), (Shape("circle", "blue", (0.1, 0.75, 0.7, 0.97)),)),
    Scene(
        (224, 224),
        (Shape("rectangle", "yellow", (0.05, 0.05, 0.3, 0.3)), Shape("triangle", "black", (0.5, 0.5, 0.9, 0.9))),
    ),
    Scene(
        (224, 224),
        (Shape("circle", "black", (0.55, 0.05, 0.95, 0.45)), Shape("circle", "yellow", (0.2, 0.5, 0.6, 0.9))),
    ),
)


@dataclass(frozen=True)
class Case:
    """One request and what became of it.

    Attributes:
        name: The scene and the protocol.
        prompt: What was asked.
        text: What was said.
        mask: The model's own mask, None for a model without.
        iou: With the shape that was asked for, None where there is no mask.
        seconds: How long the answer took.
        same_text: Whether the text is the expected one; None without an expectation.
        expected_iou: IoU with the expected mask, likewise.
    """

    name: str
    prompt: str
    text: str
    mask: RLE | None
    iou: float | None
    seconds: float
    same_text: bool | None = None
    expected_iou: float | None = None

    @property
    def agrees(self) -> bool | None:
        """Whether text and mask are as expected; None without an expectation."""
        if self.same_text is None:
            return None
        return self.same_text and (self.expected_iou is None or self.expected_iou >= MASK_AGREEMENT)


def run_cases(
    adapter: ModelAdapter[Any], prompts: Mapping[Protocol, str], expected: Mapping[str, Mapping[str, Any]]
) -> Iterator[Case]:
    """Ask for every scene, to segment and to answer.

    Args:
        adapter: The model.
        prompts: How it is asked, where that differs from the usual.
        expected: By case, the text and mask that it should give; may be empty.
    """
    for scene in SCENES:
        sample = scene.sample()
        for protocol in LOOKED_AT:
            prompt = build_prompt(sample, protocol, adapter.context.fidelity, prompts)
            assert prompt is not None
            request = Request(sample.id, protocol, sample.image, prompt, sample.expression)
            began = time.perf_counter()
            (response,) = adapter.answer([request])
            seconds = time.perf_counter() - began
            name = f"{scene.name}/{protocol}"
            yield _case(name, prompt, response, sample, seconds, expected.get(name))


def _case(
    name: str,
    prompt: str,
    response: Response,
    sample: Sample,
    seconds: float,
    expected: Mapping[str, Any] | None,
) -> Case:
    mask = response.mask
    assert sample.mask is not None
    iou = None if mask is None else float(masks.iou([mask], [sample.mask])[0, 0])
    if expected is None:
        return Case(name, prompt, response.text, mask, iou, seconds)
    wanted, agreement = expected.get("mask"), None
    if wanted is not None or mask is not None:
        agreement = 0.0
        if wanted is not None and mask is not None:
            parsed = run_lengths.parse(wanted, where=f"expectation {name}", size=sample.image.size)
            agreement = float(masks.iou([mask], [parsed])[0, 0])
    same = response.text == expected.get("text")
    return Case(name, prompt, response.text, mask, iou, seconds, same, agreement)


def stored_expectations(part: ChosenComponent, fidelity: Fidelity) -> dict[str, Any]:
    """Read what the model's plugin stores; empty where it stores nothing."""
    package = part.registration.target.partition(":")[0].partition(".")[0]
    file = resources.files(package) / EXPECTATIONS
    if not file.is_file():
        return {}
    content = json.loads(file.read_text(encoding="utf-8"))
    found: dict[str, Any] = content.get(part.name, {}).get(fidelity.of_answers.value, {})
    return found


def read_expectations(path: Path) -> dict[str, Any]:
    """Read the cases of a report, to be compared with.

    Raises:
        DataError: It is missing, or no report.
    """
    try:
        cases = json.loads(path.read_text(encoding="utf-8"))["cases"]
        return {case["name"]: case for case in cases}
    except OSError as error:
        raise DataError(f"can't read {path}: {error.strerror}", hint="name a report of pixcore verify") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is not a report of pixcore verify", hint="it has to hold cases") from error


def report(part: ChosenComponent, context: Context, cases: Sequence[Case]) -> dict[str, Any]:
    """Collect everything that someone who cannot run the model needs to know, as JSON data."""
    return {
        "pixcore": __version__,
        "model": part.ingredients(),
        "fidelity": context.fidelity.value,
        "versions": {"python": platform.python_version(), **dict(_installed())},
        "machine": {"system": platform.platform(), "device": _device()},
        "cases": [{**asdict(case), "agrees": case.agrees} for case in cases],
    }


def _installed() -> Iterator[tuple[str, str]]:
    for name in _VERSIONS:
        try:
            yield name, metadata.version(name)
        except metadata.PackageNotFoundError:
            continue


def _device() -> str:
    """The GPU's name, if the model's package has loaded torch and found one; torch is not imported for it."""
    import sys

    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return "cpu"
    return str(torch.cuda.get_device_name())
