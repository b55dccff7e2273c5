"""Ask one server through the official client, with retries, a limit that adapts, and an end to patience."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

import openai

from pixcore.errors import SampleError
from pixcore_openai.config import OFFICIAL, ServerConfig
from pixcore_openai.faults import MayPass, Place, RefusedRequest, ServerDown, explain, in_body, refuses_schema
from pixcore_openai.keys import NO_KEY, read_key, redact
from pixcore_openai.limiter import Limiter

Lost = Callable[[bool], None]

FILTERED = "stopped by the server's content filter"
"""The refusal of an answer that the server held back; no word of the model's."""

LARGEST_ANSWER = 2_000_000  # bytes; a yes, a number or a few names with all their metadata are a few thousand
_SHOWN = 100  # characters of what is no answer
_MOST_TOKENS = 10**9  # that one call may be said to have taken
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 30.0  # seconds
_GIVEN_UP_IN_A_ROW = 5


@dataclass(frozen=True)
class Completion:
    """What a server answered.

    Attributes:
        text: The answer; empty if there is none.
        refusal: Why it declines to answer; empty if it does not.
        served: The model's name as the server has it.
        fingerprint: The server's own fingerprint of the model, or empty.
        usage: Tokens as the server counted them: "input", "output"; a count that it does not give is not there.
        attempts: How many calls it took.
        structured: Whether the answer was held to a schema.
        finish: Why it ends, as the server says: "stop", "length", or empty.
    """

    text: str
    refusal: str
    served: str
    fingerprint: str
    usage: Mapping[str, int]
    attempts: int = 1
    structured: bool = False
    finish: str = ""


@dataclass
class Health:
    """How a server has been, over one event loop and the next.

    Attributes:
        failing_since: When it last began to answer nothing, by the loop's monotonic clock; None: it answers.
        given_up: Calls given up in a row.
    """

    failing_since: float | None = None
    given_up: int = 0


