"""The propose stage on one image: pixcore against the published way, and its cost against the number of phrases.

    python benchmarks/speed/propose.py [--quick]

A response of 30 phrases about an image of 640x480 becomes 30 points and 90 masks, with SAM at its real sizes except for
a small image encoder (the encoder runs once in both ways and is timed by itself; weights are random, and the same).

- pixcore, `sam-transformers`: maps are brought to the image's size, points selected, all prompts decoded, masks kept as
  run lengths: what `Propose` does, and one transaction in the store.
- the published way: maps are upsampled with torch, prompts given one at a time to segment-anything's `SamPredictor`,
  each mask written as a PNG file and read back.

Both must give the same points and masks (IoU above 0.999). Times are by the clock, with all cores for both ways (torch
uses them within one prompt, pixcore for several prompts at once), the least of several rounds, taken in turn. Raw
numbers go to `propose.json` beside this file.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as PILImage
from pixcore_points.config import PeakConfig
from pixcore_points.peaks import Peak
from pixcore_regions.config import RegionsConfig
from pixcore_regions.generator import Regions
from pixcore_sam.config import SamTransformersConfig
from pixcore_sam.generator import fitted, resized
from pixcore_sam.hub import SamTransformers
from pixcore_sam.testing import as_transformers, segment_anything, small_sam
from torch.nn.functional import interpolate

from pixcore.components import MaskGenerator
from pixcore.geometry import VisualGrid, VisualLayout
from pixcore.masks import encode_many, iou
from pixcore.records import Candidate, Image, PointPrompt, TokenGroup
from pixcore.stages import serialise
from pixcore.stages.store import StageStore

HERE = Path(__file__).parent
SIZE = (640, 480)
CELLS = 24
PHRASES = 30


def picture() -> Image:
    small = PILImage.fromarray(np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8))
    return Image.from_pixels(np.asarray(small.resize(SIZE, PILImage.Resampling.BICUBIC)))


def maps_of(phrases: int) -> np.ndarray:
    """One map a phrase, as attention has them: noise with one clear peak, each at another place."""
    rng = np.random.default_rng(1)
    maps = rng.normal(0, 0.05, (phrases, CELLS, CELLS)).astype(np.float32)
    places = rng.permutation([(row, col) for row in range(4, 20) for col in range(1, 23)])[:phrases]
    maps[np.arange(phrases), places[:, 0], places[:, 1]] += 1
    return maps


def as_given(image: Image) -> torch.Tensor:
    """An image as SAM's encoder takes it, but for its padding: (1, 3, height, width)."""
    return torch.as_tensor(resized(image.pixels(), fitted(SIZE[::-1], 1024))).permute(2, 0, 1)[None]


