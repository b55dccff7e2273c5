"""The options of the grouper and the strategy. Nothing here imports spaCy."""

from __future__ import annotations

from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Literal

from pixcore_checkpoints.fingerprints import hash_folder
from pixcore_selection.pick import MaskRule, Threshold

from pixcore.components import Config
from pixcore.records import Fidelity

_ABSENT = "absent"


class PipelineConfig(Config):
    """Options of everything that uses a spaCy pipeline: which one.

    Attributes:
        pipeline: An installed pipeline package, or the folder of one.
    """

    pipeline: str = "en_core_web_lg"

    def check_ready(self) -> None:
        """See that the pipeline is there.

        Raises:
            ModelError: It is not.
        """
        if _pipeline_version(self.pipeline) == _ABSENT:
            from pixcore_spacy.pipelines import load  # imports spaCy, which then says what is missing

            load(self.pipeline)

    def fingerprint(self) -> str:
        """Give the versions of spaCy and pipeline; of a folder a hash of its files (of large ones size and end)."""
        return f"spacy {_version('spacy')}, {self.pipeline} {_pipeline_version(self.pipeline)}"


class NounPhrasesConfig(PipelineConfig):
    """Options of `noun-phrases`.

    Attributes:
        span: Which tokens a group holds: those of the whole `phrase` (PixFoundation), or of its `root` word alone
            (groundLMM, the first attend-and-segment). Both fidelities take the phrase: the paper speaks of noun phrases
            and shows their masks (section 3.2, figure 1), and its code has what the paper says.
    """

    span: Literal["phrase", "root"] = "phrase"


class SpacySimilarityConfig(PipelineConfig):
    """Options of `spacy-similarity`.

    Attributes:
        threshold: Below it the object is taken for absent; null: never. auto: 0.7, as the released evaluator has it,
            but for `paper`: its first release has no such cut.
        mask: Which of the chosen candidate's masks; null: by `fidelity`, `last` (published, paper) or `best-score`.
        fidelity: Whose rules; null: the run's. So that both can stand in one table.
    """

    threshold: Threshold = "auto"
    mask: MaskRule | None = None
    fidelity: Fidelity | None = None


def _pipeline_version(pipeline: str) -> str:
    installed, folder = _version(pipeline), Path(pipeline)
    if installed != _ABSENT or not folder.is_dir():  # an installed package comes first, as in spacy.load
        return installed
    return hash_folder(folder)[:16]


_read_once = cache(metadata.version)  # of what is installed; what is not there is looked for again


def _version(distribution: str) -> str:
    try:
        return _read_once(distribution)
    except (metadata.PackageNotFoundError, ValueError):
        return _ABSENT
