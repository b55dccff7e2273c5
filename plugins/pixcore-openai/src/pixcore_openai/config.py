"""The options of the language model's server and of the components that ask it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from pixcore.components import Config, Context
from pixcore.config import validated
from pixcore.errors import ConfigError
from pixcore.services import Allowance
from pixcore_openai.keys import read_key

OFFICIAL = "https://api.openai.com/v1"

_SECRET = re.compile(
    r"api[-_]?key|authorization|secret|password|credential|(?:access|api|auth|bearer)[-_]?token", re.IGNORECASE
)


class ServerConfig(Config):
    """Which server, which model, and how to ask.

    Attributes:
        model: The model's name, as the server knows it.
        base_url: The server, such as http://localhost:8000/v1; null: `OPENAI_BASE_URL` of the environment, else
            OpenAI itself.
        azure_api_version: Speak Azure's older API of this version; Azure's /openai/v1 needs none.
        api_key_env: The environment variable with the key; a server of one's own may need none.
        api_key_file: A file with the key, readable by its owner alone; in place of the variable.
        temperature: Null leaves the server's own, which some reasoning models insist on.
        max_tokens: The longest answer; null: no limit is asked for.
        detail: How finely OpenAI's models look at images.
        extra: Further parameters of the request, such as {reasoning_effort: none} or {seed: 1}.
        system: Instructions are a message of the role `system`; user: they stand before the question, for a model whose
            chat template knows no such role (Gemma 2).
        structured: Ask for answers that follow a JSON schema; where the server refuses that, it is asked without.
            Null: under `corrected` alone.
        max_side: Images are scaled down to this many pixels; null: they are sent as they are.
        concurrency: Calls under way at once, at most; fewer after a 429, until calls succeed again.
        timeout: Seconds for one call, from first byte sent to last received.
        attempts: How often a call is tried in all where trying again may help.
        patience: Seconds after which a server that answers nothing ends the run.
        batch: Use the Batch API: half the price at OpenAI, and answers within a day.
        batch_poll: Seconds between questions whether a batch is finished.
    """

    not_in_key: ClassVar[frozenset[str]] = frozenset(
        {"api_key_env", "api_key_file", "concurrency", "timeout", "attempts", "patience", "batch", "batch_poll"}
    )

    model: Annotated[str, Field(min_length=1)] = "gpt-5.1"
    base_url: str | None = None
    azure_api_version: str | None = None
    api_key_env: str = "OPENAI_API_KEY"
    api_key_file: Path | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = 0.2
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    detail: Literal["auto", "low", "high"] | None = None
    extra: dict[str, Any] = Field(default_factory=dict)
    # left out of what a record is kept by where it changes nothing, so that earlier ones are found again
    system: Literal["message", "user"] = Field(default="message", exclude_if=lambda value: value == "message")
    structured: bool | None = None
    max_side: Annotated[int, Field(ge=32)] | None = None
    concurrency: Annotated[int, Field(ge=1, le=1024)] = 16
    timeout: Annotated[float, Field(gt=0)] = 120.0
    attempts: Annotated[int, Field(ge=1, le=20)] = 6
    patience: Annotated[float, Field(gt=0)] = 300.0
    batch: bool = False
    batch_poll: Annotated[float, Field(gt=0)] = 60.0

    @field_validator("base_url")
    @classmethod
    def _plain_address(cls, value: str | None) -> str | None:
        return None if value is None else _plain(value)

    @field_validator("extra")
    @classmethod
    def _no_secret(cls, value: dict[str, Any]) -> dict[str, Any]:
        for key in _keys(value):
            if _SECRET.search(key):
                raise ValueError(f"{key!r} looks like a secret; a key comes from api_key_env or api_key_file alone")
        return value

    @model_validator(mode="after")
    def _azure_has_an_address(self) -> ServerConfig:
        if self.azure_api_version is not None and self.base_url is None:
            raise ValueError("azure_api_version needs base_url: https://NAME.openai.azure.com")
        return self

    @property
    def address(self) -> str:
        """The server that is asked.

        Raises:
            ConfigError: The environment names one as `base_url` may not.
        """
        if self.base_url or not (given := os.environ.get("OPENAI_BASE_URL", "")):
            return self.base_url or OFFICIAL
        try:
            return _plain(given)
        except ValueError as error:  # not told: what stands there may be a secret
            raise ConfigError("OPENAI_BASE_URL is no address of a server that can be asked", hint=str(error)) from None

    def fingerprint(self) -> str:
        """Name the server, where the environment does."""
        return self.address

    def check_ready(self) -> None:
        """See that there is a server to ask, and a key for it."""
        read_key(self.api_key_env, self.api_key_file, needed=self.address == OFFICIAL or bool(self.azure_api_version))

    def check_price(self, allowance: Allowance | None) -> None:
        """See that a budget in dollars can be kept: that the model's price is known."""
        from pixcore_services.spending import Spending  # options are read where nothing is asked

        from pixcore_openai.prices import billed

        Spending.under(allowance).check_priced(billed(self.model, Context(allowance=allowance), 0, 0, images=0))


def _plain(address: str) -> str:
    """Refuse an address that may hold a secret, or is none."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("expected an address such as http://localhost:8000/v1")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("no user, password or query in it: they may hold a secret; a key comes from api_key_env")
    return address.rstrip("/")


def _keys(value: Any) -> Iterator[str]:
    """All keys of what a config holds, however deep."""
    inside = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    yield from map(str, value if isinstance(value, dict) else ())
    for one in inside:
        yield from _keys(one)


Overlay = Literal["blend", "outline", "dim"]
Rounds = Literal["all", "groups", "tournament"]


class AutomaticConfig(ServerConfig):
    """Options of the selection `automatic`.

    Attributes:
        presence: First ask whether the object is in the image at all; "no" selects the empty mask. Null: asked but
            under `paper`, as the first release of the code did not ask.
        rounds: All candidates in one call up to `most_images`; in groups of `group_size` whose winners meet again
            until one call decides; or a tournament of pairs.
        most_images: The most pictures in one call; more are shown in groups of this size.
        group_size: Pictures a call with `rounds: groups`.
        orders: In how many different orders the candidates are shown, or in all where there are fewer; the plurality
            wins, and the flip rate is told.
        overlay: How a candidate is shown: blended over in red, outlined in red, or the rest darkened.
        opacity: Of the red, or of the dark.
    """

    presence: bool | None = None
    rounds: Rounds = "all"
    most_images: Annotated[int, Field(ge=2, le=499)] = 499
    group_size: Annotated[int, Field(ge=2, le=499)] = 12
    orders: Annotated[int, Field(ge=1, le=24)] = 1
    overlay: Overlay = "blend"
    opacity: Annotated[float, Field(gt=0, le=1)] = 0.5


class JudgeConfig(ServerConfig):
    """Options of the judge `openai`."""

    model: Annotated[str, Field(min_length=1)] = "gpt-4o"


class TextConfig(ServerConfig):
    """Options of the concept classifier and the object parser."""

    model: Annotated[str, Field(min_length=1)] = "gpt-4o"


def text_config(model: str, base_url: str | None) -> TextConfig:
    """Make the options out of what a command was given.

    Raises:
        ConfigError: One of them is none.
    """
    return validated(TextConfig, {"model": model, "base_url": base_url}, "")
