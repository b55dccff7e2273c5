"""InternLM2's tokenizer on sentencepiece itself: its own class exists only as code inside the checkpoint.

Text is cut at added tokens, nothing is stripped beside them, and each piece between goes to sentencepiece. Decoding
joins everything without adding spaces.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pixcore_segtoken.tokenizer import IMAGE, IMAGE_ID, PieceTokenizer, listed_tokens, read_pieces

from pixcore.errors import ModelError

IM_END = "<|im_end|>"
SEG, PHRASE, PHRASE_END, MARK = "[SEG]", "<p>", "</p>", "<mark>"
ADDED = (SEG, PHRASE, PHRASE_END, "<region>", MARK)
"""What OMG-LLaVA adds to the vocabulary, in its order (omg_llava.py, _add_special_tokens)."""


class InternLM2Tokenizer(PieceTokenizer):
    """Encodes and decodes text as InternLM2's tokenizer does."""

    @classmethod
    def from_folder(cls, folder: Path) -> InternLM2Tokenizer:
        """Read `tokenizer.model` and the added tokens in `tokenizer_config.json`, and add OMG-LLaVA's own.

        Raises:
            ModelError: There is no `tokenizer.model`, or no end of a turn is listed.
        """
        pieces = read_pieces(folder, "fetch internlm/internlm2-chat-7b whole")
        own = {pieces.bos_id(), pieces.eos_id(), pieces.unk_id()}
        added = {name: index for name, index in listed_tokens(folder).items() if index not in own}
        if IM_END not in added:
            raise ModelError(f"the tokenizer of {folder} has no {IM_END}", hint="fetch tokenizer_config.json as well")
        for name in ADDED:
            added.setdefault(name, max([len(pieces) - 1, *added.values()]) + 1)
        return cls(pieces, added)

    @property
    def ends(self) -> tuple[int, int]:
        """The ids that end an answer."""
        return self.eos, self.added[IM_END]

    def __len__(self) -> int:
        """Size of the vocabulary."""
        return max([len(self._pieces) - 1, *self.added.values()]) + 1

    def encode(self, text: str, *, bos: bool = True) -> list[int]:
        """Turn text into token ids, the begin token first unless `bos` is off."""
        ids = [self.bos] if bos else []
        for part in self._split.split(text):
            if part in self._marked:
                ids.append(self._marked[part])
            elif part:
                ids.extend(self._pieces.encode(part))
        return ids

    def encode_with_image(self, prompt: str) -> list[int]:
        """Turn a prompt with one `<image>`, which becomes -200, into ids; the parts around it one by one."""
        before, after = prompt.split(IMAGE)
        return [*self.encode(before), IMAGE_ID, *self.encode(after, bos=False)]

    def decode(self, ids: Sequence[int]) -> str:
        """Turn ids into text with special and added tokens in it."""
        return self._decode(ids, self._names)

    def spoken(self, ids: Sequence[int]) -> str:
        """Turn ids into the words alone: no special and no added tokens."""
        return self._decode(ids, dict.fromkeys(self._names, ""))

    def _decode(self, ids: Sequence[int], names: Mapping[int, str]) -> str:
        text = ""
        run: list[int] = []
        for index in ids:
            if index in names:
                text += self._decode_run(run) + names[index]
                run = []
            else:
                run.append(index)
        text += self._decode_run(run)
        # A text's own first space is the tokenizer's, if its model writes one.
        return text[1:] if self._begins_with_space(ids) else text

    def _decode_run(self, ids: Sequence[int]) -> str:
        """With the space before the first piece, which sentencepiece drops; within an answer it belongs."""
        if not ids:
            return ""
        text = str(self._pieces.decode(list(ids)))
        boundary = self._pieces.id_to_piece(ids[0]).startswith("▁")
        return " " + text if boundary and not text.startswith(" ") else text

    def _begins_with_space(self, ids: Sequence[int]) -> bool:
        if not ids or ids[0] in self._names:
            return False
        piece = self._pieces.id_to_piece(ids[0])
        return bool(piece.startswith("▁")) and not str(self._pieces.decode([ids[0]])).startswith(" ")
