"""The interfaces behind the hooks: what a plugin implements.

Every component is made as `Component(config, context)`: its own validated config, and what it may know of the run.
Shapes are part of the contract; `pixcore check NAME` holds a component to them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidatorFunctionWrapHandler, field_validator

from pixcore.errors import ModelError
from pixcore.files import at_home
from pixcore.geometry import VisualLayout
from pixcore.plugins import Kind, hold_to_kinds
from pixcore.records import (
    Candidate,
    Fidelity,
    Image,
    MaskProposal,
    PointPrompt,
    Protocol,
    Request,
    Response,
    Sample,
    Selection,
    Token,
    TokenGroup,
    Verdict,
)
from pixcore.services import Allowance, Expense


def as_meant(value: Any, validate: ValidatorFunctionWrapHandler) -> Any:
    """Validate a field: `off` is no number, though pydantic takes it for one, and a path may begin at home."""
    found = validate(value)
    if isinstance(value, bool) and type(found) in (int, float):
        raise ValueError("a number is expected, and yes, no, on and off are none")
    if value == "" and str(found) == ".":  # where a shell's variable was not set, say
        raise ValueError("an empty path is none; the current folder is .")
    return at_home(found)


class Config(BaseModel):
    """Base of every component's config: unknown keys are errors, values never change.

    Attributes:
        not_in_key: Fields that change how a component works and never what it records (a timeout, where a key is
            found): they are no part of the records' key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    not_in_key: ClassVar[frozenset[str]] = frozenset()

    _as_meant = field_validator("*", mode="wrap")(as_meant)

    def check_ready(self) -> None:
        """Look for what the component needs from outside before a run begins, so that nothing is computed in vain.

        Raises:
            UserError: Something is missing, such as a service's key.
        """

    def check_price(self, allowance: Allowance | None) -> None:
        """Refuse, before a run begins, a service that can't be held to what the run may spend; raises a UserError."""

    def fingerprint(self) -> str:
        """Say what can change the component's records besides its config and version.

        A hash of the weights, a resolved revision, the content of a file that the config names. It must be cheap
        and import nothing heavy: it is asked for even when nothing is left to compute.
        """
        return ""


class NoConfig(Config):
    """The config of a component without options."""


class ModelConfig(Config):
    """Base of every model adapter's config.

    Attributes:
        prompts: How this model is asked under a protocol, where that differs from `pixcore.protocols`; fields:
            {question}, {options}, {expression}. It stands here and not on the adapter so that requests, and with them
            the keys of records, are known without importing what the adapter needs.
        family: The architecture's name (`model_type`), or the model's, which says how it writes places.
        asks_service: Whether it asks a service that may cost money, as of a selection strategy.
        refills: Whether it is asked all probings of `batch_size` samples at once; where an answer ends, another begins.
        by_sample: Whether it answers by a sample's id and not by what it is asked alone.
    """

    prompts: ClassVar[Mapping[Protocol, str]] = {}
    family: ClassVar[str] = ""
    asks_service: ClassVar[bool] = False
    refills: ClassVar[bool] = False
    by_sample: ClassVar[bool] = False


ConfigT = TypeVar("ConfigT", bound=Config)


@dataclass(frozen=True)
class Context:
    """What a component may know of the run it serves.

    Attributes:
        fidelity: The run's switch between the released code's quirks and what is right; strategies alone see `paper`.
        seed: The run's seed.
        model: Loads the run's model adapter on first call, for strategies that ask the model itself.
        model_config: The config of the run's model adapter.
        recall: Answers from the store what was kept under a key before, or None.
        remember: Keeps under a key what was dear to find out, such as what a paid service said, at once.
        allowance: What the run may spend on services; None: no limit, and nothing is counted.
        batch_size: How many requests a model answers together; None: as many as it is asked at once.
    """

    fidelity: Fidelity = Fidelity.CORRECTED
    seed: int = 0
    model: Callable[[], ModelAdapter[Any]] | None = field(default=None, repr=False)
    model_config: Config | None = None
    recall: Callable[[str], Any] | None = field(default=None, repr=False)
    remember: Callable[[str, Any], None] | None = field(default=None, repr=False)
    allowance: Allowance | None = field(default=None, repr=False)
    batch_size: int | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Pickled for elsewhere, leave what keeps answers here."""
        return {**vars(self), "recall": None, "remember": None}

    @property
    def published(self) -> bool:
        """Whether to reproduce the released code, in its last release or its first."""
        return self.fidelity.released


class Component(ABC, Generic[ConfigT]):
    """Base of every component.

    Attributes:
        config: The component's own validated config.
        context: What it may know of the run.
    """

    def __init__(self, config: ConfigT, context: Context | None = None) -> None:
        self.config = config
        self.context = context or Context()
        self._entropy: tuple[int | Callable[[], int], ...] = ()

    @cached_property
    def rng(self) -> np.random.Generator:
        """A generator; stages seed it anew for every sample for points and choices of masks: no order matters there."""
        return np.random.default_rng([self.context.seed, *(one() if callable(one) else one for one in self._entropy)])

    def reseed(self, *entropy: int | Callable[[], int]) -> None:
        """Seed `rng` from the run's seed and what identifies the work at hand; a function is called on first use."""
        self._entropy = entropy
        self.__dict__.pop("rng", None)

    def close(self) -> None:
        """Free memory, processes and connections."""


