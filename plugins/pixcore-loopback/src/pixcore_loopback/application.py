"""An application that answers this machine's own page and nobody else's."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixcore.errors import PixcoreError

HOST = "127.0.0.1"

_LONGEST_BODY = 4 << 20


def application(token: str, routes: Sequence[BaseRoute], *, styles: Sequence[str] = ()) -> Starlette:
    """Make an application of which everything lies below `/TOKEN/`.

    Args:
        token: The address's secret; without it nothing is served.
        routes: What is served. An error of pixcore's becomes an answer with its line.
        styles: Hashes of style elements that a library puts into the page, such as "sha256-…".
    """

    def refuse(_: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return answer({"error": error.detail}, error.status_code)
        return answer({"error": getattr(error, "message", "failed"), "hint": getattr(error, "hint", "")}, 400)

    def broken_off(request: Request, _: Exception) -> Response:
        inside = request.url.path.removeprefix(f"/{token}")  # the token is nobody's business
        logging.getLogger("uvicorn.error").warning("a request was broken off: %s %s", request.method, inside)
        return Response(status_code=400)

    return Starlette(
        routes=[Mount(f"/{token}", routes=list(routes))],
        middleware=guards(policy(styles)),
        exception_handlers={HTTPException: refuse, PixcoreError: refuse, ClientDisconnect: broken_off},
    )


def guards(policy: str) -> list[Middleware]:
    """Give what keeps an application's pages to this machine.

    Args:
        policy: The Content-Security-Policy of every answer.
    """
    return [
        Middleware(Headed, policy=f"{policy}; frame-ancestors 'none'"),
        # a page elsewhere that has its name resolved to this machine is turned away
        Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
        Middleware(_OwnOrigin),
    ]


def policy(styles: Sequence[str] = (), source: str = "'self'") -> str:
    """Write a Content-Security-Policy: what comes from `source` alone, and no script or style in the page itself."""
    allowed = " ".join([source, *(f"'{style}'" for style in styles)])
    return (
        f"default-src 'none'; img-src {source} data:; style-src {allowed}; script-src {source}; "
        f"connect-src {source}; base-uri 'none'; form-action 'none'"
    )


def answer(data: Any, status: int = 200) -> Response:
    """Answer with JSON in ASCII: a text may hold half a surrogate pair, which has no UTF-8."""
    return Response(json.dumps(data, separators=(",", ":")), status, media_type="application/json")


async def body_of(request: Request) -> Any:
    """Read a request's JSON, of which no more is read than is allowed."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _LONGEST_BODY:
            raise HTTPException(413, "too much")
    try:
        return json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise HTTPException(400, f"no JSON: {error}") from error


def _no_number(name: str) -> None:
    """Refuse NaN and infinities, which Python reads and JSON has not."""
    raise ValueError(f"{name} is no number")


class Headed:
    """Puts the headers that keep a page to itself on every answer, its Content-Security-Policy among them."""

    def __init__(self, app: ASGIApp, policy: str) -> None:
        self.app = app
        self._headers = {
            "Content-Security-Policy": policy,
            "Referrer-Policy": "no-referrer",  # the token is in the address
            "X-Content-Type-Options": "nosniff",
            "Cache-Control": "no-store",
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer as the application does, with the headers."""

        async def headed(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self.app(scope, receive, headed)


class _OwnOrigin:
    """Turns away what a page of another origin sends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope) if scope["type"] == "http" else {}
        origin = headers.get("origin")
        if origin is not None and origin != f"http://{headers.get('host')}":
            await answer({"error": "sent by another page"}, 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)
