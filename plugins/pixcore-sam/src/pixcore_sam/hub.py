"""The generator `sam-transformers`: the SAM family as transformers has it."""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_checkpoints.configs import check_layers, own_kernel
from pixcore_checkpoints.loading import loading, without_bars
from pixcore_checkpoints.shards import check_files
from torch import Tensor
from torch.nn.functional import pad

from pixcore.components import Context
from pixcore.errors import ModelError, PluginError, first_line, nearest
from pixcore.stages.memory import shortage
from pixcore_sam.config import SamTransformersConfig
from pixcore_sam.decoder import FewTokens
from pixcore_sam.fitting import check_room
from pixcore_sam.generator import Encoded, PromptBatch, bytes_repeated, fitted, resized
from pixcore_sam.shared import SharedWork

_CLASSES = {
    "sam": "SamModel",
    "sam_hq": "SamHQModel",
    "sam2": "Sam2Model",
    "sam2_video": "Sam2Model",
    "edgetam": "EdgeTamModel",
    "edgetam_video": "EdgeTamModel",
    "sam3_tracker": "Sam3TrackerModel",
    "sam3_tracker_video": "Sam3TrackerModel",
    "sam3": "Sam3TrackerModel",
    "sam3_video": "Sam3TrackerModel",
}
"""By a checkpoint's `model_type`; video checkpoints hold the image model too."""

SMALLER = {
    "facebook/sam-vit-large": 312_343_344,
    "facebook/sam-vit-base": 93_735_984,
    "facebook/sam2.1-hiera-tiny": 31_440_721,
}
"""Released checkpoints, with the number of their weights."""

