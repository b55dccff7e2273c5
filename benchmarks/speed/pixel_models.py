"""Pixel-level MLLMs: loading, tokens a second and masks a second, beside the same language model alone.

    python benchmarks/speed/pixel_models.py [--quick] [--device cuda] [--systems NAME ...]

1. Loading: a float32 checkpoint read into bfloat16, in a process of its own: peak memory over the weights' size.
2. Tokens: greedy decoding from embeddings with [SEG] states kept (`pixcore_segtoken.language.generate`) against
   transformers' own `generate` on the same model, and against the published loop without a cache. Same tokens are
   checked.
3. Masks: SAM's encoder once, then one mask a [SEG].
4. Systems: each of the five through its own adapter, in a process of its own, from a checkpoint in its published layout
   (the plugins' testing helpers at other sizes): time and peak of loading through its converter, then answers of a
   fixed number of tokens, none of them or all of them [SEG], against transformers' `generate` on the very language
   model in it over the same prompt. What the [SEG]s add is the image encoder once and the masks.

Weights are random. On a CPU the language model is 2 layers of half 7B's width over a short prompt, and SAM is ViT-B's
size at 512 pixels; the systems' language model has 40 layers of width 512, and SAM 6 blocks of width 384. On a GPU both
have their published size, in bfloat16. CLIP, Cambrian's towers, OMG-Seg and OpenSeeD are as tiny as the helpers write
them. Times are processor time of one thread on a CPU, wall time on a GPU. Numbers go to `pixel_models.json` (GPU:
`pixel_models_cuda.json`) beside this file; `--systems` measures these systems alone and keeps the file's other numbers.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import mock

import numpy as np
import pixcore_cambrian.testing
import pixcore_segtoken.testing
import torch
from pixcore_segtoken.config import SamSizes
from pixcore_segtoken.keymap import Rename
from pixcore_segtoken.language import generate
from pixcore_segtoken.loading import load_weights, parameters_on_meta
from pixcore_segtoken.sam import PromptableSam
from torch import Tensor, nn
from transformers import GenerationConfig, LlamaConfig, LlamaForCausalLM

from pixcore.components import Context
from pixcore.plugins import Kind, registry
from pixcore.records import Image, Protocol, Request

HERE = Path(__file__).parent
# A token of the small vocabularies that neither ends an answer nor asks for a mask.
_PLAIN = 100


def in_own_process(work: Callable[..., dict[str, Any]], *, cuda: bool, **arguments: Any) -> dict[str, Any]:
    """Let a function of this file run in a fresh process, whose memory is then its own."""
    code = f"import json, sys; from pixel_models import {work.__name__} as work"
    code += "; print(json.dumps(work(**json.loads(sys.argv[1]))))"
    environment = os.environ | ({} if cuda else {"CUDA_VISIBLE_DEVICES": ""})
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps({"cuda": cuda, **arguments})],
        capture_output=True,
        text=True,
        cwd=HERE,
        env=environment,
    )
    if done.returncode:
        return {"not_measured": done.stderr.strip().splitlines()[-1]}
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def resident(key: str) -> int:
    """Bytes of this process in memory: now (VmRSS), or at most (VmHWM)."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(key))
    return int(line.split()[1]) * 1024


@contextmanager
def peak_memory(cuda: bool) -> Iterator[Callable[[], int]]:
    """While open, what is called gives the largest number of bytes that came on top of those at the start."""
    if cuda:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        yield lambda: torch.cuda.max_memory_allocated() - before
    else:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        before = resident("VmRSS:")
        yield lambda: resident("VmHWM:") - before


def loading(count: int) -> dict[str, Any]:
    """Peak memory of loading, as a multiple of the loaded weights."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.bin"
        torch.save({f"{index}.weight": torch.ones(2048, 2048) for index in range(count)}, file)
        return {"file_MiB": file.stat().st_size >> 20} | in_own_process(
            load_linears, cuda=False, count=count, path=str(file)
        )


def load_linears(cuda: bool, count: int, path: str) -> dict[str, Any]:
    """The child's part of `loading`."""
    with parameters_on_meta():
        module = nn.Sequential(*(nn.Linear(2048, 2048, bias=False) for _ in range(count)))
    with peak_memory(cuda) as peak:
        load_weights(module, Path(path), [Rename("(.+)", r"\1")], dtype=torch.bfloat16)
        return {"peak_over_weights": round(peak() / sum(p.nbytes for p in module.parameters()), 3)}


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


