"""Draw the picture that `pixcore ground` writes: what was found, with what, and what else there was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image as PILImage
from PIL import ImageDraw
from pixcore_pictures.drawing import fitted, overlay
from pixcore_pictures.fonts import Font, font_for, wrapped
from pixcore_pictures.heat import heat
from pixcore_selection.pick import best_score

from pixcore.records import Candidate
from pixcore_ground.grounded import Grounded

Colour = tuple[int, int, int]

_PAPER, _INK, _SOFT, _WARNING = (255, 255, 255), (31, 35, 40), (91, 99, 109), (168, 65, 10)

_LONGEST, _SMALLEST = 960, 564
_HALF = 520
"""The longest side of two pictures side by side, where they stand unless they are wider than twice their height."""
_MARGIN, _GAP = 24, 12
_THUMBNAIL = 132


def ground_picture(found: Grounded, *, most: int = 16) -> PILImage.Image:
    """Draw what was found of an expression in an image.

    Where nothing was chosen the image stays bare, and the caption says so.

    Args:
        found: The image, the answer, the candidates and the choice.
        most: How many of the other candidates the strip shows: those with the best scores, in the text's order.

    Returns:
        An RGB picture: the expression; the image with mask, outline and points, beside it the chosen phrase's relevance
        as heat; what the model said; how the mask was chosen; and a strip of the other candidates, each with its
        best-scored mask, phrase and score.
    """
    panels = _panels(found)
    beside = len(panels) == 2 and panels[0].width <= 2 * panels[0].height
    across = sum(panel.width for panel in panels) + _GAP if beside else max(panel.width for panel in panels)
    sheet_width = max(across, _SMALLEST) + 2 * _MARGIN
    room = sheet_width - 2 * _MARGIN
    height = panels[0].height if beside else sum(panel.height + _GAP for panel in panels) - _GAP

    title = _lines(found.expression, 21, room, 2, bold=True)
    told = _lines(f"{found.model}: “{found.response.text.strip()}”", 17, room, 6) if found.response.text.strip() else []
    caption = [*_lines(found.notice, 15, room, 3, colour=_WARNING, bold=True), *_caption(found, beside, room)]
    others = [candidate for candidate in found.candidates if candidate is not found.chosen and candidate.masks]
    per_row = max(1, (room + _GAP) // (_THUMBNAIL + _GAP))
    picture = found.image.pil()
    thumbnails = [_thumbnail(picture, candidate) for candidate in _best(others, most)]
    rows = [thumbnails[start : start + per_row] for start in range(0, len(thumbnails), per_row)]
    heading = _lines(_others(len(others), most), 14, room, 1, colour=_SOFT) if others else []

    row_heights = [max(one.height for one in row) for row in rows]
    blocks = [_block(title), height + _GAP, _block(told), _block(caption), _block(heading), *row_heights]
    sheet = PILImage.new("RGB", (sheet_width, sum(blocks) + len(rows) * _GAP + 2 * _MARGIN), _PAPER)
    y = _write(sheet, title, _MARGIN, _MARGIN)
    left, top = (sheet_width - across) // 2, y
    for panel in panels:
        sheet.paste(panel, (left if beside else (sheet_width - panel.width) // 2, top))
        left, top = left + panel.width + _GAP, top if beside else top + panel.height + _GAP
    y += height + _GAP
    for block in (told, caption, heading):
        y = _write(sheet, block, _MARGIN, y)
    for row, row_height in zip(rows, row_heights, strict=True):
        for place, thumbnail in enumerate(row):
            sheet.paste(thumbnail, (_MARGIN + place * (_THUMBNAIL + _GAP), y))
        y += row_height + _GAP
    return sheet


def _panels(found: Grounded) -> list[PILImage.Image]:
    """The image with the chosen mask and, where the choice has a map, the same image under its heat."""
    picture, chosen, layout = found.image.pil(), found.chosen, found.response.layout
    relevance = chosen.map if chosen is not None and layout is not None else None
    longest = _HALF if relevance is not None and picture.width <= 2 * picture.height else _LONGEST
    wanted = max(picture.size) if relevance is None else longest
    size = fitted(picture.size, min(longest, max(_SMALLEST, wanted)), thinnest=32, enlarge=True)
    mask, point = (chosen.masks[found.selection.mask or 0], chosen.point) if chosen is not None else (None, None)
    panels = [overlay(picture, size, mask, point)]
    if relevance is not None and layout is not None:
        panels.append(heat(picture, size, layout, relevance))
    return panels


@dataclass(frozen=True)
class _Line:
    text: str
    font: Font
    size: int
    colour: Colour

    @property
    def height(self) -> int:
        return round(self.size * 1.5)


def _lines(text: str, size: int, room: int, most: int, *, colour: Colour = _INK, bold: bool = False) -> list[_Line]:
    """A text in lines of so many pixels, at most so many."""
    font = font_for(text, size, bold=bold)
    return [_Line(line, font, size, colour) for line in wrapped(text, font, room, most)]


def _caption(found: Grounded, beside: bool, room: int) -> list[_Line]:
    """How the mask was chosen, why, and what the heat is of."""
    chosen, selection = found.chosen, found.selection
    by = f" · {found.strategy}" if found.strategy else ""
    if chosen is None:
        word = {"absent": "not in the image", "failed": "failed"}.get(selection.outcome, "nothing chosen")
        first = f"{word}{by}"
    elif chosen.group is None and not found.strategy:
        first = "the model's own mask"
    else:
        place = selection.mask or 0
        score = f" · score {chosen.scores[place]:.2f}" if place < len(chosen.scores) else ""
        first = f"{_quoted(chosen)} · mask {place + 1} of {len(chosen.masks)}{score}{by}"
    lines = [*_lines(first, 16, room, 2), *_lines(selection.reason, 14, room, 2, colour=_SOFT)]
    if chosen is not None and chosen.map is not None and found.response.layout is not None:
        side = "right" if beside else "below"
        told = f"{side}: where the model looked for {_quoted(chosen)} (dark: little, bright: much)"
        lines += _lines(told, 14, room, 2, colour=_SOFT)
    return lines


def _quoted(candidate: Candidate) -> str:
    phrase = _phrase(candidate)
    if candidate.group is None:
        return phrase
    return f"“{phrase}”" if len(phrase) <= 48 else f"“{phrase[:47].rstrip()}…”"  # what follows has to fit as well


def _others(count: int, most: int) -> str:
    title = "one other candidate" if count == 1 else f"{count} other candidates"
    return f"{title}, the {most} with the best scores" if count > most else title


def _best(candidates: Sequence[Candidate], most: int) -> list[Candidate]:
    ranked = sorted(range(len(candidates)), key=lambda place: -max(candidates[place].scores, default=0.0))
    return [candidates[place] for place in sorted(ranked[:most])]


def _phrase(candidate: Candidate) -> str:
    return candidate.group.phrase.strip() if candidate.group is not None else "no phrase"


def _thumbnail(picture: PILImage.Image, candidate: Candidate) -> PILImage.Image:
    place = best_score(candidate)
    size = fitted(picture.size, _THUMBNAIL, thinnest=8, enlarge=True)
    small = overlay(picture, size, candidate.masks[place], candidate.point, outline=1)
    lines = _lines(_phrase(candidate), 12, _THUMBNAIL, 1)
    if candidate.scores:
        lines += _lines(f"score {candidate.scores[place]:.2f}", 11, _THUMBNAIL, 1, colour=_SOFT)
    sheet = PILImage.new("RGB", (_THUMBNAIL, size[1] + 4 + sum(line.height for line in lines)), _PAPER)
    sheet.paste(small, ((_THUMBNAIL - size[0]) // 2, 0))
    _write(sheet, lines, 0, size[1] + 4)
    return sheet


def _block(lines: Sequence[_Line]) -> int:
    return sum(line.height for line in lines) + (_GAP if lines else 0)


def _write(sheet: PILImage.Image, lines: Sequence[_Line], x: int, y: int) -> int:
    """Write lines below each other; what follows them begins at the height that comes back."""
    pen = ImageDraw.Draw(sheet)
    for line in lines:
        pen.text((x, y + line.height // 2), line.text, font=line.font, fill=line.colour, anchor="lm")
        y += line.height
    return y + (_GAP if lines else 0)
