"""Ask questions, each paid for once: what was answered is remembered, the budget kept, many are under way at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, field, replace
from typing import Any, TypeVar

from pixcore_services.spending import BudgetError, Spending

from pixcore.components import Context
from pixcore.errors import UserError
from pixcore.services import Expense
from pixcore.stages.store import content_key
from pixcore_openai.answers import is_whole
from pixcore_openai.batches import Batches
from pixcore_openai.config import OFFICIAL, ServerConfig
from pixcore_openai.faults import RefusedRequest
from pixcore_openai.overlays import Picture
from pixcore_openai.prices import EXPECTED_ANSWER, billed, expected
from pixcore_openai.prompts import Prompt
from pixcore_openai.server import Completion, Health, Lost, Server

T = TypeVar("T")
R = TypeVar("R")
Reader = Callable[[str], R | None]

_REMINDER = " Your answer could not be read; give only what is asked for."
_BATCH_WINDOW = 512
CUT_OFF = ("length", "max_tokens")
"""How servers say that an answer ends where no more tokens were allowed."""


@dataclass(frozen=True)
class Question:
    """One thing to ask a language model.

    Attributes:
        prompt: The wording.
        fields: What is filled in.
        pictures: What is shown, in order.
        answer: Tokens that its answer is expected to have.
    """

    prompt: Prompt
    fields: Mapping[str, str] = field(default_factory=dict)
    pictures: tuple[Picture, ...] = ()
    answer: int = EXPECTED_ANSWER

    @property
    def text(self) -> str:
        """The user's text."""
        return self.prompt.user.format(**self.fields)


@dataclass(frozen=True)
class Answer:
    """What came of a question.

    Attributes:
        value: The answer as it was read; None: it could not be.
        exchanges: What went over the wire, as records keep it: one, or two where it was asked again.
    """

    value: Any
    exchanges: tuple[Mapping[str, Any], ...]

    @property
    def problem(self) -> str:
        """Why there is no value."""
        refusal = self.exchanges[-1]["refusal"]
        if refusal:
            return f"refused: {refusal}"
        cut = ", cut off: raise max_tokens" if self.exchanges[-1].get("finish") in CUT_OFF else ""
        return f"unread: {self.exchanges[-1]['text'][:80]!r}{cut}"


def served_by(answers: Iterable[Answer]) -> list[str]:
    """List the names and fingerprints under which a server answered."""
    names = {f"{one['served']} {one['fingerprint']}".strip() for answer in answers for one in answer.exchanges}
    return sorted(names - {""})


