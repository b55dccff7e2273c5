"""A known text's attention, by one teacher-forced pass, beside generating it with the tap open.

    python benchmarks/speed/replay.py

LLaVA-1.5's 576 visual tokens before a stack of 2 layers with 16 heads of 64, random weights, one sample, one thread:
the text is generated with the tap open, and then replayed. The memory is what torch allocates at most beside the
weights, over stacks of 2 to 16 layers; "held" is an extractor that takes one step after another, for which the rows of
all layers wait. Writes `replay.json` beside itself.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import torch
from _measure import in_turn, write
from attention_tap import MIB, Shape, peak
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_transformers.batch import Batch
from pixcore_transformers.generation import Settings
from pixcore_transformers.reading import Reader

SHAPE = Shape(2, 16, 64, 2816, 576)
LENGTHS = (64, 256)


class StepByStep(Mean):
    """The mean, for which the rows of all layers wait."""

    observe_steps = property()  # type: ignore[assignment]  # is not there


def live(model: Any, batch: Batch, steps: int) -> tuple[list[list[int]], list[Any]]:
    return Reader(model, Mean(MeanConfig()), own_row=False).generate(batch, Settings(steps, end=()), [0])


def replayed(model: Any, batch: Batch, tokens: list[list[int]], kind: type[Mean] = Mean) -> list[Any]:
    return Reader(model, kind(MeanConfig()), own_row=False).replay(batch, tokens)


def times(rounds: int) -> dict[str, Any]:
    model = SHAPE.build("cpu", "sdpa")
    batch = SHAPE.batch(model, 1)
    found: dict[str, Any] = {"shape": vars(SHAPE), "threads": 1}
    for length in LENGTHS:
        tokens, maps = live(model, batch, length)
        np.testing.assert_allclose(replayed(model, batch, tokens)[0], maps[0], rtol=0, atol=1e-5)
        seconds = in_turn(
            {
                "live": partial(live, model, batch, length),
                "replay": partial(replayed, model, batch, tokens),
            },
            rounds,
        )
        found[f"{length} tokens"] = {"s": seconds, "replay of live": seconds["replay"] / seconds["live"]}
    return found


def memory(length: int = 64) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for layers in (2, 4, 8, 16):
        shape = Shape(layers, 8, 16, 512, 576)
        model = shape.build("cpu", "sdpa")
        batch = shape.batch(model, 1)
        tokens, _ = live(model, batch, length)
        own: dict[str, float] = {}
        for name, way in {
            "live": partial(live, model, batch, length),
            "replay": partial(replayed, model, batch, tokens),
            "replay, held": partial(replayed, model, batch, tokens, StepByStep),
        }.items():
            way()
            with peak("cpu") as highest:
                way()
            own[name] = round(highest[0] / MIB, 2)
        found[f"{layers} layers"] = own
    return {f"MiB, {length} tokens": found}


def main() -> None:
    torch.set_num_threads(1)
    result = {"time": times(3), "memory": memory()}
    write("replay", result)
    for length in LENGTHS:
        each = result["time"][f"{length} tokens"]
        print(f"{length:4} tokens: {each['replay of live']:.3f} of generating with the tap ({each['s']['live']:.2f} s)")
    for layers, own in next(iter(result["memory"].values())).items():
        print(f"{layers}: " + ", ".join(f"{name} {size:.1f} MiB" for name, size in own.items()))


if __name__ == "__main__":
    main()
