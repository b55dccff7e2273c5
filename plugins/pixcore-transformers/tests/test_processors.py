"""Processors load with their own or the config's image options, and say what is missing."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image as PILImage
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_testing import inputs
from pixcore_transformers.adapter import TransformersAdapter
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.processors import load_processor
from pixcore_transformers.testing import RECIPES

from pixcore.components import Context
from pixcore.errors import ConfigError, ModelError, SampleError

NO_TORCHVISION = importlib.util.find_spec("torchvision") is None


def tokens(processor: Any, family: str, size: tuple[int, int] = (190, 90)) -> int:
    """How many tokens a prompt with an image has."""
    text = (RECIPES[family].placeholder or "<image>") + "Where?"
    return int(
        processor(images=[[PILImage.new("RGB", size, (9, 99, 199))]], text=[text], return_tensors="pt").input_ids.shape[
            1
        ]
    )


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("gemma3", {"do_pan_and_scan": True, "pan_and_scan_min_crop_size": 20}),
        ("internvl", {"max_patches": 1}),
        ("qwen2_5_vl", {"size": {"shortest_edge": 64, "longest_edge": 1024}}),
        ("smolvlm", {"do_image_splitting": False}),
        ("mistral3", {"size": {"longest_edge": 32}}),
    ],
)
def test_image_options_stand_in_for_the_checkpoint_s(
    family: str, options: dict[str, Any], checkpoint: Callable[..., Path]
) -> None:
    folder = checkpoint(family)
    own, changed = load_processor(folder), load_processor(folder, image_options=options)
    assert tokens(own, family) != tokens(changed, family)
    assert tokens(load_processor(folder), family) == tokens(own, family), "the options stay with their processor"


def test_an_unknown_image_option_is_named(checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(ConfigError, match="has no option 'max_patch'") as error:
        load_processor(checkpoint("internvl"), image_options={"max_patch": 1})
    assert "did you mean 'max_patches'" in error.value.hint


@pytest.mark.parametrize(
    ("family", "options"),
    [
        ("gemma3", {"do_resize": False}),
        ("gemma3", {"size": {"height": 20, "width": 20}}),
        ("llava", {"do_center_crop": False}),
        ("qwen2_5_vl", {"image_mean": [0.5]}),
        ("qwen2_5_vl", {"patch_size": 3}),
    ],
)
def test_an_image_option_that_does_not_fit_the_model_is_named(
    family: str, options: dict[str, Any], checkpoint: Callable[..., Path]
) -> None:
    settings = {"checkpoint": str(checkpoint(family)), "image_options": options, "max_new_tokens": 2}
    model = TransformersAdapter(TransformersConfig.model_validate(settings))
    with pytest.raises(SampleError) as error:
        model.answer([inputs.request(inputs.WIDE)])
    assert error.value.hint == f"do the image_options fit this model: {', '.join(options)}?"
    with pytest.raises(SampleError) as error:
        model.replay([inputs.request(inputs.WIDE)], ["Yes"], Mean(MeanConfig(), Context()))
    assert error.value.hint == f"do the image_options fit this model: {', '.join(options)}?"


def test_half_a_surrogate_pair_is_named(checkpoint: Callable[..., Path]) -> None:
    """It was the tokenizer's own error, with the hint that torchvision might be needed."""
    model = TransformersAdapter(TransformersConfig.model_validate({"checkpoint": str(checkpoint("llava"))}))
    with pytest.raises(SampleError, match=r"its text 'the \\ud800 cat' has half a surrogate pair"):
        model.answer([replace(inputs.request(inputs.WIDE), prompt="the \ud800 cat")])


@pytest.mark.skipif(not NO_TORCHVISION, reason="with torchvision they work")
def test_a_processor_that_needs_torchvision_says_so(checkpoint: Callable[..., Path]) -> None:
    model = TransformersAdapter(TransformersConfig.model_validate({"checkpoint": str(checkpoint("fuyu"))}))
    with pytest.raises(SampleError) as error:
        model.answer([inputs.request(inputs.WIDE)])
    assert error.value.hint == "it may need torchvision, which is not installed"
    with pytest.raises(ModelError) as refused:
        load_processor(checkpoint("llama4"))
    assert refused.value.hint == "install torchvision"


def test_a_folder_without_a_processor_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the processor of") as error:
        load_processor(tmp_path)
    assert "preprocessor_config.json" in error.value.hint


def test_code_in_a_checkpoint_does_not_run_unasked(checkpoint: Callable[..., Path], tmp_path: Path) -> None:
    for path in checkpoint("llava").glob("*.json"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    custom = {"processor_class": "Theirs", "auto_map": {"AutoProcessor": "theirs.Theirs"}}
    (tmp_path / "processor_config.json").write_text(json.dumps(custom))
    (tmp_path / "theirs.py").write_text("raise SystemExit('it ran')\n")
    with pytest.raises(ModelError) as error:
        load_processor(tmp_path)
    assert "set trust_remote_code" in error.value.hint


@pytest.mark.skipif(not NO_TORCHVISION, reason="with torchvision transformers loads the video half too")
@pytest.mark.parametrize("family", ["qwen2_vl", "internvl", "llava_onevision", "smolvlm", "pixtral"])
def test_image_halves_load_without_torchvision(family: str, checkpoint: Callable[..., Path]) -> None:
    processor: Any = load_processor(checkpoint(family))
    assert "video_processor" not in processor.get_attributes()
    assert tokens(processor, family) > 10
