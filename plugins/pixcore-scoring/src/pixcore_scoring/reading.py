"""Read a predictions file line by line, trusting nothing in it (its format: `pixcore.predictions.format`)."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeGuard

import numpy as np
import orjson
from pixcore_datasets import run_lengths

from pixcore import masks
from pixcore.errors import DataError, nearest
from pixcore.figures.rows import RowSpec
from pixcore.files import can_be_read
from pixcore.protocols import PROBINGS, Probing
from pixcore.records import Candidate, ProtocolResult, Response, Selection, Token, Verdict
from pixcore.stages.serialise import candidate_from_json

Size = tuple[int, int]

UNNAMED = "choice"
"""The row of a line's `choice`, which names no strategy."""


@dataclass(frozen=True, eq=False)
class Prediction:
    """What one line of a predictions file says.

    Attributes:
        where: Names the line in an error.
        result: What it says, its `choices` as selections by strategy.
        choice: The `choice` that names no strategy.
        mask_alone: Whether the line has a mask and nothing to choose from: a pixel-level MLLM's prediction.
    """

    where: str
    result: ProtocolResult
    choice: Selection | None = None
    mask_alone: bool = False


class Line(NamedTuple):
    """A line as it was read: its number from 1, its place in the file in bytes, its bytes' hash, its JSON data."""

    number: int
    place: int
    seal: int
    data: dict[str, Any]


def read_lines(file: BinaryIO, path: Path, probings: Mapping[str, Probing] = PROBINGS) -> Iterator[Line]:
    """Read an open predictions file line by line; `probings` are those that a line may be of (`parse_line`).

    Raises:
        DataError: The file can't be read, or a line is not a JSON object, holds NaN, or has no sample_id and protocol.
    """
    with can_be_read(path, "predictions"):
        place = 0
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                yield Line(number, place, hash(raw), parse_line(raw, f"{path.name} line {number}", probings))
            place += len(raw)


def read_again(file: BinaryIO, path: Path, line: tuple[int, int, int], probings: Mapping[str, Probing]) -> Any:
    """Read a line's JSON data once more.

    Args:
        file: The predictions file.
        path: Its path.
        line: The line's number, place and seal, as `read_lines` gave them.
        probings: As for `read_lines`.

    Raises:
        DataError: It is not what it was.
    """
    number, place, seal = line
    with can_be_read(path, "predictions"):
        file.seek(place)
        raw = file.readline()
    if hash(raw) != seal:
        raise DataError(f"{path} was changed while it was read: line {number} is another", hint="run this again")
    return parse_line(raw, f"{path.name} line {number}", probings)


def parse_line(raw: bytes, where: str, probings: Mapping[str, Probing] = PROBINGS) -> dict[str, Any]:
    """Parse one line.

    Args:
        raw: The line.
        where: Names it in an error.
        probings: Those that it may be of, by name.

    Raises:
        DataError: It is not UTF-8, no JSON object, or lacks what every line needs.
    """
    try:
        data = orjson.loads(raw)  # two and a half times as fast
    except ValueError:
        data = _parsed_plainly(raw, where)
    if not isinstance(data, dict):
        raise DataError(f"{where} holds a {type(data).__name__}", hint="expected a JSON object")
    if not isinstance(data.get("sample_id"), str):
        given = f"has sample_id {data['sample_id']!r}" if "sample_id" in data else "has no sample_id"
        raise DataError(f"{where} {given}", hint='expected a text, such as "sample_id": "1"')
    if not isinstance(data.get("protocol"), str) or data["protocol"] not in probings:
        given = f"has protocol {data['protocol']!r}" if "protocol" in data else "has no protocol"
        raise DataError(f"{where} {given}", hint=nearest(str(data.get("protocol")), probings))
    return data


def _parsed_plainly(raw: bytes, where: str) -> Any:
    """Parse what orjson refuses: with a byte-order mark or half a surrogate pair it is a line; else say what it is."""
    try:
        return json.loads(raw.decode("utf-8-sig"), parse_constant=_no_number)
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 text", hint="save the file as UTF-8") from error
    except RecursionError as error:
        raise DataError(f"{where} is nested too deeply", hint="expected one flat JSON object a line") from error
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise DataError(f"{where} is not JSON: {reason}", hint="one JSON object a line; is the file whole?") from error


