"""What flows through pixcore, in one direction: sample, request, response, candidates, selection, score.

Everything here is a frozen dataclass of plain data. Masks are COCO RLE (`pixcore.masks`), coordinates are (x, y)
in pixels of the original image, character spans are [start, end) in the response's text.

The words, one for a thing, everywhere:

    sample           an image of a benchmark with its question, its expression and their ground truth
    probing          a way to ask about a sample: question, segment, letter, or one of a config's own
    item             a sample under a probing
    request          what a model is given for an item: image and prompt
    response         what it said, with attention maps or masks of its own
    token group      tokens of a response that belong together, such as a noun phrase
    point prompt     where a mask generator is told to look
    candidate        the masks that one token group gave
    strategy         a component that chooses among a response's candidates
    selection        its choice: one mask, none fits, or none was there
    row              a line of the table: a strategy's masks, a control's, a model's own
    figure           a number of a row with its interval
    judge            a component that reads an answer and gives a verdict; also its stage, store and files
    verdict          whether an answer is right
    control          what stands beside a row and knows nothing: as many masks, from points no attention chose
    cluster          samples that are drawn together in the bootstrap: a pair, or those of one image
    run, run folder  a config carried out on a benchmark, and where what it leaves behind lies
    stage            a step of a run with records of its own
    record           what a stage made of one item
    store            the records of a stage under one set of ingredients, shared by runs
"""

from __future__ import annotations

import hashlib
import io
import logging
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, partial
from math import isfinite
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PILImage
from PIL import ImageOps, UnidentifiedImageError

from pixcore.errors import DataError, UserError, describe
from pixcore.files import read_file
from pixcore.geometry import Box, VisualLayout
from pixcore.masks import RLE, area, check

logging.getLogger("PIL").addHandler(logging.NullHandler())  # it would print what a picture's error line says


class Protocol(StrEnum):
    """Names of the paper's three probings (section 3.1); the released code numbers them 1, 3, 2.

    Wherever a record names a probing, a config's own may stand in their place: compare with `==`.
    """

    QUESTION = "question"
    SEGMENT = "segment"
    LETTER = "letter"


class Fidelity(StrEnum):
    """Whose rules hold: `corrected` what is right, `published` the released code's quirks, `paper` its first release's.

    The first release made the paper's Table 1. Its answers and candidates are the last one's; which mask is chosen, and
    what counts in the mean, differ.
    """

    PAPER = "paper"
    PUBLISHED = "published"
    CORRECTED = "corrected"

    @property
    def released(self) -> bool:
        """Whether a release of the paper's code is reproduced."""
        return self is not Fidelity.CORRECTED

    @property
    def of_answers(self) -> Fidelity:
        """Whose answers, candidates and verdicts: both releases make the same, so that their records are shared."""
        return Fidelity.PUBLISHED if self.released else self


_TURNED = "is it the annotated file, or turned by its EXIF data?"


