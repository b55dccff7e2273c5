"""The demo's generator `regions` beside scikit-image's SLIC, and what ten prompts cost in a large image.

    python benchmarks/speed/regions.py

A photograph at 640x480 is cut into regions, by SLIC, and at the working size by the segmentation that `regions` begins
with alone; at 2,560x1,920 ten prompts are asked of it once it is cut, with their masks encoded. What the working size
does to masks is measured on the twenty objects of `photos`: the IoU of the best of three masks at twenty points in
each. Writes `regions.json` beside itself.
"""

from __future__ import annotations

import numpy as np
from _measure import in_turn, write
from PIL import Image as PILImage
from pixcore_photos.benchmark import Photos, PhotosConfig
from pixcore_regions.config import RegionsConfig
from pixcore_regions.generator import Regions
from skimage import data
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb, slic

from pixcore.masks import decode, encode_many, iou
from pixcore.records import Image, PointPrompt, Sample

SIDES = (640, 512, 448, 384, 320)
_POINTS = 20


def best_ious(sample: Sample, side: int) -> list[float]:
    """Ask for masks at points inside an object, cut at one working size; give the IoU of the best of each three."""
    assert sample.mask is not None
    rows, columns = decode(sample.mask).nonzero()
    chosen = np.random.default_rng(0).integers(0, len(rows), _POINTS)
    prompts = [PointPrompt.at((float(columns[place]), float(rows[place]))) for place in chosen]
    found = Regions(RegionsConfig(working_side=side)).segment(sample.image, prompts)
    return [float(iou(encode_many(one.masks, one.size), [sample.mask]).max()) for one in found]


def quality() -> dict[str, float]:
    """Give the mean over the objects of `photos`, by working size."""
    there = [sample for sample in Photos(PhotosConfig()).samples() if sample.mask is not None and not sample.absent]
    objects = {(sample.image.digest, sample.mask["counts"]): sample for sample in there if sample.mask is not None}
    return {str(side): float(np.mean([best_ious(one, side) for one in objects.values()])) for side in SIDES}


def main() -> None:
    photograph = PILImage.fromarray(data.astronaut()).resize((640, 480))
    pixels = np.asarray(photograph)
    image, large = Image.from_pixels(pixels), Image.from_pixels(np.asarray(photograph.resize((2560, 1920))))
    prompts = [PointPrompt.at((4 * (50 + 50 * place), 4 * (100 + 20 * place))) for place in range(10)]
    config = RegionsConfig()
    reduced = photograph.resize((config.working_side, config.working_side * 3 // 4))
    lab = rgb2lab(reduced).astype(np.float32)
    cut = Regions(config)
    cut.segmented(large)
    seconds = in_turn(
        {
            "slic": lambda: slic(pixels, n_segments=100),
            "felzenszwalb alone": lambda: felzenszwalb(lab / 100, scale=4, sigma=0, min_size=12),
            "regions": lambda: Regions(config).segmented(image),
            "regions, 2560": lambda: Regions(config).segmented(large),
            "ten prompts, 2560": lambda: [encode_many(one.masks, one.size) for one in cut.segment(large, prompts)],
        }
    )
    slic_seconds = seconds["slic"]
    shares = {name: each / slic_seconds for name, each in seconds.items() if name != "slic"}
    ious = quality()
    write(
        "regions", {"working side": config.working_side, "s": seconds, "of slic": shares, "IoU by working side": ious}
    )
    for name, share in shares.items():
        print(f"{name:18} {seconds[name]:.3f} s, {share:.2f} of slic at 640x480")
    print("IoU by working side: " + ", ".join(f"{side}: {value:.3f}" for side, value in ious.items()))


if __name__ == "__main__":
    main()
