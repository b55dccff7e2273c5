"""The generator `sam3-concept`: SAM 3's detector, which is told in words what to find."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pixcore_checkpoints.loading import loading
from torch.nn.functional import interpolate

from pixcore.components import Context, MaskGenerator
from pixcore.errors import ConfigError, ModelError, NotFiniteError, first_line
from pixcore.notices import notice
from pixcore.records import Image, MaskProposal, PointPrompt
from pixcore_sam.config import SamConceptConfig
from pixcore_sam.generator import device_named, resized
from pixcore_sam.hub import load

_CLASSES = {"sam3": "Sam3Model", "sam3_video": "Sam3Model"}


class SamConcept(MaskGenerator[SamConceptConfig]):
    """Finds every instance of what a prompt's text names; its points are none of its business.

    The first mask is the union of all instances found, and empty where there are none: the concept is then absent. The
    instances follow one by one, the best first.
    """

    text_prompts = True

    def __init__(self, config: SamConceptConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self.device = device_named(config.device)
        with loading(config.checkpoint):
            self._model, _, normalisation = load(config.checkpoint, config.revision, self.device, _CLASSES)
            self._tokenizer = _tokenizer(config.checkpoint, config.revision)
            self._model.to(self.device)
            self._mean, self._std = (torch.tensor(values).reshape(3, 1, 1) for values in normalisation)
        self._side = int(self._model.config.vision_config.backbone_config.image_size)
        self._seen: tuple[str, Any] = "", None

    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        """Find what each prompt's text names.

        Raises:
            ConfigError: A prompt has no text.
        """
        if any(not prompt.text for prompt in prompts):
            raise ConfigError(
                "masks: sam3-concept is told in words what to find, and got points",
                hint="grouper: asked-expression or said-phrases; of a control, points: other-images",
            )
        if not prompts:
            return []
        with torch.inference_mode():
            vision = self._encoded(image)
            texts = dict.fromkeys(str(prompt.text) for prompt in prompts)
            found = {text: self._found(text, vision, image.size) for text in texts}
        return [found[str(prompt.text)] for prompt in prompts]

    def _encoded(self, image: Image) -> Any:
        if self._seen[0] != image.digest:
            values = torch.from_numpy(resized(image.pixels(), (self._side, self._side))).permute(2, 0, 1).float() / 255
            values = ((values - self._mean) / self._std)[None].to(self.device)
            self._seen = image.digest, self._model.get_vision_features(values)
        return self._seen[1]

    def _found(self, text: str, vision: Any, size: tuple[int, int]) -> MaskProposal:
        most = int(self._model.config.text_config.max_position_embeddings)
        if len(self._tokenizer(text)["input_ids"]) > most:
            notice(f"sam3-concept hears the first {most} tokens of a text and cuts the rest, such as of {text[:80]!r}")
        given = self._tokenizer([text], padding="max_length", max_length=most, truncation=True, return_tensors="pt").to(
            self.device
        )
        output = self._model(vision_embeds=vision, input_ids=given["input_ids"], attention_mask=given["attention_mask"])
        scores = output.pred_logits[0].sigmoid()
        if output.presence_logits is not None:
            scores = scores * output.presence_logits[0].sigmoid()
        if not bool(scores.isfinite().all() & output.pred_masks.isfinite().all()):
            raise NotFiniteError("the mask logits and scores", str(scores.dtype).removeprefix("torch."))
        order = torch.argsort(scores, descending=True, stable=True)
        kept = order[scores[order] > self.config.threshold]
        masks = _masks(output.pred_masks[0, kept], size)
        first = float(scores.max()) if len(scores) else 0.0
        each = scores[kept][: self.config.most].float().cpu().numpy()
        union = masks.any(axis=0, keepdims=True)
        return MaskProposal(
            np.concatenate([union, masks[: self.config.most]]), np.concatenate([[first], each]).astype(np.float32)
        )


def _masks(logits: torch.Tensor, size: tuple[int, int]) -> NDArray[np.bool_]:
    """Masks (n, height, width) of an image of a (width, height): probabilities are resized, as transformers does it."""
    width, height = size
    if not len(logits):
        return np.zeros((0, height, width), np.bool_)
    probabilities = interpolate(logits.sigmoid()[None], (height, width), mode="bilinear", align_corners=False)[0]
    masks: NDArray[np.bool_] = (probabilities > 0.5).cpu().numpy()
    return masks


def _tokenizer(checkpoint: str, revision: str | None) -> Any:
    from transformers import AutoTokenizer

    folder = Path(checkpoint)
    if folder.is_dir() and not any((folder / name).is_file() for name in ("tokenizer.json", "vocab.json")):
        # transformers would make one that knows no word, and say nothing
        raise ModelError(f"the checkpoint {checkpoint!r} has no tokenizer", hint="is it complete?")
    try:
        return AutoTokenizer.from_pretrained(str(folder) if folder.is_dir() else checkpoint, revision=revision)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the checkpoint {checkpoint!r} has no tokenizer: {first_line(error)}", hint="is it complete?"
        ) from error
