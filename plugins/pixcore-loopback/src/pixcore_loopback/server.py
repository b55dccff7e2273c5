"""An application that listens: on this machine alone, unless somebody says where else."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from pixcore.errors import DataError
from pixcore_loopback.application import HOST

_PARTING = 5  # seconds that open connections have once it is to end


class Server:
    """Listens from the moment it is made; answers while it runs.

    Args:
        make: Makes the application of the address's secret.
        port: 0 takes a free one.
        host: The address that it listens on; only this machine's own has a secret in it.

    Attributes:
        address: Where the page is, its secret included.

    Raises:
        DataError: The port is taken.
    """

    def __init__(self, make: Callable[[str], Starlette], *, port: int = 0, host: str = HOST) -> None:
        token = secrets.token_urlsafe(24) if host == HOST else ""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen()
        except OSError as error:
            raise DataError(
                f"can't listen on port {port} of {host}: {error.strerror}", hint="choose another --port"
            ) from error
        root = f"http://{host}:{self._socket.getsockname()[1]}/"
        self.address = f"{root}{token}/" if token else root
        config = uvicorn.Config(
            make(token), log_level="warning", access_log=False, server_header=False, timeout_graceful_shutdown=_PARTING
        )
        self._server = uvicorn.Server(config)

    def run(self) -> None:
        """Serve until Ctrl-C, or until told to stop."""
        self._server.run(sockets=[self._socket])

    def stop(self) -> None:
        """Ask the server to end."""
        self._server.should_exit = True
