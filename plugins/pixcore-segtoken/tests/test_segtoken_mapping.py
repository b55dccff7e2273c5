"""A whole file that can't be mapped is not damaged; one that is cut short is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from pixcore_segtoken.checkpoint import CheckpointError, CheckpointFile, shapes_of

SIZE = 26 * 2**30


def sparse(path: Path, missing: int = 0) -> Path:
    """A file of 26 GiB that takes none of the disk."""
    header = json.dumps({"w": {"dtype": "F16", "shape": [SIZE // 2], "data_offsets": [0, SIZE]}}).encode()
    with path.open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + SIZE - missing)
    return path


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="address space is told and limited on Linux")
def test_a_whole_file_without_room_to_map_it(tmp_path: Path) -> None:
    path = sparse(tmp_path / "model.safetensors")
    assert shapes_of(path) == {"w": (SIZE // 2,)}
    code = (
        "import resource, sys\nfrom pathlib import Path\n"
        "from pixcore_segtoken.checkpoint import CheckpointError, CheckpointFile\n"
        "taken = int(Path('/proc/self/statm').read_text().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (taken + (4 << 30), resource.RLIM_INFINITY))\n"
        "try:\n    CheckpointFile(Path(sys.argv[1]))\nexcept CheckpointError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{path} is whole, but its 26.1 GiB can't be mapped: "), done
    assert "damaged" not in done.stdout
    assert "download" not in done.stdout


def test_a_file_that_is_cut_short(tmp_path: Path) -> None:
    path = sparse(tmp_path / "model.safetensors", missing=5)
    with pytest.raises(CheckpointError, match=r"model\.safetensors is damaged: .*its header tells of"):
        CheckpointFile(path)
