"""A byte-level tokenizer of a few hundred tokens, trained on the spot, so that tests need no download."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

_SENTENCES = (
    "The cat's ear is on the left side of the image, and the dog is looking at the camera.",
    "Is there a snowman in the scene? There are two people with a red umbrella near the school bus.",
    "Answer with the option's letter from the given choices directly. Identify the butterfly's wings.",
)


_SPACE = "▁"


def tiny_tokenizer(
    special: Sequence[str] = (), roles: Mapping[str, str] | None = None, spaced: Sequence[str] = ()
) -> PreTrainedTokenizerFast:
    """Train a byte-level BPE tokenizer.

    Args:
        special: Special tokens besides `<pad>`, `<s>` and `</s>`, such as row tags.
        roles: Special tokens by the attribute under which a processor looks for them, such as
            {"image_token": "<image>"}.
        spaced: Words of the vocabulary that are no special tokens; with any, a space is written before every text.

    Returns:
        A tokenizer that encodes any text; under 400 tokens plus the special ones.
    """
    named = dict(roles or {})
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        show_progress=False,
        special_tokens=["<pad>", "<s>", "</s>", *dict.fromkeys([*named.values(), *special])],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(_SENTENCES, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=_spaced(tokenizer, spaced) if spaced else tokenizer,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        padding_side="left",
        additional_special_tokens=list(special),
        extra_special_tokens=named,
    )


def _spaced(tokenizer: Tokenizer, words: Sequence[str]) -> Tokenizer:
    """Write a space before every text, and hold it and some words in the vocabulary whole (as SentencePiece does)."""
    made = json.loads(tokenizer.to_str())
    vocabulary = made["model"]["vocab"]
    alphabet = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    for word in (_SPACE, *words):
        vocabulary[alphabet.pre_tokenize_str(word)[0][0]] = len(vocabulary)
    made["model"]["ignore_merges"] = True  # what is split off is a token, if there is one of it
    changed = Tokenizer.from_str(json.dumps(made))
    changed.normalizer = normalizers.Prepend(_SPACE)
    whole = Regex("|".join(map(re.escape, (_SPACE, *words))))
    changed.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.Split(whole, "isolated"), alphabet])
    return changed