def make_sam(image: Image) -> Any:
    """Segment-anything's own model at the sizes of its decoder, with random weights whose masks have outlines."""
    segment_anything()
    model = small_sam(side=1024, patch=16, channels=256, inner=2048)
    decoder, seen = model.mask_decoder, []
    with torch.no_grad():
        for index in (0, 3):  # random kernels would draw a chequerboard on every mask
            weight = decoder.output_upscaling[index].weight
            weight.copy_(weight.mean((-1, -2), keepdim=True).expand_as(weight))
        # a random encoder sees nearly the same everywhere, and what all pixels have in common would fill or empty masks
        norm = model.image_encoder.neck[-1]
        features = model.image_encoder(model.preprocess(as_given(image)))
        norm.bias.copy_((norm.bias - features.mean((0, 2, 3))) / features.std((2, 3)).mean())
        norm.weight /= features.std((2, 3)).mean()
        hook = decoder.output_upscaling.register_forward_hook(lambda *call: seen.append(call[-1]))
        sam_decoder(model, image)(SIZE[0] // 2, SIZE[1] // 2)
        hook.remove()
        common = torch.nn.functional.normalize(seen[0].mean((0, 2, 3)), dim=0)
        for network in decoder.output_hypernetworks_mlps:
            last = network.layers[-1]
            last.weight -= torch.outer(common, common @ last.weight)
            last.bias -= common * (common @ last.bias)
    return model


def pixcore_way(generator: MaskGenerator[Any], image: Image, maps: np.ndarray, store: StageStore) -> list[Candidate]:
    layout = VisualLayout.single(VisualGrid.padded_to_square(CELLS, CELLS, SIZE))
    select = Peak(PeakConfig()).select
    prompts = [select(layout.to_image(values.reshape(-1), SIZE)) for values in maps]
    found = []
    for number, (prompt, proposal) in enumerate(zip(prompts, generator.segment(image, prompts), strict=True)):
        group = TokenGroup((number,), "a phrase", 0, 8)
        scores = tuple(float(score) for score in proposal.scores)
        found.append(Candidate(group, prompt, tuple(encode_many(proposal.masks)), scores))
    store.put(str(time.perf_counter_ns()), "one", serialise.candidates_to_entry(found))
    return found


Decoder = Callable[[int, int], np.ndarray]
"""(x, y) to (3, height, width) masks."""


def published_way(decode: Decoder, maps: np.ndarray, folder: Path) -> tuple[list[tuple[int, int]], list[np.ndarray]]:
    side, (width, height) = max(SIZE), SIZE
    upsampled = interpolate(torch.from_numpy(maps)[None], (side, side), mode="bicubic", align_corners=False)[0]
    top = (side - height) // 2
    places = upsampled[:, top : top + height].reshape(len(maps), -1).argmax(1)
    points = [(int(place) % width, int(place) // width) for place in places]
    names = []
    for number, point in enumerate(points):
        for index, mask in enumerate(decode(*point)):
            names.append(folder / f"1_{number:03d}_{index:03d}.png")
            PILImage.fromarray(mask.astype(np.uint8) * 255).save(names[-1])
    return points, [np.asarray(PILImage.open(name)) > 0 for name in names]


def sam_decoder(model: Any, image: Image) -> Decoder:
    """Segment-anything's predictor, the image encoded, one prompt a call."""
    predictor = segment_anything().SamPredictor(model)
    predictor.set_torch_image(as_given(image), SIZE[::-1])

    def decode(x: int, y: int) -> np.ndarray:
        found: np.ndarray = predictor.predict(np.array([[x, y]]), np.array([1]), multimask_output=True)[0]
        return found

    return decode


def least(rounds: int, *ways: Callable[[], Any]) -> list[tuple[float, Any]]:
    """The least time of each way, and what it gave the last time; the ways take turns, so that both see one machine."""
    times: list[list[float]] = [[] for _ in ways]
    results: list[Any] = [None for _ in ways]
    for _ in range(rounds):
        for number, way in enumerate(ways):
            started = time.perf_counter()
            results[number] = way()
            times[number].append(time.perf_counter() - started)
    return [(min(taken), result) for taken, result in zip(times, results, strict=True)]


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def stored_size(store: StageStore) -> int:
    """Bytes of the last record."""
    record = "SELECT length(CAST(body AS BLOB)) + coalesce(length(arrays), 0) FROM records ORDER BY key DESC LIMIT 1"
    return int(sqlite3.connect(store.path).execute(record).fetchone()[0])


def same(candidates: Sequence[Candidate], points: Sequence[tuple[int, int]], decoded: Sequence[np.ndarray]) -> float:
    """The least IoU of the two ways' masks; their points must be equal."""
    assert [tuple(candidate.point.points[0]) for candidate in candidates if candidate.point] == points, "points differ"
    ours = [mask for candidate in candidates for mask in candidate.masks]
    theirs = encode_many(np.stack(decoded))
    worst = min(float(iou([a], [b])[0, 0]) for a, b in zip(ours, theirs, strict=True))
    assert worst > 0.999, f"masks differ: {worst}"
    return worst


def against_published(
    generator: MaskGenerator[Any], decode: Decoder, image: Image, maps: np.ndarray, place: Path, rounds: int
) -> dict[str, Any]:
    folder = place / "png"
    folder.mkdir()
    store = StageStore(place / "store", "propose", {})
    (ours, candidates), (theirs, (points, decoded)) = least(
        rounds, lambda: pixcore_way(generator, image, maps, store), lambda: published_way(decode, maps, folder)
    )
    kept = stored_size(store)
    return {
        "pixcore, s": ours,
        "published way, s": theirs,
        "ratio": theirs / ours,
        "pixcore, bytes": kept,
        "published way, bytes": size_of(folder),
        "ratio of bytes": size_of(folder) / kept,
        "least IoU": same(candidates, points, decoded),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one round of each")
    rounds = 1 if parser.parse_args().quick else 5
    image, maps = picture(), maps_of(PHRASES)
    result: dict[str, Any] = {"phrases": PHRASES, "masks": 3 * PHRASES, "rounds": rounds}
    result["cores"] = torch.get_num_threads()
    with tempfile.TemporaryDirectory() as made:
        place = Path(made)
        model = make_sam(image)
        as_transformers(model).save_pretrained(place / "checkpoint")
        sam = SamTransformers(SamTransformersConfig(checkpoint=str(place / "checkpoint")))
        ((result["encoder, s"], _),) = least(1, lambda: sam.encoded(image))
        for name, distinct in (("sam", PHRASES), ("sam, 12 places", 12)):
            (place / name).mkdir()
            asked = maps[np.arange(PHRASES) % distinct]
            result[name] = against_published(sam, sam_decoder(model, image), image, asked, place / name, rounds)
        regions = Regions(RegionsConfig())
        regions.segmented(image)
        (place / "regions").mkdir()
        one_by_one: Decoder = lambda x, y: regions.segment(image, [PointPrompt.at((x, y))])[0].masks  # noqa: E731
        result["regions"] = against_published(regions, one_by_one, image, maps, place / "regions", rounds)
        store = StageStore(place / "growth", "propose", {})
        growth = {
            count: least(rounds, lambda count=count: pixcore_way(sam, image, maps[:count], store))[0][0]
            for count in (1, 5, 10, 20, 30)
        }
    slope, intercept = np.polyfit(list(growth), list(growth.values()), 1)
    result["seconds by phrases"] = growth
    result["seconds a phrase"], result["seconds besides"] = float(slope), float(intercept)
    (HERE / "propose.json").write_text(json.dumps(result, indent=1) + "\n")
    for name in ("sam", "sam, 12 places", "regions"):
        found = result[name]
        print(
            f"{name}, {PHRASES} phrases: {found['pixcore, s']:.2f} s against {found['published way, s']:.2f} s "
            f"({found['ratio']:.1f} times less), {found['pixcore, bytes'] / 1024:.0f} KiB against "
            f"{found['published way, bytes'] / 1024:.0f} KiB ({found['ratio of bytes']:.1f} times less), "
            f"least IoU {found['least IoU']:.4f}"
        )
    times = ", ".join(f"{count}: {seconds:.2f} s" for count, seconds in growth.items())
    print(f"after encoding once ({result['encoder, s']:.2f} s for this small encoder), by phrases: {times};")
    print(f"{1000 * slope:.0f} ms a phrase and {1000 * intercept:.0f} ms besides")


if __name__ == "__main__":
    main()
