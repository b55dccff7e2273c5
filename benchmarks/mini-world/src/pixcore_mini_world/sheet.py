"""Draw a contact sheet of the benchmark: ``python -m pixcore_mini_world.sheet OUT.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from pixcore.masks import decode
from pixcore.records import Sample
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig

_MARK = (255, 0, 190)
_CAPTION = 34
_GAP = 6


def draw_sheet(samples: list[Sample], columns: int) -> Image.Image:
    """Draw pictures with the asked thing outlined, question and options below, the right option in brackets."""
    width, height = samples[0].image.size
    rows = -(-len(samples) // columns)
    sheet = Image.new("RGB", (columns * (width + _GAP), rows * (height + _CAPTION + _GAP)), "white")
    pen = ImageDraw.Draw(sheet)
    for index, sample in enumerate(samples):
        left, top = index % columns * (width + _GAP), index // columns * (height + _CAPTION + _GAP)
        pixels = sample.image.pixels().copy()
        if sample.mask is not None:
            pixels[_outline(decode(sample.mask))] = _MARK
        sheet.paste(Image.fromarray(pixels), (left, top))
        options = [f"[{text}]" if i == sample.answer else text for i, text in enumerate(sample.options)]
        words = f"{sample.question}".split()
        half = (len(words) + 1) // 2
        lines = [" ".join(words[:half]), " ".join(words[half:]), " ".join(options)]
        pen.multiline_text((left + 1, top + height + 1), "\n".join(lines), fill="black", font_size=9, spacing=1)
    return sheet


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """The pixels just outside a mask."""
    padded = np.pad(mask, 1)
    grown = padded[:-2, 1:-1] | padded[2:, 1:-1] | padded[1:-1, :-2] | padded[1:-1, 2:]
    outline: npt.NDArray[np.bool_] = grown & ~mask
    return outline


def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(prog="python -m pixcore_mini_world.sheet", description=__doc__)
    parser.add_argument("out", type=Path, help="where the PNG goes")
    parser.add_argument("--pairs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", choices=("train", "validation", "test"), default="test")
    parser.add_argument("--size", type=int, default=160, help="side of a picture in pixels")
    parser.add_argument("--columns", type=int, default=6)
    options = parser.parse_args(arguments)
    config = MiniWorldConfig(pairs=options.pairs, seed=options.seed, split=options.split, image_size=options.size)
    draw_sheet(list(MiniWorld(config).samples()), options.columns).save(options.out, optimize=True)


if __name__ == "__main__":
    main()