Capability = Literal["text", "attention", "masks"]


@dataclass(frozen=True)
class Needs:
    """What an extractor has to see; the adapter arranges it in one pass.

    Attributes:
        layers: Which decoder layers, negative from the end; None for all, () for an extractor that looks at no rows.
        heads: Which heads, negative from the end; None for all.
        query: Which row belongs to a token: the one that predicts it (the row of the token before it), or the one of
            the token itself once it has been emitted.
        prefill_row: Which row of the prompt is read at the first step: the last, or the second to last as
            PixFoundation's released code does.
        gradients: Attention rows carry gradients of the token's log probability.
        hidden_states: `observe_hidden` is called with the visual tokens' states, after every layer or after these.
        reference_prompt: A second prompt on the same image whose last row gives `Response.reference`.
    """

    layers: tuple[int, ...] | None = None
    heads: tuple[int, ...] | None = None
    query: Literal["predicting", "emitted"] = "predicting"
    prefill_row: Literal[-1, -2] = -1
    gradients: bool = False
    hidden_states: bool | tuple[int, ...] = False
    reference_prompt: str | None = None


class AttentionExtractor(Component[ConfigT]):
    """Turns attention rows, seen while they are computed, into one map per output token.

    An adapter calls, for each batch: `prepare`, `begin`, then for every decoding step `observe` once a layer in
    ascending order and `end_step`, then `maps`. A square attention matrix is never there to be seen. One with a method
    `observe_steps(layer, rows)` may be shown several steps at once, (batch, heads, steps, cells), and one `end_step`.
    To one with `stepwise = True` a sample's place may be another's from some step on, as each step stands alone.
    """

    @property
    @abstractmethod
    def needs(self) -> Needs:
        """What it has to see."""

    def prepare(self, requests: Sequence[Request], layouts: Sequence[VisualLayout]) -> None:
        """Hear what the next batch is, for an extractor that has to know the grids or the samples' names."""

    @abstractmethod
    def begin(self, batch: int, layers: int, heads: int, cells: int) -> None:
        """Start a batch of answers.

        Args:
            batch: Samples in the batch.
            layers: Layers that will be observed at each step.
            heads: Heads in each of them.
            cells: Visual tokens, the most of any sample; a sample with fewer is padded with zeros at the end.
        """

    @abstractmethod
    def observe(self, layer: int, rows: Any) -> None:
        """See one layer's rows of one decoding step.

        Args:
            layer: Index of the decoder layer, from 0.
            rows: (batch, heads, cells) float32: softmax over *all* keys, cut to the visual tokens. A torch.Tensor on
                the model's device, or a NumPy array.
        """

    def observe_gradients(self, layer: int, gradients: Any) -> None:
        """See d log p(token) / d rows of the same shape, if `needs.gradients`."""

    def observe_tokens(self, tokens: Sequence[Sequence[int]], unembed: Callable[[Any], Any]) -> None:
        """Hear what was generated, before any hidden state is seen, if `needs.hidden_states`.

        Args:
            tokens: The ids of each sample's generated tokens.
            unembed: The final norm and the output projection: states (..., width) to logits (..., vocabulary).
        """

    def observe_hidden(self, layer: int, states: Any) -> None:
        """See (batch, cells, width) states of the visual tokens after a layer, if `needs.hidden_states`."""

    def end_step(self) -> None:
        """Hear that a decoding step, or those seen at once, is complete: the next `observe` is of the next token."""

    @abstractmethod
    def maps(self) -> Sequence[NDArray[np.float32]]:
        """Finish the batch, and give its maps.

        Returns:
            One array a sample, (steps, cells) float32; the adapter cuts each to its own tokens and visual tokens.
        """


class MapTransform(Component[ConfigT]):
    """Acts on finished maps: subtract the mean, filter sinks, smooth. Transforms compose in the config's order."""

    @abstractmethod
    def transform(
        self, maps: NDArray[np.float32], layout: VisualLayout, reference: NDArray[np.float32] | None
    ) -> NDArray[np.float32]:
        """Transform all maps of one response.

        Args:
            maps: (tokens, visual tokens).
            layout: Where the visual tokens lie.
            reference: (visual tokens,), the extractor's reference map, if there is one.

        Returns:
            The same shape as `maps`; a new array.
        """


