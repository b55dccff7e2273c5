"""What the miniature costs: images a second in training, both models' answers, and a mask beside its answer.

    python benchmarks/speed/miniature.py

Processor time of one thread. A step of a stage takes the batch of its recipe, and its images are drawn in it. Answers
are to what asks for the masks of 16 samples, eight at a time, with no attention read; a mask's cost is that of
mini-seg's answers with their masks less that of the same answers alone. Memory is the peak of a process of its own.
Writes `miniature.json` beside itself.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from _measure import in_turn, write
from pixcore_mini.adapter import Mini
from pixcore_mini.batches import all_queries
from pixcore_mini.config import MiniConfig
from pixcore_mini.dialogue import segment_prompt as mini_prompt
from pixcore_mini.probe import AttributeDecoder
from pixcore_mini.trainer import STAGES
from pixcore_mini.trainer import Recipe as MiniRecipe
from pixcore_mini.trainer import Trainer as MiniTrainer
from pixcore_mini_seg.adapter import MiniSeg
from pixcore_mini_seg.batches import MaskedBatches
from pixcore_mini_seg.config import MiniSegConfig
from pixcore_mini_seg.dialogue import VARIANTS, Variant, segment_prompt
from pixcore_mini_seg.network import base_model, new_decoder
from pixcore_mini_seg.trainer import Recipe, Trainer
from pixcore_mini_world.benchmark import MiniWorld
from pixcore_mini_world.config import MiniWorldConfig

from pixcore.records import Protocol, Request, Sample
from pixcore.terminal import Console


def stages(steps: int) -> dict[str, float]:
    """Images (in the letters' stage: questions) a processor second, in each stage."""
    with tempfile.TemporaryDirectory() as folder:
        found = dict(_mini(Path(folder), steps))
        for variant in VARIANTS:
            found[f"mini-seg {variant}"] = _mini_seg(variant, Path(folder), steps)
    return found


def _mini(folder: Path, steps: int) -> Iterator[tuple[str, float]]:
    trainer = MiniTrainer(MiniRecipe(), folder, console=Console(quiet=True))
    losses = (trainer._letters_loss, trainer._vision_loss, trainer._joint_loss)
    for stage, (name, loss_of) in enumerate(zip(STAGES, losses, strict=True)):
        trainer._attend(stage)
        drawn = (loss_of(batch) for batch in trainer._batches(stage, 0, steps + 1))
        yield f"mini, {name}", trainer.recipe.batch[stage] / _step(drawn, trainer._optimizer(stage))


def _mini_seg(variant: Variant, folder: Path, steps: int) -> float:
    trainer = Trainer(Recipe.of(variant), folder, console=Console(quiet=True))
    llava = base_model()
    scratch = trainer.recipe.rank is None
    width = llava.config.vision_config.hidden_size
    trainer.assemble(llava, new_decoder(llava), AttributeDecoder(all_queries(), width) if scratch else None)
    rows = range(trainer.recipe.batch)
    batches = MaskedBatches(trainer.encoder, variant, 1, rows, scratch=steps + 1 if scratch else None)
    losses = (trainer.losses(batches[step]) for step in range(steps + 1))
    return trainer.recipe.batch / _step((saying + masks for saying, masks, _ in losses), trainer._optimizer())


def _step(losses: Iterator[Any], optimizer: torch.optim.Optimizer) -> float:
    """Processor seconds of the quickest of some steps, their images drawn in them, after one that warms up."""
    seconds, began = [], time.process_time()
    for loss in losses:
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seconds.append(time.process_time() - began)
        began = time.process_time()
    return min(seconds[1:])


def requests(samples: Sequence[Sample], prompt: Callable[[str], str]) -> list[Request]:
    """What is asked of each sample."""
    return [Request(one.id, Protocol.SEGMENT, one.image, prompt(one.expression or "")) for one in samples]


def answers() -> dict[str, float]:
    """Processor seconds of an answer of each model, and of one with its mask."""
    samples = list(MiniWorld(MiniWorldConfig(pairs=8)).samples())
    mini, seg = Mini(MiniConfig()), MiniSeg(MiniSegConfig(checkpoint="b"))
    asked = {"mini": requests(samples, mini_prompt), "mini-seg": requests(samples, segment_prompt)}

    def both(model: Any, answer: Callable[..., Any], wanted: list[Request]) -> Callable[[], Any]:
        return lambda: [answer(model, wanted[at : at + 8]) for at in (0, 8)]

    seconds = in_turn(
        {
            "mini's answer": both(mini, Mini.answer, asked["mini"]),
            "mini-seg's answer": both(seg, Mini.answer, asked["mini-seg"]),
            "mini-seg's answer with its mask": both(seg, MiniSeg.answer, asked["mini-seg"]),
        },
        rounds=3,
    )
    return {name: each / len(samples) for name, each in seconds.items()}


def peak(model: str) -> float:
    """MiB of the most that a process held which answered with a model."""
    ran = subprocess.run([sys.executable, __file__, "--one", model], check=True, capture_output=True, text=True)
    return float(json.loads(ran.stdout))


def _one(model: str) -> None:
    samples = list(MiniWorld(MiniWorldConfig(pairs=4)).samples())
    if model == "mini":
        Mini(MiniConfig()).answer(requests(samples, mini_prompt))
    elif model == "mini-seg":
        MiniSeg(MiniSegConfig(checkpoint="b")).answer(requests(samples, segment_prompt))
    status = Path("/proc/self/status").read_text(encoding="ascii")  # of this program alone, not of what started it
    print(json.dumps(int(status.partition("VmHWM:")[2].split()[0]) / 1024))


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps of each stage")
    options = parser.parse_args()
    if options.one:
        return _one(options.one)
    torch.set_num_threads(1)
    speeds, seconds = stages(options.steps), answers()
    memory = {name: peak(name) for name in ("nothing", "mini", "mini-seg")}
    mask = (seconds["mini-seg's answer with its mask"] - seconds["mini-seg's answer"]) / seconds["mini-seg's answer"]
    write("miniature", {"images/s": speeds, "s": seconds, "a mask in answers": mask, "MiB": memory})
    for name, speed in speeds.items():
        print(f"{name:32} {speed:6.1f} images a second")
    for name, each in seconds.items():
        print(f"{name:32} {1000 * each:6.0f} ms")
    print(f"a mask costs {mask:.2f} of its answer; MiB: " + ", ".join(f"{k} {v:.0f}" for k, v in memory.items()))


if __name__ == "__main__":
    main()
