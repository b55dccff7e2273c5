"""Loading with adapters holds no second copy: measured in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

MEASURED = """
import sys
from pathlib import Path
import torch
from pixcore_segtoken.checkpoint import shapes_of
from pixcore_omg_llava.internlm2 import Adapters, GroupedLayout, rules
from pixcore_omg_llava.model import language_model
from pixcore_segtoken.loading import Source, load_weights, parameters_on_meta
from transformers import LlamaConfig

def resident(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) / 1024

base, finetuned = (Path(argument) for argument in sys.argv[1:])
config = LlamaConfig(vocab_size=64, hidden_size=1024, intermediate_size=3072, num_hidden_layers=10,
                     num_attention_heads=8, num_key_value_heads=2)
adapters = Adapters.found_in(shapes_of(finetuned))
with parameters_on_meta():
    model = language_model(config, adapters, "merged")
# What a first matrix product brings with it is not the checkpoint's.
torch.addmm(torch.zeros(1024, 1024), torch.zeros(1024, 256), torch.zeros(256, 1024))
before = resident("VmRSS:")
load_weights(model, [Source(finetuned), Source(base)],
             rules(GroupedLayout.of(config), adapters=adapters, dtype=torch.bfloat16), dtype=torch.bfloat16)
print(sum(weight.nbytes for weight in model.parameters()) / 2**20, resident("VmHWM:") - before)
"""


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads /proc")
def test_merging_costs_the_models_own_size(tmp_path: Path) -> None:
    shapes = {
        "attention.wqkv": (1536, 1024),
        "attention.wo": (1024, 1024),
        "feed_forward.w1": (3072, 1024),
        "feed_forward.w3": (3072, 1024),
        "feed_forward.w2": (1024, 3072),
    }
    base = {name: torch.ones(64, 1024).half() for name in ("model.tok_embeddings.weight", "output.weight")}
    base["model.norm.weight"] = torch.ones(1024).half()
    finetuned = {}
    for layer in (f"model.layers.{index}." for index in range(10)):
        base |= {f"{layer}{name}.weight": torch.ones(1024).half() for name in ("attention_norm", "ffn_norm")}
        for name, (rows, columns) in shapes.items():
            base[f"{layer}{name}.weight"] = torch.ones(rows, columns).half()
            finetuned[f"llm.base_model.model.{layer}{name}.lora_A.weight"] = torch.ones(256, columns).half()
            finetuned[f"llm.base_model.model.{layer}{name}.lora_B.weight"] = torch.ones(rows, 256).half()
    torch.save(base, tmp_path / "base.bin")
    torch.save(finetuned, tmp_path / "finetuned.pth")
    command = [sys.executable, "-c", MEASURED, str(tmp_path / "base.bin"), str(tmp_path / "finetuned.pth")]
    # Every tensor in pages of its own, as those of a large model are: glibc would put these small ones
    # side by side, and what lies between them would count.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": str(2**17)}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    own, peak = (float(figure) for figure in done.stdout.split())
    assert own > 200
    # Beside the model: what is mapped at a time of two files, and the rows that are merged. The adapters are 68 MiB.
    assert own - 10 < peak < 1.15 * own
