"""The demo's generator `regions` beside scikit-image's SLIC, and what ten prompts cost in a large image.

    python benchmarks/speed/regions.py

A photograph at 640x480 is cut into regions, by SLIC, and at the working size of 512 by the segmentation that `regions`
begins with alone; at 2,560x1,920 ten prompts are asked of it once it is cut, with their masks encoded. Writes
`regions.json` beside itself.
"""

from __future__ import annotations

import numpy as np
from _measure import in_turn, write
from PIL import Image as PILImage
from pixcore_regions.config import RegionsConfig
from pixcore_regions.generator import Regions
from skimage import data
from skimage.color import rgb2lab
from skimage.segmentation import felzenszwalb, slic

from pixcore.masks import encode_many
from pixcore.records import Image, PointPrompt


def main() -> None:
    photograph = PILImage.fromarray(data.astronaut()).resize((640, 480))
    pixels = np.asarray(photograph)
    image, large = Image.from_pixels(pixels), Image.from_pixels(np.asarray(photograph.resize((2560, 1920))))
    prompts = [PointPrompt.at((4 * (50 + 50 * place), 4 * (100 + 20 * place))) for place in range(10)]
    lab = rgb2lab(photograph.resize((512, 384))).astype(np.float32)
    cut = Regions(RegionsConfig())
    cut.segmented(large)
    seconds = in_turn(
        {
            "slic": lambda: slic(pixels, n_segments=100),
            "felzenszwalb alone": lambda: felzenszwalb(lab / 100, scale=4, sigma=0, min_size=12),
            "regions": lambda: Regions(RegionsConfig()).segmented(image),
            "regions, 2560": lambda: Regions(RegionsConfig()).segmented(large),
            "ten prompts, 2560": lambda: [encode_many(one.masks, one.size) for one in cut.segment(large, prompts)],
        }
    )
    slic_seconds = seconds["slic"]
    shares = {name: each / slic_seconds for name, each in seconds.items() if name != "slic"}
    write("regions", {"s": seconds, "of slic": shares})
    for name, share in shares.items():
        print(f"{name:18} {seconds[name]:.3f} s, {share:.2f} of slic at 640x480")


if __name__ == "__main__":
    main()
