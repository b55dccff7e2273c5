"""An application that listens: on this machine alone, unless somebody says where else."""

from __future__ import annotations

import errno
import secrets
import socket
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from pixcore.errors import DataError
from pixcore_loopback.application import HOST

_OF_THE_PORT = frozenset({errno.EADDRINUSE, errno.EACCES})
_PARTING = 5  # seconds that open connections have once it is to end


def here(host: str) -> str:
    """Write this machine's own address one way: what only it can reach is what a secret keeps to it.

    An address that is empty is this machine's own too: who wants others in says so.
    """
    return HOST if host.lower() in ("", "localhost") or host.startswith("127.") else host


class Server:
    """Listens from the moment it is made; answers while it runs.

    Args:
        make: Makes the application of the address's secret.
        port: 0 takes a free one.
        host: The address that it listens on, "localhost" for this machine's own; only that has a secret in it.

    Attributes:
        address: Where the page is, its secret included.

    Raises:
        DataError: The port is taken, or it is no address of this machine.
    """

    def __init__(self, make: Callable[[str], Starlette], *, port: int = 0, host: str = HOST) -> None:
        host = here(host)
        token = secrets.token_urlsafe(24) if host == HOST else ""
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((host, port))
            self._socket.listen()
        except (OSError, OverflowError, TypeError, ValueError) as error:  # the last two of a name that can be none
            self._socket.close()
            said = getattr(error, "strerror", None) or error
            of_the_port = isinstance(error, OverflowError) or getattr(error, "errno", None) in _OF_THE_PORT
            hint = "choose another --port" if of_the_port else f"give an address of this machine, such as {HOST}"
            raise DataError(f"can't listen on port {port} of {host}: {said}", hint=hint) from error
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
