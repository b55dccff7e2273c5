"""The options of the strategies."""

from __future__ import annotations

from typing import Literal

from pixcore_checkpoints.fingerprints import fingerprint_of
from pydantic import Field, field_validator, model_validator

from pixcore.components import Config
from pixcore_selection.pick import MaskRule, Threshold


class PhraseOverlapConfig(Config):
    """Options of `phrase-overlap`.

    Attributes:
        threshold: Where the best overlap (0 to 1) is below it, the object is taken for absent; null: never.
        mask: Which of the chosen candidate's masks is the answer.
    """

    threshold: float | None = Field(default=None, ge=0, le=1)
    mask: MaskRule = "best-score"


class GivenSimilarityConfig(Config):
    """Options of `given-similarity`.

    Attributes:
        threshold: Below it the object is taken for absent; null: never. auto: 0.7, as the released evaluator has it
            for en_core_web_lg's vectors, but for `paper`: its first release has no such cut.
    """

    threshold: Threshold = "auto"


class ConsensusConfig(Config):
    """Options of `consensus`.

    Attributes:
        iou: Two masks agree as much as their IoU says, but not at all below this.
    """

    iou: float = Field(default=0.0, ge=0, le=1)


class AttentionInsideConfig(Config):
    """Options of `attention-inside`.

    Attributes:
        normalise: How a mask's area counts against the share of relevance inside: `difference` subtracts its share of
            the image, `ratio` divides by it. The ratio is highest for the smallest masks at a peak.
    """

    normalise: Literal["difference", "ratio"] = "difference"


class EmbeddingConfig(Config):
    """Options of `embedding`.

    Attributes:
        model: A sentence-transformers model: a folder, or a name on the hub.
        revision: Of a name on the hub.
        threshold: Where the best cosine is below it, the object is taken for absent; null: never.
        mask: Which of the chosen candidate's masks is the answer.
        device: Where the model runs.
    """

    model: str = "sentence-transformers/all-MiniLM-L6-v2"
    revision: str | None = None
    threshold: float | None = Field(default=None, ge=-1, le=1)
    mask: MaskRule = "best-score"
    device: str = "cpu"

    def fingerprint(self) -> str:
        """Hash a folder's files; of a name on the hub give the commit that is on this machine."""
        return fingerprint_of(self.model, self.revision)


class SelfJudgeConfig(Config):
    """Options of `self-judge`.

    Attributes:
        prompt: What the model is asked about the picture with one mask highlighted; {expression} stands in it.
        yes: The answer whose probability counts. YAML takes a bare yes or no for true or false: write "yes": "Ja".
        no: The answer that it is weighed against, another one.
        masks: Which masks of a candidate are shown: `all`, or the one with the `best-score`.
        limit: At most so many masks are shown, those with the highest scores; null: all of them.
        threshold: Where the best probability is below it, the object is taken for absent; null: never.
        opacity: Of the red over the mask.
    """

    prompt: str = "Is the {expression} highlighted in red? Answer yes or no."
    yes: str = Field(default="Yes", min_length=1)
    no: str = Field(default="No", min_length=1)
    masks: Literal["all", "best-score"] = "all"
    limit: int | None = Field(default=None, ge=1)
    threshold: float | None = Field(default=None, ge=0, le=1)
    opacity: float = Field(default=0.5, gt=0, le=1)

    @field_validator("prompt")
    @classmethod
    def _names_the_expression(cls, value: str) -> str:
        try:
            asks_alike = value.format(expression="") == value.format(expression="it")
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(f"the prompt is not a template: {error}; its one field is {{expression}}") from None
        if asks_alike:
            raise ValueError("the prompt asks the same of every expression; {expression} stands for it")
        return value

    @model_validator(mode="after")
    def _answers_differ(self) -> SelfJudgeConfig:
        if self.yes == self.no:
            raise ValueError(f"yes and no are both {self.yes!r}: every mask would be as likely as not")
        return self
