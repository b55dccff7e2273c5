"""Write RGA's prompts and answers as text and as tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pixcore.errors import ModelError, describe

SEG, PUBLISHED_ANSWER = "[SEG]", "Sure, [SEG]."
PADS = {"video": "<|video_pad|>", "image": "<|image_pad|>"}
"""What stands for an image in a prompt, by how it is shown."""


class ChatTokenizer:
    """Qwen2.5-VL's tokenizer and chat template, as a checkpoint's processor has them, with [SEG] added.

    Args:
        processor: The processor.
        listed: Ids of added tokens by the checkpoint's other files.
        rows: Of the embeddings.
        folder: The checkpoint, for errors.

    Attributes:
        marks: What text would be read as, if it spelled it: all special and added tokens.
        eos: The end of a turn.

    Raises:
        ModelError: A token has no id of its own among the rows, or two files give it two; or the chat template is
            missing, damaged, or shows no image.
    """

    def __init__(self, processor: Any, listed: Mapping[str, int], rows: int, folder: Path) -> None:
        self._processor, self._tokenizer = processor, processor.tokenizer
        own = {token.content: int(index) for index, token in self._tokenizer.added_tokens_decoder.items()}
        for name in (SEG, *PADS.values()):
            if name not in own:
                raise ModelError(f"the tokenizer of {folder} has no {name}", hint="fetch its files as well")
        for name, index in (own | dict(listed)).items():
            if own.get(name) != index or index >= rows:
                raise ModelError(
                    f"{folder}: the token {name!r} has the id {index}, which is not its own among {rows}",
                    hint="the tokenizer's files and the weights are of two models: fetch them again",
                )
        self.seg = own[SEG]
        self.marks = tuple(own)
        self.eos = int(self._tokenizer.eos_token_id)
        try:
            self.prompt("", "image", 1, answering=True)
        except Exception as error:  # a template is code, and fails in its own ways
            message = f"{folder} has no chat template that shows an image: {describe(error)}"
            raise ModelError(message, hint="fetch chat_template.jinja or chat_template.json as well") from error

    def prompt(self, question: str, shown: str, cells: int, *, answering: bool) -> tuple[list[int], int]:
        """Write a prompt about one image.

        Args:
            question: The user's text; a pad that it spells is left out of it.
            shown: "image" or "video".
            cells: Visual tokens.
            answering: Whether it ends where the answer begins, or with the user's turn.

        Returns:
            Token ids, and where the visual ones begin.
        """
        for pad in PADS.values():
            question = question.replace(pad, "")
        content = [{"type": shown}, {"type": "text", "text": question}]
        text = self._processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=answering
        )
        ids = self._encode(text)
        pad = self._tokenizer.convert_tokens_to_ids(PADS[shown])
        start = ids.index(pad)
        return [*ids[:start], *[pad] * cells, *ids[start + 1 :]], start

    def published_answer(self) -> list[int]:
        """Give the answer that PixFoundation's script puts into the model's mouth, and the end of its turn."""
        return [*self._encode(PUBLISHED_ANSWER), self.eos]

    def plain(self, text: str) -> list[int]:
        """Turn words into ids; what spells a mark is words as well."""
        return list(self._tokenizer(text, add_special_tokens=False, split_special_tokens=True).input_ids)

    def _encode(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False).input_ids)

    def decode(self, ids: Sequence[int], *, published: bool) -> str:
        """Turn an answer into text: as the script cleans it, [SEG] left in it, or the words alone."""
        kept = list(ids) if published else [index for index in ids if index != self.seg]
        text = str(self._tokenizer.decode(kept, skip_special_tokens=True, clean_up_tokenization_spaces=False))
        return text.strip().replace("addCriterion\n", "") if published else text
