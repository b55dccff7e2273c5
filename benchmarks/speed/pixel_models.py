"""Pixel-level MLLMs: loading, tokens a second and masks a second, beside the same language model alone.

    python benchmarks/speed/pixel_models.py [--quick] [--device cuda]

1. Loading: a float32 checkpoint read into bfloat16, in a process of its own: peak memory over the weights' size.
2. Tokens: greedy decoding from embeddings with [SEG] states kept (`pixcore_segtoken.language.generate`) against
   transformers' own `generate` on the same model, and against the published loop without a cache. Same tokens are
   checked.
3. Masks: SAM's encoder once, then one mask a [SEG].

Weights are random. On a CPU the language model is 2 layers of half 7B's width over a short prompt, and SAM is ViT-B's
size at 512 pixels; on a GPU both have their published size, in bfloat16. Times are processor time of one thread on a
CPU, wall time on a GPU. Numbers go to `pixel_models.json` (GPU: `pixel_models_cuda.json`) beside this file.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from pixcore_segtoken.config import SamSizes
from pixcore_segtoken.language import generate
from pixcore_segtoken.sam import PromptableSam
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

HERE = Path(__file__).parent

LOADING = """
import sys
from pathlib import Path
import torch
from torch import nn
from pixcore_segtoken.keymap import Rename
from pixcore_segtoken.loading import load_weights, parameters_on_meta

def resident(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) * 1024

count, path = int(sys.argv[1]), Path(sys.argv[2])
with parameters_on_meta():
    module = nn.Sequential(*(nn.Linear(2048, 2048, bias=False) for _ in range(count)))
before = resident("VmRSS:")
load_weights(module, path, [Rename("(.+)", "\\\\g<1>")], dtype=torch.bfloat16)
print((resident("VmHWM:") - before) / sum(p.nbytes for p in module.parameters()))
"""


def loading(count: int) -> dict[str, Any]:
    """Peak memory of loading, as a multiple of the loaded weights."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.bin"
        torch.save({f"{index}.weight": torch.ones(2048, 2048) for index in range(count)}, file)
        done = subprocess.run(
            [sys.executable, "-c", LOADING, str(count), str(file)], capture_output=True, text=True, check=True
        )
        return {"file_MiB": file.stat().st_size >> 20, "peak_over_weights": round(float(done.stdout), 3)}


def seconds(work: Callable[[], object], cuda: bool) -> float:
    """The better of two, after one to warm up."""
    clock = time.perf_counter if cuda else time.process_time
    work()
    best = float("inf")
    for _ in range(2):
        if cuda:
            torch.cuda.synchronize()
        start = clock()
        work()
        if cuda:
            torch.cuda.synchronize()
        best = min(best, clock() - start)
    return best


def tokens(device: str, steps: int) -> dict[str, Any]:
    """Tokens a second of the three loops."""
    cuda = device == "cuda"
    config = LlamaConfig(
        num_hidden_layers=32 if cuda else 2,
        hidden_size=4096 if cuda else 2048,
        intermediate_size=11008 if cuda else 5504,
        num_attention_heads=32 if cuda else 16,
        vocab_size=32003 if cuda else 8003,
    )
    torch.manual_seed(0)
    with torch.device(device):
        model = LlamaForCausalLM(config).to(torch.bfloat16 if cuda else torch.float32).eval()
    # On a CPU a prompt as long as LISA's would measure the prompt, not the decoding.
    prompt = torch.randn(320 if cuda else 64, config.hidden_size, device=device, dtype=model.dtype) * 0.02
    settings = GenerationConfig(max_new_tokens=steps, do_sample=False, eos_token_id=config.vocab_size, pad_token_id=0)

    def alone() -> list[int]:
        with torch.no_grad():
            ids = model.generate(inputs_embeds=prompt[None], generation_config=settings)
        return [int(token) for token in ids[0]]

    def ours(use_cache: bool = True, batch: int = 1) -> list[int]:
        return list(generate(model, [prompt] * batch, max_new_tokens=steps, use_cache=use_cache)[0].token_ids)

    result: dict[str, Any] = {"same_tokens": alone() == ours(), "steps": steps, "prompt": len(prompt)}
    result["transformers"] = round(steps / seconds(alone, cuda), 1)
    result["segtoken"] = round(steps / seconds(ours, cuda), 1)
    result["segtoken_batch_8"] = round(8 * steps / seconds(lambda: ours(batch=8), cuda), 1)
    result["published_no_cache"] = round(steps / seconds(lambda: ours(use_cache=False), cuda), 1)
    return result


def masks(device: str, count: int) -> dict[str, Any]:
    """Seconds of SAM's encoder, and masks a second of its decoder."""
    cuda = device == "cuda"
    small = {"embed_dim": 768, "depth": 12, "num_heads": 12, "global_attn_indexes": (2, 5, 8, 11)}
    sizes = SamSizes() if cuda else SamSizes.model_validate(small | {"image_size": 512})
    with torch.device(device):
        sam = PromptableSam(sizes).to(torch.bfloat16 if cuda else torch.float32).eval()
    pixels = torch.randn(1, 3, sizes.image_size, sizes.image_size, device=device)
    prompts = torch.randn(count, sizes.prompt_dim, device=device)
    embedding = sam.encode(pixels)
    return {
        "image_size": sizes.image_size,
        "encode_seconds": round(seconds(lambda: sam.encode(pixels), cuda), 4),
        "masks_per_second": round(count / seconds(lambda: sam.decode(embedding, prompts), cuda), 1),
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="Smaller, for a look.")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    given = parser.parse_args()
    if given.device == "cpu":
        torch.set_num_threads(1)
    result = {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if given.device == "cuda" else "cpu, one thread",
        "loading": loading(16 if given.quick else 48),
        "tokens_per_second": tokens(given.device, 8 if given.quick else 16),
        "masks": masks(given.device, 4 if given.quick else 8),
    }
    print(json.dumps(result, indent=1))
    name = "pixel_models_cuda.json" if given.device == "cuda" else "pixel_models.json"
    (HERE / name).write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
