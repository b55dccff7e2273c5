"""The tap: what reading attention costs, beside plain generation and beside `output_attentions`.

    python benchmarks/speed/attention_tap.py [--quick] [--device cuda] [--only time|narrow|memory|batches]

1. Time: greedy generation of 64 tokens with the tap open (extractor `mean`, all layers and heads) against the same
   model on plain sdpa, in turns, at LLaVA-1.5's shape: 576 visual tokens, 32 heads x 128. On a CPU a stack of 2 layers
   in float32; on a GPU all 32 in float16. The same text is checked. Then two narrow stacks of 2 layers, 256 and 1,024
   channels, where little arithmetic hides what reading costs in Python.
2. Memory: the peak of a generation beyond plain sdpa's, for the tap and for `output_attentions`, against the number of
   visual tokens and against the number of layers. On a CPU every allocation of torch is counted (exact, and the same on
   every machine); on a GPU the allocator's own peak is read. Where `output_attentions` would not fit, its size alone is
   computed: layers x heads x length squared, and the decoding steps' rows.
3. Batches: samples a second with the tap at batch 8 (GPU: 16) against batch 1 with `output_attentions`, the published
   way. On a CPU a stack of 2 layers, 16 heads x 64, by processor time.

Weights are random: neither time nor memory hangs on them. Times are best of several turns, each in wall and in
processor time, on one thread unless told otherwise: on a busy machine threads that wait for each other would count. Raw
numbers go to `attention_tap.json` (GPU: `attention_tap_cuda.json`) beside this file.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pixcore_attention.config import MeanConfig
from pixcore_attention.mean import Mean
from pixcore_transformers.batch import Batch
from pixcore_transformers.generation import Settings, generate
from pixcore_transformers.reading import Reader
from pixcore_transformers.tap import install
from torch.profiler import ProfilerActivity, profile
from transformers import CLIPVisionConfig, GenerationConfig, LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from pixcore.geometry import VisualGrid, VisualLayout

HERE = Path(__file__).parent
TEXT_BEFORE, TEXT_AFTER = 35, 25  # tokens around the image, as in the template llava_v1 with a question
MIB = 2**20


@dataclass(frozen=True)
class Shape:
    """A model to measure."""

    layers: int
    heads: int
    width: int  # of a head
    feed_forward: int
    cells: int  # visual tokens, a square number
    vocabulary: int = 1000

    def build(self, device: str, kernel: str) -> LlavaForConditionalGeneration:
        side = int(self.cells**0.5)
        hidden = self.heads * self.width
        config = LlavaConfig(
            vision_config=CLIPVisionConfig(
                hidden_size=64, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2,
                image_size=side * 2, patch_size=2,
            ).to_dict(),
            text_config=LlamaConfig(
                vocab_size=self.vocabulary, hidden_size=hidden, intermediate_size=self.feed_forward,
                num_hidden_layers=self.layers, num_attention_heads=self.heads, num_key_value_heads=self.heads,
                max_position_embeddings=self.cells + 4096,
            ).to_dict(),
            image_token_index=self.vocabulary - 1,
            image_seq_length=self.cells,
        )  # fmt: skip
        torch.manual_seed(0)
        dtype = torch.float16 if device == "cuda" else torch.float32
        torch.set_default_dtype(dtype)
        with torch.device(device):
            model = LlavaForConditionalGeneration._from_config(config, attn_implementation="sdpa", dtype=dtype)
        torch.set_default_dtype(torch.float32)
        model.eval().requires_grad_(False)
        if kernel == "eager":
            model.set_attn_implementation({"text_config": "eager"})
        else:
            install(model, "sdpa")
        return model

    def batch(self, model: LlavaForConditionalGeneration, size: int) -> Batch:
        device, side = model.device, int(self.cells**0.5)
        generator = torch.Generator().manual_seed(1)
        length = TEXT_BEFORE + self.cells + TEXT_AFTER
        ids = torch.randint(3, self.vocabulary - 1, (size, length), generator=generator)
        visual = np.zeros(length, np.bool_)
        visual[TEXT_BEFORE : TEXT_BEFORE + self.cells] = True
        ids[:, torch.from_numpy(visual)] = self.vocabulary - 1
        pixels = torch.randn(size, 3, side * 2, side * 2, generator=generator)
        inputs = {
            "input_ids": ids.to(device),
            "attention_mask": torch.ones_like(ids).to(device),
            "pixel_values": pixels.to(device, model.dtype),
        }
        layout = VisualLayout.single(VisualGrid.stretched(side, side, (336, 336)))
        return Batch.build(inputs, [layout] * size, [visual] * size)


def plain(model: Any, batch: Batch, steps: int) -> list[list[int]]:
    return generate(model, batch.inputs, Settings(steps, end=()), [0] * len(batch.layouts))


def tapped(model: Any, batch: Batch, steps: int) -> list[list[int]]:
    reader = Reader(model, Mean(MeanConfig()), own_row=False)
    tokens, maps = reader.generate(batch, Settings(steps, end=()), [0] * len(batch.layouts))
    assert maps[0].shape == (steps, batch.cells)
    return tokens


def published(model: Any, batch: Batch, steps: int) -> list[list[int]]:
    """`output_attentions`, everything kept to the end, then cut and averaged, as the released scripts do."""
    settings = GenerationConfig(
        max_new_tokens=steps,
        do_sample=False,
        eos_token_id=model.config.text_config.vocab_size,
        pad_token_id=0,
        output_attentions=True,
        return_dict_in_generate=True,
    )
    output = model.generate(**batch.inputs, generation_config=settings)
    image = slice(TEXT_BEFORE, TEXT_BEFORE + batch.cells)
    for step in output.attentions:
        torch.cat([layer[:, :, -1, image] for layer in step], dim=1).float().mean(dim=1)
    return [row[batch.length :] for row in output.sequences.tolist()]


def clock(device: str) -> tuple[float, float]:
    if device == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter(), time.process_time()


def in_turns(ways: dict[str, Callable[[], Any]], turns: int, device: str) -> dict[str, dict[str, Any]]:
    """Best wall and processor seconds of each way, one after the other in every turn, after one to warm up."""
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            start = clock(device)
            way()
            stop = clock(device)
            if turn:
                taken[name].append((stop[0] - start[0], stop[1] - start[1]))
    return {
        name: {
            "best wall, s": min(wall for wall, _ in own),
            "best processor, s": min(cpu for _, cpu in own),
            "all (wall, processor), s": own,
        }
        for name, own in taken.items()
    }


def measure_time(shape: Shape, steps: int, turns: int, device: str) -> dict[str, Any]:
    model = shape.build(device, "sdpa")
    batch = shape.batch(model, 1)
    assert plain(model, batch, steps) == tapped(model, batch, steps)
    result: dict[str, Any] = in_turns(
        {"plain": lambda: plain(model, batch, steps), "tap": lambda: tapped(model, batch, steps)}, turns, device
    )
    result |= {"shape": vars(shape), "steps": steps, "turns": turns, "threads": torch.get_num_threads()}
    for kind in ("wall", "processor"):
        pairs = zip(result["tap"]["all (wall, processor), s"], result["plain"]["all (wall, processor), s"], strict=True)
        column = 0 if kind == "wall" else 1
        ratios = [tap[column] / base[column] for tap, base in pairs]
        result[f"ratio of the best, {kind}"] = result["tap"][f"best {kind}, s"] / result["plain"][f"best {kind}, s"]
        result[f"median ratio of a turn, {kind}"] = float(np.median(ratios))
    return result


@contextmanager
def peak(device: str) -> Iterator[list[int]]:
    """A list that gets the peak of what torch allocated inside, in bytes."""
    found: list[int] = []
    gc.collect()
    if device == "cuda":
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield found
        torch.cuda.synchronize()
        found.append(torch.cuda.max_memory_allocated() - before)
        return
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        yield found
        gc.collect()
    events = profiler.profiler.kineto_results.events()
    changes = [(event.start_ns(), event.nbytes()) for event in events if event.name() == "[memory]"]
    held = highest = 0
    for _, change in sorted(changes, key=lambda pair: pair[0]):
        held += change
        highest = max(highest, held)
    found.append(highest)


def computed(shape: Shape, steps: int, bytes_each: int) -> int:
    """What `output_attentions` keeps: the prompt's square matrices and each step's rows."""
    length = TEXT_BEFORE + shape.cells + TEXT_AFTER
    return shape.layers * shape.heads * bytes_each * (length**2 + sum(length + step for step in range(1, steps)))


def measure_memory(shape: Shape, steps: int, device: str, largest: int) -> dict[str, Any]:
    model = shape.build(device, "sdpa")
    batch = shape.batch(model, 1)
    row: dict[str, Any] = {"visual tokens": shape.cells, "layers": shape.layers, "heads": shape.heads, "steps": steps}
    for name, way in (("plain", plain), ("tap", tapped)):
        with peak(device) as found:
            way(model, batch, steps)
        row[f"{name}, bytes"] = found[0]
    size = computed(shape, steps, 2 if device == "cuda" else 4)
    row["output_attentions keeps, bytes"] = size
    if size <= largest:
        del model
        model = shape.build(device, "eager")
        with peak(device) as found:
            published(model, batch, steps)
        row["output_attentions, bytes"] = found[0]
        row["output_attentions adds, bytes"] = found[0] - row["plain, bytes"]
    row["tap adds, bytes"] = row["tap, bytes"] - row["plain, bytes"]
    row["share"] = row["tap adds, bytes"] / row.get("output_attentions adds, bytes", size)
    return row


def measure_batches(shape: Shape, steps: int, turns: int, device: str, size: int) -> dict[str, Any]:
    fast, slow = shape.build(device, "sdpa"), shape.build(device, "eager")
    slow.load_state_dict(fast.state_dict())
    many, one = shape.batch(fast, size), shape.batch(slow, 1)
    result: dict[str, Any] = in_turns(
        {
            f"tap, batch {size}": lambda: tapped(fast, many, steps),
            "tap, batch 1": lambda: tapped(fast, one, steps),
            "output_attentions, batch 1": lambda: published(slow, one, steps),
        },
        turns,
        device,
    )
    kind = "wall" if device == "cuda" else "processor"
    rates = {
        name: (size if name == f"tap, batch {size}" else 1) / own[f"best {kind}, s"] for name, own in result.items()
    }
    result["samples a second"] = rates
    result["ratio to output_attentions"] = {
        name: rate / rates["output_attentions, batch 1"] for name, rate in rates.items()
    }
    return result | {"shape": vars(shape), "steps": steps, "turns": turns}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small shapes, few turns, nothing written")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--only", choices=["time", "narrow", "memory", "batches"])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--layers", type=int, default=2, help="of the stack whose time is measured on a CPU")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    device = arguments.device
    cuda = device == "cuda"
    quick = arguments.quick
    name = "attention_tap_cuda.json" if cuda else "attention_tap.json"
    target = HERE / name
    report: dict[str, Any] = {}
    report["machine"] = {
        "processor": platform.machine(), "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if cuda else f"cpu, {arguments.threads} threads",
    }  # fmt: skip
    if arguments.only in (None, "time"):
        shape = Shape(32 if cuda else arguments.layers, 32, 128, 11008, 576)
        if quick:
            shape = Shape(2, 8, 32, 512, 576)
        report["time"] = measure_time(shape, 16 if quick else 64, arguments.turns, device)
        ratio = report["time"]["ratio of the best, processor" if not cuda else "ratio of the best, wall"]
        print(f"time of generation with the tap: {ratio:.3f} x plain sdpa ({shape.layers} layers)")
    if arguments.only in (None, "narrow"):
        shapes = [Shape(2, 4, 64, 1024, 576), Shape(2, 16, 64, 2816, 576)]
        report["narrow"] = [measure_time(shape, 16 if quick else 64, 3 * arguments.turns, device) for shape in shapes]
        for row in report["narrow"]:
            channels = row["shape"]["heads"] * row["shape"]["width"]
            print(f"2 layers of {channels} channels: {row['median ratio of a turn, processor']:.3f} x plain sdpa")
    if arguments.only in (None, "memory"):
        largest = (60 if cuda else 2) * 2**30
        heads, width = (32, 128) if cuda else (8, 16)
        layers = 32 if cuda else 2
        cells = [576, 1024] if quick else [576, 1024, 2304, 4096, 9216, 16384]
        measure_memory(Shape(1, heads, width, 512, 144), 2, device, 0)  # what torch makes once
        by_cells = [measure_memory(Shape(layers, heads, width, 512, n), 8, device, largest) for n in cells]
        depths = [2, 4] if quick else [2, 4, 8, 16, 32]
        by_layers = [measure_memory(Shape(n, heads, width, 512, 576), 8, device, largest) for n in depths]
        report["memory"] = {"by visual tokens": by_cells, "by layers": by_layers}
        for row in by_cells + by_layers:
            adds = row.get("output_attentions adds, bytes", row["output_attentions keeps, bytes"])
            measured = "" if "output_attentions adds, bytes" in row else " (computed)"
            print(
                f"{row['visual tokens']:6} visual tokens, {row['layers']:2} layers: the tap adds "
                f"{row['tap adds, bytes'] / MIB:6.2f} MiB, output_attentions {adds / MIB:9.1f} MiB{measured}"
                f" -> {100 * row['share']:.3f} %"
            )
    if arguments.only in (None, "batches"):
        shape = Shape(32, 32, 128, 11008, 576) if cuda else Shape(2, 16, 64, 2816, 576)
        if quick:
            shape = Shape(2, 8, 32, 512, 576)
        size = 16 if cuda else 8
        report["batches"] = measure_batches(shape, 16 if quick else 64, max(arguments.turns - 2, 1), device, size)
        for way, ratio in report["batches"]["ratio to output_attentions"].items():
            print(f"{way}: {ratio:.2f} x the samples a second of output_attentions at batch 1")
    save(report, target, quick)


def save(report: dict[str, Any], target: Path, quick: bool) -> None:
    """Keep the parts that other calls with --only wrote."""
    if not quick:
        known = json.loads(target.read_text()) if target.exists() else {}
        target.write_text(json.dumps(known | report, indent=1) + "\n")


if __name__ == "__main__":
    main()