class ModelAdapter(Component[ConfigT]):
    """Answers (image, prompt) with text, tokens, and per-token relevance or masks; its config is a `ModelConfig`."""

    @property
    @abstractmethod
    def capabilities(self) -> frozenset[Capability]:
        """What its responses hold."""

    @abstractmethod
    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Answer a batch of requests.

        Args:
            requests: Up to `batch_size` requests, of any image sizes.
            extractor: Gets the attention while it is computed; `Response.maps` then holds its maps.

        Returns:
            One response for each request, in order. A batch must not change a sample's response.

        Raises:
            SampleError: One request can't be answered; the stage then tries its neighbours one by one.
        """

    def replay(self, requests: Sequence[Request], texts: Sequence[str], extractor: Any) -> list[Response]:
        """Give the maps of answers from elsewhere, as if the model had said them, in its own tokenizer's tokens."""
        raise ModelError(f"{type(self).__name__} can't replay a text", hint="one that reads attention can")

    def expected_cost(self, request: Request) -> Expense:
        """Say what an answer will cost; asked only of a model that asks a service."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it costs")

    def layout(self, image: Image) -> VisualLayout:
        """Say where the visual tokens of an image lie, without answering; the geometry test asks for it."""
        raise NotImplementedError(f"{type(self).__name__} does not say where its visual tokens lie")

    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        """Give what the language model sees of an image, (visual tokens, width); the geometry test asks for it."""
        raise NotImplementedError(f"{type(self).__name__} does not show its visual tokens' embeddings")

    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> NDArray[np.float64]:
        """Give the probability of each continuation right after a prompt, (n,), for strategies that ask the model."""
        raise NotImplementedError(f"{type(self).__name__} can't score a continuation")


class TokenGrouper(Component[ConfigT]):
    """Says which output tokens belong together."""

    gives_prompts: ClassVar[bool] = False
    """Its groups may carry prompts of their own, so that answers without maps are grouped as well."""

    @abstractmethod
    def group(self, text: str, tokens: Sequence[Token]) -> list[TokenGroup]:
        """Group the tokens of one response.

        Args:
            text: The response's text.
            tokens: All its tokens; those that add no text (start == end) belong to no group.

        Returns:
            Groups in the order of the text, none empty but those with a prompt. A token may be in several or none.
        """

    def group_many(self, responses: Sequence[tuple[str, Sequence[Token]]]) -> list[list[TokenGroup]]:
        """Group several responses; override where a batch is cheaper."""
        return [self.group(text, tokens) for text, tokens in responses]

    def group_asked(self, asked: Sequence[tuple[Request, Response]]) -> list[list[TokenGroup]]:
        """Group several responses, knowing what they answer; override where groups depend on image or expression."""
        return self.group_many([(response.text, response.tokens) for _, response in asked])


Lent = tuple[tuple[int, int], Sequence[PointPrompt]]
"""The (width, height) of another image, and the run's prompts on it."""


class PointSelector(Component[ConfigT]):
    """Turns a relevance map into a point prompt.

    Attributes:
        of_other_images: As a control's, it looks at the prompts of other images.
    """

    of_other_images: ClassVar[bool] = False

    @abstractmethod
    def select(self, relevance: NDArray[np.float32]) -> PointPrompt:
        """Choose points on one relevance map.

        Args:
            relevance: (height, width) at image size.

        Returns:
            At least one point (or a box) inside the image. The centre of pixel (column i, row j) is named (i, j), the
            convention of segment-anything's prompts and of attend-and-segment's argmax.
        """

    def control(self, size: tuple[int, int], own: Sequence[PointPrompt], others: Sequence[Lent]) -> list[PointPrompt]:
        """Choose a control's prompts; unless another way is known, on maps that are zero everywhere.

        Args:
            size: (width, height) of the image.
            own: The run's own prompts on it: as many are to be chosen, and of their kind.
            others: Other images' sizes, each with the run's prompts on it; empty unless `of_other_images`.
        """
        return list(map(self.select, [np.zeros(size[::-1], np.float32)] * len(own)))


class MaskGenerator(Component[ConfigT]):
    """Turns point prompts on one image into candidate masks with scores."""

    text_prompts: ClassVar[bool] = False
    several_places: ClassVar[bool] = False
    """Whether a prompt may be a text, and may have others beside it that stand for the same thing."""

    @abstractmethod
    def segment(self, image: Image, prompts: Sequence[PointPrompt]) -> list[MaskProposal]:
        """Segment one image at some prompts.

        The image is encoded once, all prompts go through in one batch; a second call with its content encodes nothing.

        Returns:
            One proposal a prompt, in order, with all its masks at the original image size.
        """


