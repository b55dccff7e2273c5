"""Use the Batch API: many calls in one file, answered within a day at half the price.

Calls that wait at the same time go into one batch. Which file a call went into is kept before a batch is made of it,
and which batch right after, so that a process that is stopped at any time finds its answers there later and pays for
none twice, if the server lists its batches. What a batch of before failed on, and what the server has forgotten, is
asked anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

import openai

from pixcore.components import Context
from pixcore.errors import SampleError
from pixcore_openai.faults import InBody, MayPass, RefusedRequest, explain
from pixcore_openai.keys import redact
from pixcore_openai.server import Completion, Server, read_completion

R = TypeVar("R")

_QUIET = 2.0  # seconds without a new call after which a batch is sent
_LARGEST_FILE = 100_000_000  # bytes; OpenAI takes 200 MB
_OVER = ("completed", "failed", "expired", "cancelled")
_ANSWERED, _REFUSED = 200, (400, 422)
_UNSUPPORTED = (404, 405, 501)  # of a server that does not list its batches


class Batches:
    """Collects calls and asks them together. Lives in one event loop.

    Args:
        server: Whose client is used.
        context: Where the batch of each call is kept.
        poll: Seconds between questions whether a batch is finished.
    """

    def __init__(self, server: Server, context: Context, poll: float) -> None:
        self._server = server
        self._context = context
        self._poll = poll
        self._waiting: dict[str, tuple[bytes, asyncio.Future[Completion]]] = {}
        self._flush: asyncio.Task[None] | None = None
        self._results: dict[str, asyncio.Task[Mapping[str, Any]]] = {}
        self._made: dict[str, asyncio.Task[str | None]] = {}
        self._reasons: dict[str, str] = {}  # why a batch has no answers, in the server's words
        self._tasks: set[asyncio.Task[None]] = set()

    async def complete(self, key: str, body: Mapping[str, Any]) -> Completion:
        """Ask in a batch, and wait until it is finished.

        Args:
            key: The exchange's key, the call's name in the batch.
            body: As for a call of its own.

        Raises:
            RefusedRequest: The server calls the request wrong.
            SampleError: The batch has no answer for this call.
            UserError: No batch can succeed.
        """
        plain = {**{name: value for name, value in body.items() if name != "extra_body"}, **body.get("extra_body", {})}
        known = self._context.recall(f"batch/{key}") if self._context.recall is not None else None
        if isinstance(known, Mapping):
            known = await self._made_of(known["file"])
        if known is not None:
            results = await self._collect(known)
            try:
                if key in results:
                    return _read(results[key], self._server)
            except RefusedRequest:
                if "response_format" in body:
                    raise  # without its schema a call may do that was refused with it
            except SampleError:
                pass
        call = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": plain}
        line = json.dumps(call).encode() + b"\n"
        answer: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        self._waiting[key] = (line, answer)
        if self._flush is not None:
            self._flush.cancel()
        full = sum(len(one) for one, _ in self._waiting.values()) > _LARGEST_FILE
        self._flush = asyncio.ensure_future(self._send_after(0.0 if full else _QUIET))
        return await answer

    async def _send_after(self, delay: float) -> None:
        await asyncio.sleep(delay)
        waiting, self._waiting, self._flush = self._waiting, {}, None
        task = asyncio.ensure_future(self._send(waiting))
        self._tasks.add(task)  # the loop itself holds tasks weakly
        task.add_done_callback(self._tasks.discard)

    async def _send(self, waiting: Mapping[str, tuple[bytes, asyncio.Future[Completion]]]) -> None:
        client = self._server.client
        try:
            content = b"".join(line for line, _ in waiting.values())
            upload = partial(client.files.create, file=("calls.jsonl", content), purpose="batch")
            file = await self._patiently(upload)
            self._note(waiting, {"file": file.id})
            create = partial(client.batches.create, endpoint="/v1/chat/completions", completion_window="24h")
            batch = await self._patiently(partial(create, input_file_id=file.id), costs=True)
            self._note(waiting, batch.id)
            results = await self._collect(batch.id)
        except Exception as error:
            meaning = explain(error, self._server.place)
            for _, answer in waiting.values():
                answer.set_exception(SampleError(f"the batch failed: {meaning}") if _passes(meaning) else meaning)
            return
        for key, (_, answer) in waiting.items():
            try:
                if key not in results:
                    reason = self._reasons.get(batch.id)
                    raise SampleError(f"the batch {batch.id} has no answer for this call" + (reason or ""))
                answer.set_result(_read(results[key], self._server))
            except Exception as error:
                answer.set_exception(error)

    def _note(self, keys: Iterable[str], where: Any) -> None:
        """Keep where calls went: a batch's id, or {"file": id} while it is not known whether a batch was made."""
        if self._context.remember is not None:
            for key in keys:
                self._context.remember(f"batch/{key}", where)

    async def _made_of(self, file_id: str) -> str | None:
        """The batch of a file whose sender ended before it heard of one; looked for once, however many calls wait."""
        if file_id not in self._made:
            self._made[file_id] = asyncio.ensure_future(self._patiently(partial(self._look_for, file_id)))
        return await self._made[file_id]

    async def _look_for(self, file_id: str) -> str | None:
        try:
            async for batch in self._server.client.batches.list(limit=100):
                if batch.input_file_id == file_id:
                    return batch.id
        except openai.APIStatusError as error:
            if error.status_code not in _UNSUPPORTED:
                raise
        return None

    async def _collect(self, batch_id: str) -> Mapping[str, Any]:
        """The results of a batch by key; asked for once, however many calls wait."""
        if batch_id not in self._results:
            self._results[batch_id] = asyncio.ensure_future(self._wait_for(batch_id))
        return await self._results[batch_id]

    async def _wait_for(self, batch_id: str) -> Mapping[str, Any]:
        client = self._server.client
        results: dict[str, Any] = {}
        with suppress(openai.NotFoundError):  # the server keeps batches and their files for some weeks
            while (batch := await self._patiently(partial(client.batches.retrieve, batch_id))).status not in _OVER:
                await asyncio.sleep(self._poll)
            for fault in (batch.errors and batch.errors.data) or ():
                said = redact(f"{fault.message or fault.code}", self._server.key)
                self._reasons[batch_id] = f", it {batch.status}: {said}"
            for file_id in (batch.output_file_id, batch.error_file_id):
                if file_id:
                    content = await self._patiently(partial(client.files.content, file_id))
                    for line in content.text.split("\n"):
                        with suppress(ValueError, LookupError, TypeError, RecursionError):  # it costs its call alone
                            result = json.loads(line)
                            results[result["custom_id"]] = result
        return results

    async def _patiently(self, ask: Callable[[], Awaitable[R]], *, costs: bool = False) -> R:
        """Ask again where that may help, as long as patience lasts: the batch goes on without us.

        Args:
            ask: What is done.
            costs: Whether it is paid for: then it is done again only where the server said that it was one too many.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._server.config.patience
        while True:
            try:
                return await ask()
            except openai.NotFoundError:
                raise
            except Exception as error:
                meaning = explain(error, self._server.place)
                passes = isinstance(meaning, MayPass) and (meaning.crowded or not costs)
                if not passes or clock() > deadline:
                    raise meaning from None
            await asyncio.sleep(self._poll)


def _passes(meaning: Exception) -> bool:
    return isinstance(meaning, MayPass)


def _read(result: Mapping[str, Any], server: Server) -> Completion:
    response = result["response"] if isinstance(result.get("response"), Mapping) else {}
    status, body = response.get("status_code"), response.get("body")
    if status == _ANSWERED:
        try:
            return read_completion(json.dumps(body).encode(), server.key)
        except (MayPass, InBody) as error:
            raise SampleError(f"the batch's answer can't be read: {error}") from None
    fault = result.get("error") or (body.get("error") if isinstance(body, Mapping) else body)
    said = redact(json.dumps(fault or "no reason given"), server.key)[:300]
    kind = RefusedRequest if status in _REFUSED else SampleError
    raise kind(f"the batch's call failed ({status}): {said}")
