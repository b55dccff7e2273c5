"""Damage to data and texts, drawn from a seed; and changes of spelling that must change nothing."""

from __future__ import annotations

import copy
import json
import math
import random
import re
from collections.abc import Callable
from typing import Any

Path = tuple[Any, ...]

_RAW = re.compile(r'"<raw:(.*?)>"')
DEEP = "<raw:deep>"
_RAWS = {
    "deep": "[" * 3000 + "]" * 3000,
    "1e999": "1e999",
    "long": "9" * 400,
    "longer": "9" * 5000,
    "nan": "NaN",
    "wide": "[" + "0," * 20_000 + "0]",
}

NUMBERS = (0, -1, 1, 2, 3, 7, 255, 0.5, 1.5, -0.0, 1e9, 1e308, -1e308, 5e-324, 2**31, 2**32, 2**53 + 1, 2**63, 2**64)
TEXTS = (
    "",
    " ",
    "0",
    "-1",
    "1e5",
    "nan",
    "null",
    "a" * 5000,
    "\ud800",
    "a\x00b",
    "\x1b[31mred\x1b[0m",
    "\u202egnp.exe",
    "../../elsewhere",
    "é" * 100,
    "<object at 0x7f00deadbeef>",
    "line\nbreak",
    "{expression.name}",
    "%s%n",
    "\ufeff",
    "🙂" * 40,
)
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    math.nan,
    math.inf,
    -math.inf,
    10**400,
    [],
    {},
    [[]],
    [None],
    {"": None},
    [1, "a", None],
    {"size": [1, 1], "counts": "1"},
    {"size": [10**6, 10**6], "counts": [10**12]},
    {"size": [12, 16], "counts": "0" * 50},
    *(f"<raw:{name}>" for name in _RAWS),
    *NUMBERS,
    *TEXTS,
)


def dumps(document: Any, **options: Any) -> str:
    """JSON, with what `json` can't spell (`_RAWS`) put in as text."""
    text = json.dumps(document, **options)
    return _RAW.sub(lambda found: _RAWS.get(found[1], found[0]), text)


def places(document: Any, at: Path = ()) -> list[Path]:
    """The path of every value inside a document."""
    inside = document.items() if isinstance(document, dict) else enumerate(document)
    found = []
    for key, value in inside:
        found.append((*at, key))
        if isinstance(value, (dict, list)):
            found += places(value, (*at, key))
    return found


def _around(document: Any, path: Path) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def damaged(document: Any, rng: random.Random, times: int | None = None) -> Any:
    """A copy of a document with one to four values damaged, each in a way of its own."""
    document = copy.deepcopy(document)
    for _ in range(times or rng.choice((1, 1, 1, 2, 4))):
        known = places(document) if isinstance(document, (dict, list)) else []
        if not known:
            return document
        path = rng.choice(known)
        rng.choice(_EDITS)(document, path, rng, known)
    return rng.choice(ODD) if rng.random() < 0.01 else document


def _replace(document: Any, path: Path, rng: random.Random, known: list[Path]) -> None:
    _around(document, path)[path[-1]] = copy.deepcopy(rng.choice(ODD))


def _drop(document: Any, path: Path, rng: random.Random, known: list[Path]) -> None:
    del _around(document, path)[path[-1]]


def _repeat(document: Any, path: Path, rng: random.Random, known: list[Path]) -> None:
    around = _around(document, path)
    value = copy.deepcopy(around[path[-1]])
    if isinstance(around, list):
        around.insert(path[-1], value)
    else:
        around[rng.choice((f"{path[-1]}s", str(path[-1]).upper(), "extra", ""))] = value


def _swap(document: Any, path: Path, rng: random.Random, known: list[Path]) -> None:
    """Swap with a value of the same key elsewhere (ids, masks), or with any."""
    alike = [other for other in known if other[-1] == path[-1] and other != path] or known
    other = rng.choice(alike if rng.random() < 0.8 else known)
    if other[: len(path)] == path or path[: len(other)] == other:
        return
    one, two = _around(document, path), _around(document, other)
    one[path[-1]], two[other[-1]] = two[other[-1]], one[path[-1]]


def _copy_over(document: Any, path: Path, rng: random.Random, known: list[Path]) -> None:
    other = rng.choice(known)
    _around(document, path)[path[-1]] = copy.deepcopy(_around(document, other)[other[-1]])


