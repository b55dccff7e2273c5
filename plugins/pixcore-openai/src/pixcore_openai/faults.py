"""What a failed call means: try again, give this sample up, or end the run."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import openai

from pixcore.errors import PixcoreError, SampleError, UserError
from pixcore_openai.keys import redact

_SHOWN = 300


class MayPass(Exception):
    """Another try may help.

    Args:
        reason: One line.
        wait: Seconds that the server asks to wait, if it says.
        crowded: It said "too many requests".
        answered: The server is alive: it said something of its own.
    """

    def __init__(
        self, reason: str, *, wait: float | None = None, crowded: bool = False, answered: bool = False
    ) -> None:
        super().__init__(reason)
        self.wait = wait
        self.crowded = crowded
        self.answered = answered


class RefusedRequest(SampleError):
    """The server calls the request itself wrong: 400 or 422. Other samples may do, or other parameters."""


class ServerDown(UserError):
    """The server answers nothing any more."""


@dataclass(frozen=True)
class Place:
    """What error messages name.

    Attributes:
        address: The server.
        model: The model that is asked for.
        variable: Where the key comes from.
        key: The key itself, to be taken out of whatever the server says.
    """

    address: str
    model: str
    variable: str
    key: str = field(repr=False)


def explain(error: Exception, place: Place) -> Exception:
    """Say what an error of the client means.

    Returns:
        `MayPass`, a `SampleError` or a `UserError`; to be raised `from None`, because the client's own error holds
        the request.
    """
    if isinstance(error, PixcoreError | MayPass):
        return error
    if isinstance(error, openai.APIStatusError):
        return _by_status(error, place)
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return MayPass("the call took too long")
    # whatever else comes out of reading a body is the connection: the client wraps some of it and passes on the rest
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error
    return MayPass(redact(f"the connection failed: {type(cause).__name__} {cause}".strip(), place.key)[:_SHOWN])


def _by_status(error: openai.APIStatusError, place: Place) -> Exception:
    status, said = error.status_code, redact(_said(error), place.key)[:_SHOWN]
    if status == 429:
        if getattr(error, "code", None) == "insufficient_quota":
            return UserError(f"{place.address}: {said}", hint="the account is out of credit; what was answered is kept")
        wait = retry_after(error.response.headers)
        return MayPass(f"429: {said}", wait=wait, crowded=True, answered=True)
    if status in (408, 409) or status >= 500:
        return MayPass(f"{status}: {said}", wait=retry_after(error.response.headers))
    if status in (401, 403):
        return UserError(
            f"{place.address} refuses the key ({status}): {said}", hint=f"is {place.variable} the right one?"
        )
    if status == 404:
        return UserError(
            f"{place.address} knows no model {place.model!r}, or no chat API (404): {said}",
            hint="check model: and base_url:, which usually ends in /v1",
        )
    return RefusedRequest(f"{place.address} refuses the request ({status}): {said}")


def _said(error: openai.APIStatusError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, Mapping) else None
    lines = str(message or error.message).strip().splitlines()
    return lines[0] if lines else "no reason given"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait as the headers say: `retry-after-ms`, or `Retry-After` in seconds or as a date; else None."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / divisor)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError):
        return None
