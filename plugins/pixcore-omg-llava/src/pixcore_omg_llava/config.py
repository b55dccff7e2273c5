"""OMG-LLaVA's options. Light: imports neither torch nor transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pixcore_segtoken.config import SegmentingConfig
from pixcore_transformers.config import CHECKPOINT, place
from pydantic import Field

from pixcore.records import Protocol


class OmgLlavaConfig(SegmentingConfig):
    """Options of `omg-llava`: three files of the release, the language model it was tuned from, how to generate.

    Attributes:
        checkpoint: A folder with the release's files, or a name on the hub.
        revision: Branch, tag or commit of the checkpoint on the hub.
        finetuned: Its file with adapters, embeddings and projectors.
        perception: Its file with OMG-Seg.
        vocabulary: Its file with the class names' embeddings.
        language: InternLM2: a folder, or a name on the hub.
        clip: Where the ConvNeXt is if the file with OMG-Seg has none: a folder, or a name on the hub.
        offline: Never ask the hub; what is there in the cache has to do.
        lora: Add the adapters to the weights, or compute them beside, as the release does.
        lora_scale: Quotient alpha / rank of the adapters; the release has 256 / 512.
        image_size: Side of the square that the model sees.
        dtype: Of the language model; auto: float16 on a GPU, float32 on a CPU. The rest is float32.
        max_new_tokens: The published run allows 512.
        cache: A folder for a converted copy of the weights, which loads faster.
    """

    prompts: ClassVar[Mapping[Protocol, str]] = {
        Protocol.SEGMENT: "Can you please segment {expression} in the given image"
    }

    checkpoint: str = Field(default="zhangtao-whu/OMG-LLaVA", validation_alias=CHECKPOINT)
    revision: str | None = None
    finetuned: str = "omg_llava_7b_finetune_8gpus.pth"
    perception: str = "omg_seg_convl.pth"
    vocabulary: str = "convnext_large_d_320_CocoPanopticOVDataset.pth"
    language: str = "internlm/internlm2-chat-7b"
    clip: str = "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup"
    offline: bool = False
    lora: Literal["merged", "beside"] = "merged"
    lora_scale: float = Field(default=0.5, gt=0)
    image_size: int = Field(default=1024, ge=64, multiple_of=64)
    dtype: Literal["auto", "float32", "float16", "bfloat16"] = "auto"
    max_new_tokens: int = Field(default=512, ge=1)
    cache: Path | None = None

    def fingerprint(self) -> str:
        """Hash the release, the language model and the ConvNeXt."""
        sources = ((self.checkpoint, self.revision), (self.language, None), (self.clip, None))
        return " ".join(place(name, revision).fingerprint() for name, revision in sources)
