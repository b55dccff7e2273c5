"""Options of the benchmarks."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import model_validator

from pixcore.components import Config


class ReasonSegConfig(Config):
    """Options of reasonseg.

    Attributes:
        root: The folder ReasonSeg with its folders train, val and test.
        split: Which of them.
        texts: Which of an image's texts are asked: the first, as the released evaluation does, or all.
    """

    root: Path
    split: Literal["train", "val", "test"] = "val"
    texts: Literal["first", "all"] = "first"


class RefCocoMConfig(Config):
    """Options of refcoco-m.

    Attributes:
        root: The folder that holds data/, with the parquet files of the hub's moondream/refcoco-m.
        split: Which files: "validation", of which alone there are any today.
    """

    root: Path
    split: str = "validation"


class NarrativesConfig(Config):
    """Options of panoptic-narratives.

    Attributes:
        root: The folder with annotations/ and images/.
        split: Which of COCO's splits.
        images: The folder of pictures, from root; "images/" and the split if left out.
        question: What the probing `question` asks of each image, such as "Describe this image in detail."; null: it
            asks nothing.
    """

    root: Path
    split: Literal["train2017", "val2017"] = "val2017"
    images: str | None = None
    question: str | None = None


class ConversationsConfig(Config):
    """Options of grounded-conversations.

    Attributes:
        root: The folder GranDf, with annotations/.
        split: Which of the two evaluated splits.
        groundings: A training file in place of them, from root, such as "annotations/train/GranDf_HA_GCG_train.json".
        images: The folder of pictures, from root; "GranDf_HA_images/val_test" (of a training file, ".../train") if left
            out.
        each: What is a sample: an "image", whose answer is to be a caption with masks, or a "phrase".
        bert: Of images, the folder of bert-base-uncased, by which the release compares phrases in its recall; without
            it, the recall of masks alone is told.
        captions: Of images, METEOR and CIDEr of what is written, by pycocoevalcap, which runs Java.
    """

    root: Path
    split: Literal["val", "test"] = "val"
    groundings: str | None = None
    images: str | None = None
    each: Literal["image", "phrase"] = "image"
    bert: Path | None = None
    captions: bool = False

    @model_validator(mode="after")
    def _of_captions(self) -> ConversationsConfig:
        if self.each == "phrase" and (self.bert is not None or self.captions):
            raise ValueError("bert and captions need each: image, as a phrase's answer is compared by its mask alone")
        return self
