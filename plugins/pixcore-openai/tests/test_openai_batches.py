"""The Batch API, and text questions: concepts and objects."""

from __future__ import annotations

import csv
import re
from dataclasses import replace

import pytest
from pixcore_openai import batches
from pixcore_openai.__main__ import main
from pixcore_openai.config import JudgeConfig, TextConfig
from pixcore_openai.judge import OpenAIJudge
from pixcore_openai.texts import classify_phrases, parse_objects

from pixcore.errors import ConfigError, SampleError

KEY = "sk-test-3f9d2c71b8a04e6595d1c0ffee"


@pytest.fixture
def config(server, monkeypatch):
    """A judge's, whose calls go into batches soon."""
    monkeypatch.setattr(batches, "_QUIET", 0.3)
    return JudgeConfig(base_url=server.url, batch=True, batch_poll=0.05)


def items(count):
    return [("Is it open?", ("yes", "no"), 0, f"answer {number}") for number in range(count)]


def test_calls_go_in_one_batch_and_come_back_to_their_samples(server, memory, config):
    server.script.answer = lambda asked: "yes" if int(re.search(r"<answer>answer (\d+)", asked.text)[1]) % 3 else "no"
    verdicts = list(OpenAIJudge(config, memory.context()).grade_many(items(30)))
    assert [verdict.correct for verdict in verdicts] == [bool(number % 3) for number in range(30)]
    assert len(server.batches) == 1
    again = list(OpenAIJudge(config.model_copy(update={"batch": False}), memory.context()).grade_many(items(30)))
    assert again == verdicts, "an answer is an answer, however it was asked for"
    assert len(server.calls) == 30


def test_a_line_of_a_batch_that_can_not_be_read_costs_its_call_alone(server, memory, config):
    server.script.answer = lambda asked: "yes,\u2028\x85it is"  # ends of lines to Unicode, and none to JSON Lines
    server.script.torn = lambda asked: "<answer>answer 3" in asked.text
    verdicts = list(OpenAIJudge(config, memory.context()).grade_many(items(5)))
    assert "has no answer for this call" in str(verdicts.pop(3))
    assert [verdict.correct for verdict in verdicts] == [True] * 4
    list(OpenAIJudge(config, memory.context()).grade_many(items(5)))
    assert [content.count(b"\n") for name, content in server.files.items() if "output" not in name] == [5, 1]


def test_a_batch_that_was_left_under_way_is_found_again(server, memory, config):
    list(OpenAIJudge(config, memory.context()).grade_many(items(5)))
    # what a process leaves that was stopped while it waited: the batch's name and no answers
    left = {key: value for key, value in memory.items() if key.startswith("batch/")}
    assert len(left) == 5
    memory.clear()
    memory.update(left)
    verdicts = list(OpenAIJudge(config, memory.context()).grade_many(items(5)))
    assert all(verdict.correct for verdict in verdicts)
    assert len(server.batches) == 1


def test_a_batch_whose_name_was_never_heard_is_found_by_its_file(server, memory, config):
    """A process may end when the server has made a batch and before it hears so; others make batches as well."""
    list(OpenAIJudge(config, memory.context()).grade_many(items(3)))
    (name,) = {value for key, value in memory.items() if key.startswith("batch/")}
    left = {key: {"file": server.batches[name]["input"]} for key in memory if key.startswith("batch/")}
    memory.clear()
    memory.update(left)
    for number in range(3):
        server.batches[f"another-{number}"] = server.batches[name] | {"input": f"file-of-another-{number}"}
    verdicts = list(OpenAIJudge(config, memory.context()).grade_many(items(3)))
    assert [verdict.correct for verdict in verdicts] == [True] * 3
    assert len(server.batches) == 4


