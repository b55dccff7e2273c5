"""Positions that change with the length: a text that reaches there is refused, and one that does not is like others."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pixcore_attention.config import MeanConfig, RelativeConfig
from pixcore_attention.mean import Mean
from pixcore_attention.relative import Relative
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.lengths import turning_length
from pixcore_transformers.testing import checks
from transformers import Gemma3TextConfig, LlamaConfig

from pixcore.components import Context
from pixcore.errors import DataError

KINDS = ["dynamic", "longrope"]
Making = Callable[..., Path]


def turning(source: Path, folder: Path, kind: str, most: int) -> Path:
    """Copy a checkpoint, its positions changing beyond `most` tokens."""
    shutil.copytree(source, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    text: dict[str, Any] = config["text_config"]
    half = (text.get("head_dim") or text["hidden_size"] // text["num_attention_heads"]) // 2
    rotary: dict[str, Any] = {"rope_type": kind, "rope_theta": 10000.0, "factor": 4.0}
    if kind == "longrope":
        rotary |= {"short_factor": [1.0] * half, "long_factor": [2.0 + i for i in range(half)]}
        rotary["original_max_position_embeddings"] = most
    text["max_position_embeddings"] = most if kind == "dynamic" else 4 * most
    text["rope_parameters"] = rotary
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


def lengths(folder: Path) -> list[int]:
    """Tokens of each request's prompt."""
    adapter = checks.adapter_of(folder)
    return [adapter.prepare([request]).length for request in checks.requests()]


def mean() -> Mean:
    return Mean(MeanConfig(), Context())


def refused(adapter: TransformersAdapter, most: int) -> pytest.RaisesExc[DataError]:
    """Expect the first request alone to be refused; the second is answered by itself."""
    (response,) = adapter.answer(checks.requests()[1:], mean())
    assert response.maps is not None
    return pytest.raises(
        DataError, match=rf"^sample (?:0|image): \d+ tokens of prompt and \d+ of answer pass {most}, beyond"
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["internvl", "smolvlm"])
def test_a_text_that_reaches_just_there_is_like_any_other(
    checkpoint: Making, tmp_path: Path, family: str, kind: str
) -> None:
    source = checkpoint(family)
    folder = turning(source, tmp_path / family, kind, max(lengths(source)) + checks.NEW_TOKENS)
    for check in ("rows", "batches", "replay"):
        assert checks.CHECKS[check](folder) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_text_that_may_pass_it_is_refused_and_its_neighbour_is_not(
    checkpoint: Making, tmp_path: Path, kind: str
) -> None:
    source = checkpoint("internvl")
    longest, shorter = lengths(source)
    assert longest > shorter
    most = longest + checks.NEW_TOKENS - 1
    adapter = checks.adapter_of(turning(source, tmp_path / "internvl", kind, most))
    first = checks.requests()[0]
    with refused(adapter, most) as error:
        adapter.answer([first], mean())
    assert error.value.hint == "set max_new_tokens to at most 4, or ask with a smaller image or a shorter text"
    with refused(adapter, most):
        adapter.answer([first])  # its words would change too
    with refused(adapter, most):
        adapter.replay([first], ["and so on, and on"], mean())
    (short,) = adapter.replay([first], ["a"], mean())
    assert short.text == "a"
    with refused(adapter, most):
        adapter.probability(first.image, first.prompt, ["and so on, and on"])


def test_a_prompt_that_passes_it_alone_is_refused_and_so_is_a_reference(checkpoint: Making, tmp_path: Path) -> None:
    source = checkpoint("internvl")
    most = lengths(source)[0] - 1
    adapter = checks.adapter_of(turning(source, tmp_path / "internvl", "dynamic", most), max_new_tokens=1)
    first, second = checks.requests()
    with refused(adapter, most) as error:
        adapter.answer([first], mean())
    assert error.value.hint == "ask with a smaller image or a shorter text"
    relative = Relative(
        RelativeConfig(layers=(0,), reference_prompt="Write a general description of the image. " * 20), Context()
    )
    with pytest.raises(DataError, match=r"^sample 1: \d+ tokens of prompt and 0 of answer pass"):
        adapter.answer([second], relative)


def test_positions_of_each_kind_of_layers_are_looked_at() -> None:
    plain = {"rope_type": "default", "rope_theta": 10000.0}
    dynamic = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 2.0}
    both = Gemma3TextConfig(
        max_position_embeddings=300, rope_parameters={"full_attention": dynamic, "sliding_attention": plain}
    )
    assert turning_length(both) == ("dynamic", 300)
    assert turning_length(LlamaConfig(rope_parameters=plain)) is None
    yarn = {"rope_type": "yarn", "rope_theta": 10000.0, "factor": 4.0, "original_max_position_embeddings": 100}
    assert turning_length(LlamaConfig(rope_parameters=yarn)) is None
