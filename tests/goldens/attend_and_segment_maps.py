"""From attention to points, against attend-and-segment's own numbers: the part of `goldens` about maps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_attention.transforms import SubtractMean
from pixcore_points.config import PeakConfig
from pixcore_points.peaks import Peak

from pixcore.components import Context, NoConfig
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Fidelity, Response, Token, TokenGroup
from pixcore.stages.propose import group_maps
from tests.goldens.attend_and_segment_text import Tokenizers, grouper, key_patterns
from tests.goldens.runner import Check, GoldenSet, load_arrays

Arrays = Mapping[str, NDArray[Any]]

_EXACT = 1e-6  # float32 of values up to 1; the interpolation here runs in float64
_PUBLISHED = Context(fidelity=Fidelity.PUBLISHED)
_SUBTRACT = SubtractMean(NoConfig())
_REDUCTIONS = {
    "pixfoundation": MeanConfig.model_validate({}),
    # its slice takes one head, the second to last, where the second to last row was meant
    "groundlmm": MeanConfig.model_validate({"heads": (-2,), "prefill_row": -1}),
}
_REQUIRED = (
    *("groups", "groups_in_rows", "kept", "token_mean", "stack", "group_maps", "points", "points_sam1024", "table"),
    *(f"{what}_{code}" for what in ("stack", "subtracted") for code in _REDUCTIONS),
)
"""Arrays that must be compared where a set has them, by the last part of their names."""

_ALIGNMENTS = ("predict", "query")
_RULES = {"groups_chunk": "phrase", "groups_root": "root"}


def compare_maps(cases: Sequence[Mapping[str, Any]], folder: Path, tokenizers: Tokenizers) -> GoldenSet:
    """The reduction of attention, groups on its rows in both alignments, their maps, upsampled maps and points.

    `predict` groups the new tokens, whose rows predicted them; `query` counts the begin token in, so that the last
    token has no row.
    """
    if not cases:
        return GoldenSet((), ())
    inputs, outputs = (load_arrays(folder / f"attention_{which}.npz") for which in ("inputs", "outputs"))
    places = {"unpad", *(case["case"] for case in cases)}
    expected: dict[str, Any] = {name: value for name, value in outputs.items() if name.partition("/")[0] in places}
    for case in cases:
        if case["kind"] != "full" and tokenizers.file(case["variant"]) is not None:
            expected.update(_told_groups(case))

    def checks() -> Iterator[Check]:
        for case in cases:
            if case["kind"] == "full":
                yield from _reductions(case, inputs, expected)
            else:
                yield from _case(case, inputs, expected, tokenizers)
        if "unpad/table" in expected and find_spec("pixcore_cambrian") is not None:
            yield Check("unpad/table", _unpadded(expected["unpad/table"]))

    lacking = {
        pattern: f"needs {package}"
        for pattern, package in (("*/points_sam1024", "pixcore_sam"), ("unpad/table", "pixcore_cambrian"))
        if find_spec(package) is None
    }
    required = [
        name
        for name in expected
        if name.rpartition("/")[2] in _REQUIRED and not any(fnmatchcase(name, pattern) for pattern in lacking)
    ]
    return GoldenSet(checks(), key_patterns(required), expected, lacking)


def _told_groups(case: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """What the released code's groups amount to, by the names of the checks; none where it fails before it has them."""
    for alignment in _ALIGNMENTS:
        if case[f"groups_{alignment}"] is None:
            continue
        place = f"{case['case']}/{alignment}"
        groups = [[group["phrase"], group["core_word"], group["tokens"]] for group in case[f"groups_{alignment}"]]
        yield f"{place}/groups", _within(groups)
        yield f"{place}/groups_in_rows", _within(groups, case["steps"])
        if case[f"error_{alignment}"] is None:
            yield f"{place}/kept", _within([groups[index] for index in case[f"kept_{alignment}"]])


def _within(groups: Sequence[list[Any]], steps: float = np.inf) -> list[list[Any]]:
    """Groups with the tokens that have a row, where any has."""
    cut = [[phrase, root, [token for token in tokens if token < steps]] for phrase, root, tokens in groups]
    return [group for group in cut if group[-1]]


def _reductions(case: Mapping[str, Any], inputs: Arrays, expected: Arrays) -> Iterator[Check]:
    """Whole attention to one row for each token, by both released codes."""
    name, image = case["case"], slice(case["image_token_start"], case["image_token_end"])
    rows, cols = case["feature_height"], case["feature_width"]
    layout = VisualLayout.single(VisualGrid.stretched(rows, cols, (cols, rows)), newline=case["newline"])
    for code, config in _REDUCTIONS.items():
        extractor = Mean(config, _PUBLISHED)
        heads = list(extractor.needs.heads or range(case["heads"]))
        extractor.begin(1, case["layers"], len(heads), layout.tokens)
        for step in (inputs[f"{name}/prefill"][:, :, extractor.needs.prefill_row], *inputs[f"{name}/decode"]):
            for layer in range(case["layers"]):
                extractor.observe(layer, step[layer][None, heads, image])
            extractor.end_step()
        [maps] = extractor.maps()
        for what, found in (("stack", maps), ("subtracted", _SUBTRACT.transform(maps, layout, None))):
            if f"{name}/{what}_{code}" in expected:
                yield Check(f"{name}/{what}_{code}", _cells(layout, found), atol=_EXACT)