@dataclass(frozen=True, eq=False)
class Image:
    """An image that is read when it is first looked at.

    Args:
        read: Gives the encoded bytes (PNG, JPEG, …).
        name: Names the image in errors: a path, or a sample's id.
        known_size: (width, height) if a benchmark's annotation states it, so that scoring reads no pixels.
    """

    read: Callable[[], bytes] = field(repr=False)
    name: str = "image"
    known_size: tuple[int, int] | None = None

    @classmethod
    def from_path(cls, path: Path | str, *, known_size: tuple[int, int] | None = None) -> Image:
        """Take an image file, which is read on use."""
        return cls(partial(read_file, Path(path), "image"), str(Path(path)), known_size)

    @classmethod
    def from_pixels(cls, pixels: NDArray[np.uint8], *, name: str = "image") -> Image:
        """Take pixels in memory, (height, width, 3) RGB; the bytes are a PPM, which no compression slows down."""
        buffer = io.BytesIO()
        PILImage.fromarray(pixels).save(buffer, "PPM")
        return cls(partial(bytes, buffer.getvalue()), name, (pixels.shape[1], pixels.shape[0]))

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the encoded bytes, in hex; a DataError where they can't be read."""
        try:
            return hashlib.sha256(self.read()).hexdigest()
        except UserError:
            raise
        except Exception as error:  # a benchmark's own reader raises anything at damaged files
            raise DataError(f"can't read image {self.name}: {describe(error)}", hint="is the file whole?") from error

    def pil(self) -> PILImage.Image:
        """Decode the image: RGB, 8 bits, turned upright as its EXIF data says.

        Raises:
            DataError: It is not an image, or it is damaged.
        """
        try:
            encoded = self.read()
            if "digest" in vars(self) and hashlib.sha256(encoded).hexdigest() != self.digest:
                raise DataError(f"image {self.name} has changed since the run began", hint="the same command again")
            with PILImage.open(io.BytesIO(encoded)) as opened:
                opened.load()
                upright = ImageOps.exif_transpose(opened)
                if self.known_size not in (None, upright.size):
                    raise DataError(f"image {self.name} is {upright.size} pixels, not {self.known_size}", hint=_TURNED)
                return _to_rgb(upright)
        except UserError:
            raise
        except Exception as error:  # Pillow's readers raise anything at damaged files
            why = "it is of no known format" if isinstance(error, UnidentifiedImageError) else str(error)
            raise DataError(f"can't decode image {self.name}: {why}", hint="is the file whole?") from error

    def pixels(self) -> NDArray[np.uint8]:
        """Decode the image to a (height, width, 3) RGB array."""
        return np.asarray(self.pil(), dtype=np.uint8)

    @cached_property
    def size(self) -> tuple[int, int]:
        """Size as (width, height), the image upright."""
        return self.known_size or self.pil().size


