"""The options of models whose text is from elsewhere. Light: imports nothing heavy."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

from pixcore_openai.config import ServerConfig
from pydantic import AliasChoices, Field, WithJsonSchema, model_validator

from pixcore.components import ModelConfig
from pixcore.config import ChosenComponent, Section, component_config, validated
from pixcore.errors import ConfigError, DataError
from pixcore.files import read_file
from pixcore.plugins import Kind, registry
from pixcore.records import Protocol
from pixcore.services import Allowance
from pixcore.stages.store import content_key
from pixcore_replay.texts import Texts, read_texts

_EXAMPLES = (
    "{server: http://localhost:8000/v1, model: NAME}, a file such as predictions.jsonl, or a model with its name"
)


_NameOrOptions = Annotated[dict[str, Any], WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "object"}]})]


class ServedConfig(ServerConfig, ModelConfig):
    """Options of `served`: which server and model, and how to ask; those of the judge `openai` but for these.

    `server` is another name of `base_url`.

    Attributes:
        model: The model's name, as the server knows it.
        temperature: 0 is greedy, as the local models answer; null leaves the server's own, which some models insist on.
        max_tokens: The longest answer; null: as long as the server allows.
        expected_tokens: Of an answer, for `--estimate` and the budget: what it has to set aside for one.
    """

    not_in_key: ClassVar[frozenset[str]] = ServerConfig.not_in_key | {"expected_tokens"}
    asks_service: ClassVar[bool] = True

    model: Annotated[str, Field(min_length=1)]
    base_url: str | None = Field(default=None, validation_alias=AliasChoices("base_url", "server"))
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.0
    max_tokens: Annotated[int, Field(ge=1)] | None = 1024
    expected_tokens: Annotated[int, Field(ge=1)] = 150

    @model_validator(mode="before")
    @classmethod
    def _named_once(cls, given: Any) -> Any:
        if isinstance(given, Mapping) and {"base_url", "server"} <= set(given):
            raise ValueError("base_url and server are two names of one option: leave one out")
        return given

    @property
    def family(self) -> str:  # type: ignore[override]
        """The model's name, which says how it writes places."""
        return self.model


class RecordedConfig(ModelConfig):
    """Options of `recorded`: which file, and how its lines are matched with samples.

    Attributes:
        file: A run's predictions.jsonl, lmms-eval's samples_*.jsonl, VLMEvalKit's table as .tsv, .csv or .json; or any
            of these kinds with a sample's id and text under names that `id_field` and `text_field` give.
        probing: Under which probing its answers were given, where the file does not say: question, segment, letter, or
            one of the config's own.
        id_field: Which field has the sample's id; left out: sample_id, doc_id or index. "doc.NAME" is lmms-eval's NAME.
        text_field: Which field has the text; left out: text, filtered_resps or prediction.
    """

    not_in_key: ClassVar[frozenset[str]] = frozenset({"file"})
    by_sample: ClassVar[bool] = True

    file: Path
    probing: str | None = None
    id_field: str | None = None
    text_field: str | None = None

    def fingerprint(self) -> str:
        """Hash the file."""
        try:
            return hashlib.sha256(read_file(self.file, "the texts")).hexdigest()
        except DataError:
            return ""  # whoever reads it says so

    def check_ready(self) -> None:
        """Read the file."""
        self.read()

    def read(self) -> Texts:
        """Read the file's texts by sample and probing."""
        return read_texts(self.file, probing=self.probing, id_field=self.id_field, text_field=self.text_field)


class ReplayedConfig(ModelConfig):
    """Options of `replayed`, which is what a model with the key `text` becomes.

    Attributes:
        model: The local model, by its name and with its options; it has to be able to replay a text.
        text: Where the text is from: a server as {server:, model:, …}, which is `served` with all its options; a file,
            which is `recorded`; or any model by its name.
    """

    not_in_key: ClassVar[frozenset[str]] = frozenset({"model", "text"})  # the fingerprint has them whole

    model: _NameOrOptions
    text: _NameOrOptions

    @model_validator(mode="before")
    @classmethod
    def _spelt_out(cls, given: Any) -> Any:
        if not isinstance(given, Mapping) or not {"model", "text"} <= set(given):
            return given
        model = given["model"]
        parts = {"model": {"name": model} if isinstance(model, str) else model, "text": _source(given["text"])}
        return {**given, **{key: _spelt(_chosen(part, f"model.{key}")) for key, part in parts.items()}}

    @model_validator(mode="after")
    def _no_circle(self) -> Self:
        if "replayed" in (self.model["name"], self.text["name"]):
            raise ConfigError(
                "model: a text can't be replayed twice", hint="name the local model, and the text's source"
            )
        return self

    @cached_property
    def local(self) -> ChosenComponent:
        """The local model."""
        return _chosen(self.model, "model")

    @cached_property
    def source(self) -> ChosenComponent:
        """The model whose text it is."""
        return _chosen(self.text, "model.text")

    @property
    def prompts(self) -> Mapping[Protocol, str]:  # type: ignore[override]
        """The local model's own: both are asked alike."""
        own = self.local.config
        return own.prompts if isinstance(own, ModelConfig) else {}

    @property
    def family(self) -> str:  # type: ignore[override]
        """The local model's."""
        return getattr(self.local.config, "family", "")

    @property
    def asks_service(self) -> bool:  # type: ignore[override]
        """Whether the text's source does."""
        return bool(getattr(self.source.config, "asks_service", False))

    @property
    def by_sample(self) -> bool:  # type: ignore[override]
        """Whether the text's source does."""
        return bool(getattr(self.source.config, "by_sample", False))

    @property
    def refills(self) -> bool:  # type: ignore[override]
        """Whether the local model sees an image once for several texts."""
        return bool(getattr(self.local.config, "refills", False))

    def fingerprint(self) -> str:
        """Hash all that the two say of themselves."""
        return content_key([self.local.ingredients(), self.source.ingredients()])

    def check_ready(self) -> None:
        """Look for what the two need."""
        self.local.config.check_ready()
        self.source.config.check_ready()

    def check_price(self, allowance: Allowance | None) -> None:
        """See that the two can be held to a budget."""
        self.local.config.check_price(allowance)
        self.source.config.check_price(allowance)


def _source(given: Any) -> Any:
    if isinstance(given, str | Path):
        return {"name": "recorded", "file": str(given)}
    if isinstance(given, Mapping) and "name" not in given:
        kind = next(
            (
                name
                for key, name in (("file", "recorded"), ("server", "served"), ("base_url", "served"))
                if key in given
            ),
            "",
        )
        if kind:
            return {"name": kind, **given}
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise ConfigError(f"model.text: got {given!r}", hint=f"expected {_EXAMPLES}")
    return given


def _chosen(given: Any, where: str) -> ChosenComponent:
    section = validated(Section, given, where)
    registration = registry().get(Kind.MODEL, section.name)
    return ChosenComponent(registration, component_config(registration, section.options, where), None)


def _spelt(chosen: ChosenComponent) -> dict[str, Any]:
    return {"name": chosen.name, **chosen.config.model_dump(mode="json")}
