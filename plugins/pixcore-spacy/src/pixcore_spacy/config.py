"""What the grouper and the strategy can be told. Nothing here imports spaCy."""

from __future__ import annotations

import hashlib
from importlib import metadata
from pathlib import Path
from typing import Literal

from pydantic import Field

from pixcore.candidates import MaskRule
from pixcore.components import Config


class PipelineConfig(Config):
    """Which spaCy pipeline.

    Attributes:
        pipeline: An installed pipeline package, or the folder of one.
    """

    pipeline: str = "en_core_web_lg"

    def fingerprint(self) -> str:
        """The versions of spaCy and of the pipeline, or what a folder's meta.json says."""
        return f"spacy {_version('spacy')}, {self.pipeline} {_pipeline_version(self.pipeline)}"


class NounPhrasesConfig(PipelineConfig):
    """Options of `noun-phrases`.

    Attributes:
        span: Which tokens a group holds: those of the whole `phrase` (PixFoundation), or of its `root` word alone
            (groundLMM, the first attend-and-segment).
    """

    span: Literal["phrase", "root"] = "phrase"


class SpacySimilarityConfig(PipelineConfig):
    """Options of `spacy-similarity`.

    Attributes:
        threshold: Below it the object is taken for absent; null: never, as in the first version of PixFoundation.
        mask: Which of the chosen candidate's masks; null: by `fidelity`, `last` (published) or `best-score`.
    """

    threshold: float | None = Field(default=0.7, ge=-1, le=1)
    mask: MaskRule | None = None


def _pipeline_version(pipeline: str) -> str:
    meta = Path(pipeline) / "meta.json"
    if meta.is_file():
        return hashlib.sha256(meta.read_bytes()).hexdigest()[:16]
    return _version(pipeline)


def _version(distribution: str) -> str:
    try:
        return metadata.version(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return "absent"