def _retype(document: Any, path: Path, rng: random.Random, known: list[Path]) -> None:
    around, key = _around(document, path), path[-1]
    value = around[key]
    around[key] = rng.choice(
        ([value], {"value": value}, str(value), bool(value), None, [value, value], float(len(str(value))))
    )


def _nudge(document: Any, path: Path, rng: random.Random, known: list[Path]) -> None:
    """A number a little or much other than it was; a text or list cut, turned or lengthened."""
    around, key = _around(document, path), path[-1]
    value = around[key]
    if isinstance(value, bool) or value is None:
        around[key] = not value
    elif isinstance(value, (int, float)):
        around[key] = rng.choice((-value, value + 1, value - 1, value * 1_000_000_007))
        if abs(value) < 1e300:
            around[key] = rng.choice((around[key], value + 0.5, value * 1e-9))
    elif isinstance(value, str):
        cut = rng.randrange(len(value) + 1)
        odd = rng.choice((*TEXTS[:14], "0", "o", "~", "é", "\n", '"', "\\"))
        around[key] = rng.choice((value[:cut], value[cut:], value[:cut] + odd + value[cut:], value * 2, value[::-1]))
    elif isinstance(value, list):
        around[key] = rng.choice((value[:1], value[:-1], value * 2, value[::-1], value * 200))
    else:
        around[key] = dict(list(value.items())[1:])


_EDITS: tuple[Callable[[Any, Path, random.Random, list[Path]], None], ...] = (
    _replace,
    _replace,
    _replace,
    _drop,
    _repeat,
    _swap,
    _copy_over,
    _retype,
    _nudge,
    _nudge,
)

_BYTES = (b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\x1b[2J", b"\r", b"NaN", b'"', b"{", b"]", b",")


def mangled(content: bytes, rng: random.Random) -> bytes:
    """A file's bytes cut, flipped, repeated, put in, or in another encoding."""
    for _ in range(rng.choice((1, 1, 2, 5))):
        one, two = sorted(rng.randrange(len(content) + 1) for _ in range(2))
        way = rng.randrange(9)
        if way == 0:
            content = content[:one]
        elif way == 1:
            content = content[:one] + content[min(two, one + 40) :]
        elif way == 2:
            content = content[:one] + content[one : one + 200] + content[one:]
        elif way == 3:
            content = content[:one] + rng.choice(_BYTES) + content[one:]
        elif way in (4, 5) and content:
            changed = bytearray(content)
            for _ in range(rng.choice((1, 3, 20))):
                changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
            content = bytes(changed)
        elif way == 6:
            lines = content.split(b"\n")
            lines.insert(rng.randrange(len(lines)), rng.choice(lines))
            content = b"\n".join(lines)
        elif way == 7:
            content = re.sub(
                rb"\d+", lambda found: rng.choice((found[0], b"9" * 400, b"-1", b"1e999")), content, count=3
            )
        elif rng.random() < 0.2:
            content = content.decode("utf-8", "replace").encode(rng.choice(("utf-16", "utf-32", "cp037")), "replace")
    return content


def broken_json(document: Any, rng: random.Random) -> bytes:
    """A JSON file of a damaged document, its bytes perhaps mangled too."""
    if rng.random() < 0.85:
        document = damaged(document, rng)
        content = dumps(document, indent=rng.choice((None, None, 1))).encode()
        return mangled(content, rng) if rng.random() < 0.1 else content
    return mangled(dumps(document).encode(), rng)


def respelt(document: Any, rng: random.Random) -> Any:
    """The same document with its keys in another order."""
    if isinstance(document, dict):
        keys = list(document)
        if not any("toy-first" in key for key in keys):  # the order of choices is the order of the table's rows
            rng.shuffle(keys)
        return {key: respelt(document[key], rng) for key in keys}
    return [respelt(one, rng) for one in document] if isinstance(document, list) else document


def spelt(document: Any, rng: random.Random) -> bytes:
    """A JSON file of a document, in any of the spellings that mean the same."""
    between = rng.choice(((", ", ": "), (",", ":"), (" ,\t", " :  ")))
    options: dict[str, Any] = {"indent": rng.choice((None, 0, 3)), "separators": between}
    text = json.dumps(respelt(document, rng), **options)
    if rng.random() < 0.5 and "\\ud" not in text:  # half of a pair can't be written in UTF-8
        text = json.dumps(respelt(document, rng), **options, ensure_ascii=False)
    text = rng.choice(("", " ", "\n\n")) + text + rng.choice(("", "\n", " \r\n"))
    return text.encode(rng.choice(("utf-8", "utf-8", "utf-8-sig")))
