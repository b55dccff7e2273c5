"""Answer what visitors ask: one picture, one text, the choices, and what comes of them as the page shows it."""

from __future__ import annotations

import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image as PILImage
from pixcore_ground.grounded import NOTICE, probe, transformed_maps
from pixcore_notebook.keeping import kept, let_go
from pixcore_notebook.tokens import blank_data, said_data, token_data

from pixcore.errors import DataError
from pixcore.plugins import Kind, Registry
from pixcore.records import Image, Sample
from pixcore.runs.plan import Run
from pixcore.stages.answer import Loader
from pixcore.stages.base import Item, Monitor
from pixcore_app.offered import Choices, Offer

ASKED = {"an expression": "segment", "a question": "question"}
"""What a visitor's text can be, with the probing that asks it."""

MOST_PIXELS = 24_000_000
_LONGEST_TEXT = 2_000
_RUNS_A_STORE = 200
_SHOWN_EVERY, _SHARE = 0.1, 0.1
"""Seconds between two states of an answer in the making, and which share of its time showing them may take at most."""


class Stopped(BaseException):
    """The visitor wants no answer any more: no failure, which would be a sample's and be kept."""


@dataclass(frozen=True)
class Question:
    """What a visitor asks.

    Attributes:
        image: The picture.
        text: The expression or the question.
        asked: Which of the two it is, a key of `ASKED`.
        choices: The components that answer.
    """

    image: Image
    text: str
    asked: str
    choices: Choices


@dataclass(frozen=True)
class Shown:
    """What came of a question.

    Attributes:
        question: The question.
        view: What the token view shows.
        said: What the model said.
        model: Whether it was asked; otherwise its answer of before served.
        notice: What the model says that a reader of its answer has to know; mostly nothing.
    """

    question: Question
    view: Mapping[str, Any]
    said: str
    model: bool
    notice: str


