"""Find what looks like a place in a text, whichever model wrote it: its numbers as they stand there.

Nothing is said here about what the numbers mean. What looks like a place and has the wrong count of numbers, or breaks
off, is found as well, with what is wrong with it, so that it can be counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pixcore_judges.thoughts import THOUGHT

Form = Literal["json", "gemini", "percent", "coords", "loc", "loc_", "patch", "box", "bare"]
"""How it is written: a JSON key that families share; Gemini's own; a tag, as Molmo's; Molmo 2's; PaliGemma's tokens;
Florence-2's; Kosmos-2's; `<box>`; or numbers in brackets and nothing else."""

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?"
_TAG = re.compile(r"<(points?|tracks)\b([^<>]*)(/?>|\Z|(?=<))(?:([^<>]{0,200})</\1>)?")
_PAIR = re.compile(rf"""\bx(\d*)\s*=\s*["']?\s*({_NUMBER})\s*["']?\s*,?\s*y\1\s*=\s*["']?\s*({_NUMBER})""")
_ALONE = re.compile(r"""\b[xy]\d*\s*=""")
_COORDS = re.compile(r"""\bcoords\s*=\s*["']([^"'<>]*)""")
_ALT = re.compile(r"""\balt\s*=\s*(["'])(.*?)\1""")
_LOCS = re.compile(r"(?:<loc\d{4}>)+(?:\s*(?:<seg\d{3}>)+)?(?:[ \t]*([^;<\n]{1,200}))?")
_FLORENCE = re.compile(r"([^<>;\n]{0,200})((?:<loc_\d{1,4}>)+)")
_KOSMOS = re.compile(r"(?:<phrase>([^<]*)</phrase>\s*)?<object>(.*?)(</object>|\Z)", re.DOTALL)
_BOX = re.compile(
    r"(?:(?:<ref>|<\|object_ref_start\|>)([^<]*)(?:</ref>|<\|object_ref_end\|>)\s*)?"
    r"(?:<box>|<\|box_start\|>)([^<]*)(</box>|<\|box_end\|>|\Z|(?=<))"
)
_WHOLE = f"(?>{_NUMBER})"  # given back digit by digit, a long one would be tried in all of its halves
_KEY = re.compile(
    rf"""["'](bbox_2d|box_2d|point_2d|bbox|box|point)["']\s*:\s*(?:
    (\[(?:[\[\]\s,\d.eE+\-]|(["'])\s*{_WHOLE}\s*\3)*)  # a list, its numbers in quotes or not
    |(["'])([\[(\s]*{_WHOLE}(?:[\s,\[\]()]+{_WHOLE})*[\])\s]*)\4  # a text of numbers
    |["'][\[(\s]*+[-+.]?\d[\s,\d.eE+\-]*+\Z  # one that breaks off
    |(\(\s*{_WHOLE}(?:\s*,\s*{_WHOLE})*\s*,?\s*\))
    |(\{{(?=[^{{}}\[\]\d]*\d[^{{}}\[\]]*+(?:\}}|\Z))|\((?=[^()]*\d)|\Z))""",  # numbers in another form; or it ends
    re.VERBOSE,
)
_LABEL = re.compile(r"""["'](?:label|object|name|text_content)["']\s*:\s*(["'])((?:\\.|(?!\1).)*)\1""")
_CORNER = rf"\(\s*({_NUMBER})\s*,\s*({_NUMBER})\s*\)"
_CORNERS = re.compile(rf"(\[\s*)?{_CORNER}\s*,\s*{_CORNER}((?:\s*,\s*\([\s\d,.eE+\-]*(?:\)|\Z))*)")
_LIST = re.compile(
    rf"\[\s*({_NUMBER}(?:\s*,\s*{_NUMBER}){{0,15}})\s*,?\s*(\]|\Z)"
    rf"|\(\s*({_NUMBER}\s*,\s*{_NUMBER}(?:\s*,\s*{_NUMBER}\s*,\s*{_NUMBER})?)\s*\)"
)
_NUMBERS = re.compile(_NUMBER)


@dataclass(frozen=True)
class Stated:
    """What looks like a place in a text.

    Attributes:
        form: How it is written.
        start: Its first character.
        end: One past its last character.
        numbers: As written: two of a point, four of a box; of Kosmos-2 the two patches of a box. Empty: unreadable.
        label: What it is said to be of; "" where nothing is said.
        tag: Which of the text's tags it stands in: points of one tag are of one object.
        wrong: Why it can't be read; "" if it can.
        codes: PaliGemma's sixteen codes of its mask; empty where it has no whole mask.
    """

    form: Form
    start: int
    end: int
    numbers: tuple[float, ...] = ()
    label: str = ""
    tag: int = -1
    wrong: str = ""
    codes: tuple[int, ...] = ()


def scan(text: str) -> list[Stated]:
    """Find what looks like a place, in the order of the text.

    >>> [one.numbers for one in scan('<point x="50" y="25" alt="dog">dog</point>, and [1, 2, 3, 4]')]
    [(50.0, 25.0), (1.0, 2.0, 3.0, 4.0)]
    """
    found: list[Stated] = []
    for reader in (_thoughts, _tags, _locs, _florence, _kosmos, _boxes, _json, _corners, _lists):
        for one, (start, end) in reader(text):
            found.extend(one)
            text = text[:start] + " " * (end - start) + text[end:]  # nobody after looks at it again
    return sorted(found, key=lambda one: (one.start, one.end))


Found = Iterator[tuple[list[Stated], tuple[int, int]]]


def _thoughts(text: str) -> Found:
    """What a model thinks before it answers: places there are drafts. A thought without an end has no answer behind."""
    for match in THOUGHT.finditer(text):
        open_ended = match["open"] is not None
        yield [Stated("bare", *match.span(), wrong="its thought breaks off")] if open_ended else [], match.span()


def _tags(text: str) -> Found:
    """Molmo's points in percent, and Molmo 2's in thousandths after an image's and a point's number."""
    for match in _TAG.finditer(text):
        inside, closed, said = match[2], match[3], match[4]
        alt = _ALT.search(inside)
        label = (said or (alt[2] if alt else "")).strip()
        base, tag = match.start(2), match.start()
        coords = _COORDS.search(inside)
        found = []
        if coords is not None:
            first = coords.start(1)
            for group in re.finditer(r"[^\t:,;]+", coords[1]):
                numbers = list(_NUMBERS.finditer(group[0]))
                at = base + first + group.start()
                # the image's number stands before its points, in threes: the point's own number, and where it is
                for place in range(1, len(numbers), 3):
                    three = numbers[place : place + 3]
                    values = _values([number[0] for number in three[1:]])
                    span = at + three[0].start(), at + three[-1].end()
                    wrong = "" if len(three) == 3 and values else "it has too few numbers"
                    found.append(Stated("coords", *span, values, label, tag, wrong))
        else:
            taken = inside if alt is None else inside[: alt.start()] + " " * len(alt[0]) + inside[alt.end() :]
            for pair in _PAIR.finditer(taken):
                values = _values(pair.group(2, 3))
                span = base + pair.start(), base + pair.end()
                found.append(Stated("percent", *span, values, label, tag, "" if values else "a number is too large"))
                taken = taken[: pair.start()] + " " * (pair.end() - pair.start()) + taken[pair.end() :]
            for odd in _ALONE.finditer(taken):
                span = base + odd.start(), base + odd.end()
                found.append(Stated("percent", *span, (), label, tag, "half a point"))
        if not found:
            wrong = "it says no place" if closed else "it breaks off"
            found.append(Stated("percent", match.start(), match.end(), (), label, tag, wrong))
        yield found, match.span()


def _locs(text: str) -> Found:
    """PaliGemma's tokens, four a box; what it is of stands behind."""
    for match in _LOCS.finditer(text):
        values = [float(one) for one in re.findall(r"<loc(\d{4})>", match[0])]
        end = match.start() + len(re.match(r"(?:<loc\d{4}>)+(?:\s*(?:<seg\d{3}>)+)?", match[0])[0])  # type: ignore[index]
        codes = tuple(int(one) for one in re.findall(r"<seg(\d{3})>", match[0]))
        whole = len(values) == 4 and len(codes) == 16 and max(codes) < 128
        boxes = _fours("loc", match.start(), end, values, (match[1] or "").strip())
        yield [replace(one, codes=codes) if whole else one for one in boxes], (match.start(), end)


def _florence(text: str) -> Found:
    """Florence-2's tokens, four a box or two a point; what they are of stands before."""
    for match in _FLORENCE.finditer(text):
        values = [float(one) for one in re.findall(r"<loc_(\d+)>", match[2])]
        yield list(_fours("loc_", match.start(2), match.end(), values, match[1].strip())), match.span(2)


def _fours(form: Form, start: int, end: int, values: list[float], label: str) -> Iterator[Stated]:
    if len(values) == 2:
        yield Stated(form, start, end, tuple(values), label, start)
        return
    whole = len(values) // 4
    for place in range(whole):
        yield Stated(form, start, end, tuple(values[4 * place : 4 * place + 4]), label, start)
    if len(values) % 4:
        yield Stated(form, start, end, (), label, start, "it has too few numbers")


def _kosmos(text: str) -> Found:
    """Kosmos-2's pairs of patches."""
    for match in _KOSMOS.finditer(text):
        label, start = (match[1] or "").strip(), match.start()
        found = []
        for part in match[2].split("</delimiter_of_multi_objects/>"):
            values = tuple(float(one) for one in re.findall(r"<patch_index_(\d{1,6})>", part))
            wrong = "" if len(values) == 2 and match[3] else "it breaks off" if not match[3] else "no two patches"
            found.append(Stated("patch", start, match.end(), () if wrong else values, label, start, wrong))
        yield found, match.span()


def _boxes(text: str) -> Found:
    """The tag `<box>` of InternVL and of the first Qwen-VLs."""
    for match in _BOX.finditer(text):
        label, start, end = (match[1] or "").strip(), match.start(), match.end()
        values = _values(_NUMBERS.findall(match[2]))
        if match[3] and values and len(values) % 4 == 0:
            yield list(_fours("box", start, end, list(values), label)), match.span()
        else:
            wrong = "it has not four numbers" if match[3] else "it breaks off"
            yield [Stated("box", start, end, (), label, start, wrong)], match.span()


def _json(text: str) -> Found:
    """A JSON object's place: broken JSON around it is no obstacle, as each object is looked at alone."""
    for match in _KEY.finditer(text):
        before, after = text.rfind("{", 0, match.start()), text.find("}", match.end())
        following = text.find("{", match.end())
        closed = after >= 0 and (following < 0 or after < following)
        start = before if before >= 0 and "}" not in text[before : match.start()] else match.start()
        end = after + 1 if closed else match.end()
        label = _LABEL.search(text, start, end if closed else following if following >= 0 else len(text))
        said, key = label[2] if label else "", match[1]
        written = (match[2] or match[5] or match[6] or "").rstrip(", \n\t")
        form: Form = "gemini" if key == "box_2d" else "json"
        count = 2 if key.startswith("point") else 4
        values = _values(_NUMBERS.findall(written))
        if match[7]:
            yield [Stated(form, start, end, (), said, wrong="it is no list of numbers")], (match.start(), match.end())
        elif not written or written.count("[") != written.count("]"):
            yield [Stated(form, start, end, (), said, wrong="it breaks off")], (match.start(), match.end())
        elif not written.strip("[] \n\t\r"):  # an empty list says that it is nowhere, as null does
            yield [], (match.start(), match.end())
        elif not values or len(values) % count:
            wrong = f"it has not {'two' if count == 2 else 'four'} numbers"
            yield [Stated(form, start, end, (), said, wrong=wrong)], (match.start(), match.end())
        else:
            parts = [values[at : at + count] for at in range(0, len(values), count)]
            yield [Stated(form, start, end, part, said) for part in parts], (match.start(), match.end())


def _corners(text: str) -> Found:
    """Two corners in parentheses, as the first Qwen-VLs write them once their tokens are gone.

    More than two, or two in a list's brackets, are a list of points.
    """
    for match in _CORNERS.finditer(text):
        if not match[1] and not match[6]:
            values = _values(match.groups()[1:5])
            wrong = "" if values else "a number is too large"
            yield [Stated("bare", *match.span(), values, wrong=wrong)], match.span()


def _lists(text: str) -> Found:
    """Numbers in brackets: four of them, or two; any other count is no place."""
    for match in _LIST.finditer(text):
        values = _values(_NUMBERS.findall(match[1] or match[3]))
        if match[3] is None and match[2] != "]":
            wrong = "it breaks off"
        elif len(values) not in (2, 4):
            continue
        else:
            wrong = ""
        yield [Stated("bare", *match.span(), () if wrong else values, wrong=wrong)], match.span()


def _values(written: object) -> tuple[float, ...]:
    """Numbers as they are written; none where one is none, or infinite."""
    try:
        values = tuple(float(one) for one in written)  # type: ignore[attr-defined]
    except ValueError:
        return ()
    return values if all(math.isfinite(value) for value in values) else ()
