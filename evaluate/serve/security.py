"""Who may ask: this machine's own pages, or whoever has the token. A layer around the whole application."""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .settings import LOOPBACK

COOKIE = "featx_token"
MOST_BODY_BYTES = 10 * 2**20  # of a picture; of anything else much less is needed
HEADERS = {
    # Pages take nothing from elsewhere, run no code that stands in them, and are shown in no other page.
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
HOST = re.compile(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::\d{1,5})?")


class TooLarge(Exception):
    """A request's body is larger than it may be."""


class Guard:
    """Refuses what does not come from the application's own pages or from a program that knows the token.

    A page of another site can make a browser ask an address on its own machine. It is told by three headers: the name
    that was asked for (``Host``: a foreign name may have been made to point here, which is DNS rebinding), and where the
    page is from (``Origin``, ``Sec-Fetch-Site``).
    """

    def __init__(self, app: ASGIApp, token: str | None) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request itself, or hands it on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        answer = self._refusal(scope, headers)
        if answer is not None:
            await answer(scope, receive, _with_headers(send))
            return
        try:
            await self._app(scope, _bounded(headers, receive), _with_headers(send))
        except TooLarge:
            await _refuse(413, f"a body may have {MOST_BODY_BYTES:,} bytes at most")(
                scope, receive, _with_headers(send)
            )

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """Returns what is answered in the place of the application; None if the request may pass."""
        host = headers.get("host", "")
        name = HOST.fullmatch(host)
        if name is None or (self._token is None and name[1].strip("[]").lower() not in LOOPBACK):
            return _refuse(421, "this name is not the server's; ask for 127.0.0.1 or localhost")
        origin = headers.get("origin")
        if origin is not None and origin not in (f"http://{host}", f"https://{host}"):
            return _refuse(403, "pages of other sites may not ask")
        if not _own_page(headers, scope["path"]):
            return _refuse(403, "pages of other sites may not ask")
        length = headers.get("content-length", "0")
        if not length.isdigit() or int(length) > MOST_BODY_BYTES:
            return _refuse(413, f"a body may have {MOST_BODY_BYTES:,} bytes at most")
        return None if self._token is None else self._check_token(scope, headers)

    def _check_token(self, scope: Scope, headers: Headers) -> Response | None:
        assert self._token is not None
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["path"] == "/" and given and _same(given, self._token):
            answer = RedirectResponse("/", 303)  # so that the token stays in no address
            answer.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
            return answer
        kind, _, bearer = headers.get("authorization", "").partition(" ")
        known = kind.lower() == "bearer" and _same(bearer, self._token)
        if known or _same(_cookie(headers), self._token):
            return None
        refusal = _refuse(401, "give the token: open /?token=TOKEN, or send Authorization: Bearer TOKEN")
        refusal.headers["www-authenticate"] = "Bearer"
        return refusal


def _own_page(headers: Mapping[str, str], path: str) -> bool:
    """Whether the browser says that no other site's page asks; a link to the first page may stand anywhere."""
    site = headers.get("sec-fetch-site", "none")
    return site in ("none", "same-origin") or (path == "/" and headers.get("sec-fetch-mode") == "navigate")


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return "" if cookie is None else cookie.value


def _refuse(status: int, why: str) -> JSONResponse:
    return JSONResponse({"error": why}, status)


def _bounded(headers: Mapping[str, str], receive: Receive) -> Receive:
    """Counts what comes: a body without a length may be of any length."""
    received = 0

    async def bounded() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > MOST_BODY_BYTES:
            raise TooLarge
        return message

    return bounded


def _with_headers(send: Send) -> Send:
    async def add(message: Any) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
            headers.setdefault("cache-control", "no-store")
        await send(message)

    return add