class Server:
    """Asks one server. Lives in one event loop.

    Args:
        config: Which server, and how patiently.
        health: How it was before.
    """

    def __init__(self, config: ServerConfig, health: Health | None = None) -> None:
        self.config = config
        self.health = health or Health()
        self.limiter = Limiter(config.concurrency)
        needed = config.address == OFFICIAL or bool(config.azure_api_version)
        self.key = read_key(config.api_key_env, config.api_key_file, needed=needed)
        self.place = Place(config.address, config.model, str(config.api_key_file or config.api_key_env), self.key)
        self.client = self._client()
        self.calls = 0

    def _client(self) -> openai.AsyncOpenAI:
        # our own retries and timeout: the client's know neither the limit nor that a server is dead
        timeout = openai.Timeout(max(600.0, self.config.timeout), connect=5.0)
        if self.config.azure_api_version is not None:
            return openai.AsyncAzureOpenAI(
                api_key=self.key,
                azure_endpoint=str(self.config.base_url),
                api_version=self.config.azure_api_version,
                max_retries=0,
                timeout=timeout,
            )
        return openai.AsyncOpenAI(api_key=self.key, base_url=self.config.address, max_retries=0, timeout=timeout)

    async def close(self) -> None:
        """Close the connections."""
        await self.client.close()

    async def complete(self, body: Mapping[str, Any], lost: Lost = lambda _: None) -> Completion:
        """Ask until there is an answer, or there is no sense in asking.

        Args:
            body: The request.
            lost: Hears of every call that came to nothing and may have been paid for, and whether another follows.

        Raises:
            RefusedRequest: The server calls the request wrong.
            SampleError: Every attempt failed.
            UserError: No call can succeed: a wrong key, an unknown model, a dead server.
        """
        reason = ""
        for attempt in range(1, self.config.attempts + 1):
            try:
                completion = await self._attempt(body)
            except MayPass as error:
                reason = str(error)
                if error.lost:
                    lost(attempt < self.config.attempts)
                self._watch(reason)
                if error.broke and attempt == self.config.attempts - 1:  # a schema can be what a server breaks on
                    body = {key: value for key, value in body.items() if key != "response_format"}
                if attempt < self.config.attempts:
                    await asyncio.sleep(self._wait(attempt, error))
                continue
            return replace(completion, attempts=attempt, structured="response_format" in body)
        self.health.given_up += 1
        if self.health.given_up >= _GIVEN_UP_IN_A_ROW and self.health.failing_since is not None:
            raise self._down(reason)
        raise SampleError(f"{self.config.address}: {self.config.attempts} attempts failed, the last: {reason}")

    async def _attempt(self, body: Mapping[str, Any]) -> Completion:
        async with self.limiter.slot() as began:
            self.calls += 1
            try:
                async with asyncio.timeout(self.config.timeout):
                    raw = await self._send(body)
                completion = read_completion(raw, self.key)
            except asyncio.CancelledError:
                raise
            except Exception as error:
                meaning = explain(error, self.place)
                if "response_format" in body and refuses_schema(error):
                    meaning = RefusedRequest(str(meaning))  # to be asked again without
                if isinstance(meaning, MayPass):
                    if meaning.crowded:
                        self.limiter.shrink(began, meaning.wait)
                    if meaning.answered:
                        self.health.failing_since = None
                    elif self.health.failing_since is None:
                        self.health.failing_since = began
                else:
                    self.health.failing_since = None
                raise meaning from None
            self.limiter.succeed()
            self.health.failing_since, self.health.given_up = None, 0
            return completion

    async def _send(self, body: Mapping[str, Any]) -> bytes:
        """The raw body of one answer, read with a cap on its size."""
        received = bytearray()
        create = self.client.chat.completions.with_streaming_response.create
        async with create(**body) as response:
            async for chunk in response.iter_bytes():
                received += chunk
                if len(received) > LARGEST_ANSWER:
                    raise SampleError(f"{self.config.address} answers with more than {LARGEST_ANSWER} bytes")
        return bytes(received)

    def _wait(self, attempt: int, error: MayPass) -> float:
        if error.wait is not None:
            if error.wait > self.config.patience:
                raise ServerDown(
                    f"{self.config.address} asks to wait {error.wait:.0f} s, longer than patience: allows",
                    hint="run again later: everything answered is kept",
                )
            return error.wait
        return float(min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** (attempt - 1)) * random.uniform(0.5, 1.0))

    def _watch(self, reason: str) -> None:
        if self.health.failing_since is None:
            return
        if asyncio.get_running_loop().time() - self.health.failing_since > self.config.patience:
            raise self._down(reason)

    def _down(self, reason: str) -> ServerDown:
        since = self.health.failing_since if self.health.failing_since is not None else 0.0
        silent = asyncio.get_running_loop().time() - since
        return ServerDown(
            f"{self.config.address} has answered nothing for {silent:.0f} s, the last: {reason}",
            hint="is it up? run again later: everything answered is kept",
        )


def read_completion(raw: bytes, key: str = NO_KEY) -> Completion:
    """Read the body of an answer.

    Raises:
        MayPass: It is not JSON, or no chat completion: cut off, or a proxy's page.
        InBody: It holds an error in place of an answer.
    """
    try:
        document = json.loads(redact(raw.decode("utf-8-sig"), key))
        if (fault := in_body(document)) is not None:
            raise fault
        choice = document["choices"][0]
        message = choice["message"]
        content, refusal = message.get("content"), message.get("refusal")
        text = _text(content)
        usage = document.get("usage") or {}
        counts = {"input": usage.get("prompt_tokens"), "output": usage.get("completion_tokens")}
        counted = {name: count for name, count in counts.items() if _is_count(count)}
        served, fingerprint = str(document.get("model") or ""), str(document.get("system_fingerprint") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, RecursionError):
        said = " ".join(redact(raw.decode("utf-8-sig", "replace"), key).split())[:_SHOWN]
        lost = said.startswith("{")  # a proxy's page costs nothing
        raise MayPass(f"the answer is not a chat completion: {said!r}", lost=lost) from None
    if not refusal and choice.get("finish_reason") == "content_filter":
        refusal = FILTERED
    finish = str(choice.get("finish_reason") or "")
    return Completion(text, str(refusal or ""), served, fingerprint, counted, finish=finish)


def _is_count(value: Any) -> TypeGuard[int]:
    """Whether a server counted: anything else, a zero or a negative number, would be booked to a budget's harm."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= _MOST_TOKENS


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return "".join(part["text"] for part in content if part.get("type") == "text")
