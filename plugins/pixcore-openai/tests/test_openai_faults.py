"""What a server can do wrong, each on command over TCP, and what becomes of the sample."""

from __future__ import annotations

import json
import random
import re
import socket
from dataclasses import replace
from functools import partial

import httpx
import openai
import pytest
from pixcore_openai.answers import read_number
from pixcore_openai.asking import Asker, Question
from pixcore_openai.config import JudgeConfig
from pixcore_openai.faults import InBody, MayPass, Place, RefusedRequest, explain, in_body, refuses_schema
from pixcore_openai.judge import OpenAIJudge
from pixcore_openai.prompts import Prompt
from pixcore_openai.server import read_completion
from pixcore_services.spending import Spending

from pixcore.errors import SampleError, StoreError, UserError
from pixcore.records import Fidelity, Verdict
from pixcore.services import Allowance, Budget, Price

KEY = "sk-test-3f9d2c71b8a04e6595d1c0ffee"
ITEM = ("Is the door open?", ("Open", "Closed"), 0, "It is open.")


def judge(server, memory, **options):
    fields = {"fidelity": options.pop("fidelity", Fidelity.CORRECTED)}
    defaults = {"base_url": server.url, "attempts": 3, "timeout": 120.0}
    return OpenAIJudge(JudgeConfig(**{**defaults, **options}), memory.context(**fields))


def number(asked):
    """Which of the items "answer 0", "answer 1" and so on a call asks about."""
    return int(re.search(r"answer (\d+)", asked.text).group(1))


def once(fault):
    """The fault at a question's first call, none afterwards."""
    return lambda asked, count: fault if count == 0 else None


def always(fault):
    return lambda asked, count: fault


@pytest.mark.parametrize("fault", ["429", "500", "503", "drop", "truncated", "wrong", "html"])
def test_what_may_pass_is_tried_again(server, memory, fault):
    server.script.faults = once(fault)
    verdict = judge(server, memory).grade(*ITEM)
    assert verdict.correct is True
    assert len(server.calls) == 2
    (exchange,) = verdict.details["exchanges"]
    assert exchange["attempts"] == 2
    assert (exchange["served"], exchange["fingerprint"]) == ("served-model-2026-11", "fp_1")
    assert verdict.details["served"] == ["served-model-2026-11 fp_1"]


@pytest.mark.parametrize("fault", ["hang", "trickle"])
def test_a_call_that_does_not_end_is_tried_again(server, memory, fault):
    server.script.faults = once(fault)
    assert judge(server, memory, timeout=5).grade(*ITEM).correct is True
    assert len(server.calls) == 2


@pytest.mark.parametrize("fault", ["429", "500", "drop", "truncated", "wrong"])
def test_what_does_not_pass_fails_the_sample_alone(server, memory, fault):
    server.script.faults = lambda asked, count: fault if "bad" in asked.text else None
    items = [ITEM, (*ITEM[:3], "bad"), (*ITEM[:3], "good")]
    first, second, third = judge(server, memory).grade_many(items)
    assert isinstance(second, SampleError)
    assert "3 attempts" in str(second)
    assert isinstance(first, Verdict)
    assert isinstance(third, Verdict)
    assert len(server.calls) == 5


def test_a_huge_answer_fails_the_sample_without_another_try(server, memory):
    server.script.faults = always("huge")
    with pytest.raises(SampleError, match="more than 2000000 bytes"):
        judge(server, memory).grade(*ITEM)
    assert len(server.calls) == 1


def test_a_refused_request_fails_the_sample_without_another_try(server, memory):
    server.script.faults = always("400")
    with pytest.raises(SampleError, match="400") as caught:
        judge(server, memory, structured=False).grade(*ITEM)
    assert len(server.calls) == 1
    assert KEY not in str(caught.value)


def test_a_refusal_is_an_answer(server, memory):
    server.script.faults = always("refusal")
    verdict = judge(server, memory).grade(*ITEM)
    assert verdict.correct is None
    assert verdict.reason == "refused: I can't help with that."
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("fault", "says"),
    [("401", "refuses the key"), ("403", "refuses the key"), ("404", "no model"), ("quota", "credit")],
)
def test_what_every_call_would_fail_with_ends_the_run(server, memory, fault, says):
    server.script.faults = always(fault)
    outcomes = list(judge(server, memory, concurrency=2).grade_many([(*ITEM[:3], str(n)) for n in range(50)]))
    assert isinstance(outcomes[0], UserError)
    assert says in str(outcomes[0])
    assert KEY not in str(outcomes[0])
    assert len(server.calls) <= 4
    assert outcomes[0].__cause__ is None, "the client's error holds the request with the key"


