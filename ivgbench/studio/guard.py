"""Who may ask the studio: the right host, the token, its own page, in a size that can be read.

A page of somebody else's, open in the same browser, can send requests to this machine. It is kept out by the host's
name (it may have pointed a name of its own here), by the origin of what changes something, and by cookies that it is
not given.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs

#: Bytes of a request's body, and of its address.
MOST_BYTES, MOST_ADDRESS = 64 * 1024, 4096
LOOPBACK = ("localhost", "127.0.0.1", "::1")
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
_SESSION = re.compile(r"[A-Za-z0-9_-]{32}")

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


class Refused(Exception):
    """A request that goes no further: status and one line."""

    def __init__(self, status: int, why: str):
        super().__init__(why)
        self.status = status


class Rules(NamedTuple):
    """hosts: names that the studio goes by, besides numbers where `numbers`. token: "" where none is asked for.

    name: of the cookies; another studio on the same machine has others.
    """

    hosts: frozenset[str]
    token: str
    name: str
    numbers: bool = False


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def rules(host: str, port: int, names: list[str], token: str) -> Rules:
    """The rules of a studio that listens on an address.

    Args:
        names: what else this machine is called. token: needed unless the address is loopback.
    """
    if is_loopback(host):
        return Rules(frozenset({*LOOPBACK, host}), token, f"ivgbench-{port}")
    # A page that pointed a name of its own here has no number for it; and it has no cookie.
    return Rules(frozenset({*LOOPBACK, host, *names}), token, f"ivgbench-{port}", numbers=True)


class Guard:
    """An ASGI application around another one. What passes has scope["state"]["session"], a text of its own."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], rules: Rules):
        self.app, self.rules = app, rules

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            return await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        cookies: list[str] = []

        async def sending(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name.decode() not in HEADERS]
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                own += [(b"set-cookie", cookie.encode()) for cookie in cookies]
                message = {**message, "headers": [*kept, *own]}
            await send(message)

        try:
            headers = _headers(scope)
            self._check_host(headers)
            held = _cookies(headers)
            self._check_token(scope, held, cookies)
            self._check_origin(scope, headers)
            body = await _body(headers, receive) if scope["method"] == "POST" else b""
        except Refused as refused:
            return await _answer(sending, refused)
        session = held.get(f"{self.rules.name}-session", "")
        if not _SESSION.fullmatch(session):
            session = secrets.token_urlsafe(24)
            cookies.append(self._cookie("session", session))
        inner = {**scope, "state": {**scope.get("state", {}), "session": session}}
        return await self.app(inner, _replayed(body, receive), sending)

    def _cookie(self, what: str, value: str) -> str:
        return f"{self.rules.name}-{what}={value}; Path=/; HttpOnly; SameSite=Strict"

    def _check_host(self, headers: Mapping[str, list[str]]) -> None:
        """Refuses a name that this studio does not go by: a page may have pointed its own here."""
        hosts = headers.get("host", [])
        name = host_name(hosts[0]) if len(hosts) == 1 else ""
        if name in self.rules.hosts:
            return
        try:
            if self.rules.numbers and name:
                ipaddress.ip_address(name)
                return
        except ValueError:
            pass
        raise Refused(421, "this studio does not go by that name; open the address that `ivgbench studio` printed")

    def _check_token(self, scope: Scope, held: Mapping[str, str], cookies: list[str]) -> None:
        """The token is taken once from the address, and is a cookie from then on."""
        token = self.rules.token
        if not token or _same(held.get(f"{self.rules.name}-token", ""), token):
            return
        given = parse_qs(scope.get("query_string", b"").decode("latin-1"), max_num_fields=8).get("token", [""])[0]
        if scope["path"] == "/" and scope["method"] == "GET" and _same(given, token):
            cookies.append(self._cookie("token", token))
            return
        raise Refused(401, "no token: open the whole address that `ivgbench studio` printed")

    def _check_origin(self, scope: Scope, headers: Mapping[str, list[str]]) -> None:
        """What changes something comes from the studio's own page, or from no page at all."""
        if len(scope["path"]) + len(scope.get("query_string", b"")) > MOST_ADDRESS:
            raise Refused(414, "the address is too long")
        if scope["method"] in ("GET", "HEAD"):
            return
        if scope["method"] != "POST":
            raise Refused(405, "ask with GET or POST")
        origins = headers.get("origin", [])
        own = f"://{headers['host'][0]}".lower()
        if any(origin.lower() not in (f"http{own}", f"https{own}") for origin in origins):
            raise Refused(403, "this came from another page than the studio's")
        if headers.get("sec-fetch-site", ["same-origin"])[0] not in ("same-origin", "none"):
            raise Refused(403, "this came from another page than the studio's")
        # No form of another page can send this kind unasked.
        if headers.get("content-type", [""])[0].partition(";")[0].strip().lower() != "application/json":
            raise Refused(415, "send application/json")


def host_name(host: str) -> str:
    """The name in a Host header, without its port and brackets, in small letters; "" where it is none."""
    written = re.fullmatch(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9._-]+))(?::[0-9]{1,5})?", host)
    return (written[1] or written[2]).lower().rstrip(".") if written else ""


def _same(given: str, token: str) -> bool:
    """In a time that tells nothing of how much is right."""
    return hmac.compare_digest(given.encode("utf-8", "replace"), token.encode())


def _headers(scope: Scope) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in scope["headers"]:
        found.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
    return found


def _cookies(headers: Mapping[str, list[str]]) -> dict[str, str]:
    """The cookies, the first of each name. A machine's servers share them whatever their ports are, so what another one
    wrote may be anything: the standard library's reader gives up on all of them at the first that it cannot read."""
    found: dict[str, str] = {}
    for pair in ";".join(headers.get("cookie", [])).split(";"):
        name, _, value = pair.strip().partition("=")
        found.setdefault(name, value)
    return found


async def _body(headers: Mapping[str, list[str]], receive: Receive) -> bytes:
    """The whole body, of at most MOST_BYTES; what is longer is not read to its end."""
    too_large = Refused(413, f"the request is too large: {MOST_BYTES} bytes at most")
    told = headers.get("content-length", ["0"])[0]
    if told.isdigit() and int(told[:12]) > MOST_BYTES:
        raise too_large
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Refused(400, "the request broke off")
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            raise too_large
        if not message.get("more_body"):
            return body


def _replayed(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the body that was read, and then goes on."""
    parts = [{"type": "http.request", "body": body, "more_body": False}]

    async def again() -> dict[str, Any]:
        return parts.pop() if parts else await receive()

    return again


async def _answer(send: Send, refused: Refused) -> None:
    body = f"ivgbench studio: {refused}\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
