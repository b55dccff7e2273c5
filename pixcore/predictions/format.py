"""The format of `predictions.jsonl`: what a run writes, and what someone with predictions and no adapter brings.

One JSON object a line. Needed: `sample_id`, `protocol`, `text`, and `mask` (COCO RLE, null for none), `candidates`
(`{"phrase", "start", "end", "similarity", "point", "masks", "scores"}`; only `masks` is needed) or both; also: `choice`
(`{"candidate", "mask"}`, "absent", "nothing" or "failed"; with a score `{"candidate", "mask", "score"}` or
`{"absent": score}`), `choices` (the same by strategy), `verdict` (`{"correct"}`), `control` (`{"name", "candidates",
"choices", "of"}`, or a list of such: of which strategy a choice is the control), `prompt`, `error`. A run's own file
scores to the run's own figures exactly.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pixcore.figures.rows import ANSWERS_ALONE, OWN_MASKS, RowSpec
from pixcore.protocols import LOOKED_AT
from pixcore.records import ProtocolResult, Sample, Selection
from pixcore.stages.serialise import candidate_to_json

NO_PREDICTION = "no prediction"
"""The error, or the verdict's reason, of a sample of which a predictions file has no line."""


def prediction_line(sample: Sample, result: ProtocolResult, rows: Iterable[RowSpec] = ()) -> dict[str, Any]:
    """Write one result as a line's JSON data.

    Args:
        sample: The sample.
        result: One protocol's result.
        rows: The table's rows: which selections belong to the control, and which saw the ground truth.
    """
    specs = {row.key: row for row in rows}
    line: dict[str, Any] = {
        "sample_id": sample.id,
        "protocol": str(result.protocol),
        "prompt": result.prompt,
        "text": result.response.text if result.response is not None else "",
    }
    if result.verdict is not None:
        failed = {} if result.verdict.error is None else {"error": result.verdict.error}
        line["verdict"] = {"correct": result.verdict.correct, "reason": result.verdict.reason, **failed}
    if result.response is not None and result.response.tokens:
        line["token_spans"] = [[token.start, token.end] for token in result.response.tokens]
    if result.response is not None and result.response.mask is not None:
        line["mask"] = result.response.mask
    mined = bool(specs.keys() - {OWN_MASKS, ANSWERS_ALONE}) if specs else "mask" not in line
    if mined and result.response is not None and (result.selections or result.protocol in LOOKED_AT):
        line["candidates"] = [
            candidate_to_json(one) | ({} if place is None else {"place": round(place, 2)})
            for one in result.candidates
            for place in [None if one.group is None else one.group.place(line["text"])]
        ]
    selections = result.selections if mined else {}  # of a run without mined masks nothing was offered, nor chosen
    choices: dict[str | None, dict[str, Any]] = {None: {}, **{name: {} for name in result.controls}}
    for name, selection in selections.items():
        choices.setdefault(specs[name].pool if name in specs else None, {})[name] = _choice_to_json(selection)
    if own := choices.pop(None):
        line["choices"] = own
    controls = [
        {
            "name": name,
            "candidates": [candidate_to_json(candidate) for candidate in result.controls.get(name or "", ())],
            "choices": chosen,
            "of": {key: specs[key].control_of for key in chosen},
        }
        for name, chosen in choices.items()
    ]
    if controls:
        line["control"] = controls[0] if len(controls) == 1 else controls
    if bounds := sorted(name for name in selections if name in specs and specs[name].uses_ground_truth):
        line["upper_bounds"] = bounds
    if result.error is not None:
        line["error"] = result.error
    return line


def _choice_to_json(selection: Selection) -> Any:
    if selection.outcome == "failed":
        return {"failed": selection.reason}
    scored = selection.score is not None and math.isfinite(selection.score)
    if selection.outcome != "chosen":
        return {selection.outcome: selection.score} if scored else selection.outcome
    return {"candidate": selection.candidate, "mask": selection.mask} | ({"score": selection.score} if scored else {})