def test_retry_after_is_respected(server, memory):
    server.script.faults, server.script.retry_after = once("429"), "1"
    assert judge(server, memory).grade(*ITEM).correct is True
    first, second = server.times
    assert second - first >= 1.0


def test_a_longer_wait_than_patience_ends_the_run(server, memory):
    server.script.faults, server.script.retry_after = always("429"), "3600"
    with pytest.raises(UserError, match="3600 s"):
        judge(server, memory, patience=60).grade(*ITEM)


def test_fewer_calls_at_once_after_429_and_more_again(server, memory):
    server.script.faults = lambda asked, count: "429" if count == 0 and number(asked) < 4 else None
    one = judge(server, memory, concurrency=8, attempts=8)
    verdicts = one.grade_many([(*ITEM[:3], f"answer {n}") for n in range(80)])
    limits = []
    for verdict in verdicts:
        assert isinstance(verdict, Verdict)
        limits.append(one._asker._server.limiter.limit)
    assert min(limits) < 8
    assert limits[-1] > min(limits)
    assert server.most_active <= 8


def test_a_dead_server_ends_the_run_and_keeps_what_was_done(server, memory):
    asked_before = 6
    # which questions are answered does not depend on when they are asked, so that a busy machine changes nothing
    server.script.faults = lambda asked, count: "drop" if "from here on" in asked.text else None
    items = [(*ITEM[:3], f"answer {n}" + " from here on" * (n >= asked_before)) for n in range(40)]
    outcomes = []
    for outcome in judge(server, memory, concurrency=2, patience=1.0).grade_many(items):
        outcomes.append(outcome)
        if isinstance(outcome, UserError):
            break
    assert isinstance(outcomes[-1], UserError)
    assert "has answered nothing" in str(outcomes[-1])
    assert sum(isinstance(outcome, Verdict) for outcome in outcomes) == asked_before == len(memory)


def test_nobody_there(memory, monkeypatch, server):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    one = judge(server, memory, base_url=f"http://127.0.0.1:{port}/v1", attempts=2, patience=5.0, concurrency=4)
    outcomes = []
    for outcome in one.grade_many([(*ITEM[:3], f"answer {n}") for n in range(100)]):
        outcomes.append(outcome)
        if isinstance(outcome, UserError):
            break
    assert isinstance(outcomes[-1], UserError)
    assert len(outcomes) <= 8, "a few samples are given up before the server is taken for dead"


def test_azures_older_api(server, memory):
    """Its addresses and its header; without a key it is not asked at all."""
    one = judge(server, memory, base_url=server.url.removesuffix("/v1"), azure_api_version="2024-10-21")
    assert one.grade(*ITEM).correct is True


@pytest.mark.long
def test_soak(server, memory):
    """600 calls, every fifth with a fault: all answered or recorded, none paid twice, a bounded number of calls."""
    kinds = ["429", "500", "503", "drop", "truncated", "wrong", "refusal", "400"]

    def faults(asked, count):
        if number(asked) in (7, 8, 9) and count == 0:  # together: each costs the whole timeout
            return "hang"
        rng = random.Random(f"{asked.digest}{count}")
        return rng.choice(kinds) if rng.random() < 0.2 else None

    server.script.faults = faults
    one = judge(server, memory, structured=False, attempts=6, timeout=20.0, concurrency=32)
    items = [(*ITEM[:3], f"answer {n}") for n in range(600)]
    outcomes = list(one.grade_many(items))
    assert len(outcomes) == len(items)
    assert all(isinstance(outcome, Verdict | SampleError) for outcome in outcomes)
    answered = [outcome for outcome in outcomes if isinstance(outcome, Verdict) and outcome.correct is not None]
    assert len(answered) > 540
    assert set(server.answered.values()) == {1}, "no question is answered, and so paid, twice"
    assert len(server.answered) == len(answered)
    assert len(server.calls) < 1.5 * len(items)

    calls = len(server.calls)
    again = list(judge(server, memory, structured=False).grade_many(items))
    failed = sum(isinstance(outcome, SampleError) for outcome in outcomes)
    assert len(server.calls) - calls <= 6 * failed, "only what has no answer is asked again"
    kept = [(one, two) for one, two in zip(outcomes, again, strict=True) if isinstance(one, Verdict)]
    assert all(one == two for one, two in kept)


