"""The model's tokenizer: one token a word, with the space before it, so that text comes back exactly."""

from __future__ import annotations

from collections.abc import Sequence

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

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

#: Rows and columns of the visual tokens.
GRID = 14

#: A newline, an option's mark, a word, a number, or any other sign; a space belongs to what follows it.
_PIECE = r"\n| ?\([ab]\)| ?[A-Za-z]+(?:'[a-z]+)?| ?[0-9]+| ?[^\sA-Za-z0-9]|\s"


def word_tokenizer(vocabulary: dict[str, int]) -> Tokenizer:
    """Build a tokenizer that splits text and looks its pieces up."""
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(_PIECE), behavior="isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(SPECIAL))
    return tokenizer


def model_tokenizer(vocabulary: dict[str, int], marks: Sequence[str] = ()) -> PreTrainedTokenizerFast:
    """Wrap `word_tokenizer` as transformers has it; `marks` are special besides mini's own."""
    return PreTrainedTokenizerFast(
        tokenizer_object=word_tokenizer(vocabulary),
        pad_token=PAD,
        bos_token=BEGIN,
        eos_token=END,
        unk_token=UNKNOWN,
        additional_special_tokens=[IMAGE, USER, ASSISTANT, *marks],
        padding_side="left",
        clean_up_tokenization_spaces=False,
        model_max_length=1024,
    )


class Encoder:
    """Turns text into token ids. A mark such as "<image>" inside a text is text, not the mark."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        """Wraps the model's tokenizer."""
        self._tokenizer = tokenizer
        vocabulary = tokenizer.get_vocab()
        self.pad, self.begin, self.end = vocabulary[PAD], vocabulary[BEGIN], vocabulary[END]
        self._user, self._assistant = vocabulary[USER], vocabulary[ASSISTANT]

    def prompt(self, text: str) -> list[int]:
        """Encode what the user says, between the roles' marks."""
        return [self._user, *self._plain(text), self._assistant]

    def answer(self, text: str) -> list[int]:
        """Encode what the model says, with the end's mark."""
        return [*self._plain(text), self.end]

    def full_prompt(self, text: str) -> list[int]:
        """Encode the begin mark, the image's place, and the prompt."""
        return [self.begin, *[IMAGE_ID] * (GRID * GRID), *self.prompt(text)]

    def _plain(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)
        return ids
