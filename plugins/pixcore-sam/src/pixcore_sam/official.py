"""The generator `sam`: Meta's segment-anything package and its checkpoints."""

from __future__ import annotations

import importlib
import importlib.util
import pickle
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_checkpoints.loading import loading
from torch import Tensor, nn

from pixcore.components import Context
from pixcore.errors import ModelError, PluginError, first_line
from pixcore.stages.memory import shortage
from pixcore_sam.config import SamConfig
from pixcore_sam.decoder import FewTokens
from pixcore_sam.fitting import check_room
from pixcore_sam.generator import Encoded, PromptBatch, fitted, resized
from pixcore_sam.names import as_transformers_names_it
from pixcore_sam.shared import SharedWork

_PIXEL_MEAN, _PIXEL_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
SMALLER = {"sam_vit_l_0b3195.pth": 312_343_344, "sam_vit_b_01ec64.pth": 93_735_984}
"""Released checkpoints, with the number of their weights."""

_DECODER_HEADS = 8  # of all released checkpoints; a state dict does not tell


class Sam(SharedWork[SamConfig]):
    """Segments with Segment Anything, three masks a prompt, as `SamPredictor.predict_torch` gives them up to rounding.

    Images and prompts are encoded by the package's own code. pixcore's is how the image is resized, for which the
    package has torchvision, the decoder that shares an image's work among its prompts, and how masks are brought to the
    image's size.
    """

    _few_tokens: FewTokens

    def __init__(self, config: SamConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        config.check_ready()
        with loading(str(config.checkpoint)):
            self._model = load(config.checkpoint, self.device).to(self.device)
        self._side, self._padded = int(self._model.image_encoder.img_size), True
        self._few_tokens = FewTokens(as_transformers_names_it(self._model))

    def _bytes_of_others(self) -> int:
        raise NotImplementedError  # all of its layout decode alike

    def _encode(self, pixels: NDArray[np.uint8]) -> Encoded:
        height, width = pixels.shape[:2]
        frame = fitted((height, width), self._side)
        batch = torch.as_tensor(resized(pixels, frame), device=self.device).permute(2, 0, 1).contiguous()[None]
        features = self._model.image_encoder(self._model.preprocess(batch))
        return Encoded((features.cpu(),), frame, (height, width))

    def _decode(self, prepared: Any, batch: PromptBatch) -> tuple[Tensor, Tensor]:
        points = (batch.points, batch.labels) if batch.points is not None else None
        sparse, _ = self._model.prompt_encoder(points=points, boxes=batch.boxes, masks=None)
        return self._few_tokens(prepared, sparse)


def load(checkpoint: Path, device: torch.device) -> Any:
    """Build the model that a checkpoint in the official layout holds.

    Args:
        checkpoint: The file.
        device: Where the model is to be; it stays on the CPU here.

    Raises:
        ModelError: It is missing, damaged, no checkpoint of this layout, or does not fit.
        PluginError: The package is missing.
    """
    classes = modeling()
    path = Path(checkpoint)
    shapes = _read(path, map_location="meta")
    check_room(str(path), sum(tensor.numel() for tensor in shapes.values() if torch.is_tensor(tensor)), device, SMALLER)
    state = _read(path, map_location="cpu", mmap=True)
    try:
        model = _build(classes, state)
        model.load_state_dict(state, assign=True)
        for name, values in (("pixel_mean", _PIXEL_MEAN), ("pixel_std", _PIXEL_STD)):
            model.register_buffer(name, torch.tensor(values).view(-1, 1, 1), persistent=False)  # no checkpoint has them
    except (KeyError, IndexError, RuntimeError, AttributeError, TypeError, ValueError) as error:
        raise ModelError(
            f"{path} is not a checkpoint of segment-anything's layout: {first_line(error)}",
            hint="checkpoints of transformers are for masks: sam-transformers",
        ) from error
    return model.float().eval().requires_grad_(False)


def _read(path: Path, **how: Any) -> Mapping[str, Any]:
    """Read a file by torch.load; on the meta device it gives the tensors' shapes, and opens none of them."""
    try:
        content = torch.load(path, weights_only=True, **how)
    except pickle.UnpicklingError as error:  # torch's own words offer to run the file
        reason = "it holds more than tensors, or is damaged"
        raise ModelError(f"can't read the SAM checkpoint {path}: {reason}", hint="pixcore runs no pickle") from error
    except Exception as error:  # torch raises many kinds for damaged files
        if shortage(error) is not None:
            raise
        raise ModelError(
            f"can't read the SAM checkpoint {path}: {first_line(error)}", hint="is the download complete?"
        ) from error
    if not isinstance(content, Mapping):
        raise ModelError(f"{path} is not a checkpoint of segment-anything's layout", hint="it holds no named tensors")
    return content


def _build(modeling: Any, state: Mapping[str, Tensor]) -> Any:
    """The model whose sizes a state dict has, as the package's own `build_sam_vit_*` makes it for three of them."""
    encoder, decoder = "image_encoder", "mask_decoder"
    width = state[f"{encoder}.pos_embed"].shape[-1]
    grid = state[f"{encoder}.pos_embed"].shape[1]
    patch = state[f"{encoder}.patch_embed.proj.weight"].shape[-1]
    depth = _count(state, f"{encoder}.blocks.")
    # a block's table of relative positions is as long as the window that it attends to
    windows = [(len(state[f"{encoder}.blocks.{index}.attn.rel_pos_h"]) + 1) // 2 for index in range(depth)]
    channels = state[f"{encoder}.neck.0.weight"].shape[0]
    hidden = state[f"{decoder}.iou_prediction_head.layers.0.weight"].shape[0]
    with torch.device("meta"):
        return modeling.Sam(
            image_encoder=modeling.ImageEncoderViT(
                depth=depth,
                embed_dim=width,
                img_size=grid * patch,
                mlp_ratio=state[f"{encoder}.blocks.0.mlp.lin1.weight"].shape[0] / width,
                norm_layer=partial(nn.LayerNorm, eps=1e-6),
                num_heads=width // state[f"{encoder}.blocks.0.attn.rel_pos_h"].shape[1],
                patch_size=patch,
                qkv_bias=True,
                use_rel_pos=True,
                global_attn_indexes=tuple(index for index, window in enumerate(windows) if window == grid),
                window_size=min(windows),
                out_chans=channels,
            ),
            prompt_encoder=modeling.PromptEncoder(
                embed_dim=channels,
                image_embedding_size=(grid, grid),
                input_image_size=(grid * patch, grid * patch),
                mask_in_chans=state["prompt_encoder.mask_downscaling.3.weight"].shape[0],
            ),
            mask_decoder=modeling.MaskDecoder(
                num_multimask_outputs=len(state[f"{decoder}.mask_tokens.weight"]) - 1,
                transformer=modeling.TwoWayTransformer(
                    depth=_count(state, f"{decoder}.transformer.layers."),
                    embedding_dim=channels,
                    mlp_dim=len(state[f"{decoder}.transformer.layers.0.mlp.lin1.weight"]),
                    num_heads=_DECODER_HEADS,
                ),
                transformer_dim=channels,
                iou_head_depth=_count(state, f"{decoder}.iou_prediction_head.layers."),
                iou_head_hidden_dim=hidden,
            ),
            pixel_mean=list(_PIXEL_MEAN),
            pixel_std=list(_PIXEL_STD),
        )


def _count(state: Mapping[str, Tensor], prefix: str) -> int:
    return len({key[len(prefix) :].split(".")[0] for key in state if key.startswith(prefix)})


def modeling() -> Any:
    """Import segment-anything's `modeling`, without the rest of the package.

    The package's own `__init__` imports torchvision, for its predictor and its automatic generator; the model's classes
    do without. So they are imported under a parent that is never executed, and a torchvision that is missing, or made
    for another torch, is no obstacle.

    Raises:
        PluginError: The package is not installed.
    """
    parent = importlib.util.find_spec("segment_anything")
    if parent is None:
        raise PluginError(
            "masks: sam needs segment-anything, which is not installed", hint='pip install "pixcore-sam[official]"'
        )
    if "segment_anything" in sys.modules:
        return importlib.import_module("segment_anything.modeling")
    sys.modules["segment_anything"] = importlib.util.module_from_spec(parent)
    try:
        return importlib.import_module("segment_anything.modeling")
    finally:
        del sys.modules["segment_anything"]  # whoever wants the whole package still gets it
