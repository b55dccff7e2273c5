"""The generator `sam` beside `sam-transformers`, on the same weights: one decoder serves both.

    python benchmarks/speed/sam.py

30 prompts of an encoded image of 640x480, by a SAM whose decoder is as large as the released ones' and whose encoder is
small. The masks of both are compared. Writes `sam.json` beside itself.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from _measure import in_turn, write
from pixcore_sam.config import SamConfig, SamTransformersConfig
from pixcore_sam.hub import SamTransformers
from pixcore_sam.official import Sam
from pixcore_sam.testing import as_transformers, small_sam

from pixcore.records import Image, PointPrompt


def main() -> None:
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    image = Image.from_pixels(rng.integers(0, 255, (480, 640, 3), dtype=np.uint8))
    prompts = [PointPrompt.at((int(rng.integers(640)), int(rng.integers(480)))) for _ in range(30)]
    with tempfile.TemporaryDirectory() as folder:
        model = small_sam(side=1024, patch=16, channels=256, inner=2048)
        torch.save(model.state_dict(), f"{folder}/sam.pth")
        as_transformers(model).save_pretrained(f"{folder}/hub")
        official = Sam(SamConfig(checkpoint=Path(folder, "sam.pth")))
        hub = SamTransformers(SamTransformersConfig(checkpoint=f"{folder}/hub"))
    found = zip(official.segment(image, prompts), hub.segment(image, prompts), strict=True)
    iou = min((one.masks & other.masks).sum() / (one.masks | other.masks).sum() for one, other in found)
    ways = {"sam": lambda: official.segment(image, prompts), "sam-transformers": lambda: hub.segment(image, prompts)}
    seconds = in_turn(ways, 3)
    share = seconds["sam"] / seconds["sam-transformers"]
    write("sam", {"s": seconds, "share": share, "lowest IoU": float(iou)})
    print(f"30 prompts: sam {seconds['sam']:.2f} s, {share:.2f} of sam-transformers; lowest IoU {iou:.6f}")


if __name__ == "__main__":
    main()
