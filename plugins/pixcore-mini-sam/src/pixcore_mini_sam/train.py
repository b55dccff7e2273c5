"""Trains mini-sam: ``python -m pixcore_mini_sam.train --out runs/mini-sam``.

A small SAM learns, on mini-world's training side, to give the mask that a point or a box stands for: a part, a whole
thing or the ground. Of its three masks the best one learns, as SAM's do, and each learns to say how good it is. Every
batch follows from seed and step, and once a minute everything is written to ``OUT/checkpoint.safetensors``; the same
command goes on from there. The finished model is in ``OUT/model``, in the layout of SAM's checkpoints.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from pixcore_mini.arguments import at_least, device, ended_by_one_line, folder, seed
from pixcore_mini.checkpoint import load_checkpoint, progress_of, recipe_json, save_checkpoint
from pixcore_sam.hub import IMAGENET
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, interpolate
from torch.utils.data import DataLoader
from transformers import SamModel

from pixcore_mini_sam.batches import PROMPTS, PromptBatches, Prompted
from pixcore_mini_sam.network import SIDE, build

_VALIDATION = 12
"""Batches of the validation side that are measured at the end."""


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the weights.

    Attributes:
        seed: Of the initialisation and of every batch.
        steps: Optimizer steps.
        rate: The peak learning rate; from half of the steps on it falls along a cosine to a fiftieth.
        warmup: Steps until the peak.
    """

    seed: int = 1
    steps: int = 2000
    rate: float = 1.5e-3
    warmup: int = 100

    def rate_at(self, step: int) -> float:
        """Give the learning rate of a step."""
        fall = 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * step / self.steps - 1)))
        return self.rate * min(1.0, (step + 1) / self.warmup) * (0.02 + 0.98 * fall)


def losses(model: SamModel, batch: Prompted) -> tuple[Tensor, Tensor]:
    """Give a batch's loss, and the IoU (images, prompts) of the mask that the model itself scores highest."""
    mean, deviation = (torch.tensor(values, device=batch.images.device).view(1, 3, 1, 1) for values in IMAGENET)
    seen = (batch.images.permute(0, 3, 1, 2).float() / 255 - mean) / deviation
    place = "input_boxes" if batch.boxes else "input_points"
    found = model(pixel_values=seen, multimask_output=True, **{place: batch.places})
    low = found.pred_masks.flatten(0, 1).float()
    logits = interpolate(low, (SIDE, SIDE), mode="bilinear", align_corners=False).reshape(-1, PROMPTS, 3, SIDE, SIDE)
    truth = batch.masks[:, :, None].expand_as(logits)
    right = truth.to(logits.dtype)
    likely, over = logits.sigmoid(), (-2, -1)
    entropy = binary_cross_entropy_with_logits(logits, right, reduction="none").mean(over)
    dice = 1 - (2 * (likely * right).sum(over) + 1) / (likely.sum(over) + right.sum(over) + 1)
    best = (2.0 * entropy + 0.5 * dice).min(dim=-1).values.mean()
    with torch.no_grad():
        said = logits > 0
        ious = (said & truth).sum(over) / (said | truth).sum(over).clamp(min=1)
    scores = found.iou_scores.float()
    chosen = ious.gather(-1, scores.argmax(-1, keepdim=True))[..., 0]
    return best + (scores - ious).square().mean(), chosen


def train(
    recipe: Recipe, out: Path, device: str = "cpu", stop_after: int | None = None, save_every: float = 60.0
) -> None:
    """Train to the end and write the model, or go on from a checkpoint.

    Args:
        recipe: What to do.
        out: Folder for the checkpoint, the log and the model.
        device: A torch device.
        stop_after: Stop, with a checkpoint, after so many steps of this call.
        save_every: Seconds between two checkpoints.
    """
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = out / "checkpoint.safetensors"
    torch.manual_seed(recipe.seed)
    model = build().to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=recipe.rate, betas=(0.9, 0.98), weight_decay=0.02)
    start = 0
    if progress := progress_of(checkpoint, recipe):
        start = progress["step"]
        load_checkpoint(checkpoint, model, optimizer)
    stop = recipe.steps if stop_after is None else min(recipe.steps, start + stop_after)
    steps: DataLoader[Any] = DataLoader(PromptBatches(recipe.seed), batch_size=None, sampler=range(start, stop))
    recent, saved = list[float](), time.monotonic()
    for done, batch in enumerate(steps, start + 1):
        for group in optimizer.param_groups:
            group["lr"] = recipe.rate_at(done - 1)
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
            loss, ious = losses(model, _moved(batch, device))
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        recent.append(ious.mean().item())
        if done % 25 == 0:
            _log(out, step=done, loss=round(loss.item(), 4), iou=round(sum(recent) / len(recent), 4))
            recent.clear()
        if time.monotonic() - saved > save_every or done == stop:
            save_checkpoint(checkpoint, model, optimizer, {"step": done, "recipe": recipe_json(recipe)})
            saved = time.monotonic()
    if stop == recipe.steps:
        _log(out, step=stop, **validate(model, device))
        model.half().save_pretrained(out / "model")


@torch.no_grad()
def validate(model: SamModel, device: str = "cpu") -> dict[str, float]:
    """Measure the mean IoU on the validation side, of the mask that the model scores highest.

    Returns:
        Of points, of boxes, and of those points whose mask is less than a hundredth of the image ("small").
    """
    found: dict[str, list[Tensor]] = {"points": [], "boxes": [], "small": []}
    batches = PromptBatches(0, "validation")
    for step in range(_VALIDATION):
        batch = _moved(batches[step], device)
        ious = losses(model, batch)[1]
        found["boxes" if batch.boxes else "points"].append(ious.flatten())
        if not batch.boxes:
            found["small"].append(ious[batch.masks.sum((-2, -1)) < SIDE * SIDE / 100])
    return {name: round(float(torch.cat(each).mean()), 3) for name, each in found.items()}


def _moved(batch: Prompted, device: str) -> Prompted:
    return Prompted(batch.images.to(device), batch.places.to(device), batch.masks.to(device))


def _log(out: Path, **entry: Any) -> None:
    line = json.dumps(entry)
    with (out / "log.jsonl").open("a") as file:
        file.write(line + "\n")
    print(line, flush=True)


@ended_by_one_line()
def main(arguments: list[str] | None = None) -> None:
    """Run from the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m pixcore_mini_sam.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    default = Recipe()
    parser.add_argument("--out", type=folder, required=True, help="folder for checkpoint, log and model")
    parser.add_argument("--seed", type=seed, default=default.seed)
    parser.add_argument("--steps", type=at_least(1), default=default.steps, help="optimizer steps")
    parser.add_argument("--device", type=device, default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    train(Recipe(seed=options.seed, steps=options.steps), options.out, options.device)


if __name__ == "__main__":
    main()
