"""The model's tokenizer: one token a word, with the space before it, so that text comes back exactly."""

from __future__ import annotations

from pixcore_mini_world.scene import make_scene, scene_random
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from pixcore_mini.dialogue import dialogue

PAD, BEGIN, END, UNKNOWN, IMAGE, USER, ASSISTANT = (
    "<pad>",
    "<s>",
    "</s>",
    "<unk>",
    "<image>",
    "USER:",
    "ASSISTANT:",
)
SPECIAL = (PAD, BEGIN, END, UNKNOWN, IMAGE, USER, ASSISTANT)
IMAGE_ID = SPECIAL.index(IMAGE)

#: A newline, an option's mark, a word, a number, or any other sign; a space belongs to what follows it.
_PIECE = r"\n| ?\([ab]\)| ?[A-Za-z]+(?:'[a-z]+)?| ?[0-9]+| ?[^\sA-Za-z0-9]|\s"
_SCENES_FOR_VOCABULARY = 4000


def _bare(vocabulary: dict[str, int]) -> Tokenizer:
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def build_tokenizer() -> PreTrainedTokenizerFast:
    """The tokenizer of everything that training can say; the same one on every run."""
    splitter = _bare({token: index for index, token in enumerate(SPECIAL)}).pre_tokenizer
    words: set[str] = set()
    for index in range(_SCENES_FOR_VOCABULARY):
        rng = scene_random("train", 0, "vocabulary", index)
        for turn in dialogue(make_scene(rng, "train"), rng):
            for text in (turn.prompt, turn.answer):
                words.update(piece for piece, _ in splitter.pre_tokenize_str(text))
    vocabulary = {token: index for index, token in enumerate([*SPECIAL, *sorted(words)])}
    return PreTrainedTokenizerFast(
        tokenizer_object=_bare(vocabulary),
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE, USER, ASSISTANT],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )
