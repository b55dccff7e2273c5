"""Find fonts for pictures: DejaVu and the system's by matplotlib; Pillow's own where it is not installed."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from PIL import ImageFont

try:
    import matplotlib
    from matplotlib.ft2font import FT2Font
except ImportError:
    _FINDS_FONTS = False
else:
    _FINDS_FONTS = True

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_MISSING_GLYPH = 0


def font_for(text: str, size: int, *, bold: bool = False) -> Font:
    """Find a font that has every character of a text, or else the one that has the most; DejaVu Sans where it can.

    Without matplotlib it is Pillow's own font, which has Latin letters alone.

    Args:
        text: What will be drawn.
        size: Height in pixels.
        bold: Heavier, where the font has it.
    """
    if not _FINDS_FONTS:
        return ImageFont.load_default(size)
    path = _dejavu(bold)
    needed = {character for character in text if character.isprintable() and not character.isspace()}
    if _count(_face(path), needed) < len(needed):
        path = _richest("".join(sorted(needed)), path)
    return ImageFont.truetype(str(path), size)


def shortened(text: str, font: Font, width: float) -> str:
    """Cut one line of text at its end, if it must be, to be no wider than `width` pixels."""
    line = _plain(text)
    return line if font.getlength(line) <= width else _start(line, font, width, "…") + "…"


def wrapped(text: str, font: Font, width: float, most: int) -> list[str]:
    """Break a text into lines no wider than `width` pixels, between words where there are such; a long one is cut.

    Args:
        text: Its own line ends stay.
        font: What it will be drawn in.
        width: Pixels.
        most: Lines; the last one ends in "…" where there would be more.
    """
    lines: list[str] = []
    for rest in filter(None, map(_plain, text.splitlines())):
        while rest and len(lines) <= most:
            line = _start(rest, font, width) or rest[0]
            if (
                len(line) < len(rest) and rest[len(line)] != " "
            ):  # in the middle of a word, or of a script without spaces
                before = line.rpartition(" ")[0]
                line = before if len(before) > len(line) / 2 else line
            lines.append(line)
            rest = rest[len(line) :].lstrip()
    if len(lines) > most:
        lines[most - 1 :] = [_start(lines[most - 1], font, width, "…") + "…"]
    return lines


def _plain(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _start(line: str, font: Font, width: float, end: str = "") -> str:
    """The longest beginning of a line that is no wider than `width` pixels with `end` behind it."""
    low, high = 0, min(len(line), 1 + int(width))  # no character is narrower than a pixel
    while low < high:
        middle = (low + high + 1) // 2
        fits = font.getlength(line[:middle].rstrip() + end) <= width
        low, high = (middle, high) if fits else (low, middle - 1)
    return line[:low].rstrip()


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
