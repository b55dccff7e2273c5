"""Which words there are: everything that the training dialogues can say."""

from __future__ import annotations

from functools import cache

from pixcore_mini_world.scene import make_scene, scene_random
from transformers import PreTrainedTokenizerFast

from pixcore_mini.dialogue import dialogue
from pixcore_mini.tokenizer import SPECIAL, model_tokenizer, word_tokenizer

_SCENES = 4000


@cache
def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build the tokenizer of everything that training can say; the same one on every run."""
    splitter = word_tokenizer({token: index for index, token in enumerate(SPECIAL)}).pre_tokenizer
    words: set[str] = set()
    for index in range(_SCENES):
        rng = scene_random("train", 0, "vocabulary", index)
        for turn in dialogue(make_scene(rng, "train"), rng):
            for text in (turn.prompt, turn.answer):
                words.update(piece for piece, _ in splitter.pre_tokenize_str(text))
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *sorted(words)])}
    return model_tokenizer(vocabulary)
