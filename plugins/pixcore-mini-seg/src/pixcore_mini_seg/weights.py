"""What a trained variant is on disk: what differs from mini, or the whole model where it began from scratch."""

from __future__ import annotations

import hashlib
import json
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import torch
from pixcore_mini.config import MiniConfig
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from pixcore.errors import ModelError, first_line
from pixcore.files import written_beside
from pixcore_mini_seg.config import WHOLE
from pixcore_mini_seg.network import SegNetwork

FILE = "mini-seg.safetensors"
_HINT = "checkpoint: a shipped variant, or the folder OUT/model that `python -m pixcore_mini_seg.train` wrote"


@dataclass(frozen=True)
class Difference:
    """What a variant's file holds.

    Attributes:
        variant: Which one it is.
        seed: Of its training.
        base: Hash of the mini that it differs from; empty where the folder holds the whole model.
        tensors: By the names of `SegNetwork.trained`, in float32.
    """

    variant: str
    seed: int
    base: str
    tensors: dict[str, Tensor]

    @property
    def decoder(self) -> dict[str, Tensor]:
        """The mask decoder's part."""
        return {name.removeprefix("decoder."): t for name, t in self.tensors.items() if name.startswith("decoder.")}


def base_hash() -> str:
    """Hash the weights of the shipped mini."""
    return hashlib.sha256((MiniConfig().folder / "model.safetensors").read_bytes()).hexdigest()[:16]


def write(
    folder: Path, network: SegNetwork, tokenizer: PreTrainedTokenizerFast, variant: str, seed: int, base: str
) -> None:
    """Write a trained network: the difference alone where it is one. What makes the folder a variant's comes last.

    Args:
        folder: Where to.
        network: What was trained.
        tokenizer: Of its words.
        variant: Which one it is.
        seed: Of its training.
        base: Hash of the mini that its training began from; empty where it began from nothing.
    """
    folder.mkdir(parents=True, exist_ok=True)
    alone = network.rank is not None
    kept = {name: t for name, t in network.trained().items() if alone or name.startswith("decoder.")}
    about = {"variant": variant, "seed": seed, "base": base}
    if not alone:
        deepcopy(network.llava).half().save_pretrained(folder)
        tokenizer.save_pretrained(folder)
    with written_beside(folder / FILE) as beside:
        halves = {name: tensor.detach().cpu().half().contiguous() for name, tensor in kept.items()}
        save_file(halves, beside, metadata={"mini-seg": json.dumps(about)})


def read(folder: Path) -> Difference:
    """Read what `write` wrote.

    Raises:
        ModelError: It is not there, is damaged or not whole, or differs from another mini than the one that is
            installed.
    """
    try:
        with safe_open(folder / FILE, "pt") as file:
            about = json.loads(file.metadata()["mini-seg"])
            tensors = {name: file.get_tensor(name).to(torch.float32) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise ModelError(f"can't load mini-seg from {folder}: {first_line(error)}", hint=_HINT) from error
    if about["base"] and about["base"] != base_hash():
        raise ModelError(
            f"{folder} holds what differs from another mini than the one that is installed",
            hint="install the pixcore-mini that it was trained with, or train it again",
        )
    if not about["base"] and not (folder / WHOLE).exists():
        raise ModelError(f"{folder} lacks the model that began from scratch: no {WHOLE} is there", hint=_HINT)
    return Difference(about["variant"], about["seed"], about["base"], tensors)
