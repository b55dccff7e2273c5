"""Whether a model fits, and what is said of one that does not."""

from __future__ import annotations

import re

import pytest
import torch
from pixcore_transformers.config import TransformersConfig
from pixcore_transformers.fitting import Weights, check_room, fast_halves
from torch import nn

from pixcore.errors import ModelError
from pixcore.stages.memory import free_memory


class System(nn.Module):
    """A tower, a projector and a language model of two layers and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.tower = nn.Linear(10, 10, bias=False)
        self.projector = nn.Linear(10, 20, bias=False)
        self.language = nn.Module()
        self.language.up = nn.Linear(20, 100)
        self.language.down = nn.Linear(100, 20, bias=False)
        self.language.lm_head = nn.Linear(20, 7, bias=False)


def test_weights_are_counted_by_what_options_do_about_them() -> None:
    weights = Weights.of(System(), towers=("tower",), language="language")
    assert weights == Weights(layers=4000, other=200 + 100 + 140, towers=((100, False),))
    assert weights.taken(torch.float16) == 2 * (4000 + 440 + 100)
    assert weights.taken(torch.float16, "8bit") == 4000 + 2 * (440 + 100)
    assert weights.taken(torch.float16, "4bit", offload=True) == 2250 + 2 * (440 + 100)
    whole = Weights.of(System(), towers=("tower", "projector"), whole=True)
    assert whole == Weights(whole=4240, towers=((100, True), (200, True)))
    assert whole.taken(torch.float16) == 4 * 4540
    assert whole.taken(torch.float16, offload=True) == 4 * (4240 + 200)
    assert (weights + whole).taken(torch.float16) == weights.taken(torch.float16) + whole.taken(torch.float16)


def refusal(weights: Weights, **options: object) -> ModelError:
    config = TransformersConfig.model_validate({"checkpoint": "lab/large", "device_map": "cpu", **options})
    with pytest.raises(ModelError) as refused:
        check_room("lab/large", weights, config, torch.float32)
    return refused.value


def test_what_does_not_fit_a_cpu_says_what_does() -> None:
    free = free_memory()
    if free is None:
        pytest.skip("this machine does not say what it has")
    if torch.cuda.is_available():
        pytest.skip("its GPU may have room")
    error = refusal(
        Weights(other=free * 3 // 8)
    )  # one and a half times what there is; three quarters in half of the bytes
    assert re.fullmatch(
        r"lab/large needs [\d.]+ GiB of this machine's memory for its weights in float32, [\d.]+ GiB are free",
        error.message,
    )
    slow = "" if fast_halves() else ", but is several times slower on this CPU"
    assert error.hint == f"dtype: bfloat16 makes it fit{slow}"
    assert refusal(Weights(layers=free * 3 // 4)).hint == "quantization: 8bit makes it fit"
    assert refusal(Weights(other=free * 3)).hint == "no option makes it fit here: try a smaller model"