_PADDED = frozenset({"sam", "sam_hq"})
"""These keep an image's aspect and pad it; the later ones squeeze it into a square."""

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""Mean and standard deviation of pixels from 0 to 1, by channel: what SAM was trained with."""
_HALF = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


class SamTransformers(SharedWork[SamTransformersConfig]):
    """Segments with SAM, SAM-HQ, SAM 2, EdgeTAM or SAM 3's tracker, by checkpoint.

    Images are prepared here, with Pillow, because transformers' image processors of these models need torchvision.
    Mean and standard deviation are the checkpoint's own.
    """

    def __init__(self, config: SamTransformersConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        with loading(config.source):
            self._model, self._kind, normalisation = load(config.source, config.revision, self.device)
            self._model.to(self.device)
            self._mean, self._std = (torch.tensor(values).reshape(3, 1, 1) for values in normalisation)
        self._side = int(self._model.config.prompt_encoder_config.image_size)
        fits = self._kind == "sam" and FewTokens.fits(self._model.config.mask_decoder_config)
        self._few_tokens = FewTokens(self._model) if fits else None
        self._padded = self._kind in _PADDED

    def _bytes_of_others(self) -> int:
        return bytes_repeated(self._model.config.mask_decoder_config.hidden_size, self._side // 16)

    def _encode(self, pixels: NDArray[np.uint8]) -> Encoded:
        height, width = pixels.shape[:2]
        frame = fitted((height, width), self._side) if self._padded else (self._side, self._side)
        values = torch.from_numpy(resized(pixels, frame)).permute(2, 0, 1).float() / 255
        values = pad((values - self._mean) / self._std, (0, self._side - frame[1], 0, self._side - frame[0]))
        given = self._model.get_image_embeddings(values[None].to(self.device))
        return Encoded(tuple(feature.cpu() for feature in _flat(given)), frame, (height, width))

    def _decode(self, prepared: Any, batch: PromptBatch) -> tuple[Tensor, Tensor]:
        points = batch.points[None] if batch.points is not None else None
        labels = batch.labels[None] if batch.labels is not None else None
        boxes = batch.boxes[None] if batch.boxes is not None else None
        if self._few_tokens is not None:
            sparse = self._model.prompt_encoder(points, labels, boxes, None)[0]
            return self._few_tokens(prepared, sparse[0])
        given: dict[str, Any] = {"image_embeddings": prepared[0]}
        if self._kind == "sam_hq":
            given["intermediate_embeddings"] = list(prepared[1:])
        elif not self._padded:
            given["image_embeddings"] = list(prepared)
        output = self._model(
            **given,
            input_points=points,
            input_labels=labels,
            input_boxes=boxes,
            multimask_output=True,
        )
        return output.pred_masks[0], output.iou_scores[0]


def load(
    checkpoint: str, revision: str | None, device: torch.device, classes: Mapping[str, str] = _CLASSES
) -> tuple[Any, str, tuple[Sequence[float], Sequence[float]]]:
    """Load a checkpoint, once its config.json says that it fits.

    Args:
        checkpoint: A folder, or a name on the hub.
        revision: Of a name on the hub.
        device: Where the model is to be; it stays on the CPU here.
        classes: transformers' class by a checkpoint's `model_type`.

    Returns:
        The model, its `model_type`, and the mean and standard deviation of its pixels.

    Raises:
        ModelError: It is missing, damaged, incomplete, no SAM, or does not fit.
        PluginError: transformers, or what this model needs besides, is missing, too old or does not fit.
    """
    local = Path(checkpoint)
    source = str(local) if local.is_dir() else checkpoint
    kind = ""
    try:
        import transformers

        kind = _kind(transformers, source, revision, classes)
        model_class = getattr(transformers, classes[kind], None)
        if model_class is None:
            raise PluginError(
                f"transformers {transformers.__version__} has no {classes[kind]}", hint="pip install -U transformers"
            )
        with _quiet(transformers), without_bars():
            config = own_kernel(model_class.config_class.from_pretrained(source, revision=revision))
            check_layers(config, f"config.json of {checkpoint}")
            check_room(checkpoint, _count(model_class, config), device, SMALLER)
            check_files(local)
            model, report = model_class.from_pretrained(
                source,
                config=config,
                revision=revision,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
    except ImportError as error:
        raise _not_importable(kind) from error
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        if shortage(error) is not None:
            raise
        raise ModelError(
            f"can't load the checkpoint {checkpoint!r}: {first_line(error)}", hint="is it complete?"
        ) from error
    missing = sorted(report["missing_keys"])  # what is tied to another weight is not among them
    if missing:
        listing = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        raise ModelError(
            f"the checkpoint {checkpoint!r} lacks {len(missing)} of {classes[kind]}'s weights: {listing}",
            hint="facebook/sam3 has its tracker; a detector, or a Sam3VideoModel as transformers saves it, won't do"
            if classes[kind] == "Sam3TrackerModel"
            else "is it complete?",
        )
    default = _HALF if kind.startswith("sam3") else IMAGENET
    return model.eval().requires_grad_(False), kind, _normalisation(source, revision, default)


def _count(model_class: Any, config: Any) -> int:
    """Count the weights of a model by its config: it is built with shapes and nothing else."""
    from transformers.initialization import no_init_weights

    with torch.device("meta"), no_init_weights():
        return sum(weight.numel() for weight in model_class(config).parameters())


def _kind(transformers: Any, source: str, revision: str | None, classes: Mapping[str, str]) -> str:
    """A checkpoint's `model_type`.

    Raises:
        ModelError: There is no such checkpoint, or it is no SAM, or has an adapter beside it.
    """
    try:
        config, _ = transformers.PreTrainedConfig.get_config_dict(source, revision=revision)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"can't find the checkpoint {source!r}: {first_line(error)}",
            hint="name a folder, or a name on the hub such as facebook/sam-vit-huge",
        ) from error
    adapter = transformers.utils.cached_file(
        source, "adapter_config.json", revision=revision, _raise_exceptions_for_missing_entries=False
    )
    if adapter is not None:  # transformers would put it on where peft is installed, and nothing of it where it is not
        raise ModelError(
            f"the checkpoint {source!r} holds a LoRA adapter, no whole model",
            hint="merge it (peft: merge_and_unload), and name the folder of the merged model",
        )
    kind = str(config.get("model_type", ""))
    if kind not in classes:
        said = f"is a {kind!r}, no SAM" if kind else "has no config.json that names a model_type"
        raise ModelError(f"the checkpoint {source!r} {said}", hint=nearest(kind, classes))
    return kind


@contextmanager
def _quiet(transformers: Any) -> Iterator[None]:
    """Without transformers' warnings: that a video model's checkpoint becomes the image model, and what it lacks."""
    logging = transformers.utils.logging
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _not_importable(kind: str) -> PluginError:
    """Why transformers could not import what a model of this kind needs, and what to do about it."""
    try:
        if importlib.util.find_spec("torchvision") is not None:
            importlib.import_module("torchvision")
    except Exception:  # its operators are compiled against one version of torch, and fail in many ways with another
        build = "cpu" if torch.version.cuda is None else f"cu{torch.version.cuda.replace('.', '')}"
        return PluginError(
            f"the installed torchvision does not fit torch {torch.__version__}, so transformers can't load the model",
            hint=f"pip install torch and torchvision together from one index (build {build}), or remove torchvision",
        )
    if kind.startswith("edgetam"):
        return PluginError(
            "EdgeTAM's image encoder needs timm and torchvision, which can't be imported",
            hint='pip install "pixcore-sam[edgetam]"',
        )
    return PluginError(
        "masks: sam-transformers needs transformers, which can't be imported",
        hint='pip install "pixcore-sam[transformers]"',
    )


def _normalisation(
    source: str, revision: str | None, default: tuple[Sequence[float], Sequence[float]]
) -> tuple[Sequence[float], Sequence[float]]:
    """A checkpoint's own mean and standard deviation; the model family's if it does not say."""
    from transformers.utils import cached_file

    for name in ("preprocessor_config.json", "processor_config.json"):
        found = cached_file(source, name, revision=revision, _raise_exceptions_for_missing_entries=False)
        if found is None:
            continue
        said: Mapping[str, Any] = json.loads(Path(found).read_text(encoding="utf-8"))
        said = said.get("image_processor", said)
        if "image_mean" in said and "image_std" in said:
            return said["image_mean"], said["image_std"]
    return default


def _flat(given: Any) -> list[Tensor]:
    """Encoders give one array, a list of them, or one array with a list beside it."""
    if isinstance(given, Tensor):
        return [given]
    return [tensor for part in given for tensor in _flat(part)]
