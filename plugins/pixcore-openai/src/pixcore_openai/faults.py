"""Sort out what a failed call means: try again, give this sample up, or end the run."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime

import openai

from pixcore.errors import PixcoreError, SampleError, UserError
from pixcore_openai.keys import redact

_SHOWN = 300
_NO_CREDIT = frozenset(
    {"insufficient_quota", "insufficient_balance", "billing_hard_limit_reached", "billing_not_active", "quota_exceeded"}
)
_SPENT = re.compile(
    r"(credit|account)s? balance|balance is too low|insufficient.{0,20}(credit|balance|fund|quota)|payment required"
    r"|(exceeded|exhausted|used up|used all|out of|no (more|remaining)|not enough|depleted).{0,40}(quota|credit|budget)"
    r"|(quota|credits?|budget|spending (limit|cap)|billing.{0,10}limit).{0,30}(exceeded|exhausted|reached|depleted)"
    r"|reaching.{0,20}spending limit|in arrears|overdue",
    re.IGNORECASE | re.DOTALL,
)
"""What servers say where an account has nothing left, whatever the status."""
_SOON = re.compile(
    r"(retry|try again) (in|after)|per (min|sec|hour)|requests? per|rate.?limit|concurren", re.IGNORECASE
)
_STATUS_OF = {"rate_limit_exceeded": 429, "rate_limit_error": 429, "invalid_api_key": 401, "model_not_found": 404}
_NEVER_THE_SCHEMA = frozenset({401, 402, 403, 408, 429})
_NO_SYSTEM = re.compile(r"system.?(role|message|prompt)|role.{0,3}system|roles must alternate", re.IGNORECASE)
_SCHEMA = re.compile(r"response.?format|json.?schema|structured|grammar|guided", re.IGNORECASE)


class MayPass(Exception):
    """A failure that another try may mend.

    Args:
        reason: One line.
        wait: Seconds that the server asks to wait, if it says.
        crowded: It said "too many requests".
        answered: The server is alive: it said something of its own.
        broke: It failed over the request, which may be for what the request holds.
        lost: It may have worked at an answer all the same, which is then paid for.
    """

    def __init__(
        self,
        reason: str,
        *,
        wait: float | None = None,
        crowded: bool = False,
        answered: bool = False,
        broke: bool = False,
        lost: bool = False,
    ) -> None:
        super().__init__(reason)
        self.broke = broke
        self.lost = lost
        self.wait = wait
        self.crowded = crowded
        self.answered = answered


class RefusedRequest(SampleError):
    """The server's word that the request itself is wrong, 400 or 422. Other samples may do, or other parameters."""


class ServerDown(UserError):
    """A server that answers nothing any more."""


@dataclass(frozen=True)
class Place:
    """What error messages name: the server and the model.

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


class InBody(Exception):
    """An error object in the body of an answer whose status says that all is well.

    Args:
        status: The code in it, where it is a number of HTTP's; 500 otherwise.
        said: The server's words.
        code: Its own name for the error.
    """

    def __init__(self, status: int, said: str, code: str) -> None:
        super().__init__(said)
        self.status, self.said, self.code = status, said, code


def in_body(document: object) -> InBody | None:
    """Find the error object in an answer, if that is what it holds."""
    if isinstance(document, Mapping) and document.get("choices"):
        return in_body(document["choices"][0])  # some that pass calls on put the error in there
    error = document.get("error") if isinstance(document, Mapping) else None
    if not error:
        return None
    fields = error if isinstance(error, Mapping) else {"message": str(error)}
    code = str(fields.get("code") or fields.get("type") or "")
    status = int(code) if re.fullmatch("[45][0-9][0-9]", code) else _STATUS_OF.get(code, 500)
    return InBody(status, str(fields.get("message") or code or "no reason given"), code)


def explain(error: Exception, place: Place) -> Exception:
    """Say what an error of the client means.

    Returns:
        `MayPass`, a `SampleError` or a `UserError`; to be raised `from None`, because the client's own error holds
        the request.
    """
    if isinstance(error, PixcoreError | MayPass):
        return error
    if isinstance(error, InBody):
        return _by_status(error.status, error.said, error.code, {}, place)
    if isinstance(error, openai.APIStatusError):
        code = str(getattr(error, "code", None) or getattr(error, "type", None) or "")
        return _by_status(error.status_code, _said(error), code, error.response.headers, place)
    if isinstance(error, openai.APITimeoutError | TimeoutError):
        return MayPass("the call took too long", lost=isinstance(error, TimeoutError))  # the client's is of connecting
    # whatever else comes out of reading a body is the connection: the client wraps some of it and passes on the rest
    cause = error.__cause__ if isinstance(error, openai.APIConnectionError) and error.__cause__ else error
    said = redact(f"the connection failed: {type(cause).__name__} {cause}".strip(), place.key)[:_SHOWN]
    return MayPass(said, lost=not isinstance(error, openai.APIConnectionError))  # an answer had begun


def refuses_schema(error: Exception) -> bool:
    """Say whether a request failed for its answer schema: servers say so with many codes."""
    if isinstance(error, InBody):
        status, said = error.status, error.said
    elif isinstance(error, openai.APIStatusError):
        status, said = error.status_code, _said(error)
    else:
        return False
    if _SCHEMA.search(said):
        return status not in _NEVER_THE_SCHEMA
    return status < 500 and status not in _NEVER_THE_SCHEMA | {404, 409}


def _by_status(status: int, words: str, code: str, headers: Mapping[str, str], place: Place) -> Exception:
    lines = redact(words, place.key).strip().splitlines()
    said = lines[0][:_SHOWN] if lines else "no reason given"
    spent = status < 500 and status != 408 and _SPENT.search(words) is not None
    soon = status == 429 and (retry_after(headers) is not None or _SOON.search(words) is not None)
    if status == 402 or code in _NO_CREDIT or (spent and not soon):
        return UserError(f"{place.address}: {said}", hint="the account is out of credit; what was answered is kept")
    if status == 429:
        return MayPass(f"429: {said}", wait=retry_after(headers), crowded=True, answered=True)
    if status in (408, 409) or status >= 500:
        return MayPass(f"{status}: {said}", wait=retry_after(headers), broke=status >= 500)
    if status in (401, 403):
        return UserError(
            f"{place.address} refuses the key ({status}): {said}", hint=f"is {place.variable} the right one?"
        )
    if status in (404, 405):  # a question that is sent on to https arrives as another method
        return UserError(
            f"{place.address} knows no model {place.model!r}, or no chat API ({status}): {said}",
            hint="check model: and base_url:, which usually ends in /v1, and may have to begin with https://",
        )
    hint = "system: user sends the instructions with the question" if _NO_SYSTEM.search(words) else ""
    return RefusedRequest(f"{place.address} refuses the request ({status}): {said}", hint=hint)


def _said(error: openai.APIStatusError) -> str:
    body = error.body
    message = body.get("message") if isinstance(body, Mapping) else None
    return str(message or error.message)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Read how many seconds to wait from `retry-after-ms`, or `Retry-After` in seconds or as a date; else None."""
    for name, divisor in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) / divisor)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError, TypeError, OverflowError):
        return None
