"""Training state on disk: one safetensors file, replaced atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from pixcore.files import written_beside


def save_checkpoint(
    path: Path, module: nn.Module, optimizer: torch.optim.Optimizer | None, progress: dict[str, Any]
) -> None:
    """Writes parameters, optimizer state and progress; a kill at any instant leaves the old or the new file.

    Args:
        path: where to.
        module: whose parameters.
        optimizer: whose state; None between two stages.
        progress: JSON values: stage, step, and what else the trainer has to know.
    """
    tensors = {f"module.{name}": tensor.detach().cpu().clone() for name, tensor in module.state_dict().items()}
    if optimizer is not None:
        for index, state in optimizer.state_dict()["state"].items():
            for name, tensor in state.items():
                tensors[f"optimizer.{index}.{name}"] = tensor.detach().cpu().clone()
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path) as beside:
        save_file(tensors, beside, metadata={"progress": json.dumps(progress)})


def read_progress(path: Path) -> dict[str, Any]:
    """Read the progress kept in a checkpoint.

    Raises:
        SystemExit: It is not there, is damaged, or is none of a training.
    """
    try:
        with safe_open(path, "pt") as file:
            progress: dict[str, Any] = json.loads(file.metadata()["progress"])
    except FileNotFoundError as error:
        raise SystemExit(f"{path} is not there; name the folder that a training has as its --out") from error
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise SystemExit(f"{path} is damaged, or none of a training; move it away to begin anew") from error
    return progress


def recipe_json(recipe: object) -> Any:
    """Write a recipe as a checkpoint's progress keeps it."""
    return json.loads(json.dumps(vars(recipe)))


def progress_of(path: Path, recipe: object) -> dict[str, Any] | None:
    """Read the progress of a recipe; None where there is no checkpoint yet.

    Raises:
        SystemExit: The checkpoint was made with another recipe.
    """
    if not path.exists():
        return None
    progress = read_progress(path)
    check_alike(path, progress.get("recipe", {}), recipe_json(recipe))
    return progress


def check_alike(path: Path, made: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    """Refuse a checkpoint of another recipe, by what differs.

    Raises:
        SystemExit: It is one.
    """
    if differing := [name for name in {**wanted, **made} if made.get(name) != wanted.get(name)]:
        told = ", ".join(f"{name} {made.get(name)}, not {wanted.get(name)}" for name in differing)
        raise SystemExit(f"{path} was made with another recipe ({told}); choose another --out")


def load_checkpoint(path: Path, module: nn.Module, optimizer: torch.optim.Optimizer | None = None) -> None:
    """Puts a checkpoint's parameters, and its optimizer state where it has one, in place."""
    parameters: dict[str, torch.Tensor] = {}
    states: dict[int, dict[str, torch.Tensor]] = {}
    with safe_open(path, "pt") as file:
        for key in file.keys():  # noqa: SIM118 - a safetensors file is not a mapping
            owner, name = key.split(".", 1)
            if owner == "module":
                parameters[name] = file.get_tensor(key)
            else:
                index, name = name.split(".", 1)
                states.setdefault(int(index), {})[name] = file.get_tensor(key)
    module.load_state_dict(parameters)
    if optimizer is not None and states:
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
