"""Loading holds no second copy: measured in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

MEASURED = """
import resource, sys
from pathlib import Path
import torch
from torch import nn
from pixcore_segtoken.keymap import Rename
from pixcore_segtoken.loading import load_weights, parameters_on_meta

def resident(key):
    line = next(line for line in open("/proc/self/status") if line.startswith(key))
    return int(line.split()[1]) / 1024

with parameters_on_meta():
    module = nn.Sequential(*(nn.Linear(1024, 1024, bias=False) for _ in range(100)))
before = resident("VmRSS:")
load_weights(module, Path(sys.argv[1]), [Rename("(.+)", r"\\1")], dtype=torch.bfloat16)
print(resident("VmHWM:") - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="reads /proc")
@pytest.mark.parametrize("suffix", ["safetensors", pytest.param("bin", marks=pytest.mark.long)])
def test_a_converted_checkpoint_costs_its_own_size(tmp_path: Path, suffix: str) -> None:
    """400 MiB in float32 become 200 in bfloat16; beside them there is room for what is mapped at a time."""
    file = tmp_path / f"model.{suffix}"
    tensors = {f"{index}.weight": torch.ones(1024, 1024) for index in range(100)}
    if suffix == "bin":
        torch.save(tensors, file)
    else:
        save_file(tensors, file)
    done = subprocess.run([sys.executable, "-c", MEASURED, str(file)], capture_output=True, text=True, check=True)
    assert 190 < float(done.stdout) < 1.15 * 200
