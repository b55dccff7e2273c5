"""Fonts for pictures: DejaVu, which matplotlib brings along, and the system's where it lacks a character."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

import matplotlib
from matplotlib.ft2font import FT2Font
from PIL import ImageFont

_MISSING_GLYPH = 0


def font_for(text: str, size: int, *, bold: bool = False) -> ImageFont.FreeTypeFont:
    """A font that has every character of a text, or else the one that has the most; DejaVu Sans where it can.

    Args:
        text: What will be drawn.
        size: Height in pixels.
        bold: Heavier, where the font has it.
    """
    path = _dejavu(bold)
    needed = {character for character in text if character.isprintable() and not character.isspace()}
    if _count(_face(path), needed) < len(needed):
        path = _richest("".join(sorted(needed)), path)
    return ImageFont.truetype(str(path), size)


def shortened(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """One line of text that is no wider than `width` pixels, cut at its end where it has to be."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    if font.getlength(line) <= width:
        return line
    low, high = 0, len(line)
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if font.getlength(line[:middle].rstrip() + "…") <= width else (low, middle - 1)
    return line[:low].rstrip() + "…"


def _dejavu(bold: bool) -> Path:
    return Path(matplotlib.get_data_path()) / "fonts" / "ttf" / ("DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf")


def _count(face: FT2Font, characters: Iterable[str]) -> int:
    return sum(face.get_char_index(ord(character)) != _MISSING_GLYPH for character in characters)


@lru_cache(maxsize=4)
def _face(path: Path) -> FT2Font:
    return FT2Font(str(path))


@lru_cache(maxsize=64)
def _richest(characters: str, default: Path) -> Path:
    """The installed font that has the most of some characters."""
    from matplotlib.font_manager import fontManager  # searches the system's fonts: only where it is needed

    best, most = default, _count(_face(default), characters)
    useless = ("emoji", "last resort")  # coloured bitmaps, and pictures of what is missing
    names = {Path(font.fname) for font in fontManager.ttflist if not any(word in font.name.lower() for word in useless)}
    for path in sorted(names):
        try:
            found = _count(FT2Font(str(path)), characters)
        except (OSError, RuntimeError):  # a font file that is damaged, or gone since the list was made
            continue
        if found > most:
            best, most = path, found
    return best