FAULTS = {
    402: {"message": "no balance left"},
    200: {"message": "quota of today is used up", "code": "insufficient_quota"},
    429: {"message": "You exceeded your current quota", "code": "insufficient_quota"},
}


@pytest.mark.parametrize("status", sorted(FAULTS))
def test_an_account_without_credit_ends_the_run(status: int) -> None:
    place = Place("http://localhost", "m", "KEY", KEY)
    if status == 200:
        found = in_body({"error": FAULTS[status]})
        assert found is not None
        said = explain(found, place)
    else:
        response = httpx.Response(status, json={"error": FAULTS[status]}, request=httpx.Request("POST", place.address))
        said = explain(openai.APIStatusError("", response=response, body=FAULTS[status]), place)
    assert isinstance(said, UserError)
    assert FAULTS[status]["message"] in str(said)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        ({"message": "slow down", "code": 429}, MayPass),
        ({"message": "slow down", "code": "rate_limit_exceeded"}, MayPass),
        ({"message": "wrong key", "code": 401}, UserError),
        ({"message": "odd", "code": 422}, RefusedRequest),
        ({"message": "odd"}, MayPass),
        ("something broke", MayPass),
    ],
)
def test_an_error_inside_an_answer_is_told_by_its_code(error: object, meaning: type[Exception]) -> None:
    place = Place("http://localhost", "m", "KEY", KEY)
    with pytest.raises(InBody) as caught:
        read_completion(json.dumps({"error": error}).encode())
    said = explain(caught.value, place)
    assert isinstance(said, meaning)
    words = error if isinstance(error, str) else error["message"]  # type: ignore[index]
    assert str(words) in str(said)


@pytest.mark.parametrize("status", [400, 404, 405, 415, 422, 500, 501])
def test_a_refused_schema_is_left_out(status: int) -> None:
    response = httpx.Response(status, request=httpx.Request("POST", "http://localhost"))
    said = {"message": "response_format json_schema is not supported"}
    assert refuses_schema(openai.APIStatusError("", response=response, body=said))
    busy = httpx.Response(429, request=httpx.Request("POST", "http://localhost"))
    assert not refuses_schema(openai.APIStatusError("", response=busy, body={"message": "slow down"}))


def test_what_is_not_counted_is_not_there() -> None:
    answer = {"choices": [{"message": {"content": "yes"}}], "usage": {"prompt_tokens": 7}}
    assert read_completion(json.dumps(answer).encode()).usage == {"input": 7}
    assert read_completion(json.dumps({"choices": answer["choices"]}).encode()).usage == {}


SPENT = (
    (429, "You exceeded your current quota, please check your plan and billing details."),
    (400, "Your credit balance is too low to access the API. Please go to Plans & Billing to upgrade."),
    (402, "Insufficient Balance"),
    (403, "Your team has used all available credits or reached its monthly spending limit."),
    (412, "Account is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices"),
    (429, "Budget has been exceeded! Current cost: 20.3, Max budget: 20.0"),
    (400, "Arrearage: access denied, please make sure your account is not in arrears or overdue-payment"),
    (429, "Quota exhausted for this key"),
    (401, "insufficient_quota: you have no more credits"),
)
NOT_SPENT = (
    (429, "Rate limit reached for requests per minute. Please try again in 20s."),
    (429, "You exceeded your current quota. Please retry in 23.1s."),
    (429, "Too many requests"),
    (400, "Invalid value for response_format"),
    (400, "This model's maximum context length is 8192 tokens; you have exceeded it"),
    (503, "The engine is overloaded"),
    (429, "Error code: 429 - {'error': 'INSUFFICIENT QUOTA', 'message': 'Too many concurrent requests.'}"),
    (429, "Insufficient quota: 8 calls at once are allowed, the concurrency limit is reached"),
    (429, "You exceeded your current limit: 20 tokens per min, quota exceeded"),
)


def told(status: int, words: str) -> Exception:
    response = httpx.Response(status, json={"error": {"message": words}}, request=httpx.Request("POST", "http://x"))
    error = openai.APIStatusError(words, response=response, body={"message": words})
    return explain(error, Place("http://x", "m", "KEY", "secret-key"))


