"""Who may ask for what: the gate every request passes before the application sees it.

On one's own machine the opening link holds a token; it becomes a cookie and leaves the
address bar at once. In a department a proxy authenticates and names the reader in a header,
which is believed only from this machine. Whatever changes something must come from our own
pages (origin) and from a script that could read the session (CSRF token); the Host must be
ours, so that no foreign name can be bound to this address.
"""

import hashlib
import hmac
import json
import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable, Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from ipaddress import ip_address
from typing import Any
from urllib.parse import SplitResult, parse_qs, urlsplit

from petechia.errors import ParameterError
from petechia.pipeline.review.events import reader_name

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOG = logging.getLogger(__name__)
BODY_BYTES = 4_000_000
"""The longest body that is read."""
TOKEN = "token"
CSRF = b"x-csrf"
SAFE = ("GET", "HEAD", "OPTIONS")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
NO_STORE = (b"cache-control", b"no-store")


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Who the readers are, and how they are known.

    Attributes
    ----------
    readers : tuple of str
        Those who may read. Behind a proxy an empty one means whoever it names.
    header : str
        Header in which a proxy names the reader; "" on one's own machine.
    host : str
        Address at which the server listens, of this machine alone.
    port : int
        Where the server listens; 0 for a socket without one.
    secret : bytes
        Of this start of the server; tokens, cookies and CSRF tokens follow from it.
    """

    readers: tuple[str, ...] = ()
    header: str = ""
    host: str = "127.0.0.1"
    port: int = 0
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)

    def __post_init__(self) -> None:
        for reader in self.readers:
            reader_name(reader)
        if not self.header and not self.readers:
            raise ParameterError("nobody", where="readers", mend="Name a reader, e.g. --reader AB.")

    @property
    def cookie(self) -> str:
        """Name of the cookie: those of two servers on one machine are kept apart."""
        return f"petechia_{self.port}"

    def token(self, reader: str) -> str:
        """Return the word of a reader's opening link."""
        return self._sum("open", reader)

    def session(self, reader: str) -> str:
        """Return the value of a reader's cookie."""
        return self._sum("session", reader)

    def csrf(self, reader: str) -> str:
        """Return what a reader's page must send with every change."""
        return self._sum("csrf", reader)

    def _sum(self, use: str, reader: str) -> str:
        return hmac.new(self.secret, f"{use}\n{reader}".encode(), hashlib.sha256).hexdigest()

    def link(self, reader: str) -> str:
        """Return the address that opens the desk for a reader."""
        return f"http://{_in_link(self.host)}:{self.port}/?{TOKEN}={self.token(reader)}"

    def hosts(self) -> frozenset[str]:
        """Return the Host words that are ours; empty behind a proxy, whose they are."""
        if self.header:
            return frozenset()
        names = ("127.0.0.1", "localhost", "[::1]", _in_link(self.host))
        plain = names if self.port == 80 else ()
        return frozenset((*plain, *(f"{name}:{self.port}" for name in names)))

    def reader_by(self, use: Callable[[str], str], word: str) -> str | None:
        """Return whose token or cookie `word` is; every one is compared, in constant time."""
        found = None
        for reader in self.readers:
            if hmac.compare_digest(use(reader).encode(), word.encode("utf-8", "replace")):
                found = reader
        return found


def _in_link(host: str) -> str:
    """Return an address as it stands in a link."""
    return f"[{host}]" if ":" in host else host


class RefusedError(Exception):
    """A request that goes no further."""

    def __init__(self, status: int, what: str, mend: str) -> None:
        super().__init__(what)
        self.status, self.what, self.mend = status, what, mend


