"""Tokenize as the slow Llama tokenizer of the published systems does, id for id.

LISA, GLaMM and LLaVA-Grounding ship a sentencepiece model and a list of added tokens, and were trained and run with
the tokenizer of transformers 4.31. Later versions treat the text around added tokens differently: 4.31 strips white
space on both sides of each, so that the newline after `<im_end>` never reaches the model, and gives the text after
each a prefix of its own. transformers 5 has no such mode, so the rule is here; the pieces are sentencepiece's.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from pixcore_transformers.loading import read_json
from sentencepiece import SentencePieceProcessor

from pixcore.errors import ModelError, describe

IMAGE = "<image>"
IMAGE_ID = -200


class PieceTokenizer:
    """Holds a sentencepiece model, and tokens that are found in the text before it is asked.

    Args:
        pieces: The sentencepiece model.
        added: Added tokens by text; their ids follow the model's.

    Attributes:
        marks: What text would be read as, if it spelled it: the image and all special and added tokens.
    """

    def __init__(self, pieces: SentencePieceProcessor, added: Mapping[str, int]) -> None:
        self._pieces = pieces
        self.added = dict(added)
        self.bos, self.eos = int(pieces.bos_id()), int(pieces.eos_id())
        # In the model itself; text that spells one is read as the token.
        self._own = {pieces.id_to_piece(index): index for index in {self.bos, self.eos, int(pieces.unk_id())}}
        self._marked = self._own | self.added
        self._names = {index: name for name, index in self._marked.items()}
        # Longest first, as a trie would match: no token hides another that begins like it.
        names = sorted(self._marked, key=len, reverse=True)
        self.marks = (IMAGE, *names)
        self._split = re.compile("(" + "|".join(map(re.escape, names)) + ")")

    def plain(self, text: str) -> list[int]:
        """Turn words into ids, no begin token before them; what spells a mark is words as well."""
        return list(self._pieces.encode(text))

    def check(self, rows: int, folder: Path, rowless: Collection[str] = ()) -> None:
        """Hold the added tokens to the embeddings that a model has.

        Args:
            rows: Of the embeddings.
            folder: The checkpoint, for errors.
            rowless: Tokens that have none in the release.

        Raises:
            ModelError: An id is beyond the rows, or is one of the begin, end and unknown tokens of the pieces.
        """
        for name, index in self.added.items():
            taken = index in self._own.values() and self._own.get(name) != index
            if taken or not (0 <= index < rows or name in rowless):
                raise ModelError(
                    f"{folder}: the token {name!r} has the id {index}, which is not one of its own among {rows}",
                    hint="the tokenizer's files and the weights are of two models: fetch them again",
                )


def listed_tokens(folder: Path) -> dict[str, int]:
    """Read the `added_tokens_decoder` of a checkpoint's `tokenizer_config.json`: ids by text.

    Raises:
        ModelError: It is none.
    """
    path = folder / "tokenizer_config.json"
    listed = read_json(path).get("added_tokens_decoder", {}) if path.is_file() else {}
    try:
        found = {token["content"]: int(index) for index, token in listed.items()}
        if not all(isinstance(name, str) for name in found):
            raise TypeError("a content that is no text")
        return found
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        message = f"{path}: its added_tokens_decoder is no list of tokens: {describe(error)}"
        raise ModelError(message, hint="fetch it again") from error


def read_pieces(folder: Path, hint: str) -> SentencePieceProcessor:
    """Read a checkpoint's `tokenizer.model`.

    Args:
        folder: The checkpoint.
        hint: What to do where there is none.

    Raises:
        ModelError: There is none.
    """
    model = folder / "tokenizer.model"
    if not model.is_file():
        raise ModelError(f"there is no tokenizer.model in {folder}", hint=hint)
    return SentencePieceProcessor(model_file=str(model))


class PublishedTokenizer(PieceTokenizer):
    """Encodes and decodes as transformers 4.31's `LlamaTokenizer(legacy=True)` does."""

    @classmethod
    def from_folder(cls, folder: Path) -> PublishedTokenizer:
        """Read `tokenizer.model` and the added tokens beside it.

        Raises:
            ModelError: There is no `tokenizer.model`.
        """
        pieces = read_pieces(folder, "the published checkpoint has one; fetch it whole")
        return cls(pieces, added_tokens(folder))

    def encode(self, text: str) -> list[int]:
        """Turn text into token ids, the begin token first."""
        parts = [part for part in self._split.split(text) if part]
        ids = [self.bos]
        for index, part in enumerate(parts):
            if part in self._marked:
                ids.append(self._marked[part])
            else:
                if index and parts[index - 1] in self.added:
                    part = part.lstrip()
                if index + 1 < len(parts) and parts[index + 1] in self.added:
                    part = part.rstrip()
                ids.extend(self._pieces.encode(part))
        return ids

    def encode_with_image(self, prompt: str) -> list[int]:
        """Turn a prompt into ids, -200 for each `<image>`."""
        return encode_with_image(self.encode, prompt)

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids into text with special and added tokens in it, and the spaces that 4.31 puts around them."""
        texts: list[str] = []
        plain: list[int] = []
        for index in ids:
            if self._names.get(index) in self.added:
                if plain:
                    texts.append(self._decode_plain(plain))
                    plain = []
                texts.append(self._names[index])
            else:
                plain.append(index)
        if plain:
            texts.append(self._decode_plain(plain))
        return " ".join(texts)

    def _decode_plain(self, ids: Sequence[int]) -> str:
        """Text of pieces and special tokens, each of which is set apart from what it follows."""
        text = ""
        run: list[int] = []
        after_special = False
        for place, index in enumerate(ids):
            if index in self._names:
                if place and not after_special:
                    text += " "
                text += self._pieces.decode(run) + self._names[index]
                run, after_special = [], True
            else:
                run.append(index)
                after_special = False
        return text + str(self._pieces.decode(run))

    def spoken(self, ids: Sequence[int]) -> str:
        """Turn ids into the words alone: no special and no added tokens."""
        return str(self._pieces.decode([index for index in ids if index not in self._names]))


def encode_with_image(encode: Callable[[str], list[int]], prompt: str) -> list[int]:
    """Turn a prompt into ids, -200 for each `<image>`: each part is encoded alone, one begin token is kept.

    Source: LLaVA `mm_utils.py`, tokenizer_image_token.

    Args:
        encode: Puts a begin token before every text.
        prompt: With `<image>` in it.
    """
    ids, *rest = (encode(part) for part in prompt.split(IMAGE))
    for part in rest:
        ids = [*ids, IMAGE_ID, *part[1:]]
    return ids


def added_tokens(folder: Path) -> dict[str, int]:
    """Read added tokens from `added_tokens.json`, or from `tokenizer_config.json` as newer versions write them.

    Raises:
        ModelError: An id is none.
    """
    path = folder / "added_tokens.json"
    if not path.is_file():
        # The first three are the model's own unknown, begin and end tokens.
        return {name: index for name, index in listed_tokens(folder).items() if index > 2}
    listed = read_json(path)
    for name, index in listed.items():
        if type(index) is not int:
            raise ModelError(f"{path}: {name} has {index!r:.40} for an id", hint="fetch it again")
    return listed