@dataclass(frozen=True)
class Shape:
    """Sizes of the systems' language model, and of LISA's and GLaMM's SAM."""

    layers: int
    hidden: int
    inner: int
    heads: int
    sam: SamSizes

    def llama(self, **given: Any) -> LlamaConfig:
        """A helper's language model at these sizes."""
        return LlamaConfig(
            **given
            | {
                "num_hidden_layers": self.layers,
                "hidden_size": self.hidden,
                "intermediate_size": self.inner,
                "num_attention_heads": self.heads,
                "num_key_value_heads": self.heads,
            }
        )

    def replaced(self, helpers: ModuleType) -> Any:
        """While open, a module of helpers writes these sizes in place of its tiny ones."""
        names = {
            "LlamaConfig": self.llama,
            "tiny_llama": lambda vocabulary: self.llama(vocab_size=vocabulary),
            "TINY_SAM": self.sam,
            "HIDDEN": self.hidden,
            "INNER": self.inner,
            "LAYERS": self.layers,
            "LLM_HEADS": self.heads,
            "KV_HEADS": self.heads,
        }
        return mock.patch.multiple(helpers, **{name: new for name, new in names.items() if hasattr(helpers, name)})


def sam_of(width: int, depth: int, size: int) -> SamSizes:
    """A small SAM."""
    return SamSizes(image_size=size, embed_dim=width, depth=depth, num_heads=6, global_attn_indexes=(depth - 1,))


SHAPES = {
    "quick": Shape(4, 256, 688, 8, sam_of(96, 2, 128)),
    "cpu": Shape(40, 512, 1376, 8, sam_of(384, 6, 512)),
    "cuda": Shape(32, 4096, 11008, 32, SamSizes()),
}