class Gate:
    """ASGI application around another: lets through what may pass, and sets the headers.

    The reader's name is in `scope["state"]["reader"]` of what passes.
    """

    def __init__(self, app: App, access: Access) -> None:
        self.app, self.access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass one request on, or refuse it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        headed = _with_headers(send)
        try:
            headers = _headers(scope)
            self._require_host(headers)
            if (opened := self._opened(scope)) is not None:
                await _open(headed, opened, self.access, afar=_from_afar(headers))
                return
            reader = self._reader(scope, headers)
            if scope["method"] not in SAFE:
                self._require_own_page(headers)
                self._require_csrf(headers, reader)
                receive = await _whole_body(headers, receive)
            scope.setdefault("state", {})["reader"] = reader
        except RefusedError as refusal:
            await _refuse(headed, refusal, scope)
            return
        await self._passed(scope, receive, headed)

    async def _passed(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through; a fault of ours is told and logged by its kind and place alone."""
        begun = False

        async def watched(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            await self.app(scope, receive, watched)
        except Exception as error:
            # what an error says may hold what was read: places and kind are enough to mend it
            stack = traceback.extract_tb(error.__traceback__)
            places = "\n".join(f"  {f.filename}:{f.lineno} in {f.name}" for f in stack)
            LOG.error("internal error (%s)\n%s", type(error).__name__, places)
            if not begun:
                what = f"internal error ({type(error).__name__})"
                fault = RefusedError(500, what, "This is our fault: please report it.")
                await _refuse(send, fault, scope)

    def _require_host(self, headers: Mapping[bytes, list[str]]) -> None:
        hosts = headers.get(b"host", [])
        ours = self.access.hosts()
        if len(hosts) != 1 or (ours and hosts[0].lower() not in ours):
            raise RefusedError(403, "this is not our address", "Open the link the command printed.")

    def _opened(self, scope: Scope) -> str | None:
        """Return whose opening link is followed; None when it is none."""
        if self.access.header or scope["path"] != "/" or scope["method"] != "GET":
            return None
        words = parse_qs(scope.get("query_string", b"").decode("latin-1")).get(TOKEN)
        if not words:
            return None
        reader = self.access.reader_by(self.access.token, words[0])
        if reader is None:
            raise RefusedError(
                401, "an old or wrong link", "Open the link the command printed last."
            )
        return reader

    def _reader(self, scope: Scope, headers: Mapping[bytes, list[str]]) -> str:
        if self.access.header:
            return self._named(scope, headers)
        for text in headers.get(b"cookie", []):
            word = _cookie(text, self.access.cookie)
            reader = self.access.reader_by(self.access.session, word) if word else None
            if reader is not None:
                return reader
        raise RefusedError(401, "no session", "Open the link the command printed.")

    def _named(self, scope: Scope, headers: Mapping[bytes, list[str]]) -> str:
        """Return the reader whom the proxy names."""
        if not _from_here(scope.get("client")):
            raise RefusedError(401, "not by way of the proxy", "Ask the proxy's address instead.")
        names = headers.get(self.access.header.lower().encode("latin-1"), [])
        if len(names) != 1 or not names[0]:
            mend = f"The proxy must authenticate and send {self.access.header}, once."
            raise RefusedError(401, "the proxy names no reader", mend)
        try:
            reader = reader_name(names[0])
        except ParameterError as error:
            raise RefusedError(403, "no name a reader may have", error.mend) from None
        if self.access.readers and reader not in self.access.readers:
            raise RefusedError(403, "not a reader of this study", "Ask who set it up (--readers).")
        return reader

    def _require_own_page(self, headers: Mapping[bytes, list[str]]) -> None:
        """Refuse what another site's page sent: a browser says whose page it was."""
        said = headers.get(b"origin") or headers.get(b"referer") or [""]
        (host,) = headers[b"host"]
        place = _split(said[0]) if len(said) == 1 else None
        if place is None or (place.scheme, place.netloc.lower()) not in _origins(host):
            raise RefusedError(403, "sent from another page", "Decide on the page of this server.")

    def _require_csrf(self, headers: Mapping[bytes, list[str]], reader: str) -> None:
        words = headers.get(CSRF, [])
        wanted = self.access.csrf(reader).encode()
        if len(words) != 1 or not hmac.compare_digest(wanted, words[0].encode("utf-8", "replace")):
            raise RefusedError(
                403, "no X-CSRF of this session", "Load the page again, then decide."
            )


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:
        return None


def _origins(host: str) -> tuple[tuple[str, str], ...]:
    return ("http", host.lower()), ("https", host.lower())


def _headers(scope: Scope) -> dict[bytes, list[str]]:
    out: dict[bytes, list[str]] = {}
    for name, value in scope["headers"]:
        out.setdefault(name.lower(), []).append(value.decode("latin-1"))
    return out


def _cookie(text: str, name: str) -> str:
    try:
        found = SimpleCookie(text).get(name)
    except CookieError:
        return ""
    return found.value if found is not None else ""


def _from_here(client: Sequence[Any] | None) -> bool:
    """Return whether the peer is on this machine: a loopback address or a Unix socket."""
    if not client or not client[0]:
        return True
    try:
        return ip_address(client[0]).is_loopback
    except ValueError:
        return False


async def _whole_body(headers: Mapping[bytes, list[str]], receive: Receive) -> Receive:
    """Return a `receive` that hands out the whole body, read here up to its limit."""
    too_long = RefusedError(413, "too much at once", f"Send at most {BODY_BYTES} bytes.")
    told = headers.get(b"content-length", ["0"])[0]
    if not told.isdigit() or int(told) > BODY_BYTES:
        raise too_long
    body = b""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise RefusedError(400, "the connection ended", "Send it again.")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > BODY_BYTES:
            raise too_long
    given = False

    async def again() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again


def _with_headers(send: Send) -> Send:
    async def headed(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = list(message.get("headers", []))
            names = {name.lower() for name, _ in own}
            more = [pair for pair in (*HEADERS, NO_STORE) if pair[0] not in names]
            message = {**message, "headers": [*own, *more]}
        await send(message)

    return headed


def _from_afar(headers: Mapping[bytes, list[str]]) -> bool:
    """Return whether a link on another site's page was followed, as far as the browser says."""
    return headers.get(b"sec-fetch-site", ["none"]) not in (["none"], ["same-origin"])


async def _open(send: Send, reader: str, access: Access, *, afar: bool) -> None:
    """Give a reader the cookie, and send the browser to the desk without the token.

    After a redirect that began on another site no strict cookie is sent: there a page of our
    own goes on.
    """
    cookie = f"{access.cookie}={access.session(reader)}; Path=/; HttpOnly; SameSite=Strict"
    page = b'<!doctype html><meta http-equiv="refresh" content="0; url=/"><title>Petechia</title>'
    body = page if afar else b""
    headers = [(b"set-cookie", cookie.encode()), (b"content-length", str(len(body)).encode())]
    headers.append((b"content-type", b"text/html; charset=utf-8") if afar else (b"location", b"/"))
    status = 200 if afar else 303
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _refuse(send: Send, refusal: RefusedError, scope: Scope) -> None:
    """Answer in JSON below /api, else in a plain page."""
    if scope["path"].startswith("/api/"):
        kind = b"application/json"
        told = {"where": "server", "what": refusal.what, "mend": refusal.mend}
        body = json.dumps({"error": told}).encode()
    else:
        kind = b"text/html; charset=utf-8"
        said = f"{escape(refusal.what)}. {escape(refusal.mend)}"
        body = f"<!doctype html><title>Petechia</title><p>{said}".encode()
    headers = [(b"content-type", kind), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
