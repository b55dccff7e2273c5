"""Configs of the toy components."""

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from pixcore.components import Config, ModelConfig
from pixcore.errors import ModelError
from pixcore.records import Protocol

Side = Annotated[int, Field(gt=0, le=20_000)]


class ToyModelConfig(ModelConfig):
    """Options of the toy model.

    Attributes:
        pause: Seconds that an answer takes.
        fails_on: Sample ids that it can't answer.
        overflows_on: Sample ids for which it computes no numbers.
        blinks_on: Sample ids for which its maps hold no numbers, of which it says nothing.
        exits_on: Sample ids on which its process ends, as one that a system kills.
        room: More requests at a time do not fit in its memory.
        damaged: Its weights can't be loaded.
        log: A file that gets a line for every answered request.
        says: Its answer, whatever is asked, with Python's escapes.
    """

    prompts: ClassVar = {Protocol.SEGMENT: "Where is {expression}?"}

    pause: float = 0.0
    fails_on: tuple[str, ...] = ()
    overflows_on: tuple[str, ...] = ()
    blinks_on: tuple[str, ...] = ()
    exits_on: tuple[str, ...] = ()
    room: int | None = None
    damaged: bool = False
    log: Path | None = None
    says: str = "there is a bright box"


class ToyBoxesConfig(Config):
    """Options of the toy benchmark.

    Attributes:
        pairs: Pairs of images.
        size: (width, height).
        folder: Images to use in place of drawn ones, by name.
        twice: Give one id twice.
    """

    pairs: int = 4
    size: tuple[Side, Side] = (40, 24)
    folder: Path | None = None
    twice: bool = False


class ToySquaresConfig(Config):
    """Options of the toy generator.

    Attributes:
        weights: A file that has to be there.
    """

    weights: Path | None = None

    def check_ready(self) -> None:
        """See that the file is there."""
        if self.weights is not None and not self.weights.exists():
            raise ModelError(f"there are no toy weights {self.weights}", hint="make some")
