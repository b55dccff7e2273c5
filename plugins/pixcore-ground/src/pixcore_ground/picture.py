"""Draw the picture that `pixcore ground` writes: what was found, with what, and what else there was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image as PILImage
from PIL import ImageDraw
from pixcore_pictures.drawing import fitted, overlay
from pixcore_pictures.fonts import font_for, shortened
from pixcore_selection.pick import best_score

from pixcore.records import Candidate, Image, Selection

_PAPER, _INK, _SOFT = (255, 255, 255), (31, 35, 40), (91, 99, 109)

_LONGEST, _SMALLEST = 960, 564
_MARGIN, _GAP = 24, 12
_THUMBNAIL = 132


def ground_picture(
    image: Image,
    *,
    expression: str,
    candidates: Sequence[Candidate],
    selection: Selection,
    strategy: str = "",
    most: int = 16,
) -> PILImage.Image:
    """Draw one grounded image.

    Args:
        image: The picture.
        expression: What was asked for; the title.
        candidates: What the strategy chose from.
        selection: What it chose. Where it chose nothing the image stays bare and the caption says so.
        strategy: Its name, for the caption.
        most: How many of the other candidates the strip shows: those with the best scores, in the text's order.

    Returns:
        An RGB picture: title, image with mask, outline and points, caption, and a strip of the other candidates,
        each with its best-scored mask, phrase and score.
    """
    picture = image.pil()
    width, height = picture.size
    shown = fitted((width, height), min(_LONGEST, max(_SMALLEST, width, height)), thinnest=32, enlarge=True)
    index, chosen = _choice(candidates, selection)
    main = overlay(
        picture, shown, chosen.masks[selection.mask or 0] if chosen else None, chosen.point if chosen else None
    )
    sheet_width = max(shown[0], _SMALLEST) + 2 * _MARGIN

    lines = [_Line(expression, 21, bold=True)]
    caption = [
        _Line(text, 16 if place == 0 else 14, soft=place > 0)
        for place, text in enumerate(_caption(chosen, selection, strategy))
    ]
    others = [candidate for place, candidate in enumerate(candidates) if place != index and candidate.masks]
    per_row = max(1, (sheet_width - 2 * _MARGIN + _GAP) // (_THUMBNAIL + _GAP))
    thumbnails = [_thumbnail(picture, candidate) for candidate in _best(others, most)]
    rows = [thumbnails[start : start + per_row] for start in range(0, len(thumbnails), per_row)]
    heading = [_Line(_others(len(others), most), 14, soft=True)] if others else []

    row_heights = [max(one.height for one in row) for row in rows]
    blocks = [_block(lines), shown[1] + _GAP, _block(caption), _block(heading), sum(h + _GAP for h in row_heights)]
    sheet = PILImage.new("RGB", (sheet_width, sum(blocks) + 2 * _MARGIN), _PAPER)
    y = _write(sheet, lines, _MARGIN)
    sheet.paste(main, ((sheet_width - shown[0]) // 2, y))
    y = _write(sheet, caption, y + shown[1] + _GAP)
    y = _write(sheet, heading, y)
    for row, row_height in zip(rows, row_heights, strict=True):
        for place, thumbnail in enumerate(row):
            sheet.paste(thumbnail, (_MARGIN + place * (_THUMBNAIL + _GAP), y))
        y += row_height + _GAP
    return sheet


@dataclass(frozen=True)
class _Line:
    text: str
    size: int
    bold: bool = False
    soft: bool = False

    @property
    def height(self) -> int:
        return round(self.size * 1.5)


def _choice(candidates: Sequence[Candidate], selection: Selection) -> tuple[int | None, Candidate | None]:
    if selection.outcome != "chosen" or selection.candidate is None:
        return None, None
    return selection.candidate, candidates[selection.candidate]


def _caption(chosen: Candidate | None, selection: Selection, strategy: str) -> list[str]:
    by = f" · {strategy}" if strategy else ""
    if chosen is None:
        word = {"absent": "not in the image", "failed": "failed"}.get(selection.outcome, "nothing chosen")
        first = f"{word}{by}"
    else:
        place = selection.mask or 0
        score = f" · score {chosen.scores[place]:.2f}" if place < len(chosen.scores) else ""
        phrase = _phrase(chosen)
        named = phrase if len(phrase) <= 48 else phrase[:47].rstrip() + "…"  # what follows has to fit as well
        first = f"“{named}” · mask {place + 1} of {len(chosen.masks)}{score}{by}"
    return [first, *([selection.reason] if selection.reason else [])]


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
    lines = [_Line(_phrase(candidate), 12)]
    if candidate.scores:
        lines.append(_Line(f"score {candidate.scores[place]:.2f}", 11, soft=True))
    sheet = PILImage.new("RGB", (_THUMBNAIL, size[1] + 4 + sum(line.height for line in lines)), _PAPER)
    sheet.paste(small, ((_THUMBNAIL - size[0]) // 2, 0))
    _write(sheet, lines, size[1] + 4, margin=0)
    return sheet


def _block(lines: Sequence[_Line]) -> int:
    return sum(line.height for line in lines) + (_GAP if lines else 0)


def _write(sheet: PILImage.Image, lines: Sequence[_Line], y: int, *, margin: int = _MARGIN) -> int:
    pen = ImageDraw.Draw(sheet)
    for line in lines:
        font = font_for(line.text, line.size, bold=line.bold)
        text = shortened(line.text, font, sheet.width - 2 * margin)
        pen.text((margin, y + line.height // 2), text, font=font, fill=_SOFT if line.soft else _INK, anchor="lm")
        y += line.height
    return y + (_GAP if lines else 0)