class Asker:
    """Asks a server many questions at once, and none twice.

    Args:
        config: Which server, and how.
        context: Holds memory, budget and fidelity.
    """

    def __init__(self, config: ServerConfig, context: Context) -> None:
        self.config = config
        self.context = context
        self._structured = config.structured if config.structured is not None else not context.published
        self._spending = Spending.under(context.allowance)
        self._server: Server | None = None
        self._health = Health()
        self._batches: Batches | None = None
        self._fatal: UserError | None = None
        self._asking: dict[str, asyncio.Future[Mapping[str, Any]]] = {}

    async def ask(self, question: Question, read: Reader[R]) -> Answer:
        """Ask; where the answer can't be read, ask once more; then leave it at that.

        A refusal is an answer, and is not argued with.
        """
        question = self._worded(question)
        first = await self._exchange(question, again=False)
        value = self._value(question, first, read)
        if value is not None or first["refusal"]:
            return Answer(value, (first,))
        second = await self._exchange(question, again=True)
        return Answer(self._value(question, second, read), (first, second))

    def _worded(self, question: Question) -> Question:
        """Put the instructions where the server takes them."""
        prompt = question.prompt
        if self.config.system == "message" or not prompt.system:
            return question
        said = prompt.system.replace("{", "{{").replace("}", "}}")
        return replace(question, prompt=replace(prompt, system="", user=f"{said}\n\n{prompt.user}"))

    def _value(self, question: Question, exchange: Mapping[str, Any], read: Reader[R]) -> R | None:
        """Read an answer, unless it is a refusal or, but for `published`, may go on otherwise than it begins."""
        cut = question.prompt.schema and exchange.get("finish") in CUT_OFF and not self.context.published
        return None if exchange["refusal"] or (cut and not is_whole(exchange["text"])) else read(exchange["text"])

    async def _exchange(self, question: Question, *, again: bool) -> Mapping[str, Any]:
        body = self._body(question)
        messages = await _messages(question, self._said(question, again), encoded=False)
        key = content_key({"address": self.config.address, "again": again, **body, "messages": messages})
        known = self.context.recall(key) if self.context.recall is not None else None
        if known is not None:
            return dict(known)
        if key not in self._asking:  # two samples with one question wait for one answer
            self._asking[key] = asyncio.ensure_future(self._paid_exchange(key, body, question, again))
            self._asking[key].add_done_callback(lambda _: self._asking.pop(key))
        return await self._asking[key]

    async def _paid_exchange(
        self, key: str, body: dict[str, Any], question: Question, again: bool
    ) -> Mapping[str, Any]:
        if self._fatal is not None:
            raise self._fatal
        try:
            exchange = {
                **asdict(await self._pay(key, body, question, again)),
                "prompt": question.prompt.name,
                "model": self.config.model,
                "sent_sizes": [list(picture.size) for picture in question.pictures],
                "asked": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            }
            if self.context.remember is not None:
                self.context.remember(key, exchange)
        except UserError as error:
            self._fatal = error
            raise
        return exchange

    async def _pay(self, key: str, body: dict[str, Any], question: Question, again: bool) -> Completion:
        estimate = self.expected_cost(question)
        with self._spending.call(estimate) as paid:
            text, detail = self._said(question, again)
            said = text.encode("utf-8", "replace").decode()  # half a surrogate pair can't be sent
            messages = await _messages(question, (said, detail), encoded=True)
            full = {**body, "messages": messages}
            if not self._structured:
                full.pop("response_format", None)  # the server has refused one before
            asked_structured = "response_format" in full

            def lost(again: bool) -> None:
                self._spending.book_lost(estimate, again=again)

            try:
                completion = await self._complete(key, full, lost)
            except RefusedRequest:
                if not asked_structured:
                    raise
                full.pop("response_format")
                completion = await self._complete(key, full, lost)
            self._structured = self._structured and completion.structured == asked_structured
            # a count that the server does not give is booked as it was expected
            sent = completion.usage.get("input", estimate.input_tokens)
            received = completion.usage.get("output", estimate.output_tokens)
            paid.append(billed(self.config.model, self.context, sent, received, images=len(question.pictures)))
            return completion

    async def _complete(self, key: str, body: Mapping[str, Any], lost: Lost) -> Completion:
        if self._server is None:
            self._server = Server(self.config, self._health)
        if not self.config.batch:
            return await self._server.complete(body, lost)
        if self._batches is None:
            self._batches = Batches(self._server, self.context, self.config.batch_poll)
        return replace(await self._batches.complete(key, body), structured="response_format" in body)

    def _body(self, question: Question) -> dict[str, Any]:
        config = self.config
        body: dict[str, Any] = {"model": config.model, **({"extra_body": config.extra} if config.extra else {})}
        if config.temperature is not None:
            body["temperature"] = config.temperature
        if config.max_tokens is not None:
            # OpenAI's newer models refuse the old name, other servers do not know the new one
            name = "max_completion_tokens" if config.address == OFFICIAL else "max_tokens"
            body[name] = config.max_tokens
        wanted = config.structured if config.structured is not None else not self.context.published
        if wanted and question.prompt.schema:
            name = question.prompt.name.split("/")[0]
            schema = {"name": name, "strict": True, "schema": question.prompt.schema}
            body["response_format"] = {"type": "json_schema", "json_schema": schema}
        return body

    def _said(self, question: Question, again: bool) -> tuple[str, str | None]:
        text = question.text
        return text + (_REMINDER if again and not self.context.published else ""), self.config.detail

    def expected_cost(self, question: Question) -> Expense:
        """Say what a question will cost."""
        text = question.prompt.system + question.text
        sizes = [picture.size for picture in question.pictures]
        model, detail = self.config.model, self.config.detail
        return expected(model, self.context, text=text, images=sizes, detail=detail, answer=question.answer)

    def overlap(self, items: Iterable[T], work: Callable[[T], Awaitable[R]]) -> Iterator[R | Exception]:
        """Work on many items at once, in a thread with an event loop of its own; results come in order.

        Args:
            items: Read lazily, twice as far ahead as calls may be under way, so that one slow call holds up no other.
            work: Asks questions about one item.
        """
        self._fatal = None
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="pixcore-openai", daemon=True)
        thread.start()
        window = _BATCH_WINDOW if self.config.batch else 2 * self.config.concurrency
        under_way: deque[Future[R]] = deque()
        try:
            source = iter(items)
            exhausted = False
            while True:
                while not exhausted and self._fatal is None and len(under_way) < window:
                    try:
                        item = next(source)
                    except StopIteration:
                        exhausted = True
                        break
                    under_way.append(asyncio.run_coroutine_threadsafe(_coroutine(work, item), loop))
                if not under_way:
                    break
                head = under_way.popleft()
                try:
                    result: R | Exception = head.result()
                except Exception as error:
                    result = error
                yield result
        finally:
            self._finish(loop, thread, under_way)

    def _finish(self, loop: asyncio.AbstractEventLoop, thread: threading.Thread, under_way: deque[Future[R]]) -> None:
        if isinstance(self._fatal, BudgetError):
            # what is under way is paid for already: let it be answered, and so kept
            deadline = time.monotonic() + self.config.timeout
            for future in under_way:
                try:
                    future.result(timeout=max(0.0, deadline - time.monotonic()))
                except Exception:
                    continue
        for future in under_way:
            future.cancel()
        asyncio.run_coroutine_threadsafe(self._close(loop), loop).result(timeout=30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(timeout=10)
        loop.close()

    async def _close(self, loop: asyncio.AbstractEventLoop) -> None:
        others = [task for task in asyncio.all_tasks(loop) if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        if self._server is not None:
            await self._server.close()
        self._server, self._batches = None, None
        await loop.shutdown_default_executor()


async def _coroutine(work: Callable[[T], Awaitable[R]], item: T) -> R:
    return await work(item)


async def _messages(question: Question, said: tuple[str, str | None], *, encoded: bool) -> list[dict[str, Any]]:
    """The messages; with digests in place of pictures unless `encoded`."""
    if not question.pictures:
        return _spelt(question, said, ())
    # hashing and encoding pictures must not hold up the calls that are under way
    pictures = await asyncio.to_thread(
        lambda: [picture.data_url() if encoded else picture.digest for picture in question.pictures]
    )
    return _spelt(question, said, pictures)


def _spelt(question: Question, said: tuple[str, str | None], pictures: Sequence[str]) -> list[dict[str, Any]]:
    text, detail = said
    system = [{"role": "system", "content": question.prompt.system}] if question.prompt.system else []
    if not pictures:
        return [*system, {"role": "user", "content": text}]
    content: list[dict[str, Any]] = []
    for number, picture in enumerate(pictures, 1):
        if question.prompt.numbered:
            content.append({"type": "text", "text": f"Image {number}:"})
        shown = {"url": picture, **({"detail": detail} if detail else {})}
        content.append({"type": "image_url", "image_url": shown})
    content.insert(len(content) if question.prompt.pictures_first else 0, {"type": "text", "text": text})
    return [*system, {"role": "user", "content": content}]


def answer_one(results: Iterator[R | Exception]) -> R:
    """Give the only result of a single question, or raise its error."""
    (result,) = results
    if isinstance(result, Exception):
        raise result
    return result