def _to_rgb(image: PILImage.Image) -> PILImage.Image:
    if image.mode.startswith("I") or image.mode == "F":
        # Pillow's own conversion clips 16-bit values to 255 and leaves a white image
        values = np.nan_to_num(np.asarray(image, np.float64), posinf=0.0, neginf=0.0)  # what is no number is black
        full = 65535.0 if image.mode.startswith("I") else max(float(values.max()), 1e-12)
        return PILImage.fromarray((np.clip(values / full, 0, 1) * 255).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")


@dataclass(frozen=True)
class Sample:
    """One question about one image, as a benchmark states it.

    Attributes:
        id: A name that a user can know, unique in its benchmark.
        image: The picture.
        question: The question, or None where the sample is only grounded.
        options: The texts of the options, without letters.
        answer: Index of the right option, or None.
        expression: The referring expression of the object in question, or None: not scored for grounding.
        mask: The ground truth; empty where the object is absent, None where there is none.
        pair: Samples with the same pair count only together (MMVP).
        categories: What tables break down by, such as {"pattern": "Orientation and Direction"}.
        released_expression: The expression as the released files have it where that differs (PixMMVP's leading
            space); the `published` fidelity asks with it.
        released_options: The options in one string as the released files have them, likewise.
        extra: Anything else that a report should show; JSON data.
    """

    id: str
    image: Image
    question: str | None = None
    options: tuple[str, ...] = ()
    answer: int | None = None
    expression: str | None = None
    mask: RLE | None = None
    pair: str | None = None
    categories: Mapping[str, str] = field(default_factory=dict)
    released_expression: str | None = None
    released_options: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        vars(self)["options"] = tuple(self.options) if isinstance(self.options, list | np.ndarray) else self.options
        texts = {"id": [self.id], "options": self.options, "categories": [*self.categories, *self.categories.values()]}
        texts |= {name: [one] for name in ("question", "expression", "pair") if (one := vars(self)[name]) is not None}
        for name, given in texts.items():
            if not isinstance(given, list | tuple) or not all(isinstance(one, str) for one in given):
                raise DataError(f"sample {self.id} has the {name} {vars(self)[name]!r}", hint="give text, as str(3) is")
        if isinstance(self.answer, np.integer):  # it would have no place in a record's key
            object.__setattr__(self, "answer", int(self.answer))
        if self.answer is not None and (type(self.answer) is not int or self.answer not in range(len(self.options))):
            said = f"sample {self.id} has the answer {self.answer!r}, and {len(self.options)} options"
            raise DataError(said, hint="the answer is the right option's place among them, an int from 0")
        if self.mask is not None:
            check(self.mask, f"the mask of sample {self.id}")

    @cached_property
    def absent(self) -> bool:
        """Whether the object in question is not in the image."""
        return self.mask is not None and area(self.mask) == 0


@dataclass(frozen=True)
class Request:
    """What a model is asked: one image, one prompt.

    Attributes:
        sample_id: The sample's id.
        protocol: The name of the probing (`pixcore.protocols.PROBINGS`, or a config's own).
        image: The picture.
        prompt: The user's text, without any chat template.
        expression: What the prompt refers to, if anything.
        seed: For adapters that sample.
    """

    sample_id: str
    protocol: str
    image: Image
    prompt: str
    expression: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class Token:
    """One generated token.

    Attributes:
        id: Its number in the model's vocabulary.
        text: What it adds to the text; empty for special tokens.
        start: First character in the response's text.
        end: One past its last character; `start` for a token that adds none.
    """

    id: int
    text: str
    start: int
    end: int


def word_of(text: str) -> str:
    r"""Write the pattern of a word in a text: marks go on with it though no `\w`, as vowel signs, accents apart."""
    marks = {char for char in text if unicodedata.category(char) in ("Mn", "Mc") and not "\ufe00" <= char <= "\ufe0f"}
    return rf"\w[\w{''.join(sorted(marks))}]*"  # without those that choose a picture


@dataclass(frozen=True, eq=False)
class Response:
    """What a model said, and what it looked at while saying it.

    Attributes:
        text: The answer, decoded, without special tokens.
        tokens: Every generated token in order, the end token included.
        maps: (tokens, visual tokens) float32, row i belongs to `tokens[i]`; None without an extractor.
        layout: Where the visual tokens lie; there whenever `maps` is.
        reference: (visual tokens,) float32, the map of the extractor's reference prompt, if it asked for one.
        mask: The final mask of a pixel-level MLLM, original image size; an empty one where it segmented nothing.
            None for models without masks.
        masks: All masks it gave, each with the span of text that it belongs to in `mask_spans`.
        mask_spans: (start, end) for each of `masks`; empty if unknown.
        extra: JSON data for the record: timings, settings, points or boxes written in the text; under "notice" what a
            reader of the answer has to know.
    """

    text: str
    tokens: tuple[Token, ...] = ()
    maps: NDArray[np.float32] | None = None
    layout: VisualLayout | None = None
    reference: NDArray[np.float32] | None = None
    mask: RLE | None = None
    masks: tuple[RLE, ...] = ()
    mask_spans: tuple[tuple[int, int], ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for mask in (*self.masks, *([] if self.mask is None else [self.mask])):
            check(mask, "a response's mask")
        if not isinstance(self.text, str):
            raise ValueError(f"a response's text is a str, got {self.text!r}")
        if self.maps is not None:
            if self.layout is None:
                raise ValueError("a response with maps needs the layout of its visual tokens")
            if self.maps.shape != (expected := (len(self.tokens), self.layout.tokens)):
                raise ValueError(f"maps must be (tokens, visual tokens) = {expected}, got {self.maps.shape}")


@dataclass(frozen=True)
class TokenGroup:
    """Output tokens that belong together: a noun phrase, a word, a token.

    Attributes:
        tokens: Indices into the response's tokens; none where a group with a prompt stands for no text.
        phrase: Their text.
        start: First character of the phrase in the response's text.
        end: One past its last character.
        root: The phrase's root word, if the grouper knows it.
        prompt: Where to look for it, in place of its map's points: a place that its text states.
    """

    tokens: tuple[int, ...]
    phrase: str
    start: int
    end: int
    root: str | None = None
    prompt: PointPrompt | None = None

    def place(self, text: str) -> float | None:
        """Say where it begins in the response's text, in percent (the published analysis of when); None: nowhere."""
        return 100 * self.start / len(text) if text and self.end > 0 else None


@dataclass(frozen=True, eq=False)
class PointPrompt:
    """Where a mask generator is told to look: points, each inside or outside of the object, and a box if there is one.

    Attributes:
        points: (k, 2) float32, (x, y) in original image pixels.
        labels: (k,) int8; 1 inside, 0 outside.
        box: (x0, y0, x1, y1), in place of points or beside them.
        text: What to look for, in words, for a generator that takes `text_prompts`.
        also: Further places of the same thing, for a generator that takes `several_places`.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int8]
    box: Box | None = None
    text: str | None = None
    also: tuple[PointPrompt, ...] = ()

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 2 or self.labels.shape != (len(self.points),):
            shapes = f"points {self.points.shape} and labels {self.labels.shape}"
            raise ValueError(f"a point prompt needs points (k, 2) and labels (k,), got {shapes}")
        if not len(self.points) and self.box is None and not self.text:
            raise ValueError("a point prompt needs a point, a box or a text")
        if not all(map(isfinite, (*self.points.flat, *(self.box or ())))):
            raise ValueError("a point prompt's points and box must be finite numbers")

    @classmethod
    def at(cls, *points: tuple[float, float]) -> PointPrompt:
        """Make a prompt of positive points."""
        return cls(np.asarray(points, np.float32).reshape(-1, 2), np.ones(len(points), np.int8))


@dataclass(frozen=True, eq=False)
class MaskProposal:
    """The masks that a generator gave for one prompt.

    Attributes:
        masks: (m, height, width) bool, original image size, in the generator's own order.
        scores: (m,) float32, the generator's own estimate of quality; higher is better.
        stability: (m,) float32, how little the mask changes with its threshold, if the generator knows it.
        size: The original (width, height), where `masks` are smaller: each pixel takes the value under its centre.
    """

    masks: NDArray[np.bool_]
    scores: NDArray[np.float32]
    stability: NDArray[np.float32] | None = None
    size: tuple[int, int] | None = None

    def __post_init__(self) -> None:
        if self.masks.ndim != 3 or self.scores.shape != (len(self.masks),):
            shapes = f"masks {self.masks.shape} and scores {self.scores.shape}"
            raise ValueError(f"a proposal needs masks (m, height, width) and scores (m,), got {shapes}")


@dataclass(frozen=True, eq=False)
class Candidate:
    """One group of tokens with its point and its masks: what a selection strategy chooses from.

    Attributes:
        group: The tokens; None where predictions came without them.
        point: The prompt that gave the masks; None likewise.
        masks: COCO RLE, in the generator's order.
        scores: One for each mask.
        stability: One for each mask, or empty.
        similarity: A phrase similarity that came with predictions made elsewhere.
        merged: Phrases of duplicates that were merged into this candidate.
        map: (visual tokens,) float32 over the response's layout: the group's relevance after the run's transforms, on
            which its point was selected. None where predictions came without. A control's candidate has that of the
            group that it stands for; its point was selected on nothing.
    """

    group: TokenGroup | None
    point: PointPrompt | None
    masks: tuple[RLE, ...]
    scores: tuple[float, ...]
    stability: tuple[float, ...] = ()
    similarity: float | None = None
    merged: tuple[str, ...] = ()
    map: NDArray[np.float32] | None = None


@dataclass(frozen=True)
class Selection:
    """What a strategy chose.

    Attributes:
        outcome: "chosen"; "absent": the object is not there, so the prediction is the empty mask; "nothing": no
            answer at all, which scores 0 even where the object is absent; "failed": likewise, and the next run tries
            again. A strategy never answers "failed": it raises, and results say so.
        candidate: Index of the chosen candidate.
        mask: Index of the chosen mask in it.
        reason: One line for the report.
        score: The strategy's own figure for the chosen one.
        details: JSON data for the record: votes, raw answers, similarities.
    """

    outcome: Literal["chosen", "absent", "nothing", "failed"]
    candidate: int | None = None
    mask: int | None = None
    reason: str = ""
    score: float | None = None
    details: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def chosen(cls, candidate: int, mask: int, **fields: Any) -> Selection:
        """Make the choice of one mask of one candidate."""
        return cls("chosen", candidate, mask, **fields)

    @classmethod
    def absent(cls, reason: str = "", **fields: Any) -> Selection:
        """Make the choice that says that the object is not in the image."""
        return cls("absent", reason=reason, **fields)

    @classmethod
    def nothing(cls, reason: str = "", **fields: Any) -> Selection:
        """Make the choice of a strategy that found nothing to choose."""
        return cls("nothing", reason=reason, **fields)

    @classmethod
    def failed(cls, error: str) -> Selection:
        """Make the choice of a strategy that failed with this error."""
        return cls("failed", reason=error)

    @property
    def gives_mask(self) -> bool:
        """Whether it stands for a mask, be it the empty one."""
        return self.outcome in ("chosen", "absent")


@dataclass(frozen=True)
class Verdict:
    """Whether an answer is right, as a judge says.

    Attributes:
        correct: Right or wrong; None where the judge could not tell, which counts as wrong and is reported.
        reason: Which rule, or the judge's own words.
        details: JSON data for the record.
        error: What went wrong where the judge failed; the next run asks it again. A judge never answers so: it raises.
    """

    correct: bool | None
    reason: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None

    @classmethod
    def failed(cls, error: str) -> Verdict:
        """Make the verdict of a judge that failed with this error: wrong."""
        return cls(None, "the judge failed", error=error)


@dataclass(frozen=True)
class Score:
    """What one sample scores under one probing, with one selection.

    Attributes:
        sample_id: The sample.
        protocol: The probing.
        correct: Whether the answer was right; None where the protocol or sample asks none.
        iou: IoU of the predicted mask; None where the sample has no ground truth mask.
        best_iou: The best IoU among all candidates' masks: the oracle's; None likewise.
        predicted_area: Pixels of the predicted mask.
        error: What went wrong if the sample failed; a failed sample scores as wrong and 0.
    """

    sample_id: str
    protocol: str
    correct: bool | None = None
    iou: float | None = None
    best_iou: float | None = None
    predicted_area: int | None = None
    error: str | None = None


@dataclass(frozen=True, eq=False)
class ProtocolResult:
    """What became of one sample under one probing.

    Attributes:
        protocol: The probing.
        prompt: What was asked.
        response: What was said; None if the sample failed before.
        candidates: What strategies chose from; empty for a pixel-level MLLM.
        controls: The candidates of each control, by its name: the same groups, with points that no attention chose.
        selections: By strategy; the control's under its row's name. One that failed fails its own row alone.
        scores: By row name.
        verdict: The judge's word, where an answer was asked.
        graded: Whether a judge of the run grades this probing's answers.
        error: What failed before anything could be chosen, in one line: the sample then fails in every row.
        ious: Of each candidate the IoU of each of its masks with the ground truth, (m,) float64; None: unmeasured.
        control_ious: The same of each control's candidates, by its name.
    """

    protocol: str
    prompt: str
    response: Response | None = None
    candidates: tuple[Candidate, ...] = ()
    controls: Mapping[str, tuple[Candidate, ...]] = field(default_factory=dict)
    selections: Mapping[str, Selection] = field(default_factory=dict)
    scores: Mapping[str, Score] = field(default_factory=dict)
    verdict: Verdict | None = None
    graded: bool = False
    error: str | None = None
    ious: tuple[NDArray[np.float64], ...] | None = None
    control_ious: Mapping[str, tuple[NDArray[np.float64], ...]] = field(default_factory=dict)

    def pool(self, control: str | None) -> tuple[Candidate, ...]:
        """Give what a row chose from: the candidates themselves, or those of a control."""
        return self.candidates if control is None else self.controls.get(control, ())


@dataclass(frozen=True, eq=False)
class SampleResult:
    """What became of one sample under all probings of a run."""

    sample: Sample
    by_probing: Mapping[str, ProtocolResult]
