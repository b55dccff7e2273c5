"""Spans of generated tokens: exact ones tile the text, published ones are those of the released code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pixcore_transformers.slow_decoder import SlowDecoder
from pixcore_transformers.spans import decode, exact_tokens, prefix_tokens
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

GOLDENS = Path(__file__).resolve().parents[3] / "../shared/data/goldens/attend-and-segment"
CORPUS = [
    "The cat's ear is near the door of the small house.",
    "Ein Hund läuft über die Straße, né à côté.",
    "猫の耳はどこですか 😀👩‍👩‍👧 🏳️‍🌈 안녕하세요 नमस्ते e\u0301 a\u0308",
]
SPECIAL = ["<unk>", "<s>", "</s>"]


def byte_level() -> PreTrainedTokenizerFast:
    """As GPT-2's, Qwen's and Llama 3's: bytes are letters, so that any of them may be cut."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        CORPUS, trainers.BpeTrainer(vocab_size=330, special_tokens=SPECIAL, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>", unk_token="<unk>")


def sentencepiece_like() -> PreTrainedTokenizerFast:
    """As Llama's: pieces with a mark for the space, unknown characters in byte tokens."""
    size = 3 + 256
    vocabulary = {token: index for index, token in enumerate(SPECIAL)}
    vocabulary |= {f"<0x{byte:02X}>": 3 + byte for byte in range(256)}
    for character in sorted(set("▁" + "".join(CORPUS[:2]).replace(" ", "")) | {"猫"}):
        vocabulary[character] = size
        size += 1
    merges = [("t", "h"), ("th", "e"), ("▁", "the"), ("▁", "c"), ("▁c", "a"), ("▁ca", "t"), ("o", "r")]
    for left, right in merges:
        vocabulary[left + right] = size
        size += 1
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", bos_token="<s>", unk_token="<unk>")


TOKENIZERS = {"byte level": byte_level(), "sentencepiece": sentencepiece_like()}
kinds = pytest.mark.parametrize("kind", TOKENIZERS)
texts = st.text(
    st.one_of(
        st.sampled_from("the cat's ear. "),
        st.sampled_from("😀👍🏽猫耳한नé\u0301\u0308\u200d\ufe0f"),
        st.characters(exclude_categories=("Cs",)),
    ),
    max_size=30,
).filter(lambda text: not any(special in text for special in SPECIAL))  # a special token is no text


def check_tiling(text: str, tokens: tuple[Any, ...]) -> None:
    assert "".join(token.text for token in tokens) == text
    position = 0
    for token in tokens:
        assert token.start == position
        assert token.text == text[token.start : token.end]
        position = token.end
    assert position == len(text)


@kinds
@given(texts)
@example("👩‍👩‍👧 e\u0301")
@settings(deadline=None)
def test_spans_tile_the_text(kind: str, text: str) -> None:
    tokenizer = TOKENIZERS[kind]
    ids = tokenizer.encode(text, add_special_tokens=False)
    found, tokens = exact_tokens(tokenizer, [*ids, 2])
    if not text.startswith(" "):
        assert found == text
    assert [token.id for token in tokens] == [*ids, 2]
    assert (tokens[-1].text, tokens[-1].start, tokens[-1].end) == ("", len(found), len(found))
    check_tiling(found, tokens)


@kinds
@given(st.data())
@settings(deadline=None)
def test_any_ids_tile_their_text(kind: str, data: st.DataObject) -> None:
    tokenizer = TOKENIZERS[kind]
    ids = data.draw(st.lists(st.integers(0, len(tokenizer) - 1), max_size=30))
    found, tokens = exact_tokens(tokenizer, ids)
    assert found == decode(tokenizer, ids)
    assert not any(special in found for special in SPECIAL)
    check_tiling(found, tokens)
    for token in tokens:
        if token.id < 3:
            assert token.start == token.end


@kinds
@given(texts, st.sampled_from("😀猫耳👍"), texts)
@settings(deadline=None)
def test_a_character_belongs_to_the_token_that_completes_it(kind: str, before: str, rare: str, after: str) -> None:
    tokenizer = TOKENIZERS[kind]
    whole = before + rare + after
    ids = tokenizer.encode(whole, add_special_tokens=False)
    found, tokens = exact_tokens(tokenizer, ids)
    place = found.index(rare, len(found) - len(rare + after))
    [owner] = [index for index, token in enumerate(tokens) if token.start <= place < token.end]
    assert rare in decode(tokenizer, ids[: owner + 1])
    assert len(decode(tokenizer, ids[:owner]).rstrip("\ufffd")) <= place


@pytest.mark.parametrize("name", ["texts.json", "texts_extra.json"])
def test_published_spans(name: str) -> None:
    if not GOLDENS.is_dir():
        pytest.skip("goldens of attend-and-segment absent")
    special = (0, 1, 2)
    decoders_of: dict[str, Any] = {
        "bytelevel": PreTrainedTokenizerFast(tokenizer_file=str(GOLDENS / "bytelevel_tokenizer.json")),
        "metaspace": PreTrainedTokenizerFast(tokenizer_file=str(GOLDENS / "metaspace_tokenizer.json")),
        "spm_slow": SlowDecoder(GOLDENS / "spm_tokenizer.model", special),
    }
    decoders_of["bytelevel_cleanup"] = decoders_of["bytelevel"]
    cases: list[tuple[str, dict[str, Any]]] = []
    for row in json.loads((GOLDENS / name).read_text(encoding="utf-8")):
        cases += row["variants"].items() if "variants" in row else [(row["variant"], row)]
    checked = 0
    for variant, case in cases:
        if case["error"] is None:
            text, tokens = prefix_tokens(
                decoders_of[variant], case["token_ids"], clean_up=variant == "bytelevel_cleanup"
            )
            assert (text, [token.end for token in tokens]) == (case["decoded"], case["token_end"])
            assert [token.start for token in tokens] == [0, *case["token_end"]][: len(tokens)]
            checked += 1
    assert checked > 50