@pytest.mark.parametrize(("status", "words"), SPENT)
def test_an_account_with_nothing_left_ends_the_run_in_any_words(status: int, words: str) -> None:
    meaning = told(status, words)
    assert isinstance(meaning, UserError)
    assert "out of credit" in meaning.hint


@pytest.mark.parametrize("status", [404, 405])
def test_an_address_that_takes_no_questions_ends_the_run(status: int) -> None:
    meaning = told(status, "Method Not Allowed")
    assert isinstance(meaning, UserError)
    assert "base_url:" in meaning.hint


@pytest.mark.parametrize(("status", "words"), NOT_SPENT)
def test_what_is_no_empty_account_ends_no_run(status: int, words: str) -> None:
    assert isinstance(told(status, words), MayPass | RefusedRequest)


@pytest.mark.parametrize("count", [0, -5, 1e308, True, "12", None, 10**12, {}])
def test_a_count_of_tokens_that_is_none_is_not_there(count: object) -> None:
    usage = {"prompt_tokens": count, "completion_tokens": 7}
    body = {"choices": [{"message": {"content": "yes"}}], "usage": usage}
    assert read_completion(json.dumps(body).encode()).usage == {"output": 7}


@pytest.mark.parametrize(
    ("text", "correct"),
    [
        ("no", False),
        ("Yes.", True),
        ("The answer is no", None),
        ('{"answer": "yes', None),
        ('{"answer": "yes"}' + 99 * "\n", True),
    ],
)
def test_of_an_answer_that_was_cut_off_a_lone_word_is_read(server, memory, text, correct):
    server.script.answer, server.script.choice = lambda asked: text, {"finish_reason": "length"}
    verdict = judge(server, memory).grade(*ITEM)
    assert verdict.correct is correct
    assert ("cut off: raise max_tokens" in verdict.reason) == (correct is None)


@pytest.mark.parametrize(("fidelity", "read"), [(Fidelity.PUBLISHED, 2), (Fidelity.CORRECTED, None)])
def test_the_released_scripts_read_what_was_cut_off(server, memory, fidelity, read):
    server.script.answer, server.script.choice = lambda asked: "Image 2, as", {"finish_reason": "length"}
    asker = Asker(JudgeConfig(base_url=server.url), memory.context(fidelity=fidelity))
    question = Question(Prompt("number/1", "", "{text}", schema={"type": "object"}), {"text": "Which?"})
    number = partial(read_number, count=5, published=fidelity is Fidelity.PUBLISHED)
    (answer,) = asker.overlap([question], lambda one: asker.ask(one, number))
    assert answer.value == read


def test_a_free_answer_that_was_cut_off_is_an_answer(server, memory):
    server.script.choice = {"finish_reason": "length"}
    asker = Asker(JudgeConfig(base_url=server.url), memory.context())
    question = Question(Prompt("answer/1", "", "{text}"), {"text": "Describe it."})
    (answer,) = asker.overlap([question], lambda one: asker.ask(one, lambda text: text))
    assert (answer.value, len(answer.exchanges)) == ("yes", 1)


def test_a_choice_that_holds_an_error_is_no_answer(server, memory):
    server.script.choice = {"error": {"code": 502, "message": "the provider broke"}, "message": {"content": ""}}
    with pytest.raises(SampleError, match="the provider broke"):
        judge(server, memory, attempts=1).grade(*ITEM)
    assert not memory


@pytest.mark.parametrize("batch", [False, True])
def test_half_a_surrogate_pair_can_be_asked_about(server, memory, batch):
    assert judge(server, memory, batch=batch, batch_poll=0.05).grade(*ITEM[:3], "open \ud83d").correct is True
    assert "open ?" in server.calls[0].text


@pytest.mark.parametrize("key", ["1", "e", "yes", "ollama"])
def test_what_stands_for_a_key_where_none_is_needed_is_no_secret(server, memory, monkeypatch, key):
    monkeypatch.setenv("OPENAI_API_KEY", key)
    assert judge(server, memory, attempts=1).grade(*ITEM).correct is True