def tests_of(plugin: str) -> ModuleType:
    """The helpers of a plugin that has them with its tests."""
    path = HERE.parents[1] / "plugins" / plugin / "tests/conftest.py"
    spec = importlib.util.spec_from_file_location(f"{plugin}-tests", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass looks its module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


@dataclass(frozen=True)
class System:
    """How a system is written and spoken to.

    Attributes:
        helpers: The module of helpers, whose sizes are replaced.
        write: The helpers and an absent folder to the config of an adapter on the checkpoint that is then there.
        seg: The token that asks for a mask; None where the system gives attention.
    """

    helpers: Callable[[], ModuleType]
    write: Callable[[Any, Path], Mapping[str, Any]]
    seg: str | None


def grounded(sam_prefix: str, *linears: str) -> System:
    """LISA or GLaMM."""
    projector = {name: ("language" if index else "clip", "language") for index, name in enumerate(linears)}

    def write(helpers: Any, folder: Path) -> Mapping[str, Any]:
        added = ("[SEG]", "<im_start>", "<im_end>", "<bbox>", "<point>", "<p>", "</p>")
        helpers.write_grounded(folder, sam_prefix=sam_prefix, projector=projector, added=added, image_size=56)
        return {"checkpoint": str(folder), "sam": helpers.TINY_SAM.model_dump()}

    return System(lambda: pixcore_segtoken.testing, write, "[SEG]")


def write_omg_llava(helpers: Any, folder: Path) -> Mapping[str, Any]:
    """OMG-LLaVA's release and InternLM2."""
    folder.mkdir()
    options: Mapping[str, Any] = helpers.write_release(folder).options()
    return options


def write_llava_grounding(helpers: Any, folder: Path) -> Mapping[str, Any]:
    """LLaVA-Grounding's checkpoint."""
    return {"checkpoint": str(helpers.write_checkpoint(folder)), "image_size": 128, "queries": 20}


SYSTEMS = {
    "lisa": grounded("model.visual_model.", "model.mm_projector"),
    "glamm": grounded("model.grounding_encoder.", "model.mm_projector.0", "model.mm_projector.2"),
    "omg-llava": System(lambda: tests_of("pixcore-omg-llava"), write_omg_llava, "[SEG]"),
    "llava-grounding": System(lambda: tests_of("pixcore-llava-grounding"), write_llava_grounding, "<seg>"),
    "cambrian": System(
        lambda: pixcore_cambrian.testing, lambda helpers, folder: helpers.write_cambrian(folder / "cambrian"), None
    ),
}


def systems(names: Iterable[str], cuda: bool, shape: Shape, steps: int) -> dict[str, Any]:
    """Every system: loading, tokens and masks against its own language model alone."""
    result = {}
    for name in names:
        system = SYSTEMS[name]
        helpers = system.helpers()
        with tempfile.TemporaryDirectory() as folder:
            tiny = system.write(helpers, Path(folder, "tiny"))
            with shape.replaced(helpers):
                options = system.write(helpers, Path(folder, "model"))
            result[name] = in_own_process(
                load_and_answer, cuda=cuda, name=name, tiny=dict(tiny), options=dict(options), steps=steps
            )
    return result


def load_and_answer(
    cuda: bool, name: str, tiny: Mapping[str, Any], options: Mapping[str, Any], steps: int
) -> dict[str, Any]:
    """The child's part of `systems`.

    Args:
        cuda: Whether on a GPU.
        name: Of the system.
        tiny: Config of a tiny checkpoint, loaded first: imports and first uses are not the checkpoint's memory.
        options: Config of the checkpoint.
        steps: Tokens to time.
    """
    torch.set_num_threads(1)
    offered = registry().get(Kind.MODEL, name)
    result: dict[str, Any] = {}

    def adapter(options: Mapping[str, Any], dtype: str) -> Any:
        return offered.create(offered.config_class.model_validate({**options, "dtype": dtype}), Context())

    modules_of(adapter(tiny, "bfloat16"))
    model = adapter(options, "bfloat16")
    with peak_memory(cuda) as peak:
        began = time.perf_counter()
        modules = modules_of(model)
        took = time.perf_counter() - began
        tensors = chain.from_iterable(chain(part.parameters(), part.buffers()) for part in modules)
        weights = sum({tensor.data_ptr(): tensor.nbytes for tensor in tensors}.values())
        result["weights_MiB"] = weights >> 20
        result["load_seconds"] = round(took, 2)
        result["peak_over_weights"] = round(peak() / weights, 3)
    if not cuda:
        # Arithmetic in bfloat16 is no CPU's strength, and would be what is timed.
        model.close()
        del modules
        model = adapter(options, "float32")
    return result | answers(model, name, cuda, steps)


def modules_of(adapter: Any) -> list[nn.Module]:
    """All parts of a loaded system."""
    parts = [part for part in vars(adapter.loaded).values() if isinstance(part, nn.Module)]
    return [*parts, *chain.from_iterable(getattr(part, "towers", ()) for part in parts)]


def answers(model: Any, name: str, cuda: bool, steps: int) -> dict[str, Any]:
    """Answers of a system against its language model alone."""
    modules = [inner for part in modules_of(model) for inner in part.modules()]
    language: Any = next(module for module in modules if isinstance(module, LlamaForCausalLM))
    request = Request("0", Protocol.SEGMENT, Image.from_pixels(np.zeros((60, 80, 3), np.uint8)), "Where is it?")
    given: list[Tensor] = []
    said = _PLAIN

    def say(module: nn.Module, inputs: Any, logits: Tensor) -> Tensor:
        """Random heads end an answer, or ask for a mask, when they like: here they say what they are told."""
        return logits.index_fill(-1, torch.tensor([said], device=logits.device), 1e4)

    def keep(module: nn.Module, args: Any, kwargs: Mapping[str, Any]) -> None:
        given.append(kwargs["inputs_embeds"])

    language.lm_head.register_forward_hook(say)

    def system(count: int) -> None:
        model.config = model.config.model_copy(update={"max_new_tokens": count})
        model.answer([request])

    with torch.no_grad():
        handle = language.model.register_forward_pre_hook(keep, with_kwargs=True)
        system(1)
        handle.remove()
    prompt = given[0]
    silent = language.config.vocab_size  # an id that is never said

    def alone(count: int) -> None:
        settings = GenerationConfig(max_new_tokens=count, do_sample=False, eos_token_id=silent, pad_token_id=0)
        with torch.no_grad():
            language.generate(inputs_embeds=prompt, generation_config=settings)

    first = {work: seconds(lambda work=work: work(1), cuda) for work in (alone, system)}
    whole = {work: seconds(lambda work=work: work(1 + steps), cuda) for work in (alone, system)}
    each = {work: (whole[work] - first[work]) / steps for work in (alone, system)}
    result: dict[str, Any] = {
        "prompt": prompt.shape[1],
        "tokens_per_second_alone": round(1 / each[alone], 1),
        "tokens_per_second_over_alone": round(each[alone] / each[system], 3),
        "answer_over_alone": round(whole[system] / whole[alone], 3),
    }
    seg = SYSTEMS[name].seg
    if seg is None:
        return result | {"masks": "not measured: it gives attention, and its masks are a mask generator's"}
    said = model.loaded.tokenizer.added[seg]
    masked = seconds(lambda: system(1 + steps), cuda) - whole[system]
    if masked <= 0:
        return result | {"masks": "not measured: they took less than two runs differ by"}
    return result | {
        "masks_per_second": round((1 + steps) / masked, 1),
        "mask_over_token_alone": round(masked / (1 + steps) / each[alone], 3),
    }


def main() -> None:
    """Measure, print, and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="Smaller, for a look; nothing is kept.")
    parser.add_argument("--device", default="cpu", choices=["cpu", "cuda"])
    parser.add_argument("--systems", nargs="+", choices=list(SYSTEMS), help="Measure these alone.")
    given = parser.parse_args()
    if given.device == "cpu":
        torch.set_num_threads(1)
    kept = HERE / ("pixel_models_cuda.json" if given.device == "cuda" else "pixel_models.json")
    before = json.loads(kept.read_text()) if given.systems and kept.is_file() else {}
    result = before | {
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if given.device == "cuda" else "cpu, one thread",
    }
    if not given.systems:
        result["loading"] = loading(16 if given.quick else 48)
        result["tokens_per_second"] = tokens(given.device, 8 if given.quick else 16)
        result["masks"] = masks(given.device, 4 if given.quick else 8)
    shape = SHAPES["quick" if given.quick else given.device]
    measured = systems(given.systems or SYSTEMS, given.device == "cuda", shape, 4 if given.quick else 16)
    result["systems"] = before.get("systems", {}) | measured
    print(json.dumps(result, indent=1))
    if not given.quick:
        kept.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