class Desk:
    """Takes questions one after the other; one model at a time is in memory, and answers are kept for a while.

    What was asked before, with the same picture and the same components, is not computed again: another strategy works
    on the answer and the masks that are there.

    Args:
        offer: What can be chosen.
        registry: What is installed.
        most_pixels: How many a picture may have.
    """

    def __init__(self, offer: Offer, registry: Registry, most_pixels: int = MOST_PIXELS) -> None:
        self.offer = offer
        self.most_pixels = most_pixels
        self._registry = registry
        self._lock = threading.Lock()
        self._store = tempfile.TemporaryDirectory(prefix="pixcore-app-")
        self._scratch = tempfile.TemporaryDirectory(prefix="pixcore-app-")
        self._runs = 0

    @property
    def scratch(self) -> str:
        """A folder for what visitors are handed; it goes with the desk."""
        return self._scratch.name

    def picture(self, path: str | Path) -> Image:
        """Take a visitor's picture, of which no pixel is decoded before its size is known.

        Raises:
            DataError: It is none, or too large.
        """
        given = Image.from_path(path)
        try:
            with PILImage.open(path) as opened:
                width, height = opened.size
        except PILImage.DecompressionBombError as error:
            raise DataError(f"the image is too large: {error}", hint=self._limit) from error
        except Exception as error:  # Pillow's readers raise anything at damaged files
            raise DataError("this file is no image that can be read", hint="PNG, JPEG or WebP is fine") from error
        if width * height > self.most_pixels:
            raise DataError(f"the image is {width}x{height} pixels, which is too large", hint=self._limit)
        return replace(given, name="image")

    @property
    def _limit(self) -> str:
        return f"at most {self.most_pixels:,} pixels are looked at"

    def answer(
        self,
        question: Question,
        tell: Callable[[str], None],
        show: Callable[[Mapping[str, Any]], None] = lambda view: None,
        stop: threading.Event | None = None,
    ) -> Shown:
        """Ask the model, mine masks, let every strategy choose.

        Args:
            question: What is asked.
            tell: Hears in a line how it goes on.
            show: Gets what the token view shows of the answer while it is written, where the model says it meanwhile.
            stop: Once it is set, nothing more is computed.

        Raises:
            PixcoreError: It can't be answered; the message says why.
            Stopped: It was told to stop.
        """
        text = question.text.strip()
        if not text:
            raise DataError(f"there is {question.asked} to be typed", hint='such as "the red boat"')
        if len(text) > _LONGEST_TEXT:
            raise DataError(f"the text has {len(text):,} characters", hint=f"at most {_LONGEST_TEXT:,} are asked")
        probing = ASKED[question.asked]
        of = probing == "segment"
        sample = Sample("image", question.image, expression=text if of else None, question=None if of else text)
        document = self.offer.document(question.choices) | {"judge": None, "letter_judge": None}
        with self._lock:
            telling = _Telling(tell, show, stop or threading.Event(), question.image)
            telling.go_on()
            job, result = probe(sample, probing, document, telling, telling.loader, store=self._folder())
            response = result.by_probing[probing].response
            view = token_data(result, probing, transformed_maps(job, response))
        said = response.text if response is not None else ""
        notice = str(response.extra.get(NOTICE, "")) if response is not None else ""
        return Shown(question, view, said, telling.asked, notice)

    def config(self, choices: Choices, asked: str) -> dict[str, Any]:
        """Give the config of a run that does for a benchmark what is done here for one picture."""
        document = self.offer.document(choices)
        document["protocols"] = [ASKED[asked]]
        document.setdefault("benchmark", self.benchmark)
        document["output"] = document.get("output") or "runs/app"
        return document

    @property
    def benchmark(self) -> Any:
        """The section of the benchmark whose samples are offered: the first config's, else the default one."""
        own = self.offer.base.get("benchmark")
        return own or next((one.name for one in self._registry.defaults(Kind.BENCHMARK)), None)

    def _folder(self) -> Path:
        """Where answers are kept: after some hundred it is an empty place again."""
        self._runs += 1
        if self._runs % _RUNS_A_STORE == 0:
            self._store.cleanup()
            self._store = tempfile.TemporaryDirectory(prefix="pixcore-app-")
        return Path(self._store.name)

    def close(self) -> None:
        """Free the model, and forget all answers."""
        let_go()
        self._store.cleanup()
        self._scratch.cleanup()


class _Telling(Monitor):
    """Tells a visitor how it goes on, in a line at a time, and shows the answer while it is written."""

    def __init__(
        self,
        tell: Callable[[str], None],
        show: Callable[[Mapping[str, Any]], None],
        stop: threading.Event,
        image: Image,
    ) -> None:
        self._tell, self._show, self._stop, self._image = tell, show, stop, image
        self._next = 0.0
        self.asked = False

    def loader(self, job: Run) -> Loader:
        """Give a run the model that is kept; it is asked what it has said by now."""
        self._model = kept(job)
        return self._model

    def begin(self, stage: str, total: int, done: int) -> None:
        self.go_on()
        if done < total:
            self.asked |= stage.startswith("answer")
            self._tell("the model answers …" if stage.startswith("answer") else f"{stage} …")

    def advance(self, count: int = 1) -> None:
        self.go_on()

    def written(self, tokens: int, most: int) -> None:
        self.go_on()
        began = time.monotonic()
        if began < self._next:
            return
        self._tell(f"the model answers: {tokens} tokens …")
        for said in getattr(self._model(), "partial", list)():
            self._show(self._blank | said_data(said, self._image.size))
        ended = time.monotonic()
        self._next = ended + max(_SHOWN_EVERY, (ended - began) / _SHARE)

    @cached_property
    def _blank(self) -> dict[str, Any]:
        return blank_data(self._image)

    def go_on(self) -> None:
        """Go on, unless the visitor has had enough."""
        if self._stop.is_set():
            raise Stopped

    def failed(self, stage: str, item: Item, error: Exception) -> None:
        raise error

    def say(self, line: str, style: str = "") -> None:
        self._tell(line)

    def end(self) -> None:
        """Nothing: the next stage says that it begins."""
