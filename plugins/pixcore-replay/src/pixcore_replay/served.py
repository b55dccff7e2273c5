"""Let a server answer: the model `served`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from pixcore_openai.asking import CUT_OFF, Asker, Question
from pixcore_openai.overlays import plain
from pixcore_openai.prompts import Prompt
from pixcore_openai.server import FILTERED

from pixcore.components import AttentionExtractor, Capability, Context, ModelAdapter
from pixcore.errors import ModelError, UserError
from pixcore.records import Request, Response, Token
from pixcore.services import Expense
from pixcore_replay.config import ServedConfig

ANSWER = Prompt("answer/1", "", "{text}", pictures_first=True)

BLIND = "the model gives no attention: a mask can only come from a place that it writes"
"""The notice on an answer of a model that only answers."""

SILENT = "it was cut off before it said anything: raise max_tokens, which a model's thoughts are counted to"
"""The notice on an answer of which nothing is there."""

NO_NUMBER = -1
"""The id of a token that no tokenizer gave: a word of the text."""

_PIECE = re.compile(r"\s*(?:\w+|[^\w\s])|\s+")


class Served(ModelAdapter[ServedConfig]):
    """Asks an OpenAI-compatible server what a local model would be asked: the image, then the prompt.

    A batch's calls overlap. What was answered is remembered at once, so that a run that is killed asks nothing twice.
    Its tokens are the words of the text, as nobody here knows the model's tokenizer.
    """

    def __init__(self, config: ServedConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._asker = Asker(config, self.context)
        # outcomes of a batch in which one request failed; the stage then asks for each alone
        self._outcomes: dict[Request, Response | Exception] = {}

    @property
    def capabilities(self) -> frozenset[Capability]:
        """It gives text and nothing else."""
        return frozenset({"text"})

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Ask for all answers at once.

        Raises:
            SampleError: One could not be had; those of its neighbours are kept for when they are asked for alone.
            UserError: None can be: a wrong key, a dead server, a spent budget.
        """
        if extractor is not None:
            raise ModelError("a server shows no attention", hint="a local checkpoint with text: {server: …} does")
        new = [request for request in dict.fromkeys(requests) if request not in self._outcomes]
        for request, outcome in zip(new, self._asker.overlap(new, self._ask), strict=True):
            if isinstance(outcome, UserError):
                raise outcome
            self._outcomes[request] = outcome
        outcomes = [self._outcomes[request] for request in requests]
        failed = next((one for one in outcomes if isinstance(one, Exception)), None)
        if failed is None or len(requests) == 1:
            for request in dict.fromkeys(requests):
                del self._outcomes[request]
        if failed is not None:
            raise failed
        return [one for one in outcomes if isinstance(one, Response)]

    async def _ask(self, request: Request) -> Response:
        answer = await self._asker.ask(self._question(request), lambda text: text)
        (exchange,) = answer.exchanges
        # what the server says of an answer that it holds back is not the model's
        text = exchange["text"] or ("" if exchange["refusal"] == FILTERED else exchange["refusal"])
        cut_off = exchange.get("finish") in CUT_OFF
        told = {key: exchange[key] for key in ("served", "fingerprint", "usage", "asked") if exchange.get(key)}
        server = {"address": self.config.address, **told}
        finish = "length" if cut_off else exchange.get("finish") or "stop"
        extra = {"finish": finish, "server": server, "notice": SILENT if cut_off and not text else BLIND}
        return Response(text, words(text), extra={**extra, **({"refused": True} if exchange["refusal"] else {})})

    def _question(self, request: Request) -> Question:
        picture = plain(request.image.pil(), self.config.max_side)
        return Question(ANSWER, {"text": request.prompt}, (picture,), self.config.expected_tokens)

    def expected_cost(self, request: Request) -> Expense:
        """Say what an answer will cost, if it has as many tokens as are expected."""
        return self._asker.expected_cost(self._question(request))


def words(text: str) -> tuple[Token, ...]:
    """Split a text into words and signs, each with the space before it: what stands for tokens where none are known.

    >>> [token.text for token in words("A cat, and")]
    ['A', ' cat', ',', ' and']
    """
    return tuple(Token(NO_NUMBER, found.group(), found.start(), found.end()) for found in _PIECE.finditer(text))