class SelectionStrategy(Component[ConfigT]):
    """Picks one candidate mask, or says that the object is absent.

    Attributes:
        uses_ground_truth: Marks an upper bound; reports mark it too.
        needs_model: Whether it asks models or services at a cost worth estimating.
        needs_maps: Whether it looks at the response's relevance maps, which a predictions file does not hold.
        asks_service: Whether it asks a service that may cost money: `--estimate` tells of it, `--fresh-judge` asks it
            anew. What it pays for it keeps with `context.remember`.
    """

    uses_ground_truth: ClassVar[bool] = False
    needs_model: ClassVar[bool] = False
    needs_maps: ClassVar[bool] = False
    asks_service: ClassVar[bool] = False

    @abstractmethod
    def select(self, sample: Sample, response: Response, candidates: Sequence[Candidate]) -> Selection:
        """Choose among one sample's candidates, of which there may be none.

        Other strategies are given the same objects: nothing in them may be changed, and maps and points can't be.
        """

    def select_many(
        self, items: Iterable[tuple[Sample, Response, Sequence[Candidate]]]
    ) -> Iterator[Selection | Exception]:
        """Choose for many samples in order; override where calls can overlap.

        `items` is read lazily from the store: take no more of it at once than there are calls in flight. A failed
        sample yields its error in place of a selection.
        """
        for sample, response, candidates in items:
            try:
                yield self.select(sample, response, candidates)
            except Exception as error:  # a failed sample must not cost its neighbours
                yield error

    def expected_cost(self, sample: Sample, masks: int) -> Expense:
        """Say what choosing among so many masks will cost; asked only of a strategy that asks a service."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it costs")


class Benchmark(Component[ConfigT]):
    """Yields samples with masks."""

    drawn: ClassVar[bool] = False
    """Whether its samples follow from its config alone, and no file is read for them."""
    opens_files: ClassVar[bool] = False
    """Whether they follow from that and from what Python's own functions open and list, as `Image.from_path` does."""

    @property
    def notes(self) -> Sequence[str]:
        """Lines that stand below every table of this benchmark: what is missing, which choice was made."""
        return ()

    @abstractmethod
    def samples(self) -> Iterator[Sample]:
        """Give all samples in their order; images are read on use."""

    def __len__(self) -> int:
        """Number of samples."""
        return sum(1 for _ in self.samples())


class Judge(Component[ConfigT]):
    """Says whether a free-text answer is right.

    Attributes:
        asks_service: Whether it asks a service that may cost money, as of a selection strategy.
    """

    asks_service: ClassVar[bool] = False

    @abstractmethod
    def grade(self, question: str, options: Sequence[str], answer: int, response: str) -> Verdict:
        """Grade one answer.

        Args:
            question: The question, without options.
            options: The options' texts.
            answer: Index of the right one.
            response: What the model said.
        """

    def grade_many(self, items: Iterable[tuple[str, Sequence[str], int, str]]) -> Iterator[Verdict | Exception]:
        """Grade many answers in order; override where calls can overlap. A failed one yields its error."""
        for question, options, answer, response in items:
            try:
                yield self.grade(question, options, answer, response)
            except Exception as error:  # a failed sample must not cost its neighbours
                yield error

    def expected_cost(self, question: str, options: Sequence[str], answer: int, response: str) -> Expense:
        """Say what grading an answer will cost; asked only of a judge that asks a service."""
        raise NotImplementedError(f"{type(self).__name__} does not say what it costs")


class Executor(Component[ConfigT]):
    """Has the records of a run made that are missing: here, in other processes, or on other machines."""

    @abstractmethod
    def execute(self, job: Any, work: Mapping[Any, Any], monitor: Any) -> None:
        """Make what is missing, stage by stage or overlapped, and hand it to each stage's `take` in any order.

        A stage alone writes its store, in this process. An item is made once the stages before have the records that
        it `reads`; one whose `reads` have failed is left. A pickled copy of a stage makes records elsewhere.

        Args:
            job: The run (`pixcore.runs.plan.Run`).
            work: Its stages in order, each with the items that lack a record (`pixcore.runs.plan.Work`).
            monitor: A `pixcore.stages.base.Monitor`: hears how it goes on; raises where a failed sample ends the run.
        """

    def gpus_of(self, stage: Any) -> float | None:
        """Say how many GPUs each holds who makes a stage's records; None where the machine decides."""
        return None


_THERE = [one.__name__ for one in Component.__subclasses__()]
hold_to_kinds("pixcore.components", [kind.interface_name for kind in Kind], _THERE)
