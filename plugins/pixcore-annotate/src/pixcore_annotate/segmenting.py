"""Masks where an annotator clicks, made by an installed mask generator."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pixcore.components import Context, MaskGenerator
from pixcore.config import apply_settings, component_config, name_in
from pixcore.errors import DataError
from pixcore.masks import RLE, encode_many
from pixcore.plugins import Kind, Registration, registry
from pixcore.records import Image, PointPrompt

Click = tuple[float, float, int]
"""x and y in pixels of the image; 1 inside of the object, 0 outside."""


class Segmenter:
    """Makes masks of clicks; the generator is loaded at the first one.

    Args:
        given: A generator as a config has it: a name, or `{name: sam, checkpoint: …}`. None: the default one.

    Raises:
        ConfigError: There is no generator of that name, or its options are wrong.
    """

    def __init__(self, given: str | None = None) -> None:
        document = apply_settings({}, [f"masks={given}"] if given else [])
        self._registration = _registration(document.get("masks"))
        self._lock = threading.Lock()
        self._generator: MaskGenerator[Any] | None = None
        if self._registration is not None:
            options = dict(section) if isinstance(section := document.get("masks"), dict) else {}
            options.pop("name", None)
            self._config = component_config(self._registration, options, "--masks")

    @property
    def name(self) -> str:
        """The generator's name; empty where none is installed."""
        return self._registration.name if self._registration is not None else ""

    def masks(self, path: Path, clicks: Sequence[Click]) -> list[tuple[RLE, float]]:
        """Make masks of clicks on an image.

        Args:
            path: The image's file.
            clicks: At least one of them inside.

        Returns:
            Each mask with the generator's own score, the best first.

        Raises:
            DataError: No generator is installed, no click is inside, or the image can't be read.
        """
        if self._registration is None:
            raise DataError("no mask generator is installed", hint="pip install pixcore-regions")
        if not any(inside for _, _, inside in clicks):
            raise DataError("no click is inside of the object", hint="click on it first")
        places = np.array([(x, y) for x, y, _ in clicks], np.float32)
        prompt = PointPrompt(places, np.array([inside for _, _, inside in clicks], np.int8))
        with self._lock:
            if self._generator is None:
                self._generator = self._registration.create(self._config, Context())
            (proposal,) = self._generator.segment(Image.from_path(path), [prompt])
        made = zip(encode_many(proposal.masks, proposal.size), proposal.scores.tolist(), strict=True)
        return sorted(made, key=lambda one: -one[1])


def _registration(section: object) -> Registration | None:
    known = registry()
    if section is None:
        return next(iter(known.defaults(Kind.MASKS)), None)
    return known.get(Kind.MASKS, name_in(section))
