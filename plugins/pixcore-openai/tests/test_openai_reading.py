"""What needs no server: reading answers, keys, configs, prices, headers."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pixcore_openai.answers import read_letters, read_number, read_yes_no
from pixcore_openai.config import AutomaticConfig, ServerConfig
from pixcore_openai.faults import retry_after
from pixcore_openai.keys import NO_KEY, read_key
from pixcore_openai.prices import billed, image_tokens, price_of, shipped
from pydantic import ValidationError

from pixcore.components import Context
from pixcore.errors import ConfigError, UserError
from pixcore.services import Allowance, Price


@pytest.mark.parametrize(
    ("text", "published", "corrected"),
    [
        ("3", 3, 3),
        ("3.", 3, 3),
        ("Image 3", 3, 3),
        ("The best is number 3, number 3.", 3, 3),
        ("2 or 3", 2, None),
        ("3.5", 3, None),
        ("0", None, None),
        ("6", None, None),
        ("-1", 1, None),
        ("−1", 1, None),  # a minus sign, and a dash in its place
        ("–1", 1, None),
        ("2-3", 2, None),
        ("2–3", 2, None),
        ("Images 2 - 3", 2, None),
        ("2/3", 2, None),
        ("2,5", 2, None),
        ("4%", 4, None),
        ("4 % of it", 4, None),
        ("4 - it is whole there", 4, 4),
        ("**4**: whole, sharp", 4, 4),
        ("(4), as (4) shows all of it", 4, 4),
        ("99999999999999999999", None, None),
        ("five", None, None),
        ('{"number": 4}', 4, 4),
        ('```json\n{"number": 4}\n```', 4, 4),
        ("Image no. 4", 4, 4),
        ("None of the 3 images shows it.", 3, None),
        ("It isn't in image 2.", 2, None),
        ("<think>Image 1, or 2?</think>4", 4, 4),
        ("<think>Image 1 it is", None, None),
        ("<reasoning>Image 1, or 2?</reasoning>4", 4, 4),
        ("<|channel>thought\nImage 1, or 2?<channel|>4", 4, 4),
        ("<|channel|>analysis<|message|>Image 1 it is", None, None),
        ("There is no 3.", 3, None),
        ("1 shows less than 2. <|begin_of_box|>2<|end_of_box|>", 1, 2),
        ("There is no no. 3.", 3, None),
        ("", None, None),
    ],
)
def test_numbers(text, published, corrected):
    assert read_number(text, 5, published=True) == published
    assert read_number(text, 5, published=False) == corrected


@pytest.mark.parametrize(
    ("text", "published", "corrected"),
    [
        ("Yes", True, True),
        ("no.", False, False),
        ("YES..", True, True),
        ("Yes, it does.", None, True),
        ("yes and no", None, None),
        ("Nothing", None, None),
        ('{"answer": "no"}', False, False),
        ("**Yes**", None, True),
        ("No - it says the contrary.", None, False),
        ("Both say so.\n\n**Answer: yes**", None, True),
        ("The answer is no.", None, False),
        ("There is no contradiction: the answer is the correct one.", None, None),
        ("No doubt, it is right.", None, None),
        ("The correct answer is No, and the given answer is No.", None, None),
        ("It is wrong to say yes", None, None),
        ("A no-brainer", None, None),
        ("<think>No? Both say so.</think>\n\nYes", True, True),
        ("<think>There is no such thing, so: no", None, None),
        ("[THINK]No? Both say so.[/THINK]\n\nYes", True, True),
        ("<think>Between <think> and </think>: no?</think>Yes", True, True),
        ("<think>No?</think>\n</think>Yes", True, True),
        ("[Reasoning]\nBoth say so.\n\nYes", None, True),
        ("**[Reasoning]** Both say so.\nYes", None, True),
        ("Yes<|im_end|>", None, True),
        ("No</s>", None, False),
        ("Both say so, so no doubt: <answer>yes</answer>", None, True),
        (r"\boxed{yes}", None, True),
        ("", None, None),
    ],
)
def test_yes_or_no(text, published, corrected):
    assert read_yes_no(text, published=True) is published
    assert read_yes_no(text, published=False) is corrected


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("(a), (e)", ("a", "e")),
        ("B", ("b",)),
        ("c. Object part", ("c",)),
        ("g", None),
        ("<think>d, f</think>b", ("b",)),
        ("<thinking>d, f</thinking>b", ("b",)),
        ('{"letters": ["f"]}', ("f",)),
    ],
)
def test_letters(text, letters):
    assert read_letters(text) == letters


@given(st.text(max_size=40), st.integers(1, 500), st.booleans())
def test_a_number_is_in_range_or_none(text, count, published):
    number = read_number(text, count, published=published)
    assert number is None or 1 <= number <= count
    read_yes_no(text, published=published)
    read_letters(text)


@pytest.mark.parametrize("text", ["\n" * 1_000_000, "\n*" * 500_000 + "a", "yes\n" * 300_000 + "no"])
def test_an_answer_of_the_greatest_length_is_read(text):
    """Where each line was looked at from each, it took hours."""
    assert read_yes_no(text, published=False) is None


def test_an_answer_nested_without_end_is_unread():
    assert read_number('{"number":' * 200_000 + "}", 5, published=False) is None


def test_options_of_the_request_that_speak_of_tokens_hold_no_secret():
    extra = {"max_completion_tokens": 5, "stop_token_ids": [1], "include_stop_token": True}
    assert ServerConfig(extra=extra).extra == extra


def test_an_address_of_the_environment_holds_no_secret_either(monkeypatch):
    monkeypatch.setenv("OPENAI_BASE_URL", "http://user:secret@host/v1")
    with pytest.raises(ConfigError, match="OPENAI_BASE_URL") as caught:
        ServerConfig().fingerprint()
    assert "secret@" not in str(caught.value)
    monkeypatch.setenv("OPENAI_BASE_URL", "http://host/v1/")
    assert ServerConfig().fingerprint() == "http://host/v1"


def test_a_key_file_must_be_private(tmp_path):
    file = tmp_path / "key"
    file.write_text("sk-one\n")
    file.chmod(0o644)
    with pytest.raises(UserError, match="mode 644"):
        read_key("NOT_SET", file, needed=True)
    file.chmod(0o600)
    assert read_key("NOT_SET", file, needed=True) == "sk-one"
    with pytest.raises(UserError, match="can't read the key"):
        read_key("NOT_SET", tmp_path / "none", needed=True)


@pytest.mark.parametrize("damage", ["\n", "\r\n", "\x01", "\x7f", "é", "\u200b"])
def test_what_no_header_can_hold_is_no_key_and_is_not_told(damage, tmp_path, monkeypatch):
    """Two keys, or a key with its comment: whoever sends that is told the whole of it."""
    text = f"sk-test-3f9d2c71{damage}b8a04e6595d1"
    monkeypatch.setenv("OPENAI_API_KEY", text)
    with pytest.raises(UserError, match=r"^OPENAI_API_KEY holds no key") as told:
        read_key("OPENAI_API_KEY", None, needed=False)
    assert "sk-test" not in str(told.value)
    file = tmp_path / "key"
    file.write_bytes(text.encode())
    file.chmod(0o600)
    with pytest.raises(UserError, match="holds no key") as told:
        read_key("OPENAI_API_KEY", file, needed=False)
    assert "sk-test" not in str(told.value)


def test_a_key_file_with_a_byte_order_mark(tmp_path):
    file = tmp_path / "key"
    file.write_text("sk-test-3f9d2c71\n", encoding="utf-8-sig")
    file.chmod(0o600)
    assert read_key("OPENAI_API_KEY", file, needed=True) == "sk-test-3f9d2c71"


def test_a_server_of_ones_own_needs_no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    assert read_key("OPENAI_API_KEY", None, needed=False) == NO_KEY
    AutomaticConfig(base_url="http://localhost:8000/v1").check_ready()
    with pytest.raises(UserError, match="base_url"):
        ServerConfig(base_url=None).check_ready()


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "http://user:secret@host/v1"},
        {"base_url": "https://host/v1?api-key=1"},
        {"base_url": "localhost:8000"},
        {"extra": {"api_key": "1"}},
        {"extra": {"Authorization": "1"}},
        {"extra": {"provider": [{"api_key": "sk-1"}]}},
        {"extra": {"access_token": "1"}},
        {"extra": {"headers": {"X-Auth-Token": "1"}}},
        {"api_key": "sk-1"},
        {"azure_api_version": "2024-10-21"},
    ],
)
def test_a_config_holds_no_secret_and_no_nonsense(options):
    with pytest.raises(ValidationError):
        ServerConfig(**options)


@pytest.mark.parametrize(
    ("model", "size", "tokens"),
    [
        ("gpt-4o", (1024, 1024), 765),  # these three are OpenAI's own examples
        ("gpt-4o", (2048, 4096), 1105),
        ("gpt-4o-2024-11-20", (512, 512), 255),
        ("gpt-4o-mini", (128, 64), 8500),
        ("gpt-4.1-mini", (1024, 1024), 1659),
    ],
)
def test_image_tokens(model, size, tokens):
    assert image_tokens(model, size) == tokens


def test_prices():
    assert price_of("gpt-4o-2024-11-20", Context()) == Price(input=2.5, output=10.0)
    assert price_of("gpt-4o-2024-05-13", Context()) == Price(input=5.0, output=15.0)
    assert price_of("llava", Context()) is None
    own = Allowance({"llava": Price(input=0, output=0)})
    assert price_of("llava", Context(allowance=own)) == Price(input=0, output=0)
    assert billed("gpt-4o", Context(), 1000, 100, images=1).usd == pytest.approx((2.5 * 1000 + 10 * 100) / 1e6)
    assert billed("llava", Context(), 1000, 100, images=1).usd is None
    assert shipped()["dated"].isoformat() == "2026-11-05"


def test_retry_after():
    assert retry_after({"retry-after": "3"}) == 3.0
    assert retry_after({"retry-after-ms": "1500", "retry-after": "9"}) == 1.5
    date = formatdate(time.time() + 7200, usegmt=True)
    assert 3600 < retry_after({"retry-after": date}) <= 7200
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({}) is None