@pytest.mark.parametrize("unlisted", [None, 404, 405, 501])
def test_a_file_that_no_batch_was_made_of_is_sent_again(server, memory, config, unlisted):
    """Nor is a call lost for good on a server that lists no batches."""
    server.script.unlisted = unlisted
    list(OpenAIJudge(config, memory.context()).grade_many(items(2)))
    left = {key: {"file": "file-alone"} for key in memory if key.startswith("batch/")}
    memory.clear()
    memory.update(left)
    verdicts = list(OpenAIJudge(config, memory.context()).grade_many(items(2)))
    assert [verdict.correct for verdict in verdicts] == [True] * 2
    assert len(server.batches) == 2


def test_a_call_s_file_is_noted_before_its_batch_is_made(server, memory, config):
    noted = []
    context = memory.context()
    kept = replace(context, remember=lambda key, value: (noted.append((key, value)), context.remember(key, value)))
    list(OpenAIJudge(config, kept).grade_many(items(1)))
    (first, where), (second, batch), *_ = [each for each in noted if each[0].startswith("batch/")]
    assert first == second
    assert where == {"file": server.batches[batch]["input"]}


def test_a_schema_that_a_batch_refuses_is_left_out_of_the_next(server, memory, config):
    refused = {"response": {"status_code": 400, "body": {"error": {"message": "response_format is not supported"}}}}
    server.script.batched = lambda asked: refused if "response_format" in asked.body else None
    verdicts = list(OpenAIJudge(config, memory.context()).grade_many(items(3)))
    assert [verdict.correct for verdict in verdicts] == [True] * 3
    assert len(server.batches) == 2


def test_a_call_that_an_earlier_batch_failed_on_is_asked_again(server, memory, config):
    expired = {"response": None, "error": {"code": "batch_expired", "message": "This batch expired."}}
    server.script.batched = lambda asked: expired if "<answer>answer 1" in asked.text else None
    first = list(OpenAIJudge(config, memory.context()).grade_many(items(3)))
    assert "This batch expired" in str(first[1])
    server.script.batched = lambda asked: None
    assert all(one.correct for one in OpenAIJudge(config, memory.context()).grade_many(items(3)))
    assert [content.count(b"\n") for name, content in server.files.items() if "output" not in name] == [3, 1]


@pytest.mark.parametrize(
    "response",
    [
        {"status_code": 200, "body": {"error": {"message": "broke"}}},
        {"status_code": 200, "body": {"hello": "world"}},
        {"status_code": 200, "body": None},
        {"status_code": 500, "body": "<html>gateway</html>"},
        "none",
    ],
)
def test_a_call_whose_answer_in_a_batch_is_none_is_asked_again(server, memory, config, response):
    server.script.batched = lambda asked: {"response": response}
    (first,) = OpenAIJudge(config, memory.context()).grade_many(items(1))
    assert isinstance(first, SampleError)
    assert "the batch's" in str(first)
    server.script.batched = lambda asked: None
    assert [one.correct for one in OpenAIJudge(config, memory.context()).grade_many(items(1))] == [True]


def test_a_batch_that_the_server_has_forgotten_is_sent_again(server, memory, config):
    list(OpenAIJudge(config, memory.context()).grade_many(items(2)))
    left = {key: value for key, value in memory.items() if key.startswith("batch/")}
    memory.clear()
    memory.update({key: f"long-gone-{value}" for key, value in left.items()})
    verdicts = list(OpenAIJudge(config, memory.context()).grade_many(items(2)))
    assert [verdict.correct for verdict in verdicts] == [True] * 2


def test_a_batch_that_fails_says_why(server, memory, config):
    server.script.batch_fails = "Enqueued token limit reached."
    (failed,) = OpenAIJudge(config, memory.context()).grade_many(items(1))
    assert "has no answer for this call, it failed: Enqueued token limit reached." in str(failed)
    server.script.batch_fails = ""
    assert [one.correct for one in OpenAIJudge(config, memory.context()).grade_many(items(1))] == [True]


def test_no_error_of_a_batch_tells_the_key(server, memory, config):
    server.script.batched = lambda asked: {"response": None, "error": {"message": f"Incorrect API key: {KEY}"}}
    (failed,) = OpenAIJudge(config, memory.context()).grade_many(items(1))
    server.script.batch_fails = f"Incorrect API key: {KEY}"
    (also,) = OpenAIJudge(config, memory.context()).grade_many(items(1))
    for said in (failed, also):
        assert "Incorrect API key" in str(said)
        assert KEY not in str(said)


