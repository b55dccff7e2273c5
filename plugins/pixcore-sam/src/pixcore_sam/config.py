"""The options of the generators. Validation does not import torch, and a fingerprint only where it has to."""

from __future__ import annotations

from abc import abstractmethod
from importlib import metadata
from pathlib import Path
from typing import ClassVar, Literal

from pixcore_checkpoints.fingerprints import fingerprint_of
from pydantic import Field

from pixcore.components import Config
from pixcore.errors import ModelError


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
        """Choose the image encoder's precision on this machine."""
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
        if not Path(self.checkpoint).is_file():
            sizes = "sam_vit_h_4b8939.pth, sam_vit_l_0b3195.pth and sam_vit_b_01ec64.pth"
            raise ModelError(
                f"there is no SAM checkpoint {self.checkpoint}", hint=f"segment-anything's README links {sizes}"
            )

    def _weights(self) -> str:
        """Hash the checkpoint."""
        return fingerprint_of(self.checkpoint)


class SamConceptConfig(Config):
    """Options of `sam3-concept`.

    Attributes:
        checkpoint: A folder, or a name on the hub.
        revision: Of a name on the hub: a commit, branch or tag.
        device: Where the model runs; `auto` takes a GPU if there is one.
        threshold: An instance is found where its score, times the concept's own of being there, is above it.
        most: Instances at most that are given one by one, after the union of all.
    """

    checkpoint: str = Field(default="facebook/sam3", min_length=1)
    revision: str | None = None
    device: str = "auto"
    threshold: float = Field(default=0.5, ge=0, lt=1)
    most: int = Field(default=8, ge=0)

    def fingerprint(self) -> str:
        """Hash a folder's files; of a name on the hub give the commit that is on this machine."""
        return fingerprint_of(self.checkpoint, self.revision)


class SamTransformersConfig(GeneratorConfig):
    """Options of `sam-transformers`.

    Attributes:
        checkpoint: A folder, or a name on the hub.
        revision: Of a name on the hub: a commit, branch or tag.
    """

    checkpoint: str = Field(default="facebook/sam-vit-huge", min_length=1)
    revision: str | None = None

    @property
    def source(self) -> str:
        """Where the checkpoint is loaded from."""
        return self.checkpoint

    def _weights(self) -> str:
        """Hash a folder's files; of a name on the hub give the commit that is on this machine."""
        return fingerprint_of(self.source, self.revision)
