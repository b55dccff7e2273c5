"""The published tokenizer, prompts, clean-up and preprocessing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from pixcore_segtoken.text import published_lisa_text, spoken
from pixcore_segtoken.tokenizer import PublishedTokenizer
from sentencepiece import SentencePieceProcessor

from pixcore.errors import DataError, ModelError
from tests.goldens import segtoken_pixels as goldens_pixels
from tests.goldens import segtoken_text as goldens_text
from tests.goldens.runner import compare

# Ids and texts that transformers 4.31.0's LlamaTokenizer gives for the golden sentencepiece model with three added
# tokens: `t = LlamaTokenizer("spm_tokenizer.model"); t.add_tokens("[SEG]"); t.add_tokens(["<im_start>", "<im_end>"],
# special_tokens=True)`, saved and loaded again, then `t(text).input_ids` and `t.decode(ids)`.
PUBLISHED = [
    ("USER: <im_start>", [1, 560, 88, 593, 598, 614, 592, 621], "<s>USER: <im_start>"),
    (
        "<im_end>\nCan you segment  the dog?",
        [1, 622, 488, 280, 423, 297, 532, 574, 579, 279, 563, 560, 262, 344, 610],
        "<s> <im_end> Can you segment  the dog?",
    ),
    (
        "A red  bus\nand a [SEG] . It is [SEG]",
        [1, 305, 401, 560, 441, 13, 339, 260, 620, 560, 573, 356, 563, 272, 620],
        "<s>A red  bus\nand a [SEG] . It is [SEG]",
    ),
    ("<im_end>  hello  ", [1, 622, 560, 259, 570, 284, 337], "<s> <im_end> hello  "),
    ("[SEG][SEG] ok</s> then", [1, 620, 620, 266, 583, 2, 560, 262, 567], "<s> [SEG] [SEG]  ok</s> then"),
    (" leading", [1, 560, 313, 314, 277], "<s> leading"),
    ("", [1], "<s>"),
    ("é漢 [SEG]x", [1, 560, 198, 172, 233, 191, 165, 620, 560, 590], "<s>é漢 [SEG] x"),
]


@pytest.fixture(scope="module")
def tokenizer(goldens: Path) -> PublishedTokenizer:
    model = SentencePieceProcessor(model_file=str(goldens / "attend-and-segment/spm_tokenizer.model"))
    return PublishedTokenizer(model, {"[SEG]": 620, "<im_start>": 621, "<im_end>": 622})


@pytest.mark.parametrize(("text", "ids", "decoded"), PUBLISHED)
def test_ids_and_texts_of_the_published_tokenizer(
    tokenizer: PublishedTokenizer, text: str, ids: list[int], decoded: str
) -> None:
    assert tokenizer.encode(text) == ids
    assert tokenizer.decode(ids) == decoded


def test_spoken_text_has_no_special_tokens(tokenizer: PublishedTokenizer) -> None:
    ids = tokenizer.encode("Sure, a dog [SEG] and a cat [SEG] .</s>")[1:]
    text, tokens = spoken(tokenizer, ids)
    assert text == "Sure, a dog and a cat ."
    assert "".join(token.text for token in tokens) == text
    assert [token.text for token in tokens if token.id in (620, 2)] == ["", "", ""]


def test_published_lisa_keeps_what_a_judge_does_not_expect() -> None:
    decoded = "<s>A chat. USER: <im_start> <im_end> Which? ASSISTANT: A.  It is [SEG] .\n</s>"
    assert published_lisa_text(decoded) == "A. It is [SEG] .</s>"


def test_a_checkpoint_without_tokenizer(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no tokenizer\.model"):
        PublishedTokenizer.from_folder(tmp_path)


def test_the_published_prompts_and_texts(goldens: Path) -> None:
    golden = goldens_text.prepare(goldens / "lisa_glamm_text")
    verdicts = list(compare(golden, golden.expected or {}))
    assert {verdict.status for verdict in verdicts} == {"ok"}
    assert len(verdicts) == 19


def test_sections_of_the_texts_may_be_absent(goldens: Path, tmp_path: Path) -> None:
    content = json.loads((goldens / "lisa_glamm_text/lisa.json").read_text())
    del content["tokenizer_image_token"]
    (tmp_path / "lisa.json").write_text(json.dumps(content))
    (tmp_path / "glamm.json").write_text(json.dumps({"postprocess": []}))
    golden = goldens_text.prepare(tmp_path)
    verdicts = {verdict.name: verdict.status for verdict in compare(golden, golden.expected or {})}
    # Prompts are what such a file is for.
    assert verdicts.pop("glamm/prompt_*") == "missing"
    assert set(verdicts.values()) == {"ok"}


def test_another_folder_holds_no_texts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither"):
        goldens_text.prepare(tmp_path)


def test_the_published_preprocessing(goldens: Path) -> None:
    golden = goldens_pixels.prepare(goldens / "preprocess")
    verdicts = list(compare(golden, golden.expected or {}))
    assert [verdict for verdict in verdicts if verdict.status in ("off", "missing")] == []