def prediction_from_json(data: Mapping[str, Any], where: str, size: Callable[[], Size | None]) -> Prediction:
    """Check one line's data and turn it into records.

    Args:
        data: The line (`parse_line`).
        where: Names the line in an error.
        size: Gives (width, height) of the sample's image, asked only where a mask has to be measured; None skips the
            check.

    Raises:
        DataError: Something in it is not as the format has it.
    """
    _check_spelling(data, _KEYS, where)
    error = data.get("error")
    if error is not None and not isinstance(error, str):
        raise DataError(f"{where} has an error that is not text", hint="expected a text or null")
    if not isinstance(data.get("text", "" if error is not None else None), str):
        given = f"text {data['text']!r}" if "text" in data else "no text"
        raise DataError(f"{where} has {given}", hint='expected "text": what the model said, "" for nothing')
    has_mask = "mask" in data
    candidates = _candidates(data.get("candidates"), f"{where}", size)
    selections = _choices(data.get("choices"), candidates, where)
    controls: dict[str, tuple[Candidate, ...]] = {}
    control_choices: dict[str, Selection] = {}
    for name, control in _controls(data, where).items():
        controls[name] = _candidates(control.get("candidates"), f"{where} control", size)
        control_choices |= _choices(control.get("choices"), controls[name], f"{where} control")
    clash = sorted(set(selections) & set(control_choices))
    if clash:
        raise DataError(
            f"{where} has {clash[0]!r} as a choice and as a control's", hint="give the control another name"
        )
    mask = None
    if has_mask:
        value = data["mask"]
        if value is None:
            known = size()
            mask = masks.empty(known) if known is not None else None
        else:
            (mask,) = run_lengths.parse_many([value], lambda _: f"{where}: mask", size())
    spans = data.get("token_spans") or ()
    if not (
        isinstance(spans, (list, tuple))
        and all(isinstance(s, list) and list(map(type, s)) == [int, int] for s in spans)
    ):
        raise DataError(
            f"{where} has invalid token_spans", hint="expected [[start, end], ...] in characters of the text"
        )
    text = data.get("text", "")
    response = Response(
        text=text,
        tokens=tuple(Token(-1, text[start:end], start, end) for start, end in spans),
        mask=mask,
    )
    result = ProtocolResult(
        protocol=data["protocol"],
        prompt=str(data.get("prompt") or ""),
        response=response,
        candidates=candidates,
        controls=controls,
        selections={**selections, **control_choices},
        verdict=_verdict(data.get("verdict"), where),
        error=error,
    )
    choice = data.get("choice")
    return Prediction(
        where=where,
        result=result,
        choice=_choice(choice, candidates, f"{where}: choice") if choice is not None else None,
        mask_alone=has_mask and not {"candidates", "choices", "choice"} & data.keys(),
    )


def upper_bounds(data: Mapping[str, Any], where: str) -> list[str]:
    """List a line's strategies that saw the ground truth.

    Raises:
        DataError: They are not a list of names.
    """
    names = data.get("upper_bounds") or []
    if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
        raise DataError(f"{where} has invalid upper_bounds", hint="expected a list of strategies' names")
    return names


def control_rows(data: Mapping[str, Any], where: str) -> list[RowSpec]:
    """List the rows of a line's controls; one that names no strategy is the control of none in the table.

    Args:
        data: The line.
        where: Names the line in an error.

    Raises:
        DataError: "of" names no strategies.
    """
    rows = []
    for name, control in _controls(data, where).items():
        of = _object(control.get("of"), where, "control.of") or {}
        if not all(isinstance(strategy, str) for strategy in of.values()):
            raise DataError(
                f"{where} has an invalid control.of", hint="expected the strategy's name for each of its choices"
            )
        keys = _object(control.get("choices"), where, "control.choices") or {}
        rows += [RowSpec(key, control_of=of.get(key, ""), pool=name) for key in keys]
    return rows


def _controls(data: Mapping[str, Any], where: str) -> dict[str, Mapping[str, Any]]:
    """The controls of a line by name; one alone needs no list and no name."""
    given = data.get("control")
    controls: dict[str, Mapping[str, Any]] = {}
    for control in given if isinstance(given, list) else [given]:
        known = _object(control, where, "control") or {}
        name = known.get("name", "control")
        if not isinstance(name, str) or name in controls:
            raise DataError(f"{where} has a control named {name!r}", hint="expected a name of its own for each")
        if known:
            _check_spelling(known, _CONTROL, f"{where} control")
            controls[name] = known
    return controls


