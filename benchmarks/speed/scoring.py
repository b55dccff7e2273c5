"""Scoring: run lengths against decoded masks, and one predictions file against a folder of PNG files.

    python benchmarks/speed/scoring.py [--quick]

1. 1,000 samples x 30 candidate masks of 640x480 in memory: `candidate_ious` against a loop that decodes the ground
   truth once a sample and each candidate mask once, and measures with NumPy. Same numbers are checked.
2. A benchmark in PixCV-Bench's layout (1,438 samples) and 90 candidates a sample: loading the benchmark, checking
   `predictions.jsonl`, choosing by oracle and scoring, against the published way, which lists a folder, reads one PNG
   file a mask and measures it with NumPy. Same figure is checked. Peak memory is measured at half and full size.

Times are processor time of one core, so that other work on the machine does not count. The slow ways run on a share of
the samples and are scaled up; the share is in `scoring.json`, written beside this file.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as PILImage

from pixcore import masks
from pixcore.figures.scores import candidate_ious
from pixcore.records import Candidate, Image, Sample

HERE = Path(__file__).parent
SIZE = (640, 480)


def blob(rng: np.random.Generator) -> np.ndarray:
    """A mask as a segmenter gives: a thresholded field of smooth noise, about as many runs as PixCV-Bench's masks."""
    field = PILImage.fromarray(rng.normal(size=(4, 5)).astype(np.float32)).resize(SIZE, PILImage.Resampling.BICUBIC)
    return np.asarray(np.asarray(field) > np.quantile(field, rng.uniform(0.7, 0.97)))


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    started = time.process_time()
    result = work()
    return time.process_time() - started, result


def iou(left: np.ndarray, right: np.ndarray) -> float:
    union = np.logical_or(left, right).sum()
    return 1.0 if union == 0 else float(np.logical_and(left, right).sum() / union)


