"""Where a page is served: to this machine alone with a secret, whatever this machine is called."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from typing import Any

import pytest
from pixcore_loopback import Server, application, body_of
from starlette.exceptions import HTTPException
from starlette.requests import Request

from pixcore.errors import DataError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "127.0.0.2", ""])
def test_this_machines_own_address_has_a_secret_whatever_it_is_called(host: str) -> None:
    tokens = []
    server = Server(lambda token: tokens.append(token) or application(token, []), host=host)
    assert len(tokens[0]) > 20
    assert server.address.startswith("http://127.0.0.1:")
    assert server.address.endswith(f"/{tokens[0]}/")


ANOTHER = "give an address of this machine, such as 127.0.0.1"


@pytest.mark.parametrize(
    ("host", "port", "hint"),
    [
        ("127.0.0.1", 99_999, "choose another --port"),
        ("nowhere.invalid", 0, ANOTHER),
        ("::1", 0, ANOTHER),
        ("ä" * 300, 0, ANOTHER),
        ("a\0b", 0, ANOTHER),
    ],
)
def test_where_nobody_can_listen_is_told_in_a_line(host: str, port: int, hint: str) -> None:
    with pytest.raises(DataError, match="can't listen on port") as told:
        Server(lambda token: application(token, []), host=host, port=port)
    assert told.value.hint == hint


def test_a_port_that_is_taken_asks_for_another() -> None:
    taken = Server(lambda token: application(token, []))
    port = int(taken.address.split(":")[2].split("/")[0])
    with pytest.raises(DataError, match=f"can't listen on port {port} of 127.0.0.1") as told:
        Server(lambda token: application(token, []), port=port)
    assert told.value.hint == "choose another --port"


@pytest.mark.parametrize("text", ["NaN", '{"x": [-Infinity]}', "{", "[" * 100_000, ""])
def test_what_is_no_json_is_refused(text: str) -> None:
    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": text.encode(), "more_body": False}

    with pytest.raises(HTTPException) as told:
        asyncio.run(body_of(Request({"type": "http", "method": "POST", "headers": []}, receive)))
    assert told.value.status_code == 400
    assert told.value.detail.startswith("no JSON: ")
