"""A sample with many candidates: what merging duplicates and choosing among them costs.

    python benchmarks/speed/many_candidates.py [--candidates N]

N candidates with three masks of 640x480 each, as a segmenter gives them, and maps of 24x24. As a measure, pycocotools
called once for the IoU of all masks with all. Writes `many_candidates.json` beside itself.
"""

from __future__ import annotations

import argparse

import numpy as np
from _measure import in_turn, write
from pixcore_groupers.merging import merge_duplicates
from pixcore_selection.attention import AttentionInside
from pixcore_selection.config import AttentionInsideConfig, ConsensusConfig
from pixcore_selection.consensus import Consensus
from pycocotools import mask as coco

from pixcore import masks
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.records import Candidate, Image, PointPrompt, Response, Sample, TokenGroup

SIZE = (640, 480)


def blob(rng: np.random.Generator) -> masks.Mask:
    """A round shape with a wavy border, anywhere."""
    xs, ys = np.arange(SIZE[0])[None] - rng.uniform(0, SIZE[0]), np.arange(SIZE[1])[:, None] - rng.uniform(0, SIZE[1])
    angle, waves = np.arctan2(ys, xs), rng.uniform(0, 0.1, 8)
    radius = rng.uniform(40, 140) * (1 + sum(wave * np.sin(turns * angle) for turns, wave in enumerate(waves, 1)))
    return np.asarray(xs**2 + ys**2 < radius**2)


def candidates(number: int) -> list[Candidate]:
    """Candidates of as many groups, points and maps."""
    rng = np.random.default_rng(0)
    return [
        Candidate(
            TokenGroup((index,), f"phrase {index}", 0, 1),
            PointPrompt.at((index, 0)),
            tuple(masks.encode(blob(rng)) for _ in range(3)),
            tuple(rng.random(3).tolist()),
            map=rng.random(576).astype(np.float32),
        )
        for index in range(number)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--candidates", type=int, default=100)
    number = parser.parse_args().candidates
    found = candidates(number)
    sample = Sample("one", Image(lambda: b"", known_size=SIZE))
    response = Response("", layout=VisualLayout.single(VisualGrid.stretched(24, 24, SIZE)))
    consensus, inside = Consensus(ConsensusConfig()), AttentionInside(AttentionInsideConfig())
    flat = [{"size": rle["size"], "counts": rle["counts"].encode()} for one in found for rle in one.masks]
    seconds = in_turn(
        {
            "pycocotools, all with all": lambda: coco.iou(flat[:255], flat[:255], [0] * len(flat[:255])),
            "merge_duplicates": lambda: merge_duplicates(found, 0.9),
            "consensus": lambda: consensus.select(sample, response, found),
            "attention-inside": lambda: inside.select(sample, response, found),
        }
    )
    measure = seconds.pop("pycocotools, all with all") * (len(flat) / len(flat[:255])) ** 2
    result = {
        "candidates": number,
        "pycocotools, ms": 1000 * measure,
        "ms": {name: 1000 * each for name, each in seconds.items()},
        "of pycocotools": {name: each / measure for name, each in seconds.items()},
    }
    write("many_candidates", result)
    for name, each in seconds.items():
        print(f"{name:18} {1000 * each:6.1f} ms, {each / measure:.2f} of measuring all masks with all")


if __name__ == "__main__":
    main()
