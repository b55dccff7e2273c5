"""What a file is to a mutator: JSON, lines of JSON, a table, YAML, a picture. Each can be broken, and spelt anew."""

from __future__ import annotations

import csv
import io
import json
import random
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import yaml

from tests.fuzz.mutate import TEXTS, broken_json, damaged, dumps, mangled, spelt

Spelling = Callable[[bytes, random.Random], bytes]


@dataclass(frozen=True)
class Form:
    """A file's form.

    Attributes:
        broken: Damages its content.
        same: Writes the same content in another way; None where there is none.
    """

    broken: Spelling
    same: Spelling | None = None


def json_form(extra_from: int | None = 0, *, marked: bool = True) -> Form:
    """A JSON document.

    Args:
        extra_from: Objects so many levels down and deeper may have keys that nobody knows.
        marked: Whether it may begin with a byte-order mark.
    """

    def broken(content: bytes, rng: random.Random) -> bytes:
        return broken_json(json.loads(content), rng)

    def same(content: bytes, rng: random.Random) -> bytes:
        document = json.loads(content)
        if extra_from is not None:
            _add_unknown_keys(document, rng, extra_from)
        content = spelt(document, rng)
        return content if marked else content.removeprefix(b"\xef\xbb\xbf")

    return Form(broken, same)


_OPEN = ("categories", "region_attributes", "file_attributes", "regions")
"""Objects in which every key counts."""


def _add_unknown_keys(document: Any, rng: random.Random, depth: int) -> None:
    for key, value in list(document.items() if isinstance(document, dict) else enumerate(document)):
        if isinstance(value, (dict, list)) and key not in _OPEN:
            _add_unknown_keys(value, rng, depth - 1)
    if isinstance(document, dict) and depth <= 0 and rng.random() < 0.3:
        document["x-unknown"] = rng.choice((None, 7, "text", [1, {"a": "\ud800"}], {}))


def _damaged_text(text: str, rng: random.Random) -> str:
    """JSON text, damaged; text that is no JSON any more loses a piece."""
    try:
        return dumps(damaged(json.loads(text), rng))
    except (ValueError, RecursionError):
        return text[: rng.randrange(len(text) + 1)]


def _lines_broken(content: bytes, rng: random.Random) -> bytes:
    lines = content.splitlines()
    if rng.random() < 0.15:
        return mangled(content, rng)
    if rng.random() < 0.1:
        lines[rng.randrange(len(lines))] = rng.choice(lines)
        return b"\n".join(lines)
    if rng.random() < 0.1:
        del lines[rng.randrange(len(lines))]
        return b"\n".join(lines)
    for _ in range(rng.choice((1, 1, 3))):
        number = rng.randrange(len(lines))
        lines[number] = _damaged_text(lines[number].decode(), rng).encode()
    return b"\n".join(lines) + b"\n"


def _lines_same(content: bytes, rng: random.Random) -> bytes:
    documents = [json.loads(line) for line in content.splitlines()]
    rng.shuffle(documents)
    for document in documents:
        if rng.random() < 0.5:
            document["x-unknown"] = rng.choice((None, 7, "text", [1, {"a": "\ud800"}], {}))
    lines = [spelt(document, rng).decode("utf-8-sig").replace("\r\n", " ").replace("\n", " ") for document in documents]
    end = rng.choice(("\n", "\r\n", "\n\n", "\n \n"))
    return (end.join(lines) + rng.choice(("", end))).encode(rng.choice(("utf-8", "utf-8-sig")))


JSON_LINES = Form(_lines_broken, _lines_same)
JOURNAL = Form(_lines_broken)  # the order of a journal's lines counts


def _table(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


def _written(rows: list[list[str]], **options: Any) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, **options).writerows(rows)
    return file.getvalue().encode("utf-8", "surrogatepass")


def _csv_broken(content: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.25:
        return mangled(content, rng)
    rows = _table(content)
    for _ in range(rng.choice((1, 1, 3))):
        row = rng.choice(rows)
        way = rng.randrange(8)
        if not row:
            continue
        at = rng.randrange(len(row))
        if way < 3:
            row[at] = rng.choice((*TEXTS, row[at] * 2, row[at][:-1], "(" * 3000, "'" + row[at], "9" * 5000))
        elif way == 3 and row[at][:1] in "[{":
            row[at] = _damaged_text(row[at], rng)
        elif way == 4:
            del row[at]
        elif way == 5:
            row.insert(at, row[at])
        elif way == 6:
            rows.insert(rng.randrange(len(rows)), list(row))
        else:
            other = rng.choice(rows)
            row[at] = rng.choice(other) if other else ""
    return _written(rows)


def _csv_same(content: bytes, rng: random.Random) -> bytes:
    rows = _table(content)
    order = list(range(len(rows[0])))
    rng.shuffle(order)
    rows = [[row[at] for at in order] for row in rows]
    rows[0] = [name + rng.choice(("", " ")) for name in rows[0]]
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    written = _written(rows, quoting=quoting, lineterminator=rng.choice(("\n", "\r\n")))
    return rng.choice((b"", b"\xef\xbb\xbf")) + written


CSV = Form(_csv_broken, _csv_same)


def _plain(value: Any) -> Any:
    """What YAML can write of a damaged document; texts stand for the rest."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_plain(one) for one in value[:2000]]
    return value


def _yaml_broken(content: bytes, rng: random.Random) -> bytes:
    if rng.random() < 0.2:
        return mangled(content, rng)
    document = damaged(yaml.safe_load(content), rng)
    if rng.random() < 0.5:  # JSON is YAML, and can say more than PyYAML would write
        return dumps(document).encode("utf-8", "surrogatepass")
    try:
        return yaml.safe_dump(_plain(document), allow_unicode=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    except (yaml.YAMLError, RecursionError, ValueError):
        return dumps(document).encode("utf-8", "surrogatepass")


def _yaml_same(content: bytes, rng: random.Random) -> bytes:
    document = yaml.safe_load(content)
    keys = list(document)
    rng.shuffle(keys)
    document = {key: document[key] for key in keys}
    if rng.random() < 0.3:
        return json.dumps(document, indent=rng.choice((None, 2))).encode()
    style, quotes = rng.choice((None, True, False)), rng.choice((None, "'", '"'))
    text = yaml.safe_dump(document, default_flow_style=style, default_style=quotes, indent=rng.choice((2, 4)))
    if quotes:  # quotes make numbers texts, unless a tag says otherwise: PyYAML writes the tags
        assert yaml.safe_load(text) == document
    return (rng.choice(("", "# a remark\n", "---\n", "\ufeff")) + text + rng.choice(("", "# the end\n"))).encode()


YAML = Form(_yaml_broken, _yaml_same)
BYTES = Form(mangled)


def _png_same(content: bytes, rng: random.Random) -> bytes:
    """The same picture with a remark in the file."""
    text = b"Comment\x00" + bytes(rng.randrange(32, 127) for _ in range(rng.randrange(60)))
    chunk = struct.pack(">I", len(text)) + b"tEXt" + text + struct.pack(">I", zlib.crc32(b"tEXt" + text))
    head = 8 + 25
    return content[:head] + chunk + content[head:]


PNG = Form(mangled, _png_same)
