"""Write prompts and answers of LISA and GLaMM as text, as published and as they should be."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import bleach  # type: ignore[import-untyped]
from pixcore_transformers.spans import written_tokens

from pixcore.records import Token
from pixcore_segtoken.tokenizer import IMAGE, PublishedTokenizer

_SYSTEM = (
    "A chat between a curious human and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the human's questions."
)
_MARKED_IMAGE = f"<im_start>{IMAGE}<im_end>"


def llava_v1(user: str) -> str:
    """Write LLaVA's conversation `llava_v1` with one question, up to where the answer begins."""
    return f"{_SYSTEM} USER: {user} ASSISTANT:"


def lisa_prompt(question: str) -> str:
    """Write LISA's whole prompt."""
    return llava_v1(f"{_MARKED_IMAGE}\n{question}")


def glamm_prompt(question: str) -> str:
    """Write GLaMM's whole prompt."""
    return llava_v1(f"The {_MARKED_IMAGE} provides an overview of the picture.\n{question}")


def lisa_question(question: str) -> str:
    """Treat a question as LISA's script does before it becomes a prompt: HTML is escaped, also a lone < or &."""
    return str(bleach.clean(question))


def glamm_question(question: str) -> str:
    """Treat a question as GLaMM's script does: as LISA's, but < and > come back and `&amp;` stays."""
    return lisa_question(question).replace("&lt;", "<").replace("&gt;", ">")


def published_answer(decoded: str) -> str:
    """Cut out what both scripts take for the answer.

    The whole sequence is decoded with its special tokens, newlines vanish, pairs of spaces become one, and the answer
    is what follows the last "ASSISTANT: ". Where no space follows the colon, that is the prompt as well.

    Args:
        decoded: Prompt and answer.
    """
    return decoded.replace("\n", "").replace("  ", " ").split("ASSISTANT: ")[-1]


def published_lisa_text(decoded: str) -> str:
    """Write LISA's answer as its script does: `</s>` and `[SEG]` stay."""
    return published_answer(decoded).strip()


def published_glamm_text(decoded: str) -> str:
    """Write GLaMM's answer as its script does: everything between < and > goes, whatever it was."""
    text = re.sub(r"<.*?>", "", published_answer(decoded)).replace("[SEG]", "")
    return " ".join(text.split()).strip("'").strip()


def published_phrases(decoded: str) -> list[str]:
    """List the phrases that GLaMM marks with `<p>` and `</p>`."""
    return [phrase.strip() for phrase in re.findall(r"<p>(.*?)</p>", published_answer(decoded))]


def spoken(tokenizer: PublishedTokenizer, ids: Sequence[int]) -> tuple[str, tuple[Token, ...]]:
    """Write the answer without any special or added token, and say which token adds which characters."""
    return written_tokens(tokenizer.spoken, ids)


def mask_spans(
    ids_of: Mapping[str, int],
    text: str,
    tokens: Sequence[Token],
    places: Sequence[int],
    *,
    markers: tuple[str, str] = ("<p>", "</p>"),
) -> tuple[tuple[int, int], ...]:
    """Find the characters that each [SEG] speaks of.

    Args:
        ids_of: The ids of what its tokenizer writes as one token, the markers among them if the system has them.
        text: The spoken answer.
        tokens: Its tokens.
        places: Index of each [SEG] among them.
        markers: What a phrase begins and ends with.

    Returns:
        For each the phrase between the nearest markers before it; without one, an empty span at its place.
    """
    opening, closing = (ids_of.get(marker) for marker in markers)
    ids = [token.id for token in tokens]
    spans = []
    for place in places:
        close = next((index for index in range(place - 1, -1, -1) if ids[index] == closing), None)
        begin = next((index for index in range((close or 0) - 1, -1, -1) if ids[index] == opening), None)
        # A phrase belongs to the [SEG] right after it, not to a later one.
        if close is None or begin is None or any(token.text.strip() for token in tokens[close + 1 : place]):
            spans.append((tokens[place].start, tokens[place].start))
            continue
        start, end = tokens[begin].end, tokens[close].start
        phrase = text[start:end]
        start += len(phrase) - len(phrase.lstrip())
        spans.append((start, start + len(phrase.strip())))
    return tuple(spans)