def in_memory(samples: int, share: int) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    pool = [masks.encode(blob(rng)) for _ in range(200)]
    nowhere = Image(lambda: b"", known_size=SIZE)
    work = []
    for index in range(samples):
        chosen = [pool[i] for i in rng.integers(0, len(pool), 31)]
        candidates = [Candidate(None, None, tuple(chosen[i : i + 3]), (1.0,) * 3) for i in range(0, 30, 3)]
        work.append((Sample(str(index), nowhere, expression="it", mask=chosen[30]), candidates))

    def fast() -> list[float]:
        return [value for sample, candidates in work for group in candidate_ious(sample, candidates) for value in group]

    def slow() -> list[float]:
        values = []
        for sample, candidates in work[:: samples // share]:
            assert sample.mask is not None
            truth = masks.decode(sample.mask)
            values += [iou(masks.decode(mask), truth) for candidate in candidates for mask in candidate.masks]
        return values

    fast_time, values = timed(fast)
    slow_time, some = timed(slow)
    every = np.reshape(values, (samples, 30))[:: samples // share].ravel()
    assert np.allclose(every, some, atol=1e-12), "the two ways differ"
    slow_time *= samples / len(range(0, samples, samples // share))
    return {"samples": samples, "masks": 30, "run lengths, s": fast_time, "decoded, s": slow_time, "share": share}


def write_benchmark(root: Path, samples: int, rng: np.random.Generator) -> list[tuple[str, str, masks.RLE]]:
    """Files in PixCV-Bench's layout, half of them ADE20K's and half COCO's."""
    rows, listing = [], [",Id,file,Objects"]
    for source, folder, prefix in (
        ("ADE20K", "ADE20K/validation/images", "ADE_val_"),
        ("COCO", "COCO/coco/images", ""),
    ):
        images, annotations = [], []
        for index in range(samples // 2):
            number = len(rows)
            name = f"{prefix}{number:08d}.jpg"
            rle = masks.encode(blob(rng))
            listing.append(f"{number},{number},CV-Bench/{folder}/{name},thing")
            images.append({"id": index, "file_name": name})
            annotations.append({"image_id": index, "category_id": 0, "segmentation": rle})
            rows.append((str(number), name, rle))
        (root / source).mkdir()
        document = {"categories": [{"id": 0, "name": "foreground"}], "images": images, "annotations": annotations}
        (root / source / "FinalSegmentations.json").write_text(json.dumps(document))
    (root / "Objects.csv").write_text("\n".join(listing) + "\n")
    return rows


SCORE = """
import json, resource, sys, time
from pathlib import Path
from pixcore_scoring.evaluation import evaluate
from pixcore.components import Context, NoConfig
from pixcore.records import Fidelity
from pixcore_scoring.file import PredictionsFile
from pixcore_pixcvbench.benchmark import PixCVBench
from pixcore_pixcvbench.config import PixCVBenchConfig
from pixcore_selection.rules import Oracle
ready = time.process_time()
data = PixCVBench(PixCVBenchConfig(root=Path(sys.argv[1])))
rules, by = Fidelity.PUBLISHED, {"oracle": Oracle(NoConfig(), Context(Fidelity.PUBLISHED))}
file = PredictionsFile(Path(sys.argv[2]), data.samples, fidelity=rules, select=list(by), strategies=by, missing="skip")
found = evaluate(file, file.rows, benchmark="pixcvbench", model="predictions", fidelity=Fidelity.PUBLISHED)
seconds = time.process_time() - ready
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"seconds": seconds, "MiB": peak, "M": found.summary.rows[0].figures["M"].value}))
"""


def from_files(samples: int, share: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    pool = [blob(rng) for _ in range(200)]
    encoded = [masks.encode(mask) for mask in pool]
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        rows = write_benchmark(root, samples, rng)
        drawn = {name: rng.integers(0, len(pool), 90) for name, _, _ in rows}
        with (root / "predictions.jsonl").open("w") as out:
            for name, _, _ in rows:
                groups = [drawn[name][i : i + 3] for i in range(0, 90, 3)]
                candidates = [
                    {"phrase": "thing", "start": 0, "end": 5, "masks": [encoded[i] for i in group], "scores": [0.5] * 3}
                    for group in groups
                ]
                line = {"sample_id": name, "protocol": "segment", "text": "a thing", "candidates": candidates}
                out.write(json.dumps(line) + "\n")
        with (root / "predictions.jsonl").open() as every, (root / "half.jsonl").open("w") as half:
            half.writelines(line for number, line in enumerate(every) if number % 2)

        def score(file: str) -> dict[str, Any]:
            command = [sys.executable, "-c", SCORE, str(root), str(root / file)]
            done: dict[str, Any] = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout
            )
            return done

        whole, part = score("predictions.jsonl"), score("half.jsonl")
        some = rows[:: samples // share]
        folder = root / "masks"
        folder.mkdir()
        for name, _, _ in some:
            for place_in, index in enumerate(drawn[name]):
                picture = PILImage.fromarray(pool[index].astype(np.uint8) * 255)
                picture.save(folder / f"{name}_{place_in // 3:03d}_{place_in % 3:03d}.png")

        def slow() -> list[float]:
            best = []
            for name, _, rle in some:
                truth = masks.decode(rle)
                files = sorted(file for file in os.listdir(folder) if file.split("_")[0] == name)
                best.append(max(iou(np.asarray(PILImage.open(folder / file)) > 0, truth) for file in files))
            return best

        slow_time, values = timed(slow)
        truths = {name: rle for name, _, rle in rows}
        expected = [float(masks.iou([encoded[i] for i in drawn[name]], [truths[name]]).max()) for name, _, _ in rows]
        assert abs(100 * np.mean(expected) - whole["M"]) < 1e-9, "the file's figure is off"
        assert np.allclose(values, expected[:: samples // share], atol=1e-12), "the two ways differ"
    return {
        "samples": samples,
        "masks": 90,
        "predictions.jsonl, s": whole["seconds"],
        "PNG files, s": slow_time * samples / len(some),
        "share": len(some),
        "peak memory, MiB": whole["MiB"],
        "peak memory at half the predictions, MiB": part["MiB"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a tenth of the samples")
    tenth = 10 if parser.parse_args().quick else 1
    memory = in_memory(1000 // tenth, 50)
    files = from_files(1438 // tenth, 20)
    result = {"in memory": memory, "files": files}
    (HERE / "scoring.json").write_text(json.dumps(result, indent=1) + "\n")
    ratio = memory["decoded, s"] / memory["run lengths, s"]
    print(
        f"{memory['samples']} samples x 30 masks: run lengths {memory['run lengths, s']:.2f} s, "
        f"decoded {memory['decoded, s']:.1f} s: {ratio:.0f} times less"
    )
    ratio = files["PNG files, s"] / files["predictions.jsonl, s"]
    print(
        f"{files['samples']} samples x 90 masks: predictions.jsonl {files['predictions.jsonl, s']:.1f} s, "
        f"PNG files {files['PNG files, s']:.0f} s: {ratio:.0f} times less; peak memory "
        f"{files['peak memory, MiB']:.0f} MiB, {files['peak memory at half the predictions, MiB']:.0f} at half"
    )


if __name__ == "__main__":
    main()
