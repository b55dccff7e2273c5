"""The options of what this package offers."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from pixcore.components import Config, MaskGenerator, ModelConfig
from pixcore.config import ChosenComponent, Section, component_config, validated
from pixcore.errors import ConfigError
from pixcore.plugins import Kind, registry
from pixcore.records import PointPrompt, Protocol
from pixcore.services import Allowance
from pixcore_places.conventions import CONVENTIONS


def inner(kind: Kind, section: dict[str, Any]) -> ChosenComponent:
    """Look up a component that stands inside another's options."""
    where = f"{kind.value}.of"
    named = validated(Section, section, where)
    found = registry().get(kind, named.name)
    return ChosenComponent(found, component_config(found, named.options, where))


def words_alone(prompt: PointPrompt) -> bool:
    """Say whether a prompt is words and no place; PaliGemma's codes are a text beside a box."""
    return prompt.text is not None and prompt.box is None and not len(prompt.points)


def check_texts(generator: MaskGenerator[Any], prompts: Iterable[PointPrompt]) -> None:
    """See that a generator inside another takes the texts among its prompts.

    Raises:
        ConfigError: It takes none.
    """
    if not generator.text_prompts and any(prompt.text for prompt in prompts):
        said = f"masks: {type(generator).__name__} takes no text prompts"
        raise ConfigError(said, hint="name a generator that does, or another grouper")


