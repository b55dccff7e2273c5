"""Ask about text alone: what a noun phrase is about, and which objects a question is about.

Both are functions for other packages and for `python -m pixcore_openai`; they keep what they paid for in a folder of
their caller's, beside the stage stores if it likes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from pixcore_emergence.concepts import judge_prompt

from pixcore.components import Context
from pixcore.stages.store import StageStore
from pixcore_openai import prompts
from pixcore_openai.answers import read_letters, read_objects
from pixcore_openai.asking import Asker, Question
from pixcore_openai.config import TextConfig


def classify_phrases(
    phrases: Iterable[tuple[str, str]],
    config: TextConfig | None = None,
    *,
    context: Context | None = None,
    store: Path | None = None,
) -> Iterator[tuple[str, ...] | Exception | None]:
    """Say what noun phrases are about: the paper's six categories, one or several (gpt_concept_when.py).

    Args:
        phrases: (noun phrase, the text that it stands in).
        config: The server and the model.
        context: A run's, with its budget and memory.
        store: Where answers are kept in place of the context's memory; None: nowhere.

    Yields:
        In order, letters a to f as in the paper's prompt (`Concept.letter`); None where the answer
        could not be read even when asked again; the error of a call that failed.
    """
    return answer_concepts((judge_prompt(*item) for item in phrases), config, context=context, store=store)


def answer_concepts(
    questions: Iterable[str],
    config: TextConfig | None = None,
    *,
    context: Context | None = None,
    store: Path | None = None,
) -> Iterator[tuple[str, ...] | Exception | None]:
    """Ask finished questions about concepts: the column `prompt` of what `pixcore emergence` writes."""
    asker = Asker(config or TextConfig(), _with_store(context or Context(), store))

    async def work(question: str) -> tuple[str, ...] | None:
        answer = await asker.ask(Question(prompts.PUBLISHED_CONCEPTS, {"text": question}), read_letters)
        letters: tuple[str, ...] | None = answer.value
        return letters

    return asker.overlap(questions, work)


def parse_objects(
    questions: Iterable[str],
    config: TextConfig | None = None,
    *,
    context: Context | None = None,
    store: Path | None = None,
) -> Iterator[tuple[str, ...] | Exception | None]:
    """Name the objects that questions about images are about, as PixCV-Bench was begun (paper section 4).

    Args:
        questions: Texts.
        config: The server and the model.
        context: As for `classify_phrases`.
        store: Likewise.

    Yields:
        In order, the names in the order of the question, empty where there is none; None where the answer could not be
        read; the error of a call that failed.
    """
    asker = Asker(config or TextConfig(), _with_store(context or Context(), store))

    async def work(question: str) -> tuple[str, ...] | None:
        answer = await asker.ask(Question(prompts.OBJECT_PARSER, {"question": question}), read_objects)
        names: tuple[str, ...] | None = answer.value
        return names

    return asker.overlap(questions, work)


def _with_store(context: Context, folder: Path | None) -> Context:
    if folder is None:
        return context
    store = StageStore(folder, "exchanges", {"distribution": "pixcore-openai"})
    return replace(context, recall=store.recall, remember=store.remember)
