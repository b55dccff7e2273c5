"""Files of other tools, words as tokens, and tokens placed in a text that is nearly theirs."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from pixcore_replay.config import RecordedConfig
from pixcore_replay.recorded import Recorded
from pixcore_replay.replayed import placed
from pixcore_replay.served import words
from pixcore_replay.texts import read_texts
from pixcore_testing import inputs

from pixcore.errors import DataError, SampleError
from pixcore.records import Token

LMMS_EVAL = {
    "doc_id": 3,
    "doc": {"question_id": "q3", "question": "What is it?"},
    "target": "a cat",
    "arguments": [["What is it?", {}]],
    "resps": [["A cat, I think."]],
    "filtered_resps": ["A cat."],
    "doc_hash": "x",
}
"""A line of lmms-eval's samples_*.jsonl."""

VLMEVALKIT = [{"index": 3, "question": "What is it?", "answer": "B", "prediction": "A cat."}]
"""The rows of a table of VLMEvalKit's."""


def test_the_files_of_other_tools_are_told_by_their_fields(tmp_path):
    lines = tmp_path / "samples_mmvp.jsonl"
    lines.write_text(json.dumps(LMMS_EVAL) + "\n")
    assert read_texts(lines, probing="question") == {("3", "question"): "A cat."}
    own = read_texts(lines, probing="letter", id_field="doc.question_id", text_field="resps")
    assert own == {("q3", "letter"): "A cat, I think."}
    (tmp_path / "dotted.csv").write_text("sample.id,answer.text\n3,A cat.\n")  # as pandas flattens what is nested
    dotted = read_texts(tmp_path / "dotted.csv", probing="letter", id_field="sample.id", text_field="answer.text")
    assert dotted == {("3", "letter"): "A cat."}
    for name, written in {
        "table.tsv": "index\tquestion\tprediction\n3\tWhat is it?\tA cat.\n",
        "table.csv": "index,question,prediction\n3,What is it?,A cat.\n",
        "table.json": json.dumps(VLMEVALKIT),
        "columns.json": json.dumps({key: {"0": value} for key, value in VLMEVALKIT[0].items()}),
    }.items():
        (tmp_path / name).write_text(written)
        assert read_texts(tmp_path / name, probing="question") == {("3", "question"): "A cat."}, name
    mine = tmp_path / "predictions.jsonl"
    rows = [
        {"sample_id": "a", "protocol": "question", "text": "Yes.", "candidates": []},
        {"sample_id": "a", "protocol": "letter", "text": ""},
        {"sample_id": "b", "protocol": "letter", "text": "", "error": "it failed"},
    ]
    mine.write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert read_texts(mine) == {("a", "question"): "Yes.", ("a", "letter"): ""}
    ends = {"sample_id": "a", "protocol": "letter", "text": "of a line, to Unicode: \u2028\u2029\x85"}
    mine.write_text(json.dumps(ends, ensure_ascii=False) + "\r\n")
    assert read_texts(mine) == {("a", "letter"): ends["text"]}


@pytest.mark.parametrize(
    ("name", "written", "error"),
    [
        ("samples.jsonl", json.dumps(LMMS_EVAL), "does not say under which probing (say it: probing: question)"),
        ("a.jsonl", '{"sample_id": "a", "protocol": "letter"}', "has no text or filtered_resps or prediction"),
        ("a.jsonl", '{"protocol": "letter", "text": "B"}', "a.jsonl line 1 has no sample_id or doc_id or index"),
        ("a.jsonl", '{"sample_id": "a", "protocol": "letter", "text": ["B", "C"]}', "a text that is a list"),
        ("a.jsonl", 2 * '{"sample_id": "a", "protocol": "letter", "text": "B"}\n', "line 2 has a second text for 'a'"),
        ("a.jsonl", "[1]", "a.jsonl line 1 is a list"),
        ("a.jsonl", '{"sample_id": ', "a.jsonl line 1 is not JSON"),
        ("a.json", '[{"index": ', "a.json is not JSON in UTF-8"),
        ("a.json", "3", "a.json line 1 is a int"),
        ("a.jsonl", "[" * 100_000, "a.jsonl line 1 is not JSON"),
        ("a.jsonl", "\n", "a.jsonl holds no texts"),
        ("a.jsonl", '{"sample_id": "a", "protocol": "letter", "error": "it failed"}', "a.jsonl holds no texts"),
        ("a.json", '{"index": [1, 2], "prediction": ["a", "b"]}', "a.json holds no texts"),
        ("a.csv", "", "is empty"),
        ("a.xlsx", "PK", "save a table of a spreadsheet as .csv"),
    ],
)
def test_what_is_none_of_them_is_refused_by_the_line(tmp_path, name, written, error):
    (tmp_path / name).write_text(written)
    with pytest.raises(DataError) as refused:
        read_texts(tmp_path / name)
    assert error in str(refused.value)


@pytest.mark.parametrize("text", ["", "A cat, and\n two dogs. ", "\t", "[[1, 2]] \N{AUTOMOBILE}!", "caf\u00e9's"])
def test_words_make_up_the_text(text):
    found = words(text)
    assert "".join(token.text for token in found) == text
    assert all(token.text == text[token.start : token.end] for token in found)
    assert [token.start for token in found[1:]] == [token.end for token in found[:-1]]


def test_tokens_are_placed_where_the_text_has_what_they_add():
    tokens = [
        Token(1, "A", 0, 1),
        Token(2, " cat", 1, 5),
        Token(3, "?", 5, 6),
        Token(4, " sits", 6, 11),
        Token(5, "", 11, 11),
    ]
    found, lacking = placed(tokens, "A cat? sits", "A cat\N{AUTOMOBILE} sits")
    assert [token.text for token in found] == ["A", " cat", "", " sits", ""]
    assert [(token.start, token.end) for token in found] == [(0, 1), (1, 5), (5, 5), (6, 11), (11, 11)]
    assert lacking == 1
    assert placed(tokens, "A cat? sits", "A cat? sits") == (tuple(tokens), 0)


def test_rows_that_count_from_0_are_told_where_the_last_sample_has_no_text(tmp_path):
    lines = tmp_path / "samples_mmvp.jsonl"
    lines.write_text("".join(json.dumps({**LMMS_EVAL, "doc_id": row}) + "\n" for row in range(3)))
    recorded = Recorded(RecordedConfig(file=lines, probing="question"))
    asked = replace(inputs.request(inputs.WIDE), sample_id="3", protocol="question")  # the samples' ids begin at 1
    with pytest.raises(SampleError, match=r"no text for '3' .*its ids count from 0: are they rows\? id_field:"):
        recorded.answer([asked])
