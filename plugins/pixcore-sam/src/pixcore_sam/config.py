"""The options of the generators. Validation does not import torch, and a fingerprint only where it has to."""

from __future__ import annotations

import hashlib
import os
import re
from abc import abstractmethod
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from pixcore.components import Config
from pixcore.errors import ModelError

_PIECES, _PIECE = 32, 1 << 16  # of a large file so many pieces of so many bytes are hashed, evenly spread


class GeneratorConfig(Config):
    """Options that both generators have.

    Attributes:
        device: Where the model runs; `auto` takes a GPU if there is one.
        precision: Of the image encoder; `auto` is bfloat16 on a GPU that knows it and float32 elsewhere. Prompts are
            always decoded in float32.
        memory_mb: What the decoder may use for one batch of prompts, of which there is one on each core of a CPU; more
            prompts go through in several batches, but at least one prompt goes through. Left out, 2048 on a GPU and 64
            on a CPU, which is no quicker with many prompts at once, and slower where they do not fit its cache.
        cache_mb: How much of the encoded images is kept, in main memory and for the whole run.
    """

    device: str = "auto"
    precision: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    memory_mb: int | None = Field(default=None, ge=1)
    cache_mb: int = Field(default=2048, ge=0)

    not_in_key: ClassVar[frozenset[str]] = frozenset({"cache_mb"})

    def fingerprint(self) -> str:
        """Name the weights, and the precision: what `auto` comes to differs between machines, and so do the masks."""
        return f"{self._weights()} {self.resolved_precision()}"

    def resolved_precision(self) -> Literal["float32", "float16", "bfloat16"]:
        """The image encoder's precision on this machine."""
        if self.precision != "auto":
            return self.precision
        # torch takes seconds to import: it is asked only where there may be a GPU
        if not self.device.startswith(("auto", "cuda")) or metadata.version("torch").endswith("+cpu"):
            return "float32"
        import torch

        return "bfloat16" if torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "float32"

    @abstractmethod
    def _weights(self) -> str:
        """What changes when the weights do."""


class SamConfig(GeneratorConfig):
    """Options of `sam`.

    Attributes:
        checkpoint: An official checkpoint, such as sam_vit_h_4b8939.pth; its size (vit_h, vit_l, vit_b) is read from
            it.
    """

    checkpoint: Path

    def check_ready(self) -> None:
        """See that the checkpoint is there.

        Raises:
            ModelError: It is not.
        """
        if not self.checkpoint.expanduser().is_file():
            sizes = "sam_vit_h_4b8939.pth, sam_vit_l_0b3195.pth and sam_vit_b_01ec64.pth"
            raise ModelError(
                f"there is no SAM checkpoint {self.checkpoint}", hint=f"segment-anything's README links {sizes}"
            )

    def _weights(self) -> str:
        """A hash of the checkpoint's size and of pieces of it."""
        return _hash_file(self.checkpoint.expanduser())


class SamTransformersConfig(GeneratorConfig):
    """Options of `sam-transformers`.

    Attributes:
        checkpoint: A folder, or a name on the hub.
        revision: Of a name on the hub: a commit, branch or tag.
    """

    checkpoint: str = "facebook/sam-vit-huge"
    revision: str | None = None

    def _weights(self) -> str:
        """Of a folder a hash of its files; of a name on the hub the commit that is on this machine."""
        folder = Path(self.checkpoint).expanduser()
        if folder.is_dir():
            files = sorted(path for path in folder.iterdir() if path.suffix in {".json", ".safetensors"})
            whole = hashlib.sha256()
            for path in files:
                whole.update(f"{path.name} {_hash_file(path)}\n".encode())
            return whole.hexdigest()
        revision = self.revision or "main"
        if re.fullmatch(r"[0-9a-f]{40}", revision):
            return revision
        named = _hub_cache() / f"models--{self.checkpoint.replace('/', '--')}" / "refs" / revision
        return named.read_text().strip() if named.is_file() else revision


def _hash_file(path: Path) -> str:
    """Hash a file's size and, of a large one, pieces of it; "absent" for one that can't be read."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            digest = hashlib.sha256(str(size).encode())
            last = max(0, size - _PIECE)
            whole = range(0, size, _PIECE)
            starts = whole if len(whole) <= _PIECES else [last * i // (_PIECES - 1) for i in range(_PIECES)]
            for start in starts:
                file.seek(start)
                digest.update(file.read(_PIECE))
            return digest.hexdigest()
    except OSError:
        return "absent"


def _hub_cache() -> Path:
    """Where huggingface_hub keeps its files, worked out without importing it."""
    if "HF_HUB_CACHE" in os.environ:
        return Path(os.environ["HF_HUB_CACHE"])
    home = os.environ.get("HF_HOME", os.path.join(os.environ.get("XDG_CACHE_HOME", "~/.cache"), "huggingface"))
    return Path(home).expanduser() / "hub"