@pytest.mark.parametrize(
    ("fault", "lost"), [("hang", 1), ("truncated", 1), ("drop", 1), ("wrong", 1), ("html", 0), ("429", 0), ("503", 0)]
)
def test_what_an_attempt_that_came_to_nothing_may_have_cost_is_booked(server, memory, fault, lost):
    server.script.faults = once(fault)
    allowance = Allowance({"gpt-4o": Price(input=1e6, output=0.0)})
    config = JudgeConfig(base_url=server.url, timeout=2.0)
    one = OpenAIJudge(config, memory.context(allowance=allowance))
    assert one.grade(*ITEM).correct is True
    spent = Spending.under(allowance).spent
    assert spent.calls == 1 + lost
    assert spent.usd == pytest.approx(100 + lost * one.expected_cost(*ITEM).usd)


def test_once_an_answer_can_not_be_kept_no_more_is_paid_for(server, memory):
    def full(key, value):
        raise StoreError("the disk is full")

    context = replace(memory.context(), remember=full)
    one = OpenAIJudge(JudgeConfig(base_url=server.url, concurrency=1), context)
    outcomes = list(one.grade_many([(*ITEM[:3], f"answer {n}") for n in range(20)]))
    assert all(isinstance(outcome, StoreError) for outcome in outcomes)
    assert len(server.calls) <= 2


def test_what_came_to_nothing_counts_against_the_budget(server, memory):
    server.script.faults = always("truncated")
    allowance = Allowance(budget=Budget(calls=3))
    one = OpenAIJudge(JudgeConfig(base_url=server.url, attempts=3), memory.context(allowance=allowance))
    with pytest.raises(SampleError, match="3 attempts"):
        one.grade(*ITEM)
    with pytest.raises(UserError, match="budget of 3 calls is spent"):
        one.grade(*ITEM)
    assert len(server.calls) == 3


def test_no_call_is_made_again_that_could_exceed_the_budget(server, memory):
    server.script.faults = always("truncated")
    one = OpenAIJudge(
        JudgeConfig(base_url=server.url, attempts=3), memory.context(allowance=Allowance(budget=Budget(calls=2)))
    )
    with pytest.raises(UserError, match="budget of 2 calls is spent"):
        one.grade(*ITEM)
    assert len(server.calls) == 2


@pytest.mark.parametrize("blanks", ["", "\n \n"])  # a blank now and then keeps a connection open
def test_half_an_answer_may_be_paid_for(blanks: str) -> None:
    with pytest.raises(MayPass) as told:
        read_completion(f'{blanks}{{"choices": ['.encode())
    assert told.value.lost


def test_an_answer_nested_without_end_may_pass() -> None:
    with pytest.raises(MayPass, match="not a chat completion"):
        read_completion(b"[" * 100_000)


def test_an_answer_with_a_byte_order_mark_is_read() -> None:
    body = b"\xef\xbb\xbf" + json.dumps({"choices": [{"message": {"content": "yes"}}]}).encode()
    assert read_completion(body).text == "yes"


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b"<!DOCTYPE html>\n<html>Log in</html>", "'<!DOCTYPE html> <html>Log in</html>'"),
        (b'{"choices": []}', '{"choices": []}'),
        (b"", "''"),
        (b"\xff\xfe\x00", "'"),
        (b'data: {"key": "' + KEY.encode() + b'"}', "data: "),
        (b"[" * 100_000, "[[["),
    ],
)
def test_what_is_no_answer_is_shown(body: bytes, shown: str) -> None:
    """A web page tells of a wrong base_url, an empty list of choices of the server."""
    with pytest.raises(MayPass) as caught:
        read_completion(body, KEY)
    said = str(caught.value)
    assert said.startswith("the answer is not a chat completion: ")
    assert shown in said
    assert KEY not in said
    assert len(said) < 200
    assert said.isprintable()


def test_instructions_stand_before_the_question_where_the_model_knows_no_system_role(server, memory):
    assert judge(server, memory).grade(*ITEM).correct is True
    assert judge(server, memory, system="user").grade(*ITEM).correct is True
    usual, in_one = server.calls
    assert (in_one.system, in_one.text) == ("", f"{usual.system}\n\n{usual.text}")
    assert len(in_one.body["messages"]) == 1
    assert "system" not in JudgeConfig().model_dump()  # the records of before are found again
    told = explain(InBody(400, "System role not supported", ""), Place(server.url, "gemma-2", "KEY", "none"))
    assert str(told).endswith("System role not supported (system: user sends the instructions with the question)")
    told = explain(InBody(400, "too long", ""), Place(server.url, "gemma-2", "KEY", "none"))
    assert str(told).endswith("too long")