def _case(case: Mapping[str, Any], inputs: Arrays, expected: Arrays, tokenizers: Tokenizers) -> Iterator[Check]:
    """One response: its groups in both alignments, and what becomes of their maps."""
    name, size, steps = case["case"], (case["image_width"], case["image_height"]), case["steps"]
    newline = case["kind"] == "cambrian"
    maps = inputs[f"{name}/{'rows' if newline else 'stack'}"].astype(np.float32).reshape(steps, -1)
    rows, cols = expected[f"{name}/token_mean"].shape
    layouts = {
        "pad": VisualLayout.single(VisualGrid.padded_to_square(rows, cols, size), newline=newline),
        "original": VisualLayout.single(VisualGrid.stretched(rows, cols, size), newline=newline),
    }
    yield Check(f"{name}/token_mean", _cells(layouts["pad"], maps.mean(axis=0)[None])[0], atol=_EXACT)
    if newline and f"{name}/stack" in expected:
        yield Check(f"{name}/stack", _cells(layouts["pad"], maps))
    response = Response("", tuple(Token(0, "", 0, 0) for _ in maps), maps, layouts["pad"])
    for alignment in _ALIGNMENTS:
        place, told = f"{name}/{alignment}", case[f"groups_{alignment}"]
        if told is None:
            continue
        spoken = tokenizers.published(case["variant"], case["sequences"][alignment == "predict" :])
        if spoken is None:
            groups = [TokenGroup(tuple(group["tokens"]), group["phrase"], 0, 0) for group in told if group["tokens"]]
        else:
            group_by = grouper(_RULES[case["groups_field"]]).group
            groups = group_by(*spoken)
            yield Check(f"{place}/groups", _described(groups))
            # an adapter leaves the token without a row out of the response, so a phrase keeps its other tokens
            yield Check(f"{place}/groups_in_rows", _described(group_by(spoken[0], spoken[1][:steps])))
        if case[f"error_{alignment}"] is not None:
            continue
        kept = [group for group in groups if max(group.tokens) < steps]
        if spoken is not None:
            yield Check(f"{place}/kept", _described(kept))
        if not kept:
            continue
        values = group_maps(response, kept, [_SUBTRACT])
        yield Check(f"{place}/group_maps", _cells(layouts["pad"], values), atol=_EXACT)
        for aspect, layout in layouts.items():
            if f"{place}/{aspect}/points" in expected:
                upsampled = np.stack([layout.to_image(value, size) for value in values])
                yield from _upsampled(f"{place}/{aspect}", upsampled, expected)


def _upsampled(place: str, maps: NDArray[np.float32], expected: Arrays) -> Iterator[Check]:
    """Compare upsampled maps (groups, height, width) and their points."""
    highest = np.partition(maps.reshape(len(maps), -1), -2, axis=1)[:, -2:]
    points = np.stack([Peak(PeakConfig()).select(one).points[0] for one in maps]).astype(np.int64)
    found = {
        "points": points,
        "points_top5": np.stack([Peak(PeakConfig(rank=5)).select(one).points[0] for one in maps]).astype(np.int64),
        "up_shape": np.array(maps.shape),
        "up_sum": maps.astype(np.float64).sum(axis=(1, 2)),
        "up_corners": maps[:, [0, 0, -1, -1], [0, -1, 0, -1]],
        "up_sample": maps[:, ::53, ::41],
        "top_value": highest[:, 1],
        "top_gap": highest[:, 1] - highest[:, 0],
    }
    if find_spec("pixcore_sam") is not None:
        found["points_sam1024"] = _in_sams_frame(points, maps.shape[1:])
    tolerances = {"points": 0.0, "points_top5": 0.0, "up_shape": 0.0, "up_sum": _EXACT * maps[0].size}
    for name, value in found.items():
        if f"{place}/{name}" in expected:
            yield Check(f"{place}/{name}", value, atol=tolerances.get(name, _EXACT))


def _in_sams_frame(points: NDArray[np.int64], size: tuple[int, ...]) -> NDArray[np.float64]:
    """Points (n, 2), x first, of a (height, width) image where SAM's encoder sees them."""
    from pixcore_sam.generator import fitted

    height, width = size
    frame = fitted((height, width), 1024)
    return np.asarray(points * np.array([frame[1] / width, frame[0] / height]), np.float64)


def _unpadded(table: NDArray[np.int64]) -> NDArray[np.int64]:
    """Cambrian's grid without padding, for the (side, width, height) of each row."""
    from pixcore_cambrian.geometry import content

    rows = []
    for side, width, height in table[:, :3].tolist():
        kept = content(side, width, height)
        rows.append([side, width, height, kept.cols, kept.rows, kept.left, kept.top, kept.cols, kept.rows])
    return np.array(rows)


def _cells(layout: VisualLayout, maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """Maps (n, visual tokens) as grids (n, rows, cols)."""
    return np.stack([layout.cell_values(one)[0] for one in maps])


def _described(groups: Sequence[TokenGroup]) -> list[list[Any]]:
    return [[group.phrase, group.root, list(group.tokens)] for group in groups]