def _candidates(value: Any, where: str, size: Callable[[], Size | None]) -> tuple[Candidate, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise DataError(f"{where} has candidates that are not a list", hint="expected a list of objects")
    if not value:
        return ()
    flat: list[Any] = []
    for index, item in enumerate(value):
        if not isinstance(item, Mapping) or not isinstance(item.get("masks"), list):
            raise DataError(
                f"{where}: candidate {index} has no masks", hint='expected {"phrase": ..., "masks": [RLE, ...]}'
            )
        _check_candidate(item, where, index)
        flat += item["masks"]

    def name(place: int) -> str:
        places = [(index, mask) for index, item in enumerate(value) for mask in range(len(item["masks"]))]
        return "{}: candidate {}, mask {}".format(where, *places[place])

    rles = iter(run_lengths.parse_many(flat, name, size()))
    return tuple(
        candidate_from_json({**item, "masks": list(islice(rles, len(item["masks"]))), "end": _end(item)})
        for item in value
    )


def _end(item: Mapping[str, Any]) -> int | None:
    """Where a candidate's phrase ends, by its beginning where that alone is said; None where its place is not known."""
    if item.get("end") is None and item.get("start") is not None:
        return int(item["start"]) + len(item.get("phrase") or "")
    return item.get("end")


def _check_spelling(data: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    """Refuse a key that is nearly one of the format's; keys of one's own are left alone.

    Raises:
        DataError: There is one; what it holds would be missing in silence.
    """
    for key in data.keys() - set(known):
        if close := _meant(key, known):
            hint = f"did you mean {close!r}? a key of your own needs a name that is less like it"
            raise DataError(f"{where} has the unknown key {key!r}", hint=hint)


@lru_cache(maxsize=256)  # keys of one's own stand in every candidate
def _meant(key: str, known: tuple[str, ...]) -> str | None:
    return next(iter(get_close_matches(key.lower(), known, n=1, cutoff=_NEARLY)), None)


def _check_candidate(item: Mapping[str, Any], where: str, index: int) -> None:
    if not item.keys() <= _PARTS.keys():
        _check_spelling(item, tuple(_PARTS), f"{where}: candidate {index}")
    for key, given in item.items():
        allowed, expected = _PARTS.get(key, _ANY)
        if given is not None and not allowed(given):
            raise DataError(f"{where}: candidate {index} has {key} {given!r}", hint=f"expected {expected}")
    scores = item.get("scores")
    if scores and len(scores) != len(item["masks"]):
        raise DataError(
            f"{where}: candidate {index} has {len(scores)} scores for {len(item['masks'])} masks",
            hint="expected one score for each mask",
        )


def _choices(value: Any, candidates: tuple[Candidate, ...], where: str) -> dict[str, Selection]:
    given = _object(value, where, "choices") or {}
    return {name: _choice(choice, candidates, f"{where}: choice of {name}") for name, choice in given.items()}


def _choice(value: Any, candidates: tuple[Candidate, ...], where: str) -> Selection:
    outcome = value
    if isinstance(value, Mapping):
        _check_spelling(value, _CHOICE, where)
        outcome = next((one for one in _WITHOUT_MASK if one in value), None)
        if outcome is not None and (value.get("candidate") is not None or value[outcome] is False):
            hint = f'"{outcome}" is a choice of no mask: leave it out, or the candidate'
            raise DataError(f"{where} is {dict(value)!r}", hint=hint)
    if outcome == "absent":
        return Selection.absent(score=_score(value, "absent"))
    if outcome == "nothing":
        return Selection.nothing(score=_score(value, "nothing"))
    if outcome == "failed":
        return Selection.failed(value if isinstance(value, str) else str(value["failed"]))
    if not isinstance(value, Mapping):
        raise DataError(
            f"{where} is {value!r}", hint='expected {"candidate": 0, "mask": 0}, "absent", "nothing" or "failed"'
        )
    index, mask = value.get("candidate"), value.get("mask", 0)
    if index is None or not _is_index(index) or not _is_index(mask):
        raise DataError(f"{where} is {dict(value)!r}", hint='expected {"candidate": 0, "mask": 0}')
    if index >= len(candidates):
        raise DataError(f"{where} is candidate {index} of {len(candidates)}", hint="candidates are counted from 0")
    if mask >= len(candidates[index].masks):
        raise DataError(
            f"{where} is mask {mask} of {len(candidates[index].masks)} in candidate {index}",
            hint="masks are counted from 0",
        )
    return Selection.chosen(index, mask, reason=str(value.get("reason") or ""), score=_score(value, "score"))


def _score(value: Any, key: str) -> float | None:
    """The strategy's own figure, where a choice has one."""
    score = value.get(key) if isinstance(value, Mapping) else None
    return score if _is_number(score) else None


def _verdict(value: Any, where: str) -> Verdict | None:
    given = _object(value, where, "verdict")
    if given is None:
        return None
    _check_spelling(given, _VERDICT, f"{where}: verdict")
    correct = given.get("correct")
    if not given.keys() & {"correct", "error"}:
        raise DataError(f"{where} has a verdict {dict(given)!r}", hint='expected {"correct": true}, false or null')
    if correct is not None and not isinstance(correct, bool):
        raise DataError(f"{where} has verdict {correct!r}", hint='expected {"correct": true}, false or null')
    failed = given.get("error")
    return Verdict(correct, str(given.get("reason") or ""), error=None if failed is None else str(failed))


def _object(value: Any, where: str, key: str) -> Mapping[str, Any] | None:
    if value is not None and not isinstance(value, Mapping):
        raise DataError(f"{where} has {key} {value!r}", hint="expected a JSON object")
    return value


def _is_point(value: Any) -> bool:
    """A single point, or points with their labels, a box, words and further places, as `candidate_to_json` writes."""
    if not isinstance(value, Mapping):
        return _are_numbers(value, 2) and all(abs(one) <= _FURTHEST for one in value)
    points, labels, box, words = (value.get(key) for key in ("points", "labels", "box", "text"))
    also = value.get("also", [])
    return (
        isinstance(points, list)
        and all(isinstance(point, list) and _is_point(point) for point in points)
        and _are_numbers(labels, len(points))
        and all(label in (0, 1) for label in labels)
        and (words is None or _is_text(words))
        and isinstance(also, list)
        and all(map(_is_point, also))
        and (bool(points or words) if box is None else _are_numbers(box, 4))
    )


def _are_numbers(value: Any, count: int) -> TypeGuard[list[float]]:
    return isinstance(value, list) and len(value) == count and all(map(_is_number, value))


# JSON gives these very types, of which True is another
def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # a whole number may be beyond any float


def _is_index(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_place(value: Any) -> bool:
    return _is_index(value) and _is_number(value)


def _is_text(value: Any) -> bool:
    return type(value) is str


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is not a number")


def _list_of(allowed: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: type(value) is list and all(map(allowed, value))


_ANY: tuple[Callable[[Any], bool], str] = (lambda _: True, "anything")
_PARTS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "phrase": (_is_text, "a text"),
    "start": (_is_place, "a place in the text, in characters from 0; left out where it is not known"),
    "end": (_is_place, "a place in the text, in characters from 0; left out where it is not known"),
    "tokens": (_list_of(_is_index), "indices into the tokens"),
    "similarity": (_is_number, "a number"),
    "point": (_is_point, "[x, y] in pixels of the image"),
    "scores": (_list_of(_is_number), "a list of finite numbers, one for each mask"),
    "stability": (_list_of(_is_number), "a list of finite numbers, one for each mask"),
    "merged": (_list_of(_is_text), "a list of texts"),
    **dict.fromkeys(("masks", "place", "root"), _ANY),
}
"""What a candidate's keys may hold, where they are not null."""
_KEYS = (
    *("sample_id", "protocol", "text", "mask", "candidates"),  # what is needed
    *("prompt", "choices", "choice", "verdict", "control", "upper_bounds", "token_spans", "error"),
)
"""A line's keys."""
_CONTROL = ("name", "candidates", "choices", "of")
_WITHOUT_MASK = ("absent", "nothing", "failed")
_CHOICE = ("candidate", "mask", "score", "reason", *_WITHOUT_MASK)
_VERDICT = ("correct", "reason", "error")
_FURTHEST = float(np.finfo(np.float32).max)  # what a point's coordinates are kept as
_NEARLY = 0.82  # "veridct" and "controls" are, "sample" is not