def test_a_file_that_is_not_taken_at_once_is_sent_again(server, memory, config):
    server.script.no_upload = [503, 429]
    assert [one.correct for one in OpenAIJudge(config, memory.context()).grade_many(items(2))] == [True] * 2


def test_concepts(server, memory, tmp_path):
    answers = {"red fur": "(a), (c)", "the sky": "d", "hm": "I can't say"}
    server.script.answer = lambda asked: next(said for noun, said in answers.items() if f"'{noun}'" in asked.text)
    pairs = [(noun, "A red fur under the sky.") for noun in answers]
    config = TextConfig(base_url=server.url, structured=False)
    assert list(classify_phrases(pairs, config, store=tmp_path)) == [("a", "c"), ("d",), None]
    asked = len(server.calls)
    assert server.calls[0].text.startswith("Can you classify the following noun phrase belongs to which of these 6")
    list(classify_phrases(pairs, config, store=tmp_path))
    assert len(server.calls) == asked


def test_concepts_from_the_command_line(server, tmp_path):
    server.script.answer = lambda asked: '{"letters": ["b", "e"]}'
    phrases, letters = tmp_path / "phrases.csv", tmp_path / "letters.csv"
    with phrases.open("w") as file:
        csv.writer(file).writerows([["sample_id", "prompt"], ["one", "Can you classify …: 'left', 'On the left.'. "]])
    options = ["--base-url", server.url, "--store", str(tmp_path / "store")]
    main(["concepts", str(phrases), str(letters), *options], standalone_mode=False)
    assert letters.read_text() == 'sample_id,letters\none,"b, e"\n'
    with phrases.open("w") as file:  # of several runs, which have other phrases of the same sample
        csv.writer(file).writerows([["model", "sample_id", "prompt"], ["m", "one", "a"], ["n", "one", "b"]])
    main(["concepts", str(phrases), str(letters), *options], standalone_mode=False)
    assert letters.read_text() == 'model,sample_id,letters\nm,one,"b, e"\nn,one,"b, e"\n'


@pytest.mark.parametrize(
    ("options", "said"), [(["--model", ""], "model: got ''"), (["--base-url", "nowhere"], "base_url: got 'nowhere'")]
)
def test_options_that_are_none_are_one_line(options, said, tmp_path):
    (tmp_path / "phrases.csv").write_text("sample_id,prompt\none,a\n")
    command = ["concepts", str(tmp_path / "phrases.csv"), str(tmp_path / "letters.csv"), *options]
    with pytest.raises(ConfigError, match=re.escape(said)):
        main(command, standalone_mode=False)


def test_why_a_concept_has_no_answer_is_told(server, tmp_path, capsys):
    server.script.answer = lambda asked: '{"letters": ["b"]}'
    server.script.faults = lambda asked, count: "400" if "'left'" in asked.text else None
    phrases, letters = tmp_path / "phrases.csv", tmp_path / "letters.csv"
    rows = [["sample_id", "prompt"], ["one", "Which: 'left'"], ["two", "Which: 'right'"]]
    with phrases.open("w") as file:
        csv.writer(file).writerows(rows)
    options = ["--base-url", server.url, "--store", str(tmp_path / "store")]
    main(["concepts", str(phrases), str(letters), *options], standalone_mode=False)
    assert letters.read_text() == "sample_id,letters\none,\ntwo,b\n"
    said = capsys.readouterr()
    assert "2 phrases, 1 without an answer" in said.out
    assert "refuses the request (400)" in said.err


def test_objects(server, memory):
    server.script.answer = lambda asked: (
        'Sure: {"objects": ["cup", "spoon", "cup"]}' if "the cup" in asked.text else '{"objects": []}'
    )
    questions = ["Where is the cup with respect to the spoon?", "Why?"]
    found = list(parse_objects(questions, TextConfig(base_url=server.url), context=memory.context()))
    assert found == [("cup", "spoon"), ()]