def _named(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


Inner = Annotated[dict[str, Any], BeforeValidator(_named, json_schema_input_type=str | dict[str, Any])]
"""A component inside another's options: its name alone, or its name and its own options."""


class HoldingConfig(Config):
    """Options of a component that has others inside: their records are part of its own, and they have to be ready."""

    @abstractmethod
    def inside(self) -> list[ChosenComponent]:
        """Look up what is inside."""

    def fingerprint(self) -> str:
        """Everything of what is inside that can change its records."""
        found = [one.ingredients() for one in self.inside()]
        return repr(found[0] if len(found) == 1 else found)

    def check_ready(self) -> None:
        """Ask each of what is inside."""
        for one in self.inside():
            one.config.check_ready()

    def check_price(self, allowance: Allowance | None) -> None:
        """Ask each of what is inside."""
        for one in self.inside():
            one.config.check_price(allowance)


class WrittenPlacesConfig(Config):
    """Options of `written-places`.

    Attributes:
        convention: What numbers mean: that of a family, or "auto" for the model's own.
        objects: each: every place is an object of its own. together: points of one label, or of one of Molmo's tags, go
            to the generator in one prompt. united: places of one label are segmented one by one and united, by a
            generator that takes several places (`united`). all: likewise, and all places of the answer are of one.
        least_pixels: Of the image as Qwen2.5-VL resizes it, where the model is a server's: one that is loaded here says
            it by its visual tokens where attention was read, by its image_options, or by its checkpoint.
        most_pixels: Likewise.
        masks: box: a box is what the generator is told. codes: with PaliGemma's sixteen codes of the mask inside it,
            where the text has them, for the generator `mask-codes`.
    """

    convention: str = "auto"
    objects: Literal["each", "together", "united", "all"] = "together"
    least_pixels: int = Field(default=56 * 56, ge=1)
    most_pixels: int = Field(default=12_845_056, ge=784)
    # left out of what a record is kept by where it changes nothing, so that earlier ones are found again
    masks: Literal["box", "codes"] = Field(default="box", exclude_if=lambda value: value == "box")

    @field_validator("convention")
    @classmethod
    def _known(cls, value: str) -> str:
        if value != "auto" and value not in CONVENTIONS:
            raise ValueError(f"allowed: auto, {', '.join(CONVENTIONS)}")
        return value


class SaidPhrasesConfig(HoldingConfig):
    """Options of `said-phrases`.

    Attributes:
        of: The grouper whose phrases become texts.
    """

    of: Inner = Field(default={"name": "words"})

    def inside(self) -> list[ChosenComponent]:
        """Look up the grouper that it holds."""
        return [inner(Kind.GROUPER, self.of)]


class ByProbingConfig(HoldingConfig):
    """Options of `by-probing`.

    Attributes:
        of: The grouper of each probing, by the probing's name.
    """

    of: dict[str, Inner] = Field(min_length=1)

    def inside(self) -> list[ChosenComponent]:
        """Look up the groupers that it holds."""
        return [inner(Kind.GROUPER, one) for one in self.of.values()]


class ByPromptConfig(HoldingConfig):
    """Options of `by-prompt`.

    Attributes:
        places: The generator of prompts that are points or boxes.
        texts: The generator of prompts that are words, such as `sam3-concept`.
    """

    places: Inner
    texts: Inner

    def inside(self) -> list[ChosenComponent]:
        """Look up the generators that it holds."""
        return [inner(Kind.MASKS, one) for one in (self.places, self.texts)]


class MaskCodesConfig(HoldingConfig):
    """Options of `mask-codes`.

    Attributes:
        of: The generator of boxes without codes, and of all where there is no decoder.
        decoder: big_vision's `vae-oid.npz`; left out, the one in the model's checkpoint folder, if it has it.
    """

    of: Inner
    decoder: Path | None = None

    def inside(self) -> list[ChosenComponent]:
        """Look up the generator that it holds."""
        return [inner(Kind.MASKS, self.of)]

    def fingerprint(self) -> str:
        """Everything that can change the masks; a decoder that is named by its content, as all have one size."""
        path = self.decoder
        content = 0 if path is None or not path.is_file() else sha256(path.read_bytes()).hexdigest()
        return f"{super().fingerprint()} {content}"

    def check_ready(self) -> None:
        """Look for the decoder that is named, and ask the generator inside."""
        if self.decoder is not None and not self.decoder.is_file():
            raise ConfigError(
                f"masks: mask-codes: there is no {self.decoder}", hint="leave it out, or fetch vae-oid.npz"
            )
        super().check_ready()


class UnitedConfig(HoldingConfig):
    """Options of `united`.

    Attributes:
        of: The generator that segments each place.
        how: union: one mask for each of its masks, over all places the one of its number. combinations: every choice
            of one mask a place, as PixFoundation's Qwen2.5-VL script has them: of up to 5 places all three masks, of up
            to 10 the first two, of more the first.
        mask: Of the generator's masks: all of them, or the last one or the best-scored alone.
    """

    of: Inner
    how: Literal["union", "combinations"] = "union"
    mask: Literal["all", "last", "best"] = "all"

    def inside(self) -> list[ChosenComponent]:
        """Look up the generator that it holds."""
        return [inner(Kind.MASKS, self.of)]


class AsWrittenConfig(Config):
    """Options of `as-written`.

    Attributes:
        mask: Which mask of a candidate: the best-scored, the first or the last.
    """

    mask: Literal["best", "first", "last"] = "best"


class SilentConfig(ModelConfig):
    """Options of `silent`: none."""


class EnlargedConfig(HoldingConfig, ModelConfig):
    """Options of `enlarged`.

    Attributes:
        of: The model.
        times: How many times as wide and as high it sees each image.
    """

    of: Inner
    times: int = Field(default=2, ge=1)

    def inside(self) -> list[ChosenComponent]:
        """Look up the model that it holds."""
        return [inner(Kind.MODEL, self.of)]

    @property
    def prompts(self) -> Mapping[Protocol, str]:  # type: ignore[override]
        """The model's own."""
        return getattr(self.inside()[0].config, "prompts", {})

    @property
    def family(self) -> str:  # type: ignore[override]
        """The model's own."""
        return getattr(self.inside()[0].config, "family", "")

    @property
    def asks_service(self) -> bool:  # type: ignore[override]
        """Whether the model does."""
        return bool(getattr(self.inside()[0].config, "asks_service", False))

    @property
    def refills(self) -> bool:  # type: ignore[override]
        """Whether the model does."""
        return bool(getattr(self.inside()[0].config, "refills", False))

    @property
    def by_sample(self) -> bool:  # type: ignore[override]
        """Whether the model answers by a sample's id."""
        return bool(getattr(self.inside()[0].config, "by_sample", False))
