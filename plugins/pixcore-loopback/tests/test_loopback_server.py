"""Where a page is served: to this machine alone with a secret, whatever this machine is called."""

from __future__ import annotations

import pytest
from pixcore_loopback import Server, application

from pixcore.errors import DataError


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "LOCALHOST", "127.0.0.2"])
def test_this_machines_own_address_has_a_secret_whatever_it_is_called(host: str) -> None:
    tokens = []
    server = Server(lambda token: tokens.append(token) or application(token, []), host=host)
    assert len(tokens[0]) > 20
    assert server.address.startswith("http://127.0.0.1:")
    assert server.address.endswith(f"/{tokens[0]}/")


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 99_999), ("nowhere.invalid", 0)])
def test_where_nobody_can_listen_is_told_in_a_line(host: str, port: int) -> None:
    with pytest.raises(DataError, match="can't listen on port"):
        Server(lambda token: application(token, []), host=host, port=port)
