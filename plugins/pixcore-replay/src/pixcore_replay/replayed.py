"""Read the attention of a local checkpoint over text from elsewhere: the model `replayed`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from difflib import SequenceMatcher
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pixcore.components import AttentionExtractor, Capability, Context, ModelAdapter
from pixcore.errors import ModelError, SampleError
from pixcore.geometry import VisualLayout
from pixcore.notices import notice
from pixcore.records import Image, Request, Response, Token
from pixcore.services import Expense
from pixcore_replay.config import ReplayedConfig
from pixcore_replay.served import BLIND

NOTICE = "the replaying tokenizer can't reproduce this text: what it lacks belongs to no token"


class Replayed(ModelAdapter[ReplayedConfig]):
    """Takes its text from one model and its attention from another, by one teacher-forced pass of the latter.

    The text of a response is the source's, to the letter; its tokens are the local tokenizer's. Where these do not
    make up the text, the record and a notice say so, and what they lack belongs to no token.
    """

    def __init__(self, config: ReplayedConfig, context: Context | None = None) -> None:
        super().__init__(config, context)
        self._local: ModelAdapter[Any] = config.local.create(self.context)
        self._source: ModelAdapter[Any] = config.source.create(self.context)
        self._said: dict[Request, Response] = {}  # of batches that are halved, or tried one by one

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Text, and the local model's attention."""
        return frozenset({"text", "attention"})

    def answer(self, requests: Sequence[Request], extractor: AttentionExtractor[Any] | None = None) -> list[Response]:
        """Hear what the source answers, and replay it.

        Raises:
            ModelError: The local model can't replay a text.
        """
        if extractor is not None and type(self._local).replay is ModelAdapter.replay:
            message = f"the model {self.config.local.name!r} can't replay a text"
            raise ModelError(message, hint="one that reads attention while it answers can, such as transformers")
        missing = [request for request in dict.fromkeys(requests) if request not in self._said]
        most = self.context.batch_size or len(missing) or 1
        for start in range(0, len(missing), most):
            part = missing[start : start + most]
            self._said |= zip(part, self._source.answer(part), strict=True)
        said = [_seeing(self._said[request]) for request in requests]
        if extractor is not None:
            # no tokenizer takes half of a surrogate pair
            texts = [one.text.encode("utf-8", "replace").decode() for one in said]
            seen = self._local.replay(requests, texts, extractor)
            said = [_joined(one, own) for one, own in zip(said, seen, strict=True)]
        for request in requests:
            self._said.pop(request, None)
        return said

    def layout(self, image: Image) -> VisualLayout:
        """Say where the local model's visual tokens lie."""
        return self._local.layout(image)

    def visual_embeddings(self, image: Image) -> NDArray[np.float32]:
        """Give what the local language model sees of an image."""
        return self._local.visual_embeddings(image)

    def probability(self, image: Image, prompt: str, continuations: Sequence[str]) -> NDArray[np.float64]:
        """Give the probability of each continuation, by the local model."""
        return self._local.probability(image, prompt, continuations)

    def expected_cost(self, request: Request) -> Expense:
        """Say what the text will cost."""
        return self._source.expected_cost(request)

    def close(self) -> None:
        """Free the local model and the text's source."""
        self._local.close()
        self._source.close()


def _seeing(said: Response) -> Response:
    """An answer without the notice that its model gives no attention."""
    blind = said.extra.get("notice") == BLIND
    return replace(said, extra={key: value for key, value in said.extra.items() if key != "notice" or not blind})


def _joined(said: Response, seen: Response) -> Response:
    """One response of what was said and what was seen: the text of the one, the tokens and maps of the other."""
    if not len(seen.tokens):
        raise SampleError("the replay gave no token")
    told = {**seen.extra, **said.extra}
    cut_off = told.get("finish") == "length" and seen.extra.get("finish") == "stop"
    if cut_off and seen.maps is not None and len(seen.tokens) > 1:
        seen = replace(seen, tokens=seen.tokens[:-1], maps=seen.maps[:-1])  # it was cut off, and the end not written
    if seen.text == said.text:
        return replace(seen, extra=told)
    tokens, lacking = placed(seen.tokens, seen.text, said.text)
    notice(NOTICE)
    told |= {"not_reproduced": {"characters": lacking, "reads": seen.text}, "notice": NOTICE}
    return replace(seen, text=said.text, tokens=tokens, extra=told)


def placed(tokens: Sequence[Token], read: str, text: str) -> tuple[tuple[Token, ...], int]:
    """Place tokens that make up one text in another that is nearly it.

    Args:
        tokens: Of `read`.
        read: What the tokenizer makes of the text.
        text: The text.

    Returns:
        The tokens with their places in `text`, empty where it does not have what they add; and how many characters of
        it belong to none of them.
    """
    blocks = SequenceMatcher(None, read, text, autojunk=False).get_matching_blocks()
    found, end, covered = list[Token](), 0, set[int]()
    for token in tokens:
        block = next((one for one in blocks if one.a <= token.start < token.end <= one.a + one.size), None)
        if block is None:
            found.append(Token(token.id, "", end, end))
            continue
        start, end = (block.b + place - block.a for place in (token.start, token.end))
        found.append(Token(token.id, text[start:end], start, end))
        covered.update(range(start, end))
    return tuple(found), len(text) - len(covered)
