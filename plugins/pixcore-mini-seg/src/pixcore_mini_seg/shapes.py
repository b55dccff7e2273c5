"""Train the mask decoder alone, as SAM's is before LISA begins: words that are fixed vectors prompt it."""

from __future__ import annotations

import hashlib
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from pixcore_mini.checkpoint import check_alike, load_checkpoint, read_progress, save_checkpoint
from pixcore_mini.network import pixels
from pixcore_mini_world.kinds import COLOURS, KINDS
from pixcore_mini_world.render import render
from pixcore_mini_world.scene import make_scene, scene_random
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from pixcore_mini_seg.decoder import MaskDecoder, at_size, ious, mask_loss
from pixcore_mini_seg.dialogue import PARTS, regions_of

RATE = 3e-3
_WHOLE = "whole"
_WORDS = (*KINDS, *COLOURS, *PARTS, _WHOLE)
_IMAGES, _REGIONS, _WARMUP = 4, 6, 50

Shapes = tuple[Tensor, Tensor, Tensor, Tensor]
"""Images (4, height, width, 3) uint8; prompts (n, width); whose they are (n,); masks (n, height, width) bool."""


class ShapeBatches(Dataset[Shapes]):
    """Regions of scenes of the training side, each with the words for it; a function of (seed, step) alone."""

    def __init__(self, seed: int, width: int) -> None:
        """Draws the words' vectors, which are `width` wide."""
        self._seed = seed
        drawn = torch.randn(len(_WORDS), width, generator=torch.Generator().manual_seed(seed))
        self._vectors = dict(zip(_WORDS, drawn, strict=True))

    def __getitem__(self, step: int) -> Shapes:
        """The batch of one step."""
        images, prompts, owners, masks = [], [], [], []
        for row in range(_IMAGES):
            rng = scene_random("train", self._seed, "mini-seg", "shapes", step, row)
            scene = make_scene(rng, "train")
            picture = render(scene)
            images.append(picture.image)
            regions = regions_of(scene)
            for index, part in rng.sample(regions, min(_REGIONS, len(regions))):
                thing = scene.things[index]
                words = (thing.kind, thing.colour, part or _WHOLE)
                prompts.append(torch.stack([self._vectors[word] for word in words]).sum(dim=0) / 3**0.5)
                owners.append(row)
                masks.append(picture.mask(index, part))
        drawn = torch.from_numpy(np.stack(masks))
        return torch.from_numpy(np.stack(images)), torch.stack(prompts), torch.tensor(owners), drawn


def train_shapes(decoder: MaskDecoder, tower: nn.Module, out: Path, *, seed: int, steps: int, width: int) -> None:
    """Train a decoder in place, or go on from `out`'s checkpoint; where that is at the end, read it.

    Args:
        decoder: From the seed's random state.
        tower: The trained vision tower, which stays as it is.
        out: Folder of the checkpoint and the log.
        seed: Of every batch.
        steps: Optimizer steps.
        width: Of the states that will prompt the decoder.

    Raises:
        SystemExit: The checkpoint was made with another recipe or another tower; one that does not say with which
            tower is refused.
    """
    out.mkdir(parents=True, exist_ok=True)
    path = out / "checkpoint.safetensors"
    about = {"seed": seed, "steps": steps, "tower": _hash(tower)}
    optimizer = torch.optim.AdamW(decoder.parameters(), lr=RATE, betas=(0.9, 0.98))
    start = 0
    if path.exists():
        progress = read_progress(path)
        if progress["about"].get("tower") != about["tower"]:
            raise SystemExit(
                f"{path} was made with another vision tower, or does not say with which: another mini is installed, "
                "or the tower was trained anew; move the folder away"
            )
        check_alike(path, progress["about"], about)
        start = progress["step"]
        load_checkpoint(path, decoder, optimizer)
    device = next(decoder.parameters()).device
    loader: DataLoader[Shapes] = DataLoader(ShapeBatches(seed, width), batch_size=None, sampler=range(start, steps))
    saved = time.monotonic()
    for done, batch in enumerate(loader, start + 1):
        images, prompts, owners, masks = (tensor.to(device) for tensor in batch)
        for group in optimizer.param_groups:
            fall = 0.5 * (1 + math.cos(math.pi * max(0.0, 2 * done / steps - 1)))
            group["lr"] = RATE * min(1.0, done / _WARMUP) * (0.02 + 0.98 * fall)
        seen = pixels(images)
        with torch.autocast(device.type, dtype=torch.bfloat16):
            with torch.no_grad():
                patches = tower(pixel_values=seen).last_hidden_state[:, 1:]
            logits = decoder(prompts, owners, patches, seen)
        logits = at_size(logits.float(), (int(masks.shape[1]), int(masks.shape[2])))
        loss = mask_loss(logits, masks)
        optimizer.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(decoder.parameters(), 1.0)
        optimizer.step()
        if done % 25 == 0 or done == steps:
            entry = {"step": done, "masks": round(loss.item(), 4), "iou": round(ious(logits, masks).mean().item(), 4)}
            with (out / "log.jsonl").open("a") as file:
                file.write(json.dumps(entry) + "\n")
        if time.monotonic() - saved > 60 or done == steps:
            save_checkpoint(path, decoder, optimizer, {"step": done, "about": about})
            saved = time.monotonic()


def _hash(tower: nn.Module) -> str:
    """Hash a tower's weights."""
    digest = hashlib.sha256()
    for name, tensor in tower.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
